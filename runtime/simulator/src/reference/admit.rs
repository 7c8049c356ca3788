//! The reference model's admission: every check of a frame, in the order that the design gives.

use std::collections::VecDeque;

use engine::Reason;
use message::{Malformed, Observation};

use super::{Answer, Job, Phase, Rate, Reference, State, To};
use crate::{
    clock::{MICRO, SECOND},
    input::Parsed,
    reference::compare::Expected,
};

/// What is known of a connection's controller.
#[derive(Default)]
pub(super) struct Session {
    epoch: Option<u64>,
    retired: VecDeque<u64>,
    changes: Vec<u64>,
    last_sequence: u64,
    /// When the next observation is expected by the task's period.
    expected: Option<u64>,
    /// When a restart that came too soon was last let in.
    afresh_at: Option<u64>,
    /// The sequences of the last responses of this epoch that no accepted observation reported as seen.
    responses: VecDeque<u64>,
}

const RETIRED_REMEMBERED: usize = 16;
const CHANGES_A_SECOND: usize = 8;
const RESPONSES_WATCHED: usize = 32;

impl Session {
    pub(super) fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    pub(super) fn is_current(&self, epoch: u64) -> bool {
        self.epoch == Some(epoch)
    }

    pub(super) fn responded(&mut self, sequence: u64) {
        self.responses.push_back(sequence);
        if self.responses.len() > RESPONSES_WATCHED {
            self.responses.pop_front();
        }
    }

    pub(super) fn unseen(&self) -> u32 {
        u32::try_from(self.responses.len()).expect("32 at most")
    }

    fn seen(&mut self, last_response: u64) {
        self.responses.retain(|sequence| *sequence > last_response);
    }

    /// Whether this epoch is a new one, which may begin now.
    fn is_new(&mut self, now: u64, epoch: u64) -> Result<bool, Reason> {
        match self.epoch {
            None => return Ok(true),
            Some(current) if current == epoch => return Ok(false),
            Some(_) => {}
        }
        if self.retired.contains(&epoch) {
            return Err(Reason::Epoch);
        }
        self.changes.retain(|at| now - at < SECOND);
        if self.changes.len() >= CHANGES_A_SECOND { Err(Reason::EpochRate) } else { Ok(true) }
    }

    /// An epoch begins.
    fn begin(&mut self, now: u64, epoch: u64) {
        if let Some(old) = self.epoch.replace(epoch) {
            self.changes.push(now);
            self.retired.push_back(old);
        }
        if self.retired.len() > RETIRED_REMEMBERED {
            self.retired.pop_front();
        }
        self.last_sequence = 0;
        self.responses.clear();
    }

    /// Whether a period lets this arrival in; it then counts.
    fn let_in(&mut self, jitter: u64, period: u64, arrival: u64, is_new: bool) -> bool {
        let expected = self.expected.unwrap_or(arrival);
        if arrival + jitter >= expected {
            self.expected = Some(u64::max(expected, arrival) + period);
            return true;
        }
        let restarted = is_new && self.afresh_at.is_none_or(|last| arrival.saturating_sub(last) >= SECOND);
        if restarted {
            self.afresh_at = Some(arrival);
            self.expected = Some(arrival + period);
        }
        restarted
    }
}

