//! The rules of `[[input]]`: one observation, and what else an inference is fed from.
//!
//! Inputs name outputs and outputs name elements of the observation, so the inputs are read in two steps: [`inputs`]
//! says what each is by itself, [`Inputs::fed_from`] what it is with the outputs.

use std::collections::HashSet;
use std::time::Duration;

use toml::Spanned;

use super::image::image;
use super::tensor::{MAX_INPUT_ELEMENTS, MAX_TENSORS, RawTensor, all_named, tensor};
use super::text::{unique, unit};
use super::{Flaw, flaw};
use crate::elements::{Dtype, InputElement};
use crate::image::Spec;
use crate::schema::{RawImage, RawInput, RawInputElement};
use crate::tensors::{Input, InputPlace, Output, Role, Source, Tensor};

/// The longest history: ten seconds at 100 Hz.
pub const MAX_HISTORY: usize = 1024;
/// The longest `period_us` of a phase.
pub const MAX_PERIOD: Duration = Duration::from_hours(1);

/// The inputs by themselves.
pub(super) struct Inputs {
    all: Vec<Alone>,
    observation: usize,
    observation_at: Spanned<()>,
}

/// An input before the outputs are known.
struct Alone {
    tensor: Tensor,
    shape_at: Spanned<()>,
    dtype_at: Spanned<()>,
    feed: Feed,
}

enum Feed {
    Elements { elements: Vec<InputElement>, joined: bool },
    Image(Box<Spec>),
    Recurrent { output: Spanned<String> },
    PreviousAction { at: Spanned<()> },
    History { length: usize },
    Phase { period: Duration },
    CommittedPlan { at: Spanned<()> },
    CommittedSteps { at: Spanned<()> },
}

/// All inputs, in the order of the file, by themselves.
pub(super) fn inputs(raw: Vec<Spanned<RawInput>>) -> Result<Inputs, Flaw> {
    if raw.is_empty() {
        return Err(Flaw { offset: 0, message: "there is no [[input]] table; add one".to_owned() });
    }
    if let Some(beyond) = raw.get(MAX_TENSORS) {
        return flaw(beyond, format!("more than the {MAX_TENSORS} [[input]] tables that are supported"));
    }
    let (mut tensors, mut elements) = (HashSet::new(), HashSet::new());
    let mut observation: Option<(usize, Spanned<()>)> = None;
    let mut all = Vec::with_capacity(raw.len());
    for table in raw {
        let whole = Spanned::new(table.span(), ());
        let raw = table.into_inner();
        let name_at = Spanned::new(raw.name.span(), ());
        let input = alone(raw, &whole, &mut elements)?;
        if !tensors.insert(input.tensor.name.clone()) {
            return flaw(&name_at, format!("a second [[input]] named {:?}; names are unique", input.tensor.name));
        }
        if matches!(input.feed, Feed::Elements { joined: false, .. })
            && observation.replace((all.len(), whole.clone())).is_some()
        {
            return flaw(&whole, "a second observation; give this [[input]] another source, such as \"joined\"");
        }
        all.push(input);
    }
    let Some((observation, observation_at)) = observation else {
        let message = "no [[input]] has source = \"observation\"; a model answers exactly one".to_owned();
        return Err(Flaw { offset: 0, message });
    };
    Ok(Inputs { all, observation, observation_at })
}

impl Inputs {
    /// The elements of the observation.
    pub(super) fn observation(&self) -> &[InputElement] {
        match &self.all[self.observation].feed {
            Feed::Elements { elements, .. } => elements,
            Feed::Image(_)
            | Feed::Recurrent { .. }
            | Feed::PreviousAction { .. }
            | Feed::History { .. }
            | Feed::Phase { .. }
            | Feed::CommittedPlan { .. }
            | Feed::CommittedSteps { .. } => &[],
        }
    }

    /// The inputs with what feeds them, and the place of the observation.
    pub(super) fn fed_from(self, outputs: &[Output]) -> Result<(Vec<Input>, InputPlace), Flaw> {
        let observed = self.all[self.observation].tensor.elements();
        let unnamed = self.observation().is_empty();
        if unnamed && outputs.iter().any(|output| matches!(output.role, Role::Action(_))) {
            let at = &self.observation_at;
            return flaw(at, "missing field `elements`: an observation that an action answers names each of them");
        }
        committed_once(&self.all)?;
        let fed = |(place, input): (usize, Alone)| {
            let source = source(&input, observed, outputs)?;
            Ok(Input { place: InputPlace::new(place), tensor: input.tensor, source })
        };
        let inputs = self.all.into_iter().enumerate().map(fed).collect::<Result<_, _>>()?;
        Ok((inputs, InputPlace::new(self.observation)))
    }
}

