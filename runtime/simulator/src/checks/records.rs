//! Timing records: void when they must be, told once, and what their tasks do then marked and done.

use engine::{Degraded, ModelId, Reason, VoidCause};
use message::Status;

use super::workers::Workers;
use crate::{
    report::{Check, Disturbance, Disturbances, Finding, Verdict},
    scenario::{Scenario, TaskPlan},
};

pub(super) struct Records {
    table: Vec<One>,
}

#[derive(Default)]
struct One {
    /// Whether each execution of this window was above.
    window: Vec<bool>,
    void: Option<Reason>,
    told: bool,
}

impl Records {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self { table: scenario.records.iter().map(|_| One::default()).collect() }
    }

    /// An inference ended well on a worker in service.
    pub(super) fn count(
        &mut self,
        scenario: &Scenario,
        (worker, model): (usize, ModelId),
        (members, execution): (usize, u64),
        seen: &mut Disturbances,
    ) {
        let mut pairs = self.table.iter_mut().zip(&scenario.records);
        let Some((one, plan)) = pairs.find(|(_, plan)| (plan.worker, plan.model) == (worker, model)) else { return };
        let is_above = plan.execution(members).is_none_or(|longest| execution > longest);
        one.window.push(is_above);
        let above = one.window.iter().filter(|above| **above).count();
        if is_above {
            seen.note(Disturbance::ExecutionAbove);
        }
        if u32::try_from(above).is_ok_and(|above| above > plan.most) {
            one.void = one.void.or(Some(Reason::RecordExceeded));
        }
        if u32::try_from(one.window.len()).is_ok_and(|length| length == plan.window) {
            one.window.clear();
            seen.note(Disturbance::WindowEnded);
        }
    }

    /// The daemon said that a worker's records no longer hold.
    pub(super) fn void(&mut self, scenario: &Scenario, worker: usize, cause: VoidCause) {
        let reason = match cause {
            VoidCause::Throttled => Reason::Throttled,
            VoidCause::SettingChanged => Reason::SettingChanged,
        };
        for (one, _) in self.table.iter_mut().zip(&scenario.records).filter(|(_, plan)| plan.worker == worker) {
            one.void = one.void.or(Some(reason));
        }
    }

    /// The engine says that a record is void.
    pub(super) fn told(&mut self, scenario: &Scenario, (worker, model): (usize, ModelId), reason: Reason) -> Verdict {
        let mut pairs = self.table.iter_mut().zip(&scenario.records);
        let one = pairs.find(|(_, plan)| (plan.worker, plan.model) == (worker, model)).map(|(one, _)| one);
        let holds = one.is_some_and(|one| one.void == Some(reason) && !std::mem::replace(&mut one.told, true));
        Finding::unless(holds, Check::Records, || {
            format!("the record of {model:?} on worker {worker} is told as void ({reason}), wrongly or again")
        })
    }

    pub(super) fn all_told(&self) -> Verdict {
        let untold = self.table.iter().position(|one| one.void.is_some() && !one.told);
        Finding::unless(untold.is_none(), Check::Records, || format!("record {untold:?} is void and nobody was told"))
    }

    /// The models of which this worker's record holds.
    pub(super) fn valid_on(&self, scenario: &Scenario, worker: usize) -> Vec<ModelId> {
        let pairs = self.table.iter().zip(&scenario.records);
        let valid = pairs.filter(|(one, plan)| one.void.is_none() && plan.worker == worker);
        valid.map(|(_, plan)| plan.model).collect()
    }

    /// Whether a worker in service runs this model with a void record.
    pub(super) fn are_void_for(&self, scenario: &Scenario, workers: &Workers, model: ModelId) -> bool {
        let mut pairs = self.table.iter().zip(&scenario.records);
        pairs.any(|(one, plan)| one.void.is_some() && plan.model == model && workers.is_in_service(plan.worker))
    }

    /// What a response of this task must be marked with, beside what its own answer asks for.
    pub(super) fn marks(&self, scenario: &Scenario, workers: &Workers, task: &TaskPlan) -> Status {
        let marks = scenario.box_plan.status.with(task.status);
        if self.are_void_for(scenario, workers, task.model) {
            return marks.with(Status::DEGRADED).with(Status::UNMEASURED);
        }
        let measured = |worker| scenario.records.iter().any(|one| (one.worker, one.model) == (worker, task.model));
        let serving =
            (0..scenario.workers.len()).filter(|worker| scenario.workers[*worker].models.contains(task.model));
        let all_measured = serving.filter(|worker| workers.is_in_service(*worker)).all(measured);
        if all_measured { marks } else { marks.with(Status::UNMEASURED) }
    }

    /// The shortest period that a task is held to now.
    pub(super) fn period(&self, scenario: &Scenario, workers: &Workers, task: &TaskPlan) -> u64 {
        match task.degraded {
            Degraded::LowerRate { factor } if self.are_void_for(scenario, workers, task.model) => {
                task.min_period * u64::from(factor)
            }
            Degraded::LowerRate { .. } | Degraded::Keep | Degraded::Rest => task.min_period,
        }
    }

    /// Whether a task answers without its model now.
    pub(super) fn rests(&self, scenario: &Scenario, workers: &Workers, task: &TaskPlan) -> bool {
        task.degraded == Degraded::Rest && self.are_void_for(scenario, workers, task.model)
    }
}
