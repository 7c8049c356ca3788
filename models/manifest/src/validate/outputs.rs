//! The rules of `[[output]]`: one action or one plan within its limits, state, results.

use std::collections::HashSet;

use toml::Spanned;

use super::plan::{MAX_PLAN_STEPS, has_steps};
use super::tensor::{MAX_INPUT_ELEMENTS, MAX_TENSORS, RawTensor, all_named, tensor};
use super::text::{unique, unit};
use super::{Flaw, flaw};
use crate::elements::{InputElement, InputIndex, OutputElement, Start};
use crate::schema::{RawOutput, RawOutputElement, RawPlan, RawStart};
use crate::tensors::{Output, OutputPlace, Role};

/// The largest action; the engine holds the last one of every connection inline.
pub const MAX_OUTPUT_ELEMENTS: usize = 64;

/// All outputs, in the order of the file; an action may begin where one of the observation's elements is.
pub(super) fn outputs(
    raw: Vec<Spanned<RawOutput>>,
    observation: &[InputElement],
    plan: Option<&Spanned<RawPlan>>,
) -> Result<Vec<Output>, Flaw> {
    if raw.is_empty() {
        return Err(Flaw { offset: 0, message: "there is no [[output]] table; add one".to_owned() });
    }
    if let Some(beyond) = raw.get(MAX_TENSORS) {
        return flaw(beyond, format!("more than the {MAX_TENSORS} [[output]] tables that are supported"));
    }
    let (mut names, mut has_action) = (HashSet::new(), false);
    let mut outputs = Vec::with_capacity(raw.len());
    for (place, table) in raw.into_iter().enumerate() {
        let whole = Spanned::new(table.span(), ());
        let raw = table.into_inner();
        let name_at = Spanned::new(raw.name.span(), ());
        let output = output(OutputPlace::new(place), raw, &whole, observation, plan)?;
        if !names.insert(output.tensor.name.clone()) {
            return flaw(&name_at, format!("a second [[output]] named {:?}; names are unique", output.tensor.name));
        }
        let is_action = matches!(output.role, Role::Action(_) | Role::Plan(_));
        if is_action && has_action {
            return flaw(&whole, "a second action or plan; give this [[output]] role = \"state\" or \"result\"");
        }
        has_action |= is_action;
        outputs.push(output);
    }
    if !has_action && !outputs.iter().any(|output| matches!(output.role, Role::Result(_))) {
        let message = "every [[output]] is state; one must be an action, a plan or a result".to_owned();
        return Err(Flaw { offset: 0, message });
    }
    Ok(outputs)
}

fn output(
    place: OutputPlace,
    raw: RawOutput,
    whole: &Spanned<()>,
    observation: &[InputElement],
    plan: Option<&Spanned<RawPlan>>,
) -> Result<Output, Flaw> {
    let RawOutput { name, dtype, shape, role, elements } = raw;
    let raw = RawTensor { name, dtype, shape };
    let (tensor, role) = match role.as_ref().map_or("action", |role| role.get_ref().as_str()) {
        "action" => {
            let tensor = tensor(raw, MAX_OUTPUT_ELEMENTS)?;
            let Some(elements) = elements else { return flaw(whole, "missing field `elements`: an action names each") };
            all_named(&elements, &tensor)?;
            (tensor, Role::Action(action(elements.into_inner(), observation)?))
        }
        "plan" => {
            let shape_at = Spanned::new(raw.shape.span(), ());
            let tensor = tensor(raw, MAX_PLAN_STEPS * MAX_OUTPUT_ELEMENTS)?;
            let Some(elements) = elements else {
                return flaw(whole, "missing field `elements`: a plan names each of one step");
            };
            has_steps(plan, elements.get_ref().len(), &tensor, &shape_at)?;
            (tensor, Role::Plan(action(elements.into_inner(), observation)?))
        }
        "state" => {
            if let Some(elements) = elements {
                return flaw(&elements, "state has no elements: it never leaves the box; remove them");
            }
            (tensor(raw, MAX_INPUT_ELEMENTS)?, Role::State)
        }
        "result" => {
            let tensor = tensor(raw, MAX_INPUT_ELEMENTS)?;
            let elements = match elements {
                Some(elements) => {
                    all_named(&elements, &tensor)?;
                    result(elements.into_inner())?
                }
                None => Vec::new(),
            };
            (tensor, Role::Result(elements))
        }
        other => {
            let message = format!("role {other:?} is unknown; write \"action\", \"plan\", \"state\" or \"result\"");
            return flaw(&role.expect("only a written role is unknown"), message);
        }
    };
    Ok(Output { place, tensor, role })
}

