//! The reference model's workers: who is in service, what hangs, and whose inference begins next.

use std::collections::VecDeque;

use engine::{ModelId, Reason};

use super::{Expected, Phase, Reference};
use crate::{
    input::Key,
    outlook::{Outlook, Serving},
};

pub(super) struct Worker {
    pub(super) in_service: bool,
    spare: bool,
    quarantined: bool,
    pub(super) running: Option<Inference>,
    overruns: VecDeque<u64>,
}

pub(super) struct Inference {
    pub(super) members: Vec<Member>,
    pub(super) since: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Member {
    /// The connection it was started for.
    pub(super) connection: usize,
    pub(super) answer: Answer,
}

/// What became of a member's answer.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// It is open: the result belongs to this observation.
    Open(Key),
    /// It was closed before it fell due: a newer one fell due first, or the epoch ended.
    Closed,
    /// Its fallback fell due while the inference ran.
    FellLate,
}

impl Worker {
    pub(super) fn new(spare: bool) -> Self {
        Self { in_service: !spare, spare, quarantined: false, running: None, overruns: VecDeque::new() }
    }
}

impl Reference<'_> {
    /// The result for this connection will be discarded.
    pub(super) fn orphan(&mut self, worker: usize, connection: usize, answer: Answer) {
        let members = self.workers[worker].running.iter_mut().flat_map(|inference| &mut inference.members);
        for member in members.filter(|member| member.connection == connection) {
            member.answer = answer;
        }
    }

    /// An inference that returns too late for a member is its worker's fault if it took, by itself, the whole deadline
    /// of that member less the margin.
    pub(super) fn count_overrun(&mut self, now: u64, worker: usize, inference: &Inference) {
        let plan = self.scenario.box_plan;
        let late = inference.members.iter().filter(|member| matches!(member.answer, Answer::FellLate));
        let mut deadlines = late.map(|member| self.scenario.task_of(member.connection).deadline);
        if !deadlines.any(|deadline| now >= inference.since + deadline - plan.margin) {
            return;
        }
        let one = &mut self.workers[worker];
        one.overruns.push_back(now);
        one.overruns.retain(|at| now - at <= plan.overrun_window);
        if one.in_service && one.overruns.len() >= usize::from(plan.max_overruns) {
            self.quarantine(worker, Reason::WorkerOverruns);
        }
    }

    pub(super) fn quarantine_what_hangs(&mut self, now: u64) {
        for worker in 0..self.workers.len() {
            let running = self.workers[worker].running.as_ref();
            let hangs = running.is_some_and(|one| one.since + self.scenario.box_plan.hang <= now);
            if self.workers[worker].in_service && hangs {
                self.quarantine(worker, Reason::WorkerHang);
            }
        }
    }

    fn quarantine(&mut self, worker: usize, reason: Reason) {
        self.workers[worker].in_service = false;
        self.workers[worker].quarantined = true;
        let models = |place: usize| self.scenario.workers[place].models;
        let spare = (0..self.workers.len()).find(|place| {
            let one = &self.workers[*place];
            one.spare && !one.in_service && !one.quarantined && models(*place).covers(models(worker))
        });
        if let Some(spare) = spare {
            self.workers[spare].in_service = true;
        }
        self.expected.push(Expected::Quarantine { worker, reason, spare });
        let served = |model: ModelId| {
            (0..self.workers.len()).any(|place| self.workers[place].in_service && models(place).contains(model))
        };
        if !self.exited && !self.scenario.tasks.iter().all(|task| served(task.model)) {
            self.exited = true;
            self.expected.push(Expected::Exit);
        }
    }

    /// Whose inference could begin now and lacks an input, or cannot end in time, falls back instead, before anything begins.
    fn give_up_what_is_hopeless(&mut self, now: u64) {
        for connection in 0..self.lines.len() {
            let waits_beside_a_free_one =
                self.can_start(connection) && self.outlook(now).has_a_free_one(self.scenario.task_of(connection).model);
            if !waits_beside_a_free_one {
                continue;
            }
            let hopeless = self.is_hopeless(now, connection).then_some(Reason::NoTimeLeft);
            if let Some(reason) = self.joined.lacks(now, connection).or(hopeless) {
                let job = self.lines[connection].waiting.take().expect("it waits");
                self.fall_back(now, job, reason);
            }
        }
    }

    /// Whether an observation waits here that may begin.
    pub(super) fn can_start(&self, connection: usize) -> bool {
        let line = &self.lines[connection];
        line.waiting.is_some() && matches!(line.phase, Phase::Idle) && !self.occupies_a_worker(connection)
    }

    /// Whether no worker can end in time what waits here.
    pub(super) fn is_hopeless(&self, now: u64, connection: usize) -> bool {
        let job = self.lines[connection].waiting.as_ref().expect("it waits");
        self.outlook(now).no_time(self.scenario.task_of(connection).model, self.due(job), now, 0)
    }

    fn outlook(&self, now: u64) -> Outlook<'_> {
        let serving = (0..self.workers.len()).filter(|worker| self.workers[*worker].in_service);
        let serving = serving.map(|worker| {
            let runs = self.workers[worker]
                .running
                .as_ref()
                .map(|one| (self.scenario.task_of(one.members[0].connection).model, one.members.len(), one.since));
            let records = self.records.iter().zip(&self.scenario.records);
            let valid = records.filter(|(record, plan)| plan.worker == worker && record.holds());
            Serving { worker, runs, measured: valid.map(|(_, plan)| plan.model).collect() }
        });
        Outlook { scenario: self.scenario, now, serving: serving.collect() }
    }

    pub(super) fn start_earliest_deadlines(&mut self, now: u64) {
        for worker in 0..self.workers.len() {
            self.give_up_what_is_hopeless(now);
            if !self.workers[worker].in_service || self.workers[worker].running.is_some() {
                continue;
            }
            let startable = (0..self.lines.len()).filter(|connection| {
                matches!(self.lines[*connection].phase, Phase::Idle)
                    && !self.occupies_a_worker(*connection)
                    && self.scenario.workers[worker].models.contains(self.scenario.task_of(*connection).model)
            });
            let jobs =
                startable.filter_map(|connection| Some((self.lines[connection].waiting.as_ref()?.rank, connection)));
            let mut turns: Vec<(u64, usize)> = jobs.collect();
            turns.sort_unstable();
            let order: Vec<usize> = turns.into_iter().map(|(_, connection)| connection).collect();
            let fits = |connection: &usize| {
                let job = self.lines[*connection].waiting.as_ref().expect("it was just found waiting");
                self.outlook(now).fits(worker, self.scenario.task_of(*connection).model, self.due(job))
            };
            let Some(head) = order.iter().position(fits) else { continue };
            let order = &order[head..];
            let first = &order[0];
            let model = self.scenario.task_of(*first).model;
            let (mut members, mut jobs) = (Vec::new(), Vec::new());
            for connection in self.company(now, (worker, model), order) {
                let max_gap = self.scenario.task_of(connection).max_gap;
                let line = &mut self.lines[connection];
                let mut job = line.waiting.take().expect("it was just found waiting");
                let of = (job.key.sequence, job.arrival);
                job.start = max_gap.map(|max_gap| line.state.start(now, max_gap, of));
                job.oldest = self.joined.oldest(now, connection);
                members.push(Member { connection, answer: Answer::Open(job.key) });
                jobs.push(job.key);
                self.lines[connection].phase = Phase::Running { job, worker };
            }
            self.workers[worker].running = Some(Inference { members, since: now });
            self.expected.push(Expected::Start { worker, model, jobs });
        }
        self.give_up_what_is_hopeless(now);
    }

    /// Whether a worker in service still runs what was started for this connection.
    fn occupies_a_worker(&self, connection: usize) -> bool {
        let in_service = self.workers.iter().filter(|worker| worker.in_service);
        let members = in_service.filter_map(|worker| worker.running.as_ref()).flat_map(|running| &running.members);
        members.clone().any(|member| member.connection == connection)
    }
}
