//! state: what a model remembers of a connection, when it advances, and when it begins anew.
//!
//! The values lie with the caller, by connection; here lies what decides about them. An inference starts from them or
//! from fresh ones. They advance only when the action that this inference computed was sent, and to what it computed:
//! whatever is withheld, late, overtaken, discarded, of a retired epoch or replaced by a fallback leaves them as they
//! were. A connection has at most one inference whose answer is open, so none starts between a send and its report.
//!
//! State is fresh for the first observation after a boot and of an epoch, after longer than `max_gap` without an
//! advance, and on the controller's demand. It stays fresh until it advances.

use message::Sequence;

use crate::{
    connection::{Sending, Stage},
    engine::{Engine, Pending},
    fault::{Fault, Injected},
    guard::Origin,
    task::{ConnectionId, SlotId, WorkerId},
    time::{Duration, Instant},
};

/// What one connection's state is at.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct State {
    /// `None`: it is fresh.
    kept: Option<Kept>,
    /// From which sequence on the controller demands that it begins anew.
    demanded: Option<Sequence>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    began: Instant,
    advanced: Instant,
}

/// What an inference started from. It goes with its observation until the answer is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beginning {
    pub(crate) fresh: bool,
    /// The arrival of the first observation since it was fresh.
    began: Instant,
}

/// What an inference that was just started begins with for one of its observations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memory<'e> {
    /// Whose state it is.
    pub connection: ConnectionId,
    /// The state is fresh: what the caller keeps of this connection counts no more.
    pub fresh: bool,
    /// From the arrival of the first observation since the state was fresh to the arrival of this one.
    pub since_fresh: Duration,
    /// The action or fallback that was sent last in this epoch; before any the declared start.
    pub previous_action: &'e [f32],
}

impl State {
    /// The controller demands that the state is fresh for the first observation with this sequence or a later one.
    pub(crate) fn demand(&mut self, from: Sequence) {
        self.demanded = Some(from);
    }

    /// An inference starts at `now` on an observation with this sequence and arrival.
    fn begin(
        &mut self,
        (now, max_gap): (Instant, Duration),
        (sequence, arrival): (Sequence, Instant),
        fault: Injected,
    ) -> Beginning {
        let reached = |from: &mut Sequence| sequence >= *from || fault.is(Fault::ResetTooSoon);
        let demanded = self.demanded.take_if(reached).is_some() && !fault.is(Fault::ResetWithoutEffect);
        let gap = |kept: &Kept| now.since(kept.advanced) > max_gap && !fault.is(Fault::StateSurvivesGap);
        if demanded || self.kept.as_ref().is_some_and(gap) {
            self.kept = None;
        }
        match self.kept {
            Some(Kept { began, .. }) => Beginning { fresh: false, began },
            None => Beginning { fresh: true, began: arrival },
        }
    }

    fn advance(&mut self, Beginning { began, .. }: Beginning, at: Instant) {
        self.kept = Some(Kept { began, advanced: at });
    }
}

