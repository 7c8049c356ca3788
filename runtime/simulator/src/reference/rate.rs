//! The reference model's envelope: from where a change is measured, how far it may go, and what stands in.

use engine::Start;

use super::Says;
use crate::scenario::TaskPlan;

/// What the last sends of an epoch leave behind.
#[derive(Default)]
pub(super) struct Rate {
    /// From the newest admitted observation, while nothing was sent.
    start: Vec<f32>,
    last: Option<Last>,
}

struct Last {
    values: Vec<f32>,
    at: u64,
    held_since: u64,
    was_fallback: bool,
}

pub(super) struct Limited {
    pub(super) values: Vec<f32>,
    pub(super) clamped: bool,
}

impl Rate {
    pub(super) fn nothing_sent(&self) -> bool {
        self.last.is_none()
    }

    /// The first model's action after a fallback is clamped, whatever the task says.
    pub(super) fn last_was_fallback(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.was_fallback)
    }

    /// An observation was admitted.
    pub(super) fn observe(&mut self, task: &TaskPlan, values: &[f32]) {
        let start = task.elements.iter().map(|element| match element.start {
            Start::Value(value) => value,
            Start::Observation(input) => {
                values[usize::try_from(input).expect("an input's place")].clamp(element.min, element.max)
            }
        });
        self.start = start.collect();
    }

    /// These values left at this time.
    pub(super) fn advance(&mut self, says: &Says, at: u64) {
        let (values, was_fallback) = match says {
            Says::Model { values, .. } => (values, false),
            Says::Fallback { values, .. } => (values, true),
            Says::Refusal { .. } => return,
        };
        let held_since = match &self.last {
            Some(last) if was_fallback => last.held_since,
            Some(_) | None => at,
        };
        self.last = Some(Last { values: values.clone(), at, held_since, was_fallback });
    }

    /// The model's values, or as near as the rate allows.
    pub(super) fn limit(&self, task: &TaskPlan, now: u64, raw: &[f32]) -> Limited {
        let values = self.move_towards(task, now, raw);
        let clamped = values.iter().zip(raw).any(|(value, raw)| value.to_bits() != raw.to_bits());
        Limited { values, clamped }
    }

    /// The last values for as long as they are held, then on the way to rest.
    pub(super) fn fallback(&self, task: &TaskPlan, now: u64) -> Vec<f32> {
        match &self.last {
            None => self.start.clone(),
            Some(last) if now - last.held_since <= task.hold => last.values.clone(),
            Some(_) => {
                let rest: Vec<f32> = task.elements.iter().map(|element| element.rest).collect();
                self.move_towards(task, now, &rest)
            }
        }
    }

    /// The same formula as the engine's, in the same precision, so that its values are equal to the bit.
    #[allow(clippy::cast_precision_loss, reason = "f32 is what the formula is defined in")]
    fn move_towards(&self, task: &TaskPlan, now: u64, wanted: &[f32]) -> Vec<f32> {
        let (from, step) = match &self.last {
            None => (&self.start, task.max_step),
            Some(last) => (&last.values, (now - last.at).min(task.max_step)),
        };
        let seconds = step as f32 / 1e9;
        let moves = task.elements.iter().zip(from).zip(wanted).map(|((element, from), wanted)| {
            let most = element.max_change_per_s * seconds;
            let change = wanted - from;
            let value = if change.abs() <= most {
                *wanted
            } else if change > 0.0 {
                from + most
            } else {
                from - most
            };
            value.clamp(element.min, element.max)
        });
        moves.collect()
    }
}
