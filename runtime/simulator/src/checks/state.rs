//! State: every inference starts from what was sent before it on its connection, and from nothing else.
//!
//! A fake worker computes the next state as a link of a chain: a hash of the state that it started from and of the
//! observation. So one number tells exactly which observations a state remembers, and in which order. Beside it stands
//! the plain list of what was sent.

use engine::Memory;
use message::{Body, Reset, Response, Status};

use super::Checks;
use crate::{
    input::Key,
    report::{Check, Disturbance, Disturbances, Finding, Verdict},
    scenario::TaskPlan,
};

/// The state of a connection that remembers nothing.
pub(crate) const FRESH: u64 = 0;

/// The next state.
pub(crate) fn link(state: u64, key: Key) -> u64 {
    [key.epoch, key.sequence].iter().fold(state ^ 0x9e37_79b9_7f4a_7c15, |state, number| {
        (state ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    }) | 1
}

/// What one connection should remember.
#[derive(Debug, Default)]
pub(super) struct State {
    epoch: Option<u64>,
    /// The observations whose model's action was sent, since the state was fresh, with their arrivals.
    sent: Vec<(Key, u64)>,
    advanced: u64,
    demanded: Option<u64>,
    waiting: Option<(Key, u64)>,
    running: Option<Begun>,
    accepted: u64,
    pub(super) refused: u64,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    key: Key,
    arrival: u64,
    fresh: bool,
}

impl State {
    /// An observation was let in.
    pub(super) fn enters(&mut self, key: Key) {
        if self.epoch != Some(key.epoch) {
            self.epoch = Some(key.epoch);
            self.demanded = None;
            self.sent.clear();
        }
    }

    /// It waits.
    pub(super) fn observe(&mut self, key: Key, arrival: u64) {
        self.enters(key);
        self.waiting = Some((key, arrival));
    }

    pub(super) fn is_current(&self, key: Key) -> bool {
        self.epoch == Some(key.epoch)
    }

    fn chain(&self) -> u64 {
        self.sent.iter().fold(FRESH, |state, (key, _)| link(state, *key))
    }

    /// Whether it must be fresh for this observation, which starts now.
    fn is_fresh(&mut self, task: &TaskPlan, now: u64, key: Key, seen: &mut Disturbances) -> bool {
        let demanded = self.demanded.is_some_and(|from| key.sequence >= from);
        if demanded {
            self.demanded = None;
            seen.note(Disturbance::ResetTookEffect);
        }
        let max_gap = task.max_gap.unwrap_or(u64::MAX);
        let gap = !self.sent.is_empty() && now - self.advanced > max_gap;
        if gap {
            seen.note(Disturbance::GapPassed);
        }
        if demanded || gap {
            self.sent.clear();
        }
        self.sent.is_empty()
    }

    fn begins(
        &mut self,
        task: &TaskPlan,
        now: u64,
        (key, from): (Key, u64),
        memory: &Memory<'_>,
        seen: &mut Disturbances,
    ) -> Verdict {
        let Some((_, arrival)) = self.waiting.take_if(|(waiting, _)| *waiting == key) else {
            return Err(Finding { check: Check::State, what: format!("{key:?} starts, but does not wait") });
        };
        let fresh = self.is_fresh(task, now, key, seen);
        self.running = Some(Begun { key, arrival, fresh });
        let since_fresh = self.sent.first().map_or(0, |(_, began)| arrival - began);
        let (chain, sent) = (self.chain(), self.sent.len());
        let right = memory.fresh == fresh && from == chain && nanos(memory.since_fresh) == u128::from(since_fresh);
        Finding::unless(right, Check::State, || {
            format!(
                "{key:?} starts from {from:#x} with {memory:?}; fresh: {fresh}, {sent} were sent since then, in all \
                 {chain:#x}, the first {since_fresh} ns ago"
            )
        })
    }

    /// An action or a fallback was put; it was the first of its epoch, or not.
    pub(super) fn put(&mut self, task: &TaskPlan, at: u64, key: Key, frame: &Response<'_>, first: bool) -> Verdict {
        let by_model = matches!(frame.body, Body::Action { .. }) && task.max_gap.is_some();
        let begun = self.running.filter(|begun| by_model && begun.key == key);
        Finding::unless(begun.is_some() == by_model, Check::State, || {
            format!("an action for {key:?}, which was not the last that began: {:?}", self.running)
        })?;
        let reset = first || begun.is_some_and(|begun| begun.fresh);
        Finding::unless(frame.status.contains(Status::STATE_RESET) == reset, Check::State, || {
            format!("{key:?} is answered with {:?}, began anew: {reset}", frame.status)
        })?;
        if let Some(Begun { arrival, .. }) = begun.filter(|_| self.is_current(key)) {
            self.sent.push((key, arrival));
            self.advanced = at;
        }
        Ok(())
    }
}

impl Checks<'_> {
    /// A demand arrived: is it a proper one, and from which sequence on does it hold?
    pub(super) fn demand(&mut self, connection: usize, bytes: Option<&[u8]>) {
        let (plan, task) = (&self.scenario.connections[connection], self.scenario.task_of(connection));
        let state = &mut self.lines[connection].state;
        let reset = bytes.and_then(|bytes| Reset::decode(bytes).ok()).filter(|reset| {
            let of = (reset.address, reset.contract, Some(reset.epoch.value()));
            of == (plan.address, task.contract, state.epoch)
        });
        match reset {
            Some(reset) => {
                state.accepted += 1;
                state.demanded = Some(reset.from_sequence.value());
            }
            None => state.refused += 1,
        }
    }

    /// An inference on this observation starts from this state.
    pub(crate) fn begins(&mut self, now: u64, (key, from): (Key, u64), memory: Option<&Memory<'_>>) -> Verdict {
        let task = self.scenario.task_of(key.connection);
        let line = &mut self.lines[key.connection];
        Finding::unless(memory.is_some() == task.max_gap.is_some(), Check::State, || {
            format!("{key:?} begins with {memory:?}, its task's gap is {:?}", task.max_gap)
        })?;
        let Some(memory) = memory else { return Ok(()) };
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        let last = line.envelope.from(task);
        Finding::unless(bits(memory.previous_action) == bits(last), Check::State, || {
            format!("{key:?} begins with {:?} as the last action, which is {last:?}", memory.previous_action)
        })?;
        line.state.begins(task, now, (key, from), memory, &mut self.seen)
    }

    /// The state of this connection takes over what was computed in this slot.
    pub(super) fn advance(&mut self, connection: usize, slot: engine::SlotId) -> Verdict {
        let due = self.advances.take();
        if due.is_some() {
            self.seen.note(Disturbance::StateAdvanced);
        }
        Finding::unless(due == Some((connection, slot)), Check::State, || {
            format!("the state of {connection} advances to what is in {slot:?}, but {due:?} should")
        })
    }

    pub(super) fn demands_are_counted(&self, connection: usize, engine: &engine::Engine<'_>) -> Verdict {
        let state = &self.lines[connection].state;
        let ledger = engine.resets(crate::input::connection_id(connection));
        let right = (ledger.accepted(), ledger.refused()) == (state.accepted, state.refused)
            && ledger.received() == ledger.accepted() + ledger.refused();
        Finding::unless(right, Check::Accounts, || {
            format!("{} demands were proper, {} were not; {ledger:?}", state.accepted, state.refused)
        })
    }
}

fn nanos(span: engine::Duration) -> u128 {
    std::time::Duration::from(span).as_nanos()
}
