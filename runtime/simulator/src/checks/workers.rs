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
    running: Option<(Key, SlotId)>,
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
        let workers = scenario.workers.iter().map(|spec| Worker { service: service(spec.spare), running: None });
        Self { workers: workers.collect(), exited: false }
    }

    pub(super) fn start(&mut self, scenario: &Scenario, worker: usize, model: ModelId, key: Key, slot: SlotId) -> Verdict {
        let task = &scenario.tasks[scenario.connections[key.connection].task];
        let has_session = model == task.model && scenario.workers[worker].models.contains(model);
        let one = &mut self.workers[worker];
        let holds = has_session && one.service == Service::In && one.running.is_none();
        Finding::unless(holds, Check::Workers, || {
            format!("worker {worker} ({:?}, running {:?}) is to run {model:?} for {key:?}", one.service, one.running)
        })?;
        one.running = Some((key, slot));
        Ok(())
    }

    /// Whose inference ended.
    pub(super) fn finish(&mut self, worker: usize) -> Key {
        self.workers[worker].running.take().expect("the simulator reports only inferences that were started").0
    }

    pub(super) fn running(&self, worker: usize) -> Option<Key> {
        self.workers[worker].running.map(|(key, _)| key)
    }

    pub(super) fn reads(&self, slot: SlotId) -> bool {
        self.workers.iter().filter_map(|worker| worker.running).any(|(_, reads)| reads == slot)
    }

    pub(super) fn quarantine(&mut self, worker: usize, reason: Reason, spare: Option<usize>) -> Verdict {
        let known = matches!(reason, Reason::WorkerOverruns | Reason::WorkerHang);
        let was_in = std::mem::replace(&mut self.workers[worker].service, Service::Quarantined) == Service::In;
        let spare_was_spare = spare
            .is_none_or(|spare| std::mem::replace(&mut self.workers[spare].service, Service::In) == Service::Spare);
        Finding::unless(known && was_in && spare_was_spare, Check::Workers, || {
            format!("worker {worker} is quarantined ({reason}) for {spare:?}, which cannot be")
        })
    }

    pub(super) fn exit(&mut self, scenario: &Scenario) -> Verdict {
        let served = |model: ModelId| {
            let mut pairs = self.workers.iter().zip(&scenario.workers);
            pairs.any(|(worker, spec)| worker.service == Service::In && spec.models.contains(model))
        };
        let all_served = scenario.tasks.iter().all(|task| served(task.model));
        let again = std::mem::replace(&mut self.exited, true);
        Finding::unless(!again && !all_served, Check::Workers, || "an exit with a worker for each model, or a second".into())
    }
}
