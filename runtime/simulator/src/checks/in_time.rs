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
    held_up: VecDeque<(u64, u64)>,
}

impl Excuses {
    pub(crate) fn new(margin: u64) -> Self {
        Self { margin, held_up: VecDeque::new() }
    }

    /// How long one hold-up may be without being an excuse: several fit into a margin.
    pub(crate) fn tolerated(&self) -> u64 {
        self.margin / 8
    }

    pub(crate) fn hold_up(&mut self, from: u64, until: u64) {
        while self.held_up.front().is_some_and(|(_, end)| end + REMEMBERED < from) {
            self.held_up.pop_front();
        }
        self.held_up.push_back((from, until));
    }

    /// Whether something was held up when a response to this deadline had to leave.
    fn cover(&self, deadline: u64, now: u64) -> bool {
        let from = deadline.saturating_sub(self.margin + SLACK);
        self.held_up.iter().any(|(start, end)| *start <= now && *end >= from)
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
        let explained = reason == Reason::LinkFailed || earliest.is_none_or(|deadline| excuses.cover(deadline, now));
        Finding::unless(explained, Check::InTime, || {
            format!("{key:?} was missed ({reason}) although nothing was held up")
        })
    }

    pub(super) fn retire(&mut self, key: Key) {
        self.open.retain(|(open, _)| open.epoch != key.epoch);
    }

    pub(super) fn nothing_forgotten(&self, now: u64, excuses: &Excuses) -> Verdict {
        let forgotten = self.open.iter().find(|(_, deadline)| *deadline < now && !excuses.cover(*deadline, now));
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
    Finding::unless(now >= deadline && excuses.cover(deadline, now), Check::InTime, || {
        format!("{:?} with deadline {deadline} is told to have expired although nothing was held up", parsed.key)
    })
}
