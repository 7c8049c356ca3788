//! The reference model: what the engine must do, written from the design and for clarity only.
//!
//! It shares no logic with the engine: its own tables, allocated freely, searched from end to end. It is handed
//! the same events and returns the actions that must come out; [`compare`] holds the two side by side.

mod admit;
mod company;
mod compare;
mod rate;
mod records;
mod state;
mod workers;

use engine::{Failed, Reason, TooFast, Withheld};
use message::{Address, ContractDigest, Observation, Status};

pub(crate) use self::compare::{Expected, ExpectedAnswer, Says, To, actions, frame};
use self::{
    admit::Session,
    rate::{Limited, Rate},
    records::Record,
    state::{Start, State},
    workers::{Answer, Worker},
};
use crate::{
    input::{Input, Key, Parsed, connection_of},
    joined::{JoinedInputs, Sample},
    scenario::Scenario,
};

pub(crate) struct Reference<'s> {
    scenario: &'s Scenario,
    lines: Vec<Line>,
    workers: Vec<Worker>,
    records: Vec<Record>,
    joined: JoinedInputs<'s>,
    draining: bool,
    drained: bool,
    exited: bool,
    expected: Vec<Expected>,
}

/// One connection.
struct Line {
    session: Session,
    waiting: Option<Job>,
    phase: Phase,
    rate: Rate,
    state: State,
}

#[derive(Debug, Clone)]
enum Phase {
    Idle,
    Running { job: Job, worker: usize },
    Sending { job: Job, says: Says },
}

/// One admitted observation.
#[derive(Debug, Clone)]
struct Job {
    key: Key,
    stamp: u64,
    arrival: u64,
    deadline: u64,
    /// What its deadline would be with the longest budget, its own or that of one it superseded.
    rank: u64,
    /// The oldest joined sample that it is run with.
    oldest: Option<Sample>,
    /// From what its inference started, where it did and its task remembers.
    start: Option<Start>,
}

impl<'s> Reference<'s> {
    pub(crate) fn new(scenario: &'s Scenario) -> Self {
        Self {
            scenario,
            lines: scenario.connections.iter().map(|_| Line::new()).collect(),
            workers: scenario.workers.iter().map(|spec| Worker::new(spec.spare)).collect(),
            records: scenario.records.iter().map(|_| Record::default()).collect(),
            joined: JoinedInputs::new(scenario),
            draining: false,
            drained: false,
            exited: false,
            expected: Vec::new(),
        }
    }

    /// What must come out of this event.
    pub(crate) fn handle(&mut self, now: u64, input: &Input, parsed: Option<&Parsed>) -> Vec<Expected> {
        self.learn(input);
        for connection in self.concerned(input) {
            self.answer_if_due(now, connection);
        }
        match input {
            Input::Frame { connection, arrival, bytes } => self.frame(now, *connection, *arrival, bytes, parsed),
            Input::Oversize { connection, arrival } => {
                self.refuse_unread(To::Connection(*connection), Reason::TooLarge, None, *arrival);
            }
            Input::Shed { connection, arrival, header } => {
                self.refuse_unread(To::Connection(*connection), Reason::Overload, *header, *arrival);
            }
            Input::Sample { .. } | Input::Picture { .. } => {
                if let Some(Ok(input)) = self.joined.arrives(now, input) {
                    self.expected.push(Expected::StoreSample { input });
                }
            }
            Input::ShedUnseen { .. }
            | Input::QueriesUnseen { .. }
            | Input::ResetsShed { .. }
            | Input::RecordVoid { .. }
            | Input::SampleOversize { .. }
            | Input::SamplesUnseen { .. }
            | Input::Timeout => {}
            Input::Stray { arrival, bytes } => self.stray(*arrival, bytes),
            Input::Query => self.refuse(To::Query, Reason::QueryOnTopic, (0, None, 0), None),
            Input::Finished { worker, outputs, .. } => self.finished(now, *worker, outputs),
            Input::Request { .. }
            | Input::RequestOversize { .. }
            | Input::RequestsUnseen { .. }
            | Input::Replied { .. }
            | Input::ReplyWithheld { .. } => unreachable!("it is not asked where there are clients"),
            Input::Sent { ticket, at } => self.sent(connection_of(*ticket), *at),
            Input::Withheld { ticket, why } => self.withheld(connection_of(*ticket), *why),
            Input::Reset { connection, bytes } => self.reset(*connection, bytes.as_deref()),
            Input::Drain => self.draining = true,
        }
        self.answer_what_is_due(now);
        self.quarantine_what_hangs(now);
        // A spare may have come with a void record.
        self.answer_what_is_due(now);
        self.tell_void_records();
        self.start_earliest_deadlines(now);
        self.end_drain();
        std::mem::take(&mut self.expected)
    }

