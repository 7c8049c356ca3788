//! Workers run one inference at a time, in service only, with a session for its model; nobody else has its slot.
//! One connection occupies one worker in service at most, and a worker is blamed for its own time only.

use engine::{ModelId, Reason, SlotId};

use crate::{
    input::Key,
    report::{Check, Disturbance, Disturbances, Finding, Verdict},
    scenario::Scenario,
};

pub(super) struct Workers {
    table: Vec<Worker>,
    exited: bool,
    seen: Disturbances,
}

struct Worker {
    service: Service,
    running: Option<Running>,
    /// What it ran last, and until when: its result may come after its fallback fell due.
    last: Option<(Running, u64)>,
    /// When late inferences returned that took longer than a deadline leaves, within the window.
    overruns: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    key: Key,
    slot: SlotId,
    since: u64,
    /// Its observation's fallback fell due while it ran.
    late: bool,
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
        let table = scenario.workers.iter().map(|spec| Worker {
            service: service(spec.spare),
            running: None,
            last: None,
            overruns: Vec::new(),
        });
        Self { table: table.collect(), exited: false, seen: Disturbances::default() }
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
        let one = &mut self.table[worker];
        let holds = has_session && one.service == Service::In && one.running.is_none();
        Finding::unless(holds, Check::Workers, || {
            format!("worker {worker} ({:?}, running {:?}) is to run {model:?} for {key:?}", one.service, one.running)
        })?;
        one.running = Some(Running { key, slot, since: now, late: false });
        Ok(())
    }

    /// Whose inference ended.
    pub(super) fn finish(&mut self, scenario: &Scenario, now: u64, worker: usize) -> Key {
        let one = &mut self.table[worker];
        let ended = one.running.take().expect("the simulator reports only inferences that were started");
        one.last = Some((ended, now));
        if ended.late {
            self.judge(scenario, now, worker, ended);
        }
        ended.key
    }

    /// A late inference returned: its worker's fault, if it took longer than its task's deadline leaves.
    fn judge(&mut self, scenario: &Scenario, now: u64, worker: usize, ended: Running) {
        let task = &scenario.tasks[scenario.connections[ended.key.connection].task];
        if now - ended.since < task.deadline - scenario.box_plan.margin {
            return self.seen.note(Disturbance::LateButNotOverrun);
        }
        self.seen.note(Disturbance::OverrunCounted);
        let overruns = &mut self.table[worker].overruns;
        overruns.push(now);
        overruns.retain(|at| now - at <= scenario.box_plan.overrun_window);
    }

    pub(super) fn is_in_service(&self, worker: usize) -> bool {
        self.table[worker].service == Service::In
    }

    pub(super) fn running(&self, worker: usize) -> Option<Key> {
        self.table[worker].running.map(|running| running.key)
    }

    pub(super) fn reads(&self, slot: SlotId) -> bool {
        self.table.iter().filter_map(|worker| worker.running).any(|running| running.slot == slot)
    }

    /// This observation's fallback fell due while its inference still ran, or as it returned.
    pub(super) fn fell_late(&mut self, scenario: &Scenario, now: u64, key: Key) {
        let mut running = self.table.iter_mut().filter_map(|worker| worker.running.as_mut());
        if let Some(running) = running.find(|running| running.key == key) {
            running.late = true;
            return;
        }
        let returned = |worker: &Worker| worker.last.filter(|(last, until)| last.key == key && *until == now);
        let whose = self.table.iter().enumerate().find_map(|(place, worker)| Some((place, returned(worker)?.0)));
        if let Some((worker, ended)) = whose {
            self.judge(scenario, now, worker, ended);
        }
    }

    /// How many workers in service run inferences of this connection.
    pub(super) fn occupied_by(&self, connection: usize) -> usize {
        let in_service = self.table.iter().filter(|worker| worker.service == Service::In);
        in_service.filter_map(|worker| worker.running).filter(|running| running.key.connection == connection).count()
    }

    pub(super) fn one_worker_each(&self, connection: usize) -> Verdict {
        let occupied = self.occupied_by(connection);
        Finding::unless(occupied <= 1, Check::OneWorker, || {
            format!("connection {connection} occupies {occupied} workers in service")
        })
    }

    /// Whether a worker in service has a session for this model and nothing to run.
    pub(super) fn has_a_free_one(&self, scenario: &Scenario, model: ModelId) -> bool {
        let mut pairs = self.table.iter().zip(&scenario.workers);
        pairs.any(|(worker, spec)| {
            worker.service == Service::In && worker.running.is_none() && spec.models.contains(model)
        })
    }

    pub(super) fn seen(&self) -> Disturbances {
        self.seen
    }

    pub(super) fn quarantine(
        &mut self,
        scenario: &Scenario,
        now: u64,
        worker: usize,
        reason: Reason,
        spare: Option<usize>,
    ) -> Verdict {
        let one = &mut self.table[worker];
        let explained = reason == Reason::WorkerOverruns && one.overruns_too_often(scenario)
            || reason == Reason::WorkerHang && one.hangs(scenario, now);
        let was_in = std::mem::replace(&mut one.service, Service::Quarantined) == Service::In;
        let spare_was_spare =
            spare.is_none_or(|spare| std::mem::replace(&mut self.table[spare].service, Service::In) == Service::Spare);
        Finding::unless(explained && was_in && spare_was_spare, Check::Workers, || {
            format!("worker {worker} is quarantined ({reason}) for {spare:?}, which cannot be")
        })
    }

    /// Nobody is in service who should have been quarantined.
    pub(super) fn all_fit_are_in_service(&self, scenario: &Scenario, now: u64) -> Verdict {
        let mut in_service = self.table.iter().filter(|worker| worker.service == Service::In);
        let unfit = in_service.any(|worker| worker.overruns_too_often(scenario) || worker.hangs(scenario, now));
        Finding::unless(!unfit, Check::Workers, || "a worker that hangs or overruns too often stays in service".into())
    }

    pub(super) fn exit(&mut self, scenario: &Scenario) -> Verdict {
        let served = |model: ModelId| {
            let mut pairs = self.table.iter().zip(&scenario.workers);
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
