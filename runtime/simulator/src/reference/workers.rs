//! The reference model's workers: who is in service, what hangs, and whose inference begins next.

use std::collections::VecDeque;

use engine::{ModelId, Reason};

use super::{Expected, Phase, Reference};
use crate::input::Key;

pub(super) struct Worker {
    pub(super) in_service: bool,
    spare: bool,
    quarantined: bool,
    /// When its inference began, and whose it is as long as the answer is open.
    pub(super) running: Option<(u64, Option<Key>)>,
    overruns: VecDeque<u64>,
}

impl Worker {
    pub(super) fn new(spare: bool) -> Self {
        Self { in_service: !spare, spare, quarantined: false, running: None, overruns: VecDeque::new() }
    }
}

impl Reference<'_> {
    /// Its result will be discarded.
    pub(super) fn orphan(&mut self, worker: usize) {
        if let Some((_, whose)) = &mut self.workers[worker].running {
            *whose = None;
        }
    }

    pub(super) fn overrun(&mut self, now: u64, worker: usize) {
        let plan = self.scenario.box_plan;
        let one = &mut self.workers[worker];
        one.overruns.push_back(now);
        one.overruns.retain(|at| now - at <= plan.overrun_window);
        if one.in_service && one.overruns.len() >= usize::from(plan.max_overruns) {
            self.quarantine(worker, Reason::WorkerOverruns);
        }
    }

    pub(super) fn quarantine_what_hangs(&mut self, now: u64) {
        for worker in 0..self.workers.len() {
            let hangs =
                self.workers[worker].running.is_some_and(|(since, _)| since + self.scenario.box_plan.hang <= now);
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

    pub(super) fn start_earliest_deadlines(&mut self, now: u64) {
        for worker in 0..self.workers.len() {
            if !self.workers[worker].in_service || self.workers[worker].running.is_some() {
                continue;
            }
            let model = |connection: usize| self.scenario.tasks[self.scenario.connections[connection].task].model;
            let startable = (0..self.lines.len()).filter(|connection| {
                matches!(self.lines[*connection].phase, Phase::Idle)
                    && self.scenario.workers[worker].models.contains(model(*connection))
            });
            let jobs = startable
                .filter_map(|connection| Some((self.lines[connection].waiting.as_ref()?.deadline, connection)));
            let Some((_, connection)) = jobs.min() else { continue };
            let job = self.lines[connection].waiting.take().expect("it was just found waiting");
            self.workers[worker].running = Some((now, Some(job.key)));
            self.expected.push(Expected::Start { worker, model: model(connection), job: job.key });
            self.lines[connection].phase = Phase::Running { job, worker };
        }
    }
}
