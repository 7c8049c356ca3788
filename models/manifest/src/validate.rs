//! From what is written to what may be run: the rules of a manifest, each said once.

mod image;
mod inputs;
mod outputs;
mod plan;
mod tensor;
mod text;
mod weights;

use std::fmt::Display;
use std::path::{Component, Path};
use std::time::Duration;

use toml::Spanned;

pub use self::inputs::{MAX_HISTORY, MAX_PERIOD};
pub use self::outputs::MAX_OUTPUT_ELEMENTS;
use self::plan::plan;
pub use self::plan::{MAX_PLAN_RATE_HZ, MAX_PLAN_STEPS};
pub use self::tensor::{MAX_INPUT_ELEMENTS, MAX_TENSORS};
pub use self::text::MAX_NAME_BYTES;
use self::text::{filled, label};
pub(crate) use self::weights::WeightsFile;
use self::weights::weights;
use crate::domain::Domain;
use crate::elements::{Envelope, Provenance, TooFast};
use crate::golden::{HalfPrecision, is_tolerance};
use crate::schema::{RawEnvelope, RawHalfPrecision, RawManifest, RawProvenance, RawState};
use crate::tensors::{Input, InputPlace, Output, OutputPlace, Plan, Role, Source, State};

/// The longest `max_step_us`: an action older than that says nothing about where the robot is.
pub const MAX_STEP: Duration = Duration::from_mins(1);
/// The longest `max_gap_us`: state older than that says nothing about what the robot does.
pub const MAX_GAP: Duration = Duration::from_mins(1);

/// A checked manifest, without the ONNX file's bytes.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) licence: String,
    pub(crate) provenance: Provenance,
    pub(crate) inputs: Vec<Input>,
    /// The one input that the observation fills.
    pub(crate) observation: InputPlace,
    pub(crate) outputs: Vec<Output>,
    /// The one output that is the action or the plan, where there is one; the envelope goes with it.
    pub(crate) action: Option<(OutputPlace, Envelope)>,
    /// Some exactly where an output is a plan.
    pub(crate) plan: Option<Plan>,
    /// Some exactly where an input is state.
    pub(crate) state: Option<State>,
    /// Relative, without a step upwards; the place is for errors about the file itself.
    pub(crate) file: Spanned<String>,
    pub(crate) sha256: Spanned<[u8; 32]>,
    /// Files beside it that hold tensors of it, none twice.
    pub(crate) weights: Vec<WeightsFile>,
    /// Whose operators it may use besides ONNX's own.
    pub(crate) domains: Vec<Domain>,
    /// The file of the golden vectors, and its digest.
    pub(crate) golden: Option<(Spanned<String>, Spanned<[u8; 32]>)>,
    /// Only with golden vectors.
    pub(crate) half_precision: Option<HalfPrecision>,
}

/// A broken rule and the byte in `model.toml` where it is broken.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

pub(crate) fn validate(raw: RawManifest) -> Result<Checked, Flaw> {
    let output_spans: Vec<_> = raw.output.iter().map(|table| Spanned::new(table.span(), ())).collect();
    let inputs = inputs::inputs(raw.input)?;
    let outputs = outputs::outputs(raw.output, inputs.observation(), raw.plan.as_ref())?;
    let (inputs, observation) = inputs.fed_from(&outputs)?;
    every_state_is_fed_back(&inputs, &outputs, &output_spans)?;
    let file = inside(raw.file)?;
    let golden = raw.golden.map(|golden| Ok((inside(golden.file)?, digest(&golden.sha256)?)));
    Ok(Checked {
        half_precision: half_precision(raw.fp16.as_ref(), golden.is_some())?,
        golden: golden.transpose()?,
        name: label(raw.name, "name")?,
        version: label(raw.version, "version")?,
        description: filled(raw.description, "description")?,
        licence: filled(raw.licence, "licence")?,
        provenance: provenance(raw.provenance)?,
        plan: plan(raw.plan.as_ref(), &inputs, &outputs)?,
        state: state(raw.state.as_ref(), &inputs)?,
        inputs,
        observation,
        action: action(raw.envelope.as_ref(), &outputs)?,
        outputs,
        weights: weights(raw.weights, file.get_ref())?,
        domains: domains(&raw.domains)?,
        file,
        sha256: digest(&raw.sha256)?,
    })
}

fn every_state_is_fed_back(inputs: &[Input], outputs: &[Output], spans: &[Spanned<()>]) -> Result<(), Flaw> {
    let feeds = |place| inputs.iter().any(|input| matches!(input.source, Source::Recurrent(from) if from == place));
    let idle = outputs.iter().zip(spans).find(|(output, _)| output.role == Role::State && !feeds(output.place));
    match idle {
        Some((output, span)) => flaw(
            span,
            format!(
                "no [[input]] is fed from the state {:?}; give one source = \"recurrent\", or remove this output",
                output.tensor.name
            ),
        ),
        None => Ok(()),
    }
}

