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
    last: Option<Ended>,
    /// When late inferences returned that took longer than a deadline leaves, within the window.
    overruns: Vec<u64>,
}

#[derive(Debug)]
struct Running {
    model: ModelId,
    members: Vec<Member>,
    since: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) key: Key,
    pub(super) slot: SlotId,
    /// Its fallback fell due while it ran.
    pub(super) late: bool,
}

struct Ended {
    ran: Running,
    at: u64,
    /// It was counted as an overrun, for whichever member.
    blamed: bool,
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
        members: Vec<Member>,
    ) -> Verdict {
        let of_model = members.iter().all(|member| scenario.task_of(member.key.connection).model == model);
        let has_session = of_model && scenario.workers[worker].models.contains(model);
        let one = &mut self.table[worker];
        let holds = has_session && one.service == Service::In && one.running.is_none();
        Finding::unless(holds, Check::Workers, || {
            format!("worker {worker} ({:?}, {:?}) is to run {model:?} for {members:?}", one.service, one.running)
        })?;
        one.running = Some(Running { model, members, since: now });
        Ok(())
    }

    /// The model that this worker runs.
    pub(super) fn model_on(&self, worker: usize) -> ModelId {
        self.table[worker].running.as_ref().expect("the simulator reports only inferences that were started").model
    }

    /// A one-off that expired returned: its worker's fault if it took the whole deadline of its task.
    pub(super) fn blame(&mut self, scenario: &Scenario, worker: usize, deadline: u64) {
        let Worker { last: Some(Ended { ran, at, .. }), overruns, .. } = &mut self.table[worker] else { return };
        if *at - ran.since >= deadline {
            self.seen.note(Disturbance::OneOffOverran);
            overruns.push(*at);
            overruns.retain(|earlier| *at - earlier <= scenario.box_plan.overrun_window);
        }
    }

    /// Whose inference ended.
    pub(super) fn finish(&mut self, scenario: &Scenario, now: u64, worker: usize) -> Vec<Key> {
        let ran = self.table[worker].running.take().expect("the simulator reports only inferences that were started");
        let late: Vec<Key> = ran.members.iter().filter(|member| member.late).map(|member| member.key).collect();
        let keys = ran.members.iter().map(|member| member.key).collect();
        self.table[worker].last = Some(Ended { ran, at: now, blamed: false });
        for key in late {
            self.judge(scenario, worker, key);
        }
        keys
    }

    /// A late inference returned: its worker's fault, once, if it took longer than a member's deadline leaves.
    fn judge(&mut self, scenario: &Scenario, worker: usize, key: Key) {
        let Worker { last: Some(Ended { ran, at, blamed }), overruns, .. } = &mut self.table[worker] else { return };
        if *at - ran.since < scenario.task_of(key.connection).deadline - scenario.box_plan.margin {
            return self.seen.note(Disturbance::LateButNotOverrun);
        }
        if std::mem::replace(blamed, true) {
            return self.seen.note(Disturbance::OverrunBySeveral);
        }
        self.seen.note(Disturbance::OverrunCounted);
        overruns.push(*at);
        overruns.retain(|earlier| *at - earlier <= scenario.box_plan.overrun_window);
    }

    /// The workers in service, what each runs, for how many and since when.
    pub(super) fn serving(&self) -> impl Iterator<Item = (usize, Option<(ModelId, usize, u64)>)> {
        let in_service = self.table.iter().enumerate().filter(|(_, worker)| worker.service == Service::In);
        in_service.map(|(worker, one)| {
            let runs = one.running.as_ref().map(|running| (running.model, running.members.len().max(1), running.since));
            (worker, runs)
        })
    }

    pub(super) fn is_in_service(&self, worker: usize) -> bool {
        self.table[worker].service == Service::In
    }

    pub(super) fn running(&self, worker: usize) -> Vec<Key> {
        self.table[worker].running.iter().flat_map(|running| &running.members).map(|member| member.key).collect()
    }

    pub(super) fn reads(&self, slot: SlotId) -> bool {
        self.members().any(|member| member.slot == slot)
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.table.iter().filter_map(|worker| worker.running.as_ref()).flat_map(|running| &running.members)
    }

    /// This observation's fallback fell due while its inference still ran, or as it returned.
    pub(super) fn fell_late(&mut self, scenario: &Scenario, now: u64, key: Key) {
        let mut running = self.table.iter_mut().filter_map(|worker| worker.running.as_mut());
        if let Some((member, others)) = running.find_map(|running| {
            let others = running.members.len().saturating_sub(1);
            Some((running.members.iter_mut().find(|member| member.key == key)?, others))
        }) {
            member.late = true;
            if others > 0 {
                self.seen.note(Disturbance::FellDueInABatch);
            }
            return;
        }
        let has = |ended: &Ended| ended.at == now && ended.ran.members.iter().any(|member| member.key == key);
        let returned = self.table.iter().position(|worker| worker.last.as_ref().is_some_and(has));
        if let Some(worker) = returned {
            self.judge(scenario, worker, key);
        }
    }

    /// How many workers in service run inferences of this connection.
    pub(super) fn occupied_by(&self, connection: usize) -> usize {
        let in_service = self.table.iter().filter(|worker| worker.service == Service::In);
        let running = in_service.filter_map(|worker| worker.running.as_ref()).flat_map(|running| &running.members);
        running.filter(|member| member.key.connection == connection).count()
    }

    pub(super) fn one_worker_each(&self, connection: usize) -> Verdict {
        let occupied = self.occupied_by(connection);
        Finding::unless(occupied <= 1, Check::OneWorker, || {
            format!("connection {connection} occupies {occupied} workers in service")
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
        self.running.as_ref().is_some_and(|running| now - running.since >= scenario.box_plan.hang)
    }
}
