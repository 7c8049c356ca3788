//! The reference model's timing records: when one is void, and what its tasks do then.

use engine::{Degraded, ModelId, Reason, VoidCause};
use message::Status;

use super::{Expected, Reference, workers::Inference};
use crate::input::Input;

#[derive(Default)]
pub(super) struct Record {
    executions: u32,
    above: u32,
    void: Option<Reason>,
    told: bool,
}

impl Record {
    pub(super) fn holds(&self) -> bool {
        self.void.is_none()
    }
}

impl Reference<'_> {
    /// What an event says of a model's timing holds for everything that it causes.
    pub(super) fn learn(&mut self, input: &Input) {
        if let Input::Finished { worker, outputs: Ok(_), execution } = input {
            self.count(*worker, *execution);
        }
        let Input::RecordVoid { worker, cause } = input else { return };
        let reason = match cause {
            VoidCause::Throttled => Reason::Throttled,
            VoidCause::SettingChanged => Reason::SettingChanged,
        };
        for (record, plan) in self.records.iter_mut().zip(&self.scenario.records) {
            if plan.worker == *worker && record.void.is_none() {
                record.void = Some(reason);
            }
        }
    }

    fn count(&mut self, worker: usize, execution: u64) {
        let one = &self.workers[worker];
        let Some(Inference { members, .. }) = &one.running else { return };
        let model = self.scenario.task_of(members[0].connection).model;
        if !one.in_service {
            return;
        }
        for (record, plan) in self.records.iter_mut().zip(&self.scenario.records) {
            if (plan.worker, plan.model) != (worker, model) {
                continue;
            }
            record.executions += 1;
            record.above += u32::from(execution > plan.executions[members.len() - 1]);
            if record.above > plan.most && record.void.is_none() {
                record.void = Some(Reason::RecordExceeded);
            }
            if record.executions == plan.window {
                record.executions = 0;
                record.above = 0;
            }
        }
    }

    pub(super) fn tell_void_records(&mut self) {
        for (record, plan) in self.records.iter_mut().zip(&self.scenario.records) {
            if let (Some(reason), false) = (record.void, record.told) {
                record.told = true;
                self.expected.push(Expected::RecordVoid { worker: plan.worker, model: plan.model, reason });
            }
        }
    }

    pub(super) fn marks(&self, connection: usize) -> Status {
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        let mut marks = self.scenario.box_plan.status.with(task.status);
        for worker in self.serving(task.model) {
            match self.record(worker, task.model) {
                None => marks = marks.with(Status::UNMEASURED),
                Some(record) if record.void.is_some() => {
                    marks = marks.with(Status::UNMEASURED).with(Status::DEGRADED);
                }
                Some(_) => {}
            }
        }
        marks
    }

    pub(super) fn period(&self, connection: usize) -> u64 {
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        match task.degraded {
            Degraded::LowerRate { factor } if self.is_degraded(task.model) => task.min_period * u64::from(factor),
            Degraded::LowerRate { .. } | Degraded::Keep | Degraded::Rest => task.min_period,
        }
    }

    pub(super) fn rests(&self, connection: usize) -> bool {
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        task.degraded == Degraded::Rest && self.is_degraded(task.model)
    }

    fn is_degraded(&self, model: ModelId) -> bool {
        self.serving(model).any(|worker| self.record(worker, model).is_some_and(|record| record.void.is_some()))
    }

    fn serving(&self, model: ModelId) -> impl Iterator<Item = usize> {
        let workers = 0..self.workers.len();
        workers.filter(move |worker| {
            self.workers[*worker].in_service && self.scenario.workers[*worker].models.contains(model)
        })
    }

    fn record(&self, worker: usize, model: ModelId) -> Option<&Record> {
        let place = self.scenario.records.iter().position(|plan| (plan.worker, plan.model) == (worker, model));
        place.map(|place| &self.records[place])
    }
}
