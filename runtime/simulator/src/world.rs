//! One run: the controllers, the network and the clock, which outlive a restart of the box.

use std::cell::{Cell, RefCell};

use engine::{Client, Connection, Engine, Failed, Joined, SlotId, Tables, Task, slots_needed};
use fastrand::Rng;

use crate::{
    Options,
    boot::{Boot, End},
    camera::{Camera, Shot, Shown},
    checks::Excuses,
    client,
    clock::{MICRO, SECOND, Timeline},
    controller::Controller,
    input::Input,
    report::{Check, Disturbance, Finding, Report, Verdict},
    scenario::{RecordPlan, Scenario, happens},
    trace::{Keep, Trace},
};

/// Something that the clock jumps to. What belongs to a box names its boot, after which it no longer happens.
pub(crate) enum Happening {
    Publish { controller: usize },
    Arrive { connection: usize, bytes: Vec<u8> },
    Turn { boot: u64, serial: u64 },
    Finish { boot: u64, worker: usize, outputs: Result<Vec<Vec<f32>>, Failed>, execution: u64 },
    Put { boot: u64, serial: u64 },
    Reported { boot: u64, input: Input },
    ArriveReset { connection: usize, bytes: Vec<u8> },
    Deliver { connection: usize, bytes: Vec<u8> },
    Restart { boot: u64 },
    Ask { client: usize },
    ArriveRequest { client: usize, bytes: Vec<u8> },
    PutReply { boot: u64, client: usize },
    Shoot { input: usize },
    ArriveSample { input: usize, shown: Shown },
}

/// Everything but the box.
pub(crate) struct World<'r> {
    pub(crate) scenario: &'r Scenario,
    pub(crate) rng: Rng,
    pub(crate) timeline: Timeline<Happening>,
    pub(crate) excuses: Excuses,
    pub(crate) report: Report,
    pub(crate) progress: &'r Progress,
    pub(crate) plan: Plan,
    /// What clients do and what becomes of their requests.
    pub(crate) asks: Rng,
    /// When controllers demand that their state begins anew.
    pub(crate) demands: Rng,
    asked: u64,
    /// What cameras do and what becomes of their samples.
    pub(crate) sights: Rng,
    cameras: Vec<Camera>,
    controllers: Vec<Controller>,
    lost_on_the_way: u64,
    arrived: u64,
}

/// How a run ends.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// How many observations are published before the box is told to shut down, if it is.
    pub(crate) observations: u64,
    /// Whether it is told; controllers then go on for a while.
    pub(crate) drains: bool,
}

/// How far a run got, kept where a panic does not take it away.
pub(crate) struct Progress {
    steps: Cell<u64>,
    trace: RefCell<Trace>,
}

impl Progress {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { steps: Cell::new(0), trace: RefCell::new(Trace::new(keep)) }
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.get()
    }

    pub(crate) fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }

    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.trace.borrow_mut().take_lines()
    }

    pub(crate) fn line(&self, line: impl FnOnce() -> String) {
        self.trace.borrow_mut().line(line);
    }

    pub(crate) fn hash(&self, numbers: &[u64], bytes: &[u8]) {
        let mut trace = self.trace.borrow_mut();
        for number in numbers {
            trace.number(*number);
        }
        trace.bytes(bytes);
    }
}

/// Runs a seed to its end.
pub(crate) fn run(seed: u64, observations: u64, options: Options, progress: &Progress) -> Result<Report, Finding> {
    let mut rng = Rng::with_seed(seed);
    let scenario = Scenario::from_seed(&mut rng);
    let controllers =
        (0..scenario.connections.len()).map(|place| Controller::new(&mut rng, place, &scenario)).collect();
    let plan = Plan { observations, drains: rng.u8(..3) == 0 };
    let mut sights = Rng::with_seed(!rng.clone().u64(..));
    let mut world = World {
        scenario: &scenario,
        timeline: Timeline::starting_at(rng.u64(SECOND..1_000 * SECOND), scenario.box_plan.grid),
        excuses: Excuses::new(scenario.box_plan.margin),
        report: Report::default(),
        progress,
        plan,
        asks: rng.clone(),
        demands: Rng::with_seed(rng.clone().u64(..)),
        asked: 0,
        cameras: scenario.joined.iter().map(|_| Camera::new(&mut sights)).collect(),
        sights,
        controllers,
        lost_on_the_way: 0,
        arrived: 0,
        rng,
    };
    for (controller, plan) in scenario.connections.iter().enumerate() {
        let first = world.timeline.now() + world.rng.u64(..plan.period);
        world.timeline.schedule(first, Happening::Publish { controller });
    }
    for client in 0..scenario.clients.len() {
        let first = world.timeline.now() + world.asks.u64(..scenario.clients[client].pause);
        world.timeline.schedule(first, Happening::Ask { client });
    }
    for input in 0..scenario.joined.len() {
        let first = world.timeline.now() + world.sights.u64(..scenario.joined[input].period);
        world.timeline.schedule(first, Happening::Shoot { input });
    }
    let mut number = 0;
    while world.boot(number, options)? == End::Restart {
        number += 1;
    }
    world.finish()
}

