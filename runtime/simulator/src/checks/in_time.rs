//! P1: each accepted observation is answered before its deadline, by its own response or a newer one's,
//! or the miss has a cause that no engine can do anything about.

use std::collections::VecDeque;

use engine::Reason;

use crate::{
    clock::{MICRO, SECOND},
    input::{Input, Key, Parsed},
    report::{Check, Finding, Verdict},
    scenario::TaskPlan,
};

/// When the engine's thread or the link was held up longer than the margin allows for.
pub(crate) struct Excuses {
    margin: u64,
    held_up: VecDeque<HeldUp>,
}

struct HeldUp {
    from: u64,
    until: u64,
    /// Whose put it was; `None`: the engine's thread, which holds up everybody.
    connection: Option<usize>,
}

impl Excuses {
    pub(crate) fn new(margin: u64) -> Self {
        Self { margin, held_up: VecDeque::new() }
    }

    /// How long one hold-up may be without being an excuse: several fit into a margin.
    pub(crate) fn tolerated(&self) -> u64 {
        self.margin / 8
    }

    pub(crate) fn hold_up_engine(&mut self, from: u64, until: u64) {
        self.hold_up(HeldUp { from, until, connection: None });
    }

    pub(crate) fn hold_up_put(&mut self, connection: usize, from: u64, until: u64) {
        self.hold_up(HeldUp { from, until, connection: Some(connection) });
    }

    fn hold_up(&mut self, held_up: HeldUp) {
        while self.held_up.front().is_some_and(|first| first.until + REMEMBERED < held_up.from) {
            self.held_up.pop_front();
        }
        self.held_up.push_back(held_up);
    }

    /// Whether something was held up when a response of this connection to this deadline had to leave.
    fn cover(&self, connection: usize, deadline: u64, now: u64) -> bool {
        let from = deadline.saturating_sub(self.margin + SLACK);
        self.held_up.iter().any(|held_up| {
            held_up.from <= now && held_up.until >= from && held_up.connection.is_none_or(|only| only == connection)
        })
    }
}

const REMEMBERED: u64 = 2 * SECOND;
const SLACK: u64 = 100 * MICRO;

/// The accepted observations of a connection that no response has discharged.
#[derive(Default)]
pub(super) struct InTime {
    open: VecDeque<(Key, u64)>,
}

impl InTime {
    pub(super) fn accept(&mut self, key: Key, deadline: u64) {
        self.open.retain(|(open, _)| open.epoch == key.epoch);
        self.open.push_back((key, deadline));
    }

    /// A response discharges its observation and every older one.
    pub(super) fn put(&mut self, at: u64, key: Key) -> Verdict {
        for (open, deadline) in self.discharge(key) {
            Finding::unless(at < deadline, Check::InTime, || {
                format!("{open:?} was answered by {} only {} ns past its deadline", key.sequence, at - deadline)
            })?;
        }
        Ok(())
    }

    pub(super) fn miss(&mut self, now: u64, key: Key, reason: Reason, excuses: &Excuses) -> Verdict {
        let earliest = self.discharge(key).into_iter().map(|(_, deadline)| deadline).min();
        let explained = reason == Reason::LinkFailed
            || earliest.is_none_or(|deadline| excuses.cover(key.connection, deadline, now));
        Finding::unless(explained, Check::InTime, || {
            format!("{key:?} was missed ({reason}) although nothing was held up")
        })
    }

    pub(super) fn retire(&mut self, key: Key) {
        self.open.retain(|(open, _)| open.epoch != key.epoch);
    }

    pub(super) fn nothing_forgotten(&self, now: u64, excuses: &Excuses) -> Verdict {
        let is_forgotten =
            |(key, deadline): &&(Key, u64)| *deadline < now && !excuses.cover(key.connection, *deadline, now);
        let forgotten = self.open.iter().find(is_forgotten);
        Finding::unless(forgotten.is_none(), Check::InTime, || {
            format!("{forgotten:?} has no answer at {now}, although nothing was held up")
        })
    }

    fn discharge(&mut self, key: Key) -> VecDeque<(Key, u64)> {
        let (done, open): (VecDeque<_>, VecDeque<_>) =
            self.open.drain(..).partition(|(open, _)| open.epoch == key.epoch && open.sequence <= key.sequence);
        self.open = open;
        done
    }
}

/// Whether a frame that was told to have expired really had, and for a cause outside the engine.
pub(super) fn expired(now: u64, input: &Input, parsed: Option<&Parsed>, task: &TaskPlan, excuses: &Excuses) -> Verdict {
    let (Input::Frame { arrival, .. }, Some(parsed)) = (input, parsed) else {
        return Err(Finding { check: Check::InTime, what: "expired, but is no frame".into() });
    };
    let deadline = arrival + if parsed.budget == 0 { task.deadline } else { parsed.budget };
    let covered = excuses.cover(parsed.key.connection, deadline, now);
    Finding::unless(now >= deadline && covered, Check::InTime, || {
        format!("{:?} with deadline {deadline} is told to have expired although nothing was held up", parsed.key)
    })
}