    /// When the engine must want to be woken.
    pub(crate) fn timeout(&self) -> Option<u64> {
        let dues = self.lines.iter().filter_map(|line| self.earliest_due(line));
        let serving = self.workers.iter().filter(|worker| worker.in_service);
        let running = serving.filter_map(|worker| worker.running.as_ref());
        let hangs = running.map(|inference| inference.since + self.scenario.box_plan.hang);
        dues.chain(hangs).min()
    }

    /// How many of the last 32 responses sent in its epoch the controller has not reported as seen.
    pub(crate) fn unseen(&self, connection: usize) -> u32 {
        self.lines[connection].session.unseen()
    }

    fn earliest_due(&self, line: &Line) -> Option<u64> {
        let jobs = match &line.phase {
            Phase::Idle => [line.waiting.as_ref(), None],
            Phase::Running { job, .. } => [line.waiting.as_ref(), Some(job)],
            Phase::Sending { .. } => [None, None],
        };
        jobs.into_iter().flatten().map(|job| self.due(job)).min()
    }

    fn due(&self, job: &Job) -> u64 {
        job.deadline - self.scenario.box_plan.margin
    }

    fn answer_what_is_due(&mut self, now: u64) {
        let mut connections: Vec<usize> = (0..self.lines.len()).collect();
        connections.sort_by_key(|connection| self.earliest_due(&self.lines[*connection]));
        for connection in connections {
            self.answer_if_due(now, connection);
        }
    }

    fn answer_if_due(&mut self, now: u64, connection: usize) {
        let rests = self.rests(connection);
        let line = &self.lines[connection];
        let waiting_is_due = line.waiting.as_ref().is_some_and(|job| self.due(job) <= now);
        match line.phase.clone() {
            Phase::Idle if waiting_is_due || rests => {
                let Some(job) = self.lines[connection].waiting.take() else { return };
                self.fall_back(now, job, if rests { Reason::Resting } else { Reason::Unstarted });
            }
            Phase::Running { job, worker } if self.due(&job) <= now => {
                self.orphan(worker, connection, Answer::FellLate);
                self.fall_back(now, job, Reason::Late);
            }
            Phase::Running { job, worker } if waiting_is_due => {
                self.orphan(worker, connection, Answer::Closed);
                self.fall_back(now, job, Reason::Overtaken);
            }
            Phase::Idle | Phase::Running { .. } | Phase::Sending { .. } => {}
        }
    }

    /// Whose observations, if due, are answered before this event is looked at.
    fn concerned(&self, input: &Input) -> Vec<usize> {
        if let Input::Frame { connection, .. } = input {
            return vec![*connection];
        }
        let Input::Finished { worker, .. } = input else { return Vec::new() };
        let members = self.workers[*worker].running.iter().flat_map(|inference| &inference.members);
        let open = members.filter(|member| matches!(member.answer, Answer::Open(_)));
        open.map(|member| member.connection).collect()
    }

    fn fall_back(&mut self, now: u64, mut job: Job, reason: Reason) {
        let connection = job.key.connection;
        job.oldest = if reason == Reason::InputTooOld { self.joined.oldest(now, connection) } else { None };
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        let values = self.lines[connection].rate.fallback(task, now);
        self.send(job, Says::Fallback { reason, values });
    }

    fn send(&mut self, job: Job, says: Says) {
        let mut status = self.marks(job.key.connection);
        let line = &mut self.lines[job.key.connection];
        let fresh = matches!(says, Says::Model { .. }) && job.start.is_some_and(|start| start.fresh);
        if fresh || line.rate.nothing_sent() {
            status = status.with(Status::STATE_RESET);
        }
        if matches!(says, Says::Model { clamped: true, .. }) {
            status = status.with(Status::CLAMPED);
        }
        self.expected.push(Expected::Answer(ExpectedAnswer {
            to: To::Connection(job.key.connection),
            deadline: Some(job.deadline),
            epoch: job.key.epoch,
            sequence: Some(job.key.sequence),
            stamp: job.stamp,
            arrival: Some(job.arrival),
            oldest: job.oldest,
            says: says.clone(),
            status,
        }));
        line.phase = Phase::Sending { job, says };
    }

    fn refuse(
        &mut self,
        to: To,
        reason: Reason,
        (epoch, sequence, stamp): (u64, Option<u64>, u64),
        arrival: Option<u64>,
    ) {
        let status = match to {
            To::Connection(connection) => self.marks(connection),
            To::Stray { .. } | To::Query => self.scenario.box_plan.status,
        };
        let says = Says::Refusal { reason };
        self.expected.push(Expected::Answer(ExpectedAnswer {
            to,
            deadline: None,
            epoch,
            sequence,
            stamp,
            arrival,
            oldest: None,
            says,
            status,
        }));
    }

    fn refuse_unread(&mut self, to: To, reason: Reason, header: Option<message::Header>, arrival: u64) {
        let echo = header
            .map_or((0, None, 0), |header| (header.epoch.value(), Some(header.sequence.value()), header.stamp.value()));
        self.refuse(to, reason, echo, Some(arrival));
    }