fn alone(raw: RawInput, whole: &Spanned<()>, names: &mut HashSet<String>) -> Result<Alone, Flaw> {
    let RawInput { name, dtype, shape, source, elements, image: picture, output, length, period_us } = raw;
    let (shape_at, dtype_at) = (Spanned::new(shape.span(), ()), Spanned::new(dtype.span(), ()));
    let tensor = tensor(RawTensor { name, dtype, shape }, MAX_INPUT_ELEMENTS)?;
    let source_at = source.as_ref().map_or_else(|| whole.clone(), |source| Spanned::new(source.span(), ()));
    let source = source.map_or_else(|| "observation".to_owned(), Spanned::into_inner);
    let mut fields = Fields { source: &source, whole, elements, image: picture, output, length, period_us };
    let feed = match source.as_str() {
        "joined" if fields.image.is_some() => Feed::Image(Box::new(image(&fields.image()?, &tensor)?)),
        // Who asks for results alone may send a whole tensor, such as a picture's.
        "observation" if fields.elements.is_none() => Feed::Elements { elements: Vec::new(), joined: false },
        "observation" | "joined" => {
            let raw = fields.elements()?;
            all_named(&raw, &tensor)?;
            Feed::Elements { elements: named(raw.into_inner(), names)?, joined: source == "joined" }
        }
        "recurrent" => Feed::Recurrent { output: fields.output()? },
        "previous-action" => Feed::PreviousAction { at: source_at },
        "history" => Feed::History { length: history(&fields.length()?)? },
        "phase" => Feed::Phase { period: period(&fields.period_us()?)? },
        "committed-plan" => Feed::CommittedPlan { at: source_at },
        "committed-steps" => Feed::CommittedSteps { at: source_at },
        other => {
            return flaw(
                &source_at,
                format!(
                    "source {other:?} is unknown; write \"observation\", \"joined\", \"recurrent\", \
                     \"previous-action\", \"history\", \"phase\", \"committed-plan\" or \"committed-steps\""
                ),
            );
        }
    };
    fields.nothing_else()?;
    Ok(Alone { tensor, shape_at, dtype_at, feed })
}

fn source(input: &Alone, observed: usize, outputs: &[Output]) -> Result<Source, Flaw> {
    match &input.feed {
        Feed::Elements { elements, joined: false } => Ok(Source::Observation(elements.clone())),
        Feed::Elements { elements, joined: true } => Ok(Source::Joined(elements.clone())),
        Feed::Image(spec) => Ok(Source::Image(Spec::clone(spec))),
        Feed::Recurrent { output } => {
            let found = outputs.iter().find(|found| found.tensor.name == *output.get_ref());
            let Some(found) = found.filter(|found| matches!(found.role, Role::State)) else {
                let name = output.get_ref();
                return flaw(output, format!("no [[output]] with role = \"state\" is named {name:?}; name one"));
            };
            same(input, &found.tensor, &format!("the output {:?}", found.tensor.name), "what it feeds")?;
            Ok(Source::Recurrent(found.place))
        }
        Feed::PreviousAction { at } => {
            let actions = outputs.iter().find(|output| matches!(output.role, Role::Action(_)));
            let Some(action) = actions else {
                return flaw(at, "there is no action that could be fed back; give an [[output]] role = \"action\"");
            };
            as_long_as(input, action.tensor.elements(), "the action")?;
            Ok(Source::PreviousAction)
        }
        Feed::History { length } => {
            as_long_as(input, length.saturating_mul(observed), &format!("a history of {length} observations"))?;
            Ok(Source::History { length: *length })
        }
        Feed::Phase { period } => {
            as_long_as(input, 2, "a phase, sine and cosine,")?;
            if !input.tensor.dtype.is_float() {
                return flaw(&input.dtype_at, "sine and cosine are fractions; a phase is f32, f16 or bf16");
            }
            Ok(Source::Phase { period: *period })
        }
        Feed::CommittedPlan { at } => {
            let Some(plan) = outputs.iter().find(|output| matches!(output.role, Role::Plan(_))) else {
                return flaw(at, "there is no plan that could be committed; give an [[output]] role = \"plan\"");
            };
            same(input, &plan.tensor, "the plan", "what is committed of it")?;
            if !input.tensor.dtype.is_float() {
                return flaw(
                    &input.dtype_at,
                    "between its steps a plan has fractions; what is committed of it is a float",
                );
            }
            Ok(Source::CommittedPlan)
        }
        Feed::CommittedSteps { .. } => {
            as_long_as(input, 1, "a count of committed steps")?;
            if !matches!(input.tensor.dtype, Dtype::F32 | Dtype::I32 | Dtype::I64) {
                return flaw(&input.dtype_at, "a count of committed steps is f32, i32 or i64");
            }
            Ok(Source::CommittedSteps)
        }
    }
}

