//! What is committed of a plan while the next one is computed: the next one's model is told it and continues from it.
//!
//! Row k is what the plan that is played has for the instant k periods behind the next plan's origin. So many rows are
//! committed as may be played before the next plan is there; they are played whatever its model gives in their place.
//! The rows behind are no promise: what the old plan still has, for a model that bends its own steps towards them.
//!
//! The rows lie where the next plan will: in the half of its connection's room that is not played. So adopting it copies
//! only what is the model's own, and nothing of a promise can be lost in between.

use super::{
    Overlap, PlanSpec, Promised,
    curve::{self, At},
};
use crate::{
    engine::Engine,
    fault::Fault,
    task::{ConnectionId, WorkerId},
    time::{Duration, Instant},
};

/// What an inference for a plan is told of the plan before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Committed<'e> {
    /// As many steps as a plan has, one after the other, each within the range: the committed ones, then what the plan
    /// before still has, then its last step again. Zeros where no plan is played.
    pub rows: &'e [f32],
    /// How many are committed, from the first; at least one exactly where a plan is played.
    pub steps: u16,
}

impl Engine<'_> {
    /// What the plan that this worker was just started on has to continue; `None`: it computes none, or its task
    /// does not freeze. Ask when [`Action::StartInference`](crate::Action::StartInference) is taken: later on it says something else.
    #[must_use]
    pub fn committed_on(&self, worker: WorkerId) -> Option<Committed<'_>> {
        let run = self.peek_worker(worker).plan_run()?;
        let id = run.member.connection;
        self.task(id).plan().filter(|spec| spec.overlap == Overlap::Freeze)?;
        let (first, length) = self.half(id, self.next_is_second(id));
        let rows = self.tables.plans.get(first..first.saturating_add(length));
        Some(Committed { rows: rows.expect("Engine::new found room for each plan"), steps: run.committed })
    }

    /// Commits what will be played while a plan with this origin is computed. Returns how many steps that is.
    pub(super) fn commit(&mut self, id: ConnectionId, origin: Instant) -> u16 {
        let Some(spec) = self.task(id).plan().filter(|spec| spec.overlap == Overlap::Freeze) else { return 0 };
        let (fault, plans) = (self.fault, &self.peek(id).plans);
        let played = plans.current.filter(|current| self.place_in(&spec, current, origin).is_some());
        let meanwhile = if fault.is(Fault::CommittedTooFew) { spec.period } else { plans.meanwhile(&spec) };
        let (envelope, second, (from, length)) =
            (self.task(id).envelope(), self.next_is_second(id), self.half(id, false));
        let halves = self.tables.plans.get_mut(from..).and_then(|room| room.split_at_mut_checked(length));
        let (first, rest) = halves.expect("Engine::new found room for each plan");
        let other = rest.get_mut(..length).expect("Engine::new found room for each plan");
        let (old, rows) = if second { (first, other) } else { (other, first) };
        let Some(played) = played else {
            rows.fill(if fault.is(Fault::CommittedOfNothing) { 0.5 } else { 0.0 });
            return 0;
        };
        let shifted = if fault.is(Fault::CommittedShifted) { spec.period } else { Duration::ZERO };
        let passed = origin.since(played.origin);
        let elements = envelope.elements();
        for (place, row) in (0..spec.steps).zip(rows.chunks_exact_mut(elements.len())) {
            let elapsed = passed.plus(shifted).plus(spec.period.times(place));
            let at = At::new(elapsed, spec.period, spec.steps).unwrap_or_else(|| At::last(spec.steps));
            for ((place, element), value) in elements.iter().enumerate().zip(row) {
                *value =
                    curve::value(spec.interpolation, old, (elements.len(), place), at).clamp(element.min, element.max);
            }
        }
        self.committed_from(&spec, meanwhile, passed)
    }

    /// How many steps are committed of a plan that is played and so old.
    fn committed_from(&self, spec: &PlanSpec, meanwhile: Duration, passed: Duration) -> u16 {
        let beyond = self.fault.is(Fault::CommittedBeyondEnd);
        let left = if beyond { spec.horizon() } else { spec.horizon().less(passed) };
        begun(meanwhile, spec).min(begun(left, spec)).min(spec.steps)
    }

    /// Whether a plan with this origin would be the old one's alone, from its first step to its last: none is asked for then.
    pub(super) fn nothing_is_left(&self, id: ConnectionId, spec: &PlanSpec, origin: Instant) -> bool {
        let plans = &self.peek(id).plans;
        let played = plans.current.filter(|current| self.place_in(spec, current, origin).is_some());
        spec.overlap == Overlap::Freeze
            && played.is_some_and(|played| {
                self.committed_from(spec, plans.meanwhile(spec), origin.since(played.origin)) == spec.steps
            })
    }

    /// The first steps of a plan with this origin, and what the plan that is played now was computed from there.
    pub(super) fn promised(&self, id: ConnectionId, steps: u16, origin: Instant) -> Option<Promised> {
        let (spec, played) = (self.task(id).plan()?, self.peek(id).plans.current?);
        let at = self.place_in(&spec, &played, origin)?;
        (steps > 0).then(|| Promised { steps, from: played.source(at.step) })
    }
}

/// How many steps begin within this span, if one begins with it.
fn begun(span: Duration, spec: &PlanSpec) -> u16 {
    let period = spec.period.nanos().max(1);
    u16::try_from(span.nanos().div_ceil(period)).unwrap_or(u16::MAX)
}
