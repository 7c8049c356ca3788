//! The rules of `[plan]`: how many steps of an action an output of the role "plan" holds, and how they lie in time.

use toml::Spanned;

use super::outputs::MAX_OUTPUT_ELEMENTS;
use super::{Flaw, flaw};
use crate::schema::RawPlan;
use crate::tensors::{Input, Output, Plan, Role, Tensor};

/// The most steps: a minute at 64 Hz. The box holds two plans for each robot.
pub const MAX_PLAN_STEPS: usize = 4096;
/// The highest rate: that of the fastest controllers, between whose observations no step can be seen.
pub const MAX_PLAN_RATE_HZ: u32 = 1000;

/// The declared plan; it belongs to exactly one output, and to a model without memory.
pub(super) fn plan(raw: Option<&Spanned<RawPlan>>, inputs: &[Input], outputs: &[Output]) -> Result<Option<Plan>, Flaw> {
    let Some(table) = raw else { return Ok(None) };
    if !outputs.iter().any(|output| matches!(output.role, Role::Plan(_))) {
        return flaw(
            table,
            "no [[output]] has role = \"plan\"; give it to the one that is, or remove the [plan] table",
        );
    }
    if let Some(input) = inputs.iter().find(|input| input.source.is_state()) {
        let name = &input.tensor.name;
        return flaw(
            table,
            format!(
                "a model that makes plans remembers nothing, but the [[input]] {name:?} is state; remove one of them"
            ),
        );
    }
    declared(table).map(Some)
}

/// Whether `tensor` is what `[plan]` and the elements of a step say: `[…, steps, elements]` with ones in front.
pub(super) fn has_steps(
    raw: Option<&Spanned<RawPlan>>,
    elements: usize,
    tensor: &Tensor,
    shape_at: &Spanned<()>,
) -> Result<(), Flaw> {
    let Some(table) = raw else {
        return Err(Flaw {
            offset: 0,
            message: "there is no [plan] table; an output of the role \"plan\" needs its steps and rate_hz".to_owned(),
        });
    };
    let steps = declared(table)?.steps;
    if elements > MAX_OUTPUT_ELEMENTS {
        return flaw(
            shape_at,
            format!("a step of {elements} elements, more than the {MAX_OUTPUT_ELEMENTS} of an action"),
        );
    }
    match tensor.shape.as_slice() {
        [ones @ .., found_steps, found_elements]
            if (*found_steps, *found_elements) == (steps, elements) && ones.iter().all(|one| *one == 1) =>
        {
            Ok(())
        }
        other => flaw(
            shape_at,
            format!(
                "the shape {other:?} is not that of {steps} steps of {elements} elements; \
                 write [1, {steps}, {elements}], or correct steps or elements"
            ),
        ),
    }
}

fn declared(table: &Spanned<RawPlan>) -> Result<Plan, Flaw> {
    let RawPlan { steps, rate_hz } = table.get_ref();
    let bounded = |number: u64, most: u64| (number <= most).then_some(number);
    let found = bounded(*steps.get_ref(), MAX_PLAN_STEPS as u64).and_then(|found| usize::try_from(found).ok());
    let Some(found_steps) = found.filter(|found| *found >= 2) else {
        return flaw(steps, format!("steps must be from 2 to {MAX_PLAN_STEPS}; one step would be an action"));
    };
    let found = bounded(*rate_hz.get_ref(), MAX_PLAN_RATE_HZ.into()).and_then(|found| u32::try_from(found).ok());
    let Some(found_rate_hz) = found.filter(|found| *found >= 1) else {
        return flaw(rate_hz, format!("rate_hz must be from 1 to {MAX_PLAN_RATE_HZ}; the steps in a second"));
    };
    Ok(Plan { steps: found_steps, rate_hz: found_rate_hz })
}