    fn refuse_job(&mut self, job: &Job, reason: Reason) {
        let Key { connection, epoch, sequence } = job.key;
        self.refuse(To::Connection(connection), reason, (epoch, Some(sequence), job.stamp), Some(job.arrival));
    }

    /// Its sender is told by its own address and contract, where they can be read.
    fn stray(&mut self, arrival: u64, bytes: &[u8]) {
        let to = match Observation::decode(bytes) {
            Ok(Observation { address, contract, .. }) => To::Stray { address, contract },
            Err(_) => To::Stray { address: Address::new(0), contract: ContractDigest::new([0; 16]) },
        };
        self.refuse_unread(to, Reason::UnknownTask, message::peek(bytes), arrival);
    }

    fn finished(&mut self, now: u64, worker: usize, outputs: &Result<Vec<Vec<f32>>, Failed>) {
        let inference = self.workers[worker].running.take().expect("a worker that finishes was running");
        for (place, member) in inference.members.iter().enumerate() {
            if let Answer::Open(key) = member.answer {
                self.answer_with(now, key, outputs.as_ref().map(|outputs| outputs[place].as_slice()));
            }
        }
        self.count_overrun(now, worker, &inference);
    }

    fn answer_with(&mut self, now: u64, key: Key, output: Result<&[f32], &Failed>) {
        let line = &mut self.lines[key.connection];
        let Phase::Running { job, .. } = std::mem::replace(&mut line.phase, Phase::Idle) else {
            unreachable!("an inference whose answer is open is its connection's");
        };
        let task = &self.scenario.tasks[self.scenario.connections[key.connection].task];
        let raw = match output {
            Ok(raw) => raw,
            Err(failed) => return self.fall_back(now, job, failed.reason()),
        };
        if raw.len() != task.elements.len() {
            return self.fall_back(now, job, Reason::ModelFailed);
        }
        if raw.iter().any(|value| !value.is_finite()) {
            return self.fall_back(now, job, Reason::ActionNotFinite);
        }
        if raw.iter().zip(&task.elements).any(|(value, element)| *value < element.min || *value > element.max) {
            return self.fall_back(now, job, Reason::OutOfRange);
        }
        let Limited { values, clamped } = line.rate.limit(task, now, raw);
        let refused = task.too_fast == TooFast::Fallback && clamped && !line.rate.last_was_fallback();
        if refused {
            return self.fall_back(now, job, Reason::TooFast);
        }
        self.send(job, Says::Model { values, clamped });
    }

    fn sent(&mut self, connection: usize, at: u64) {
        let line = &mut self.lines[connection];
        let Phase::Sending { job, says } = std::mem::replace(&mut line.phase, Phase::Idle) else {
            unreachable!("only what was handed out is reported");
        };
        if line.session.is_current(job.key.epoch) {
            line.session.responded(job.key.sequence);
            line.rate.advance(&says, at);
            if let (Says::Model { .. }, Some(start)) = (&says, job.start) {
                line.state.advance(start, at);
                self.expected.push(Expected::Advance { connection });
            }
        }
    }

    fn reset(&mut self, connection: usize, bytes: Option<&[u8]>) {
        let (plan, task) = (&self.scenario.connections[connection], self.scenario.task_of(connection));
        let line = &mut self.lines[connection];
        let Some(Ok(reset)) = bytes.map(message::Reset::decode) else { return };
        let is_ours = reset.address == plan.address && reset.contract == task.contract;
        if is_ours && line.session.is_current(reset.epoch.value()) {
            line.state.demanded = Some(reset.from_sequence.value());
        }
    }

    fn withheld(&mut self, connection: usize, why: Withheld) {
        let line = &mut self.lines[connection];
        let Phase::Sending { job, .. } = std::mem::replace(&mut line.phase, Phase::Idle) else {
            unreachable!("only what was handed out is reported");
        };
        let reason = match why {
            Withheld::Deadline => Reason::DeadlinePassed,
            Withheld::Link => Reason::LinkFailed,
        };
        self.refuse_job(&job, reason);
    }

    fn end_drain(&mut self) {
        let in_flight = self.lines.iter().any(|line| line.waiting.is_some() || !matches!(line.phase, Phase::Idle));
        if !self.draining || self.drained || in_flight {
            return;
        }
        self.drained = true;
        for (connection, line) in self.lines.iter().enumerate() {
            if let Some(epoch) = line.session.epoch() {
                self.expected.push(Expected::Notify { connection, epoch });
            }
        }
        self.expected.push(Expected::Drained);
    }
}

impl Line {
    fn new() -> Self {
        Self {
            session: Session::default(),
            waiting: None,
            phase: Phase::Idle,
            rate: Rate::default(),
            state: State::default(),
        }
    }
}