fn result(raw: Vec<Spanned<RawOutputElement>>) -> Result<Vec<InputElement>, Flaw> {
    let mut names = HashSet::new();
    raw.into_iter()
        .map(|element| {
            let span = element.span();
            let element = element.into_inner();
            let limits = [&element.min, &element.max, &element.max_change_per_s, &element.rest];
            if limits.iter().any(|limit| limit.is_some()) || element.start.is_some() {
                let message = "an element of a result has a name and a unit, no limits; remove them";
                return flaw(&Spanned::new(span, ()), message);
            }
            let name = unique(element.name, &mut names, "in a tensor")?;
            Ok(InputElement { name, unit: unit(element.unit)? })
        })
        .collect()
}

fn action(raw: Vec<Spanned<RawOutputElement>>, observation: &[InputElement]) -> Result<Vec<OutputElement>, Flaw> {
    let mut names = HashSet::new();
    raw.into_iter()
        .map(|element| {
            let whole = Spanned::new(element.span(), ());
            let raw = element.into_inner();
            let name = unique(raw.name.clone(), &mut names, "in a tensor")?;
            element_of_action(name, raw, &whole, observation)
        })
        .collect()
}

fn element_of_action(
    name: String,
    raw: RawOutputElement,
    whole: &Spanned<()>,
    observation: &[InputElement],
) -> Result<OutputElement, Flaw> {
    let raw_min = written(raw.min, whole, "min")?;
    let raw_max = written(raw.max, whole, "max")?;
    let (min, max) = (finite(&raw_min, "min")?, finite(&raw_max, "max")?);
    if min >= max {
        return flaw(&raw_min, format!("min {min:?} is not less than max {max:?}; exchange or widen them"));
    }
    if !(max - min).is_finite() {
        return flaw(
            &raw_max,
            format!("from min {min:?} to max {max:?} is too far for a 32-bit float; narrow the range"),
        );
    }
    let raw_change = written(raw.max_change_per_s, whole, "max_change_per_s")?;
    let max_change_per_s = finite(&raw_change, "max_change_per_s")?;
    if max_change_per_s <= 0.0 {
        return flaw(
            &raw_change,
            format!("max_change_per_s {max_change_per_s:?} is not more than 0; give the largest change in one second"),
        );
    }
    let limits = Limits { min, max };
    let raw_rest = written(raw.rest, whole, "rest")?;
    let rest = limits.inside(&raw_rest, finite(&raw_rest, "rest")?, "rest")?;
    let start = start(&written(raw.start, whole, "start")?, limits, observation)?;
    Ok(OutputElement { name, unit: unit(raw.unit)?, min, max, max_change_per_s, rest, start })
}

/// A limit that only a result may leave out.
fn written<T>(limit: Option<Spanned<T>>, whole: &Spanned<()>, field: &str) -> Result<Spanned<T>, Flaw> {
    match limit {
        Some(limit) => Ok(limit),
        None => flaw(whole, format!("missing field `{field}`")),
    }
}

fn start(raw: &Spanned<RawStart>, limits: Limits, observation: &[InputElement]) -> Result<Start, Flaw> {
    match raw.get_ref() {
        RawStart::Value(value) if value.is_finite() => limits.inside(raw, *value, "start").map(Start::Value),
        RawStart::Value(_) => flaw(raw, "start is not a finite 32-bit float; give a number inside min and max"),
        RawStart::Observation(name) => match observation.iter().position(|element| element.name == *name) {
            Some(index) => Ok(Start::Observation(InputIndex::new(index))),
            None => flaw(
                raw,
                format!("start names {name:?}, which is no input element; name one of them, or give a number"),
            ),
        },
    }
}

#[derive(Clone, Copy)]
struct Limits {
    min: f32,
    max: f32,
}

impl Limits {
    fn inside<T>(self, place: &Spanned<T>, value: f32, field: &str) -> Result<f32, Flaw> {
        let Self { min, max } = self;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        flaw(place, format!("{field} {value:?} is outside {min:?} to {max:?}; move it inside, or widen min and max"))
    }
}

fn finite(number: &Spanned<f32>, field: &str) -> Result<f32, Flaw> {
    if number.get_ref().is_finite() {
        return Ok(*number.get_ref());
    }
    flaw(number, format!("{field} is not a finite 32-bit float; limits must be numbers that can be compared"))
}