impl Engine<'_> {
    /// With what state the observation begins; `None`: its task has none.
    pub(crate) fn begin_state(
        &mut self,
        id: ConnectionId,
        sequence: Sequence,
        arrival: Option<Instant>,
    ) -> Option<Beginning> {
        let max_gap = self.task(id).max_gap()?;
        let (now, fault) = (self.now, self.fault);
        let arrival = arrival.unwrap_or(now);
        Some(self.connection(id).state.begin((now, max_gap), (sequence, arrival), fault))
    }

    /// An answer left at `at`: if it is the model's and of the current epoch, the state advances with it. Returns the
    /// slot that is free now; one whose values are still to be taken over is freed with that.
    pub(crate) fn advance_state(&mut self, id: ConnectionId, sending: &Sending, at: Instant) -> Option<SlotId> {
        let by_model = matches!(sending.origin, Origin::Model { .. }) || self.fault.is(Fault::StateAdvancesByFallback);
        let (Some(beginning), Some(slot), true, false) =
            (sending.job.beginning, sending.slot, by_model, sending.retired)
        else {
            return sending.slot;
        };
        self.connection(id).state.advance(beginning, at);
        self.push(Pending::Advance { connection: id, slot: Some(slot), of: slot });
        None
    }

    /// The fault that advances where nothing was sent.
    pub(crate) fn advance_wrongly(&mut self, id: ConnectionId, of: Option<SlotId>) {
        if let (Some(slot), Some(_)) = (of, self.task(id).max_gap()) {
            self.push(Pending::Advance { connection: id, slot: None, of: slot });
        }
    }

    /// Whose state takes over what was computed.
    pub(crate) fn advances(&self, id: ConnectionId) -> ConnectionId {
        let others = (0u16..).zip(self.tables.connections.iter()).map(|(other, _)| ConnectionId(other));
        let mut alike = others.filter(|other| *other != id && self.peek(*other).spec.task == self.peek(id).spec.task);
        alike.next().filter(|_| self.fault.is(Fault::StateOfAnother)).unwrap_or(id)
    }

    /// What the inference that was just started on this worker begins with, in the order of its slots; of tasks without
    /// state and of one-off requests nothing. Ask when [`Action::StartInference`](crate::Action::StartInference) is
    /// taken: later on it says something else.
    pub fn memories(&self, worker: WorkerId) -> impl Iterator<Item = Memory<'_>> {
        let seats = self.peek_worker(worker).running.iter().flat_map(|running| &running.seats);
        seats.filter_map(|seat| {
            let id = seat.member.connection;
            let connection = self.peek(id);
            let Stage::Running { job, .. } = &connection.stage else { return None };
            let Beginning { fresh, began } = job.beginning?;
            let since_fresh = job.echo.arrival.map_or(Duration::ZERO, |arrival| arrival.since(began));
            let previous_action = connection.reference.last_or_start()?;
            Some(Memory { connection: id, fresh, since_fresh, previous_action })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_GAP: Duration = Duration::from_nanos(100);

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// An inference that starts as its observation arrives.
    fn begin(state: &mut State, now: u64, sequence: u64) -> Beginning {
        let sequence = Sequence::new(sequence).unwrap();
        state.begin((at(now), MAX_GAP), (sequence, at(now)), Injected::default())
    }

    /// Whether it began with fresh state; its action left right after.
    fn step(state: &mut State, now: u64, sequence: u64) -> bool {
        let beginning = begin(state, now, sequence);
        state.advance(beginning, at(now));
        beginning.fresh
    }

    #[test]
    fn state_is_fresh_until_it_advances() {
        let mut state = State::default();
        assert!(begin(&mut state, 1_000, 1).fresh);
        assert!(begin(&mut state, 1_010, 2).fresh, "nothing was sent");
        assert!(step(&mut state, 1_020, 3));
        assert!(!step(&mut state, 1_030, 4));
        assert_eq!(begin(&mut state, 1_040, 5).began, at(1_020), "with the first whose action was sent");
    }

    #[test]
    fn the_gap_ends_to_the_nanosecond() {
        let mut state = State::default();
        step(&mut state, 1_000, 1);
        assert!(!step(&mut state, 1_100, 2));
        assert!(step(&mut state, 1_201, 3));
        assert_eq!(begin(&mut state, 1_201, 4).began, at(1_201));
    }

    #[test]
    fn a_demand_takes_effect_once_and_not_before_its_sequence() {
        let mut state = State::default();
        step(&mut state, 1_000, 1);
        state.demand(Sequence::new(3).unwrap());
        assert_eq!([2, 3, 4].map(|sequence| step(&mut state, 1_000, sequence)), [false, true, false]);
    }

    #[test]
    fn a_demand_holds_until_an_action_was_sent() {
        let mut state = State::default();
        step(&mut state, 1_000, 1);
        state.demand(Sequence::new(1).unwrap());
        assert!(begin(&mut state, 1_010, 2).fresh);
        assert!(step(&mut state, 1_020, 3), "what it first computed did not leave");
        assert!(!step(&mut state, 1_030, 4));
    }
}
