//! Workers run one inference at a time, in service only, with a session for its model; nobody else has its slot.

use engine::{ModelId, Reason, SlotId};

use crate::{
    input::Key,
    report::{Check, Finding, Verdict},
    scenario::Scenario,
};

pub(super) struct Workers {
    workers: Vec<Worker>,
    exited: bool,
}

struct Worker {
    service: Service,
    running: Option<Running>,
    /// What it ran last: its result may come after its fallback fell due.
    last: Option<Running>,
    /// When its inferences overran, within the window.
    overruns: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    key: Key,
    slot: SlotId,
    since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Spare,
    In,
    Quarantined,
}

impl Workers {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let service = |spare| if spare { Service::Spare } else { Service::In };
        let workers = scenario.workers.iter().map(|spec| Worker {
            service: service(spec.spare),
            running: None,
            last: None,
            overruns: Vec::new(),
        });
        Self { workers: workers.collect(), exited: false }
    }

    pub(super) fn start(
        &mut self,
        scenario: &Scenario,
        now: u64,
        (worker, model): (usize, ModelId),
        key: Key,
        slot: SlotId,
    ) -> Verdict {
        let task = &scenario.tasks[scenario.connections[key.connection].task];
        let has_session = model == task.model && scenario.workers[worker].models.contains(model);
        let one = &mut self.workers[worker];
        let holds = has_session && one.service == Service::In && one.running.is_none();
        Finding::unless(holds, Check::Workers, || {
            format!("worker {worker} ({:?}, running {:?}) is to run {model:?} for {key:?}", one.service, one.running)
        })?;
        one.running = Some(Running { key, slot, since: now });
        Ok(())
    }

    /// Whose inference ended.
    pub(super) fn finish(&mut self, worker: usize) -> Key {
        let one = &mut self.workers[worker];
        one.last = one.running.take();
        one.last.expect("the simulator reports only inferences that were started").key
    }

    pub(super) fn running(&self, worker: usize) -> Option<Key> {
        self.workers[worker].running.map(|running| running.key)
    }

    pub(super) fn reads(&self, slot: SlotId) -> bool {
        self.workers.iter().filter_map(|worker| worker.running).any(|running| running.slot == slot)
    }

    /// This observation's fallback went out while its inference still ran.
    pub(super) fn overran(&mut self, scenario: &Scenario, now: u64, key: Key) {
        let window = scenario.box_plan.overrun_window;
        let runs_it = |worker: &&mut Worker| worker.running.or(worker.last).is_some_and(|running| running.key == key);
        let whose = self.workers.iter_mut().find(runs_it);
        if let Some(worker) = whose {
            worker.overruns.push(now);
            worker.overruns.retain(|at| now - at <= window);
        }
    }

    pub(super) fn quarantine(
        &mut self,
        scenario: &Scenario,
        now: u64,
        worker: usize,
        reason: Reason,
        spare: Option<usize>,
    ) -> Verdict {
        let one = &mut self.workers[worker];
        let explained = reason == Reason::WorkerOverruns && one.overruns_too_often(scenario)
            || reason == Reason::WorkerHang && one.hangs(scenario, now);
        let was_in = std::mem::replace(&mut one.service, Service::Quarantined) == Service::In;
        let spare_was_spare = spare
            .is_none_or(|spare| std::mem::replace(&mut self.workers[spare].service, Service::In) == Service::Spare);
        Finding::unless(explained && was_in && spare_was_spare, Check::Workers, || {
            format!("worker {worker} is quarantined ({reason}) for {spare:?}, which cannot be")
        })
    }

    /// Nobody is in service who should have been quarantined.
    pub(super) fn all_fit_are_in_service(&self, scenario: &Scenario, now: u64) -> Verdict {
        let mut in_service = self.workers.iter().filter(|worker| worker.service == Service::In);
        let unfit = in_service.any(|worker| worker.overruns_too_often(scenario) || worker.hangs(scenario, now));
        Finding::unless(!unfit, Check::Workers, || "a worker that hangs or overruns too often stays in service".into())
    }

    pub(super) fn exit(&mut self, scenario: &Scenario) -> Verdict {
        let served = |model: ModelId| {
            let mut pairs = self.workers.iter().zip(&scenario.workers);
            pairs.any(|(worker, spec)| worker.service == Service::In && spec.models.contains(model))
        };
        let all_served = scenario.tasks.iter().all(|task| served(task.model));
        let again = std::mem::replace(&mut self.exited, true);
        Finding::unless(!again && !all_served, Check::Workers, || {
            "an exit with a worker for each model, or a second".into()
        })
    }
}

impl Worker {
    fn overruns_too_often(&self, scenario: &Scenario) -> bool {
        self.overruns.len() >= usize::from(scenario.box_plan.max_overruns)
    }

    fn hangs(&self, scenario: &Scenario, now: u64) -> bool {
        self.running.is_some_and(|running| now - running.since >= scenario.box_plan.hang)
    }
}