impl Reference<'_> {
    pub(super) fn frame(&mut self, now: u64, connection: usize, arrival: u64, bytes: &[u8], parsed: Option<&Parsed>) {
        let to = To::Connection(connection);
        let echo = message::peek(bytes);
        let refuse = |model: &mut Self, reason: Reason| model.refuse_unread(to, reason, echo, arrival);
        let frame = match Observation::decode(bytes) {
            Ok(frame) => frame,
            Err(malformed) => return refuse(self, reason_of(malformed)),
        };
        let parsed = parsed.expect("a frame that decodes was parsed");
        let plan = &self.scenario.connections[connection];
        let task = &self.scenario.tasks[plan.task];
        if self.draining {
            return refuse(self, Reason::Draining);
        }
        if frame.address != plan.address {
            return refuse(self, Reason::Address);
        }
        if frame.contract != task.contract {
            return refuse(self, Reason::Contract);
        }
        if frame.values.len() != task.inputs * 4 {
            return refuse(self, Reason::ValuesLength);
        }
        if parsed.values.iter().any(|value| !value.is_finite()) {
            return refuse(self, Reason::ObservationNotFinite);
        }
        let budget = if frame.budget_us == 0 { task.deadline } else { u64::from(frame.budget_us) * MICRO };
        if budget <= self.scenario.box_plan.margin || budget > task.deadline {
            return refuse(self, Reason::Budget);
        }
        let period = self.period(connection);
        let session = &mut self.lines[connection].session;
        let is_new = match session.is_new(now, parsed.key.epoch) {
            Ok(is_new) => is_new,
            Err(reason) => return refuse(self, reason),
        };
        if !is_new && parsed.key.sequence <= session.last_sequence {
            return refuse(self, Reason::Sequence);
        }
        if !session.let_in(task.arrival_jitter, period, arrival, is_new) {
            return refuse(self, Reason::Period);
        }
        if is_new {
            session.begin(now, parsed.key.epoch);
            self.retire(connection);
        }
        let session = &mut self.lines[connection].session;
        session.last_sequence = parsed.key.sequence;
        session.seen(frame.last_response.map_or(0, message::Sequence::value));
        let deadline = arrival + budget;
        if now >= deadline {
            return refuse(self, Reason::ExpiredOnArrival);
        }
        let rank = arrival + task.deadline;
        let (key, stamp) = (parsed.key, parsed.stamp);
        let job = Job { key, stamp, arrival, deadline, rank, oldest: None, start: None };
        self.admit(now, connection, &job, &parsed.values);
    }

    /// The old epoch's observations end, and what belonged to it begins anew.
    fn retire(&mut self, connection: usize) {
        let line = &mut self.lines[connection];
        line.rate = Rate::default();
        line.state = State::default();
        let waiting = line.waiting.take();
        let running = match std::mem::replace(&mut line.phase, Phase::Idle) {
            Phase::Idle => None,
            Phase::Running { job, worker } => {
                self.orphan(worker, connection, Answer::Closed);
                Some(job)
            }
            sending @ Phase::Sending { .. } => {
                self.lines[connection].phase = sending;
                None
            }
        };
        for job in [running, waiting].into_iter().flatten() {
            self.refuse_job(&job, Reason::EpochRetired);
        }
    }

    fn admit(&mut self, now: u64, connection: usize, job: &Job, values: &[f32]) {
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        let line = &mut self.lines[connection];
        line.rate.observe(task, values);
        let (deadline, rank) = match line.waiting.take() {
            None => (job.deadline, job.rank),
            // A breach of its own, which the newer one does not inherit.
            Some(old) if old.deadline <= now => {
                self.refuse_job(&old, Reason::DeadlinePassed);
                (job.deadline, job.rank)
            }
            Some(superseded) => (superseded.deadline.min(job.deadline), superseded.rank.min(job.rank)),
        };
        let job = Job { deadline, rank, ..job.clone() };
        self.lines[connection].waiting = Some(job.clone());
        let lacks = self.joined.lacks(now, connection);
        if let (Some(reason), true) = (lacks, self.can_start(connection) && !self.rests(connection)) {
            self.lines[connection].waiting = None;
            return self.fall_back(now, job, reason);
        }
        if self.can_start(connection) && !self.rests(connection) && self.is_hopeless(now, connection) {
            self.lines[connection].waiting = None;
            return self.fall_back(now, job, Reason::NoTimeLeft);
        }
        self.expected.push(Expected::Store { job: job.key });
    }
}

fn reason_of(malformed: Malformed) -> Reason {
    match malformed {
        Malformed::Truncated => Reason::Truncated,
        Malformed::Encapsulation => Reason::Encapsulation,
        Malformed::Type => Reason::WrongType,
        Malformed::Length => Reason::WrongLength,
        Malformed::Crc => Reason::Checksum,
        Malformed::Sequence => Reason::SequenceZero,
        Malformed::Kind | Malformed::Place | Malformed::Reason | Malformed::RefusalWithValues => {
            unreachable!("an observation has neither kind nor place nor reason")
        }
    }
}
