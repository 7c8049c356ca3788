//! P4: whatever leaves is finite, inside the range and no faster than declared, read from the frame's own bytes.

use engine::Start;
use message::{Body, Response};

use crate::{
    clock::SECOND,
    input::Parsed,
    report::{Check, Finding, Verdict},
    scenario::TaskPlan,
};

#[derive(Default)]
pub(super) struct Envelope {
    /// Where the current epoch starts, from its newest accepted observation.
    start: Vec<f32>,
    epoch: Option<u64>,
    last: Option<Last>,
    /// The start when the send that is on its way was computed, and that time.
    send_from: Vec<f32>,
    sent_for: u64,
}

struct Last {
    epoch: u64,
    at: u64,
    /// The last model's action, or the first fallback of the epoch.
    held_since: u64,
    values: Vec<f32>,
}

/// Rounding of the engine's single precision, relative to a value's range.
const ROUNDING: f64 = 1e-5;

impl Envelope {
    pub(super) fn observe(&mut self, task: &TaskPlan, parsed: &Parsed) {
        self.epoch = Some(parsed.key.epoch);
        self.start.clear();
        self.start.extend(task.elements.iter().map(|element| match element.start {
            Start::Value(value) => value,
            Start::Observation(input) => {
                parsed.values[usize::try_from(input).unwrap_or(usize::MAX)].clamp(element.min, element.max)
            }
        }));
    }

    pub(super) fn send(&mut self, now: u64) {
        self.sent_for = now;
        self.send_from.clone_from(&self.start);
    }

    /// What the next action of this connection is measured from.
    pub(super) fn from<'e>(&'e self, task: &'e TaskPlan) -> &'e [f32] {
        match &self.last {
            Some(last) if Some(last.epoch) == self.epoch => &last.values,
            Some(_) | None => {
                assert_eq!(self.start.len(), task.elements.len(), "an accepted observation gives a start");
                &self.start
            }
        }
    }

    /// Whether nothing was sent in this epoch before.
    pub(super) fn is_first(&self, epoch: u64) -> bool {
        self.last.as_ref().is_none_or(|last| last.epoch != epoch)
    }

    pub(super) fn put(&mut self, task: &TaskPlan, at: u64, epoch: u64, frame: &Response<'_>) -> Verdict {
        let bytes = match frame.body {
            Body::Action { values, .. } | Body::Fallback { values, .. } => values,
            Body::Refusal { .. } => {
                return Err(Finding { check: Check::Envelope, what: "a refusal in place of an action".into() });
            }
        };
        let values: Vec<f32> = message::floats(bytes).collect();
        Finding::unless(values.len() == task.elements.len(), Check::Envelope, || format!("{} values", values.len()))?;
        let (from, step) = match &self.last {
            Some(last) if last.epoch == epoch => (&last.values, (at - last.at).min(task.max_step)),
            Some(_) | None => (&self.send_from, task.max_step),
        };
        for ((element, from), value) in task.elements.iter().zip(from).zip(&values) {
            let (least, most, value_was) = (f64::from(element.min), f64::from(element.max), f64::from(*from));
            let value = f64::from(*value);
            let holds = value.is_finite() && value >= least && value <= most;
            Finding::unless(holds, Check::Envelope, || format!("{value} is outside {least} to {most}"))?;
            let allowed = f64::from(element.max_change_per_s) * seconds(step);
            let change = (value - value_was).abs();
            Finding::unless(change <= allowed + ROUNDING * (1.0 + allowed), Check::Envelope, || {
                format!("a change of {change}, where {allowed} is allowed in {step} ns")
            })?;
        }
        let is_fallback = matches!(frame.body, Body::Fallback { .. });
        let last = self.last.as_ref().filter(|last| last.epoch == epoch);
        if is_fallback {
            let held = last.is_none_or(|last| self.sent_for - last.held_since <= task.hold);
            let moved_for = last.map_or(0, |last| (self.sent_for - last.at).min(task.max_step));
            stands_in_properly(task, (!held).then_some(moved_for), from, &values)?;
        }
        let held_since = last.filter(|_| is_fallback).map_or(at, |last| last.held_since);
        // A send of a retired epoch does not touch what the new epoch is measured from.
        if self.epoch == Some(epoch) {
            self.last = Some(Last { epoch, at, held_since, values });
        }
        Ok(())
    }
}

/// A fallback repeats what was, or moves for so long on its way to rest.
fn stands_in_properly(task: &TaskPlan, moved_for: Option<u64>, from: &[f32], values: &[f32]) -> Verdict {
    let mut elements = task.elements.iter().zip(from).zip(values);
    let holds = elements.all(|((element, from), value)| {
        let at_rest = value.to_bits() == element.rest.to_bits();
        let moved = value.to_bits() != from.to_bits();
        // A step so short that it is lost in rounding moves nothing, as where rest is reached.
        let change = f64::from(element.max_change_per_s) * seconds(moved_for.unwrap_or(0));
        let lost = change <= f64::from(f32::EPSILON) * f64::from(from.abs());
        let to_rest = |value: f32| (f64::from(element.rest) - f64::from(value)).abs();
        let nearer = to_rest(*value) < to_rest(*from);
        if moved_for.is_none() { !moved } else { at_rest || lost || (moved && nearer) }
    });
    Finding::unless(holds, Check::Envelope, || {
        format!("a fallback that should move to rest for {moved_for:?} ns goes from {from:?} to {values:?}")
    })
}

/// An accepted observation has all its values, each finite.
pub(super) fn proper_inputs(task: &TaskPlan, parsed: &Parsed) -> Verdict {
    let holds = parsed.values.len() == task.inputs && parsed.values.iter().all(|value| value.is_finite());
    Finding::unless(holds, Check::Envelope, || format!("{:?} was accepted with {:?}", parsed.key, parsed.values))
}

#[allow(clippy::cast_precision_loss, reason = "a step is far below the 2^53 nanoseconds that f64 holds exactly")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / SECOND as f64
}
