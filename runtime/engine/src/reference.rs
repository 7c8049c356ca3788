//! From where a connection's next action is measured: the last action that left, or the declared start.
//!
//! It advances only with what was sent.

use crate::{
    guard::{Origin, Values},
    task::Envelope,
    time::{Duration, Instant},
};

/// The rate reference of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reference {
    start: Option<Values>,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    values: Values,
    at: Instant,
    /// Since when fallbacks hold: the last model's action, or the first fallback of the connection.
    held_since: Instant,
    was_fallback: bool,
}

impl Reference {
    /// Takes the start from an admitted observation, as long as nothing was sent yet.
    pub(crate) fn offer_start(&mut self, envelope: &Envelope<'_>, observation: impl Iterator<Item = f32> + Clone) {
        if self.last.is_some() {
            return;
        }
        self.start = Some(Values::within(envelope, |element, _| element.starts_at(observation.clone())));
    }

    /// The values that the next action is measured from.
    pub(crate) fn values(&self) -> Values {
        match (self.last, self.start) {
            (Some(last), _) => last.values,
            (None, Some(start)) => start,
            (None, None) => unreachable!("an admitted observation offers a start before anything is guarded"),
        }
    }

    /// The same, where there is one.
    pub(crate) fn last_or_start(&self) -> Option<&[f32]> {
        self.last.as_ref().map(|last| &last.values).or(self.start.as_ref()).map(Values::as_slice)
    }

    /// The time that the rate limit is measured over: since the last send, at most `max_step`.
    pub(crate) fn step(&self, now: Instant, max_step: Duration) -> Duration {
        self.last.map_or(max_step, |last| now.since(last.at).min(max_step))
    }

    /// Whether a fallback at `now` still repeats the last action.
    pub(crate) fn holds(&self, now: Instant, hold: Duration) -> bool {
        self.last.is_none_or(|last| now.since(last.held_since) <= hold)
    }

    /// Whether the next model's action is clamped even where too fast means fallback.
    pub(crate) fn clamps_next(&self) -> bool {
        self.last.is_some_and(|last| last.was_fallback)
    }

    /// Whether nothing was sent yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.last.is_none()
    }

    /// These values left at `at`.
    pub(crate) fn advance(&mut self, values: Values, origin: Origin, at: Instant) {
        let was_fallback = matches!(origin, Origin::Fallback(_));
        let held_since = match (was_fallback, self.last) {
            (true, Some(last)) => last.held_since,
            (true, None) | (false, _) => at,
        };
        self.last = Some(Last { values, at, held_since, was_fallback });
    }
}