/// A plan is committed once, and steps are counted only beside it.
fn committed_once(all: &[Alone]) -> Result<(), Flaw> {
    let (mut plan, mut steps) = (None, None);
    for input in all {
        let (of, at) = match &input.feed {
            Feed::CommittedPlan { at } => (&mut plan, at),
            Feed::CommittedSteps { at } => (&mut steps, at),
            Feed::Elements { .. }
            | Feed::Image(_)
            | Feed::Recurrent { .. }
            | Feed::PreviousAction { .. }
            | Feed::History { .. }
            | Feed::Phase { .. } => continue,
        };
        if of.replace(at).is_some() {
            return flaw(at, "a second [[input]] with this source; one is enough");
        }
    }
    match (plan, steps) {
        (None, Some(at)) => {
            flaw(at, "no [[input]] has source = \"committed-plan\"; add the plan whose steps are counted")
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Whether an input is of the type and shape of the output that it comes from.
fn same(input: &Alone, from: &Tensor, what: &str, comes: &str) -> Result<(), Flaw> {
    let into = &input.tensor;
    if from.dtype == into.dtype && from.shape == into.shape {
        return Ok(());
    }
    let (dtype, shape) = (from.dtype, &from.shape);
    flaw(&input.shape_at, format!("{what} is {dtype} {shape:?}; {comes} must be the same"))
}

fn as_long_as(input: &Alone, wanted: usize, what: &str) -> Result<(), Flaw> {
    let found = input.tensor.elements();
    if found == wanted {
        return Ok(());
    }
    let shape = &input.tensor.shape;
    flaw(&input.shape_at, format!("{what} has {wanted} elements, but the shape {shape:?} has {found}; correct it"))
}

fn named(raw: Vec<RawInputElement>, names: &mut HashSet<String>) -> Result<Vec<InputElement>, Flaw> {
    raw.into_iter()
        .map(|element| {
            let name = unique(element.name, names, "over all inputs")?;
            Ok(InputElement { name, unit: unit(element.unit)? })
        })
        .collect()
}

fn history(raw: &Spanned<u64>) -> Result<usize, Flaw> {
    match usize::try_from(*raw.get_ref()) {
        Ok(length @ 1..=MAX_HISTORY) => Ok(length),
        Ok(_) | Err(_) => flaw(raw, format!("length must be from 1 to {MAX_HISTORY} observations")),
    }
}

fn period(raw: &Spanned<u64>) -> Result<Duration, Flaw> {
    let period = Duration::from_micros(*raw.get_ref());
    if period.is_zero() || period > MAX_PERIOD {
        return flaw(raw, format!("period_us must be from 1 to {}", MAX_PERIOD.as_micros()));
    }
    Ok(period)
}

/// The fields that some sources need and others must not have.
struct Fields<'r> {
    source: &'r str,
    whole: &'r Spanned<()>,
    elements: Option<Spanned<Vec<RawInputElement>>>,
    image: Option<Spanned<RawImage>>,
    output: Option<Spanned<String>>,
    length: Option<Spanned<u64>>,
    period_us: Option<Spanned<u64>>,
}

impl Fields<'_> {
    fn elements(&mut self) -> Result<Spanned<Vec<RawInputElement>>, Flaw> {
        self.elements.take().map_or_else(|| self.missing("elements"), Ok)
    }

    fn image(&mut self) -> Result<Spanned<RawImage>, Flaw> {
        self.image.take().map_or_else(|| self.missing("image"), Ok)
    }

    fn output(&mut self) -> Result<Spanned<String>, Flaw> {
        self.output.take().map_or_else(|| self.missing("output"), Ok)
    }

    fn length(&mut self) -> Result<Spanned<u64>, Flaw> {
        self.length.take().map_or_else(|| self.missing("length"), Ok)
    }

    fn period_us(&mut self) -> Result<Spanned<u64>, Flaw> {
        self.period_us.take().map_or_else(|| self.missing("period_us"), Ok)
    }

    fn missing<T>(&self, field: &str) -> Result<T, Flaw> {
        flaw(self.whole, format!("missing field `{field}`: source = {:?} needs it", self.source))
    }

    /// Whether each field that was written has been used.
    fn nothing_else(&self) -> Result<(), Flaw> {
        let left = [
            self.elements.as_ref().map(|field| (field.span(), "elements")),
            self.image.as_ref().map(|field| (field.span(), "image")),
            self.output.as_ref().map(|field| (field.span(), "output")),
            self.length.as_ref().map(|field| (field.span(), "length")),
            self.period_us.as_ref().map(|field| (field.span(), "period_us")),
        ];
        match left.into_iter().flatten().next() {
            Some((span, field)) => {
                flaw(&Spanned::new(span, ()), format!("source = {:?} has no `{field}`; remove it", self.source))
            }
            None => Ok(()),
        }
    }
}