fn state(raw: Option<&Spanned<RawState>>, inputs: &[Input]) -> Result<Option<State>, Flaw> {
    let has_state = inputs.iter().any(|input| input.source.is_state());
    match raw {
        None if has_state => Err(Flaw {
            offset: 0,
            message: "there is no [state] table; an input that remembers needs its max_gap_us".to_owned(),
        }),
        None => Ok(None),
        Some(table) if !has_state => flaw(table, "no [[input]] remembers anything; remove the [state] table"),
        Some(table) => {
            let max_gap = Duration::from_micros(*table.get_ref().max_gap_us.get_ref());
            if max_gap.is_zero() || max_gap > MAX_GAP {
                let message =
                    format!("max_gap_us must be from 1 to {}; a few control periods are usual", MAX_GAP.as_micros());
                return flaw(&table.get_ref().max_gap_us, message);
            }
            Ok(Some(State { max_gap }))
        }
    }
}

fn action(raw: Option<&Spanned<RawEnvelope>>, outputs: &[Output]) -> Result<Option<(OutputPlace, Envelope)>, Flaw> {
    let action = outputs.iter().find(|output| matches!(output.role, Role::Action(_) | Role::Plan(_)));
    match (action, raw) {
        (Some(action), Some(table)) => Ok(Some((action.place, envelope(table.get_ref())?))),
        (Some(_), None) => Err(Flaw {
            offset: 0,
            message: "there is no [envelope] table; an action needs one, and so does a plan".to_owned(),
        }),
        (None, Some(table)) => flaw(table, "there is no action that this envelope could hold; remove it"),
        (None, None) => Ok(None),
    }
}

fn envelope(raw: &RawEnvelope) -> Result<Envelope, Flaw> {
    let too_fast = match raw.too_fast.get_ref().as_str() {
        "clamp" => TooFast::Clamp,
        "fallback" => TooFast::Fallback,
        other => {
            return flaw(&raw.too_fast, format!("too_fast {other:?} is unknown; write \"clamp\" or \"fallback\""));
        }
    };
    let max_step = Duration::from_micros(*raw.max_step_us.get_ref());
    if max_step.is_zero() || max_step > MAX_STEP {
        let message =
            format!("max_step_us must be from 1 to {}; a few control periods are usual", MAX_STEP.as_micros());
        return flaw(&raw.max_step_us, message);
    }
    Ok(Envelope { too_fast, max_step })
}

fn half_precision(raw: Option<&Spanned<RawHalfPrecision>>, has_golden: bool) -> Result<Option<HalfPrecision>, Flaw> {
    let Some(table) = raw else { return Ok(None) };
    if !has_golden {
        return flaw(table, "half precision is held to golden vectors; add a [golden] table, or remove [fp16]");
    }
    let tolerance = &table.get_ref().tolerance;
    if !is_tolerance(*tolerance.get_ref()) {
        return flaw(tolerance, "tolerance must be above 0 and finite; 0.001 of what the outputs span is usual");
    }
    Ok(Some(HalfPrecision { tolerance: *tolerance.get_ref() }))
}

fn provenance(raw: RawProvenance) -> Result<Provenance, Flaw> {
    Ok(Provenance {
        source: filled(raw.source, "source")?,
        data: filled(raw.data, "data")?,
        trained: filled(raw.trained, "trained")?,
    })
}

/// A path that cannot leave the model's folder by its spelling; links are followed when it is opened.
fn inside(file: Spanned<String>) -> Result<Spanned<String>, Flaw> {
    let mut steps = Path::new(file.get_ref()).components().peekable();
    if steps.peek().is_none() || !steps.all(|step| matches!(step, Component::Normal(_))) {
        return flaw(
            &file,
            format!("file {:?} is not a path below the model's folder; put the file beside model.toml", file.get_ref()),
        );
    }
    Ok(file)
}

fn domains(raw: &[Spanned<String>]) -> Result<Vec<Domain>, Flaw> {
    let known = |name: &Spanned<String>| match Domain::named(name.get_ref()) {
        Some(domain) => Ok(domain),
        None => flaw(
            name,
            format!(
                "domain {:?} is unknown; ONNX's own need no mention, and only {:?} can be added",
                name.get_ref(),
                Domain::Microsoft.name()
            ),
        ),
    };
    raw.iter().map(known).collect()
}

fn digest(raw: &Spanned<String>) -> Result<Spanned<[u8; 32]>, Flaw> {
    let digits = raw.get_ref().as_bytes();
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?)).collect();
    match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
        Some(bytes) => Ok(Spanned::new(raw.span(), bytes)),
        None => flaw(raw, "sha256 is not 64 lower-case hexadecimal digits; `sha256sum` of the file prints them"),
    }
}

fn flaw<T, Place>(place: &Spanned<Place>, message: impl Display) -> Result<T, Flaw> {
    Err(Flaw { offset: place.span().start, message: message.to_string() })
}