impl World<'_> {
    /// The box from a start to its end.
    fn boot(&mut self, number: u64, options: Options) -> Result<End, Finding> {
        let scenario = self.scenario;
        let tasks: Vec<Task<'_>> = scenario.tasks.iter().map(|task| task.declare()).collect();
        let mut connections: Vec<Connection> =
            scenario.connections.iter().map(|plan| Connection::new(plan.declare())).collect();
        let mut agenda: Vec<engine::Agenda> = scenario.connections.iter().map(|_| engine::Agenda::default()).collect();
        let mut workers: Vec<engine::Worker> = scenario.workers.iter().map(|spec| engine::Worker::new(*spec)).collect();
        let mut records: Vec<engine::Record> = scenario.records.iter().map(RecordPlan::declare).collect();
        let mut clients: Vec<Client> = scenario.clients.iter().map(|plan| Client::new(plan.declare())).collect();
        let mut inputs: Vec<Joined> = scenario.joined.iter().map(|plan| Joined::new(plan.declare())).collect();
        // As few slots as the engine asks for: one that leaks is missing soon.
        let slots = slots_needed(connections.len(), &clients, workers.len(), &records);
        let mut free_slots: Vec<SlotId> = (0..u16::MAX).take(slots).map(SlotId).collect();
        let id = self.rng.u64(1..);
        let tables = Tables {
            tasks: &tasks,
            connections: &mut connections,
            agenda: &mut agenda,
            clients: &mut clients,
            inputs: &mut inputs,
            workers: &mut workers,
            records: &mut records,
            plans: &mut [],
            free_slots: &mut free_slots,
        };
        let engine = Engine::new(scenario.box_plan.declare(message::Boot::new(id)), tables);
        let engine = engine.map_err(|error| Finding { check: Check::Panic, what: format!("no engine: {error}") })?;
        Boot::new(self, number, id, engine, slots, options).run(self)
    }

    /// A controller publishes; its frame takes a while, or is lost.
    pub(crate) fn publish(&mut self, controller: usize) {
        let now = self.timeline.now();
        let odds = &self.scenario.odds;
        let seen = &mut self.report.disturbances;
        let remembers = self.scenario.task_of(controller).max_gap.is_some();
        if remembers && happens(&mut self.demands, odds.reset) {
            let bytes = self.controllers[controller].demand(&mut self.demands, seen);
            let delay = self.demands.u64(20 * MICRO..120 * MICRO);
            self.timeline.schedule(now + delay, Happening::ArriveReset { connection: controller, bytes });
        }
        let (bytes, pause) = self.controllers[controller].publish(&mut self.rng, now, odds, seen);
        self.report.observations += 1;
        if happens(&mut self.rng, odds.lost_in) {
            seen.note(Disturbance::LostOnTheWayIn);
            self.lost_on_the_way += 1;
        } else {
            let delay = self.rng.u64(20 * MICRO..120 * MICRO);
            self.timeline.schedule(now + delay, Happening::Arrive { connection: controller, bytes });
        }
        if self.publishing() {
            self.timeline.schedule(now + pause, Happening::Publish { controller });
        }
    }

    /// A client sends a request, which is not lost: one that is asks for nothing.
    pub(crate) fn ask(&mut self, client: usize) {
        let now = self.timeline.now();
        self.asked += 1;
        let seen = &mut self.report.disturbances;
        let (bytes, pause) = client::ask(&mut self.asks, self.scenario, client, (self.asked, now), seen);
        let delay = self.asks.u64(20 * MICRO..120 * MICRO);
        self.timeline.schedule(now + delay, Happening::ArriveRequest { client, bytes });
        if self.publishing() {
            self.timeline.schedule(now + pause, Happening::Ask { client });
        }
    }

    /// A camera publishes; its sample takes a while, or is lost.
    pub(crate) fn shoot(&mut self, input: usize) {
        let now = self.timeline.now();
        let (scenario, seen) = (self.scenario, &mut self.report.disturbances);
        let whose = (scenario, &scenario.joined[input]);
        let Shot { shown, delay, pause } = self.cameras[input].shoot(&mut self.sights, whose, now, seen);
        if let Some(delay) = delay {
            self.timeline.schedule(now + delay, Happening::ArriveSample { input, shown });
        }
        if self.publishing() {
            self.timeline.schedule(now + pause, Happening::Shoot { input });
        }
    }

    /// A response is on its way to a controller, or lost.
    pub(crate) fn deliver(&mut self, connection: usize, bytes: &[u8]) {
        if happens(&mut self.rng, self.scenario.odds.lost_out) {
            self.report.disturbances.note(Disturbance::LostAfterPut);
            return;
        }
        let at = self.timeline.now() + self.rng.u64(20 * MICRO..120 * MICRO);
        self.timeline.schedule(at, Happening::Deliver { connection, bytes: bytes.to_vec() });
    }

    pub(crate) fn delivered(&mut self, connection: usize, bytes: &[u8]) {
        let now = self.timeline.now();
        self.controllers[connection].receive(now, bytes);
    }

    /// Whether the box may still be restarted.
    pub(crate) fn before_the_end(&self) -> bool {
        self.report.observations < self.plan.observations
    }

    pub(crate) fn frames_arrived(&mut self, count: u64) {
        self.arrived += count;
    }

    fn publishing(&self) -> bool {
        let more = if self.plan.drains { AFTER_DRAIN } else { 0 };
        self.report.observations < self.plan.observations + more
    }

    /// The client's own count: what was published was lost on the way or reached a box.
    fn finish(mut self) -> Result<Report, Finding> {
        let published: u64 = self.controllers.iter().map(|controller| controller.published).sum();
        let accounted = self.lost_on_the_way + self.arrived;
        self.all_accounted(published, accounted)?;
        self.report.trace_hash = self.progress.trace.borrow().hash();
        self.report.trace = self.progress.take_lines();
        Ok(self.report)
    }

    fn all_accounted(&self, published: u64, accounted: u64) -> Verdict {
        let published_all = published == accounted && published == self.report.observations;
        Finding::unless(published_all, Check::Accounts, || {
            format!("{published} were published, {accounted} reached a box or were lost")
        })
    }
}

/// Observations that are published after the box was told to shut down.
const AFTER_DRAIN: u64 = 60;
