//! What a seed decides before a run begins: the box's tasks, connections and workers, and the odds of each disturbance.

use engine::{
    Carries, ClientSpec, ConnectionSpec, Degraded, Duration, Element, Envelope, Executions, Gives, JoinedSpec,
    MAX_ACTION, ModelId, ModelSet, Record, RecordSpec, SampleClock, Settings, Share, Start, Task, TaskId, TaskSpec,
    TooFast, WorkerSpec,
};
use fastrand::Rng;
use message::{Address, Boot, ContractDigest, ModelDigest, Place, Status};

use crate::{
    clock::{MICRO, MILLI, SECOND},
    input::{connection_id, worker_id},
};

/// Everything that stays the same over a run.
pub(crate) struct Scenario {
    pub(crate) tasks: Vec<TaskPlan>,
    pub(crate) connections: Vec<ConnectionPlan>,
    /// In most seeds there are none.
    pub(crate) clients: Vec<ClientPlan>,
    /// In most seeds there are none. In the order of the connections.
    pub(crate) joined: Vec<JoinedPlan>,
    pub(crate) workers: Vec<WorkerSpec>,
    pub(crate) records: Vec<RecordPlan>,
    pub(crate) box_plan: BoxPlan,
    pub(crate) odds: Odds,
}

/// A task as the simulator and its reference model know it.
pub(crate) struct TaskPlan {
    pub(crate) contract: ContractDigest,
    pub(crate) model: ModelId,
    pub(crate) model_digest: ModelDigest,
    pub(crate) inputs: usize,
    pub(crate) deadline: u64,
    pub(crate) min_period: u64,
    pub(crate) arrival_jitter: u64,
    pub(crate) hold: u64,
    pub(crate) max_step: u64,
    pub(crate) too_fast: TooFast,
    pub(crate) elements: Vec<Element>,
    pub(crate) degraded: Degraded,
    /// How long the model's memory of a connection counts; `None`: it has none.
    pub(crate) max_gap: Option<u64>,
    pub(crate) status: Status,
}

/// What was measured of a model on a worker.
pub(crate) struct RecordPlan {
    pub(crate) worker: usize,
    pub(crate) model: ModelId,
    /// Of a batch of each size, from one to the largest.
    pub(crate) executions: Vec<u64>,
    pub(crate) window: u32,
    /// In millionths.
    pub(crate) above: u32,
    /// How many in a window are not too many.
    pub(crate) most: u32,
}

/// One robot's controller and its key.
pub(crate) struct ConnectionPlan {
    pub(crate) task: usize,
    pub(crate) address: Address,
    pub(crate) period: u64,
}

/// One client and its key.
pub(crate) struct ClientPlan {
    pub(crate) task: usize,
    pub(crate) address: Address,
    pub(crate) min_period: u64,
    pub(crate) arrival_jitter: u64,
    pub(crate) queue: u8,
    /// How long it waits from one request to the next, about.
    pub(crate) pause: u64,
    pub(crate) floods: bool,
}

/// One joined input, and how its sender behaves: odds are in ten-thousandths of its samples.
pub(crate) struct JoinedPlan {
    pub(crate) connection: usize,
    pub(crate) address: Address,
    pub(crate) values: usize,
    pub(crate) max_age: u64,
    pub(crate) synchronised: bool,
    /// How long from one sample to the next, about.
    pub(crate) period: u64,
    pub(crate) lost: u32,
    pub(crate) late: u32,
    pub(crate) wrong: u32,
    pub(crate) stall: u32,
    pub(crate) flood: u32,
    pub(crate) restart: u32,
    pub(crate) restart_loop: u32,
    /// It is a camera, whose pictures are read outside the engine.
    pub(crate) pictures: bool,
}

/// What holds for the whole box, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct BoxPlan {
    pub(crate) margin: u64,
    pub(crate) max_overruns: u8,
    pub(crate) overrun_window: u64,
    pub(crate) hang: u64,
    /// What the box adds to each execution.
    pub(crate) overhead: u64,
    pub(crate) status: Status,
    /// Points of time are multiples of this.
    pub(crate) grid: u64,
    /// How long inferences take, in percent of what is usual.
    pub(crate) pace: u64,
    /// Frames that wait for the engine, for each connection.
    pub(crate) queue: usize,
}

/// How often a disturbance happens, in ten-thousandths of its occasions; half of them never in a run.
pub(crate) struct Odds {
    pub(crate) jitter: u32,
    pub(crate) burst: u32,
    pub(crate) flood: u32,
    pub(crate) budget: u32,
    pub(crate) mangle: u32,
    pub(crate) restart: u32,
    pub(crate) restart_loop: u32,
    pub(crate) old_instance: u32,
    pub(crate) lost_in: u32,
    pub(crate) edge: u32,
    pub(crate) edge_sought: u32,
    pub(crate) lost_out: u32,
    pub(crate) robot_stall: u32,
    pub(crate) engine_late: u32,
    pub(crate) any_order: u32,
    pub(crate) slow: u32,
    pub(crate) around_due: u32,
    pub(crate) hung_long: u32,
    pub(crate) hung_forever: u32,
    pub(crate) bad_output: u32,
    pub(crate) too_fast: u32,
    pub(crate) put_delayed: u32,
    pub(crate) put_past_deadline: u32,
    pub(crate) put_stalled: u32,
    pub(crate) link_failed: u32,
    pub(crate) box_restart: u32,
    pub(crate) noise: u32,
    pub(crate) record_void: u32,
    pub(crate) reset: u32,
}

/// A grid on which many things happen at once; margins fit it.
const COARSE: u64 = 20 * MICRO;

/// Whether something with these odds happens now.
pub(crate) fn happens(rng: &mut Rng, odds: u32) -> bool {
    rng.u32(..10_000) < odds
}

/// A float between these, for values and rates.
pub(crate) fn between(rng: &mut Rng, low: f32, high: f32) -> f32 {
    low + (high - low) * rng.f32()
}

impl Scenario {
    pub(crate) fn from_seed(rng: &mut Rng) -> Self {
        let margin = rng.u64(15..=45) * COARSE;
        // Sometimes many robots of one deadline share few workers with short inferences, so that some wait together.
        let crowded = rng.bool();
        let models = if crowded { rng.u8(1..=2) } else { rng.u8(1..=3) };
        let one_for_all = crowded.then(|| (deadline(rng), schedulable(rng)));
        let mut tasks = (0..rng.u8(1..=4)).map(|name| task(rng, (name, models), one_for_all)).collect::<Vec<_>>();
        // Of its own numbers, so that a seed is otherwise what it was.
        remember(&mut Rng::with_seed(rng.clone().u64(..)), &mut tasks);
        let robots = if crowded { rng.usize(8..=14) } else { rng.usize(1..=6) };
        let pace = if crowded { 40 } else { 100 };
        let connections: Vec<ConnectionPlan> =
            (0..robots).map(|robot| connection(rng, robot, &tasks, crowded)).collect();
        let workers = workers(rng, models, crowded);
        let longest = tasks.iter().map(|task| task.deadline).max().unwrap_or(SECOND);
        Self {
            records: records(rng, &workers, &tasks, pace),
            // Of its own numbers, so that a seed without clients is what it was.
            clients: clients(&mut rng.clone(), &tasks),
            joined: joined(&mut Rng::with_seed(!rng.clone().u64(..)), &connections, &tasks),
            workers,
            connections,
            tasks,
            box_plan: BoxPlan {
                margin,
                max_overruns: rng.u8(2..=16),
                overrun_window: rng.u64(20..=1_000) * MILLI,
                hang: longest * 2 + rng.u64(..200) * MILLI,
                overhead: rng.u64(..=10) * COARSE,
                status: *pick(rng, &[Status::NONE, Status::UNMEASURED, Status::UNSCHEDULABLE.with(Status::INSECURE)]),
                grid: if rng.u8(..3) == 0 { COARSE } else { 1 },
                pace,
                queue: rng.usize(1..=12),
            },
            odds: odds(rng),
        }
    }
}

impl TaskPlan {
    /// The task as the engine is told of it.
    pub(crate) fn declare(&self) -> Task<'_> {
        let envelope = Envelope::new(&self.elements, self.too_fast, Duration::from_nanos(self.max_step));
        let spec = |envelope| TaskSpec {
            contract: self.contract,
            model: self.model,
            model_digest: self.model_digest,
            inputs: self.inputs,
            deadline: Duration::from_nanos(self.deadline),
            min_period: Duration::from_nanos(self.min_period),
            arrival_jitter: Duration::from_nanos(self.arrival_jitter),
            hold: Duration::from_nanos(self.hold),
            gives: Gives::Action(envelope),
            degraded: self.degraded,
            max_gap: self.max_gap.map(Duration::from_nanos),
            plan: None,
            status: self.status,
        };
        envelope
            .and_then(|envelope| Task::new(spec(envelope)))
            .expect("a scenario declares only tasks that can be answered")
    }

    /// The bytes of its longest frame.
    pub(crate) fn max_frame(&self) -> usize {
        message::Observation::OVERHEAD + self.inputs * size_of::<f32>()
    }
}

impl RecordPlan {
    pub(crate) fn declare(&self) -> Record {
        let above = Share::from_parts_per_million(self.above).expect("a scenario's shares are small");
        let sizes: Vec<Duration> = self.executions.iter().copied().map(Duration::from_nanos).collect();
        let executions = Executions::new(&sizes).expect("a scenario's batches are worth their while");
        let (worker, model, window) = (worker_id(self.worker), self.model, self.window);
        let record = Record::new(RecordSpec { worker, model, executions, above, window });
        record.expect("a scenario's windows are long enough")
    }

    /// How long an inference of so many takes at most; `None`: it may not be so large.
    pub(crate) fn execution(&self, members: usize) -> Option<u64> {
        self.executions.get(members.checked_sub(1)?).copied()
    }
}

impl Scenario {
    /// What was measured of this model on this worker.
    pub(crate) fn record(&self, worker: usize, model: ModelId) -> Option<&RecordPlan> {
        self.records.iter().find(|record| (record.worker, record.model) == (worker, model))
    }

    /// The task of this connection.
    pub(crate) fn task_of(&self, connection: usize) -> &TaskPlan {
        &self.tasks[self.connections[connection].task]
    }
}

impl ConnectionPlan {
    pub(crate) fn declare(&self) -> ConnectionSpec {
        let task = u16::try_from(self.task).expect("a scenario has few tasks");
        ConnectionSpec { task: TaskId(task), address: self.address }
    }
}

impl ClientPlan {
    pub(crate) fn declare(&self) -> ClientSpec {
        let task = u16::try_from(self.task).expect("a scenario has few tasks");
        ClientSpec {
            task: TaskId(task),
            address: self.address,
            min_period: Duration::from_nanos(self.min_period),
            arrival_jitter: Duration::from_nanos(self.arrival_jitter),
            queue: self.queue,
        }
    }
}

impl JoinedPlan {
    pub(crate) fn declare(&self) -> JoinedSpec {
        JoinedSpec {
            connection: connection_id(self.connection),
            carries: if self.pictures {
                Carries::Pictures
            } else {
                Carries::Values { address: self.address, values: self.values }
            },
            max_age: Duration::from_nanos(self.max_age),
            clock: if self.synchronised { SampleClock::Synchronised } else { SampleClock::Arrival },
        }
    }

    /// The bytes of its longest frame.
    pub(crate) fn max_frame(&self) -> usize {
        message::Input::OVERHEAD + self.values * size_of::<f32>()
    }
}

impl BoxPlan {
    pub(crate) fn declare(&self, boot: Boot) -> Settings {
        Settings {
            boot,
            margin: Duration::from_nanos(self.margin),
            max_overruns: self.max_overruns,
            overrun_window: Duration::from_nanos(self.overrun_window),
            hang: Duration::from_nanos(self.hang),
            overhead: Duration::from_nanos(self.overhead),
            status: self.status,
        }
    }
}

fn deadline(rng: &mut Rng) -> u64 {
    *pick(rng, &[4, 8, 10, 20, 33]) * MILLI
}

fn schedulable(rng: &mut Rng) -> Status {
    *pick(rng, &[Status::NONE, Status::UNSCHEDULABLE])
}

fn task(rng: &mut Rng, (name, models): (u8, u8), one_for_all: Option<(u64, Status)>) -> TaskPlan {
    let inputs = rng.usize(1..=12);
    let model = if name < models { name } else { rng.u8(..models) };
    let (deadline, status) = one_for_all.unwrap_or_else(|| (deadline(rng), schedulable(rng)));
    let long = rng.u8(..12) == 0;
    let elements = if long { MAX_ACTION } else { rng.usize(1..=7) };
    let (min_period, arrival_jitter) = period(rng, deadline);
    TaskPlan {
        contract: ContractDigest::new([name + 1; 16]),
        model: ModelId(model),
        model_digest: ModelDigest::new([model + 1; 32]),
        inputs,
        deadline,
        min_period,
        arrival_jitter,
        hold: *pick(rng, &[0, 5, 50, 200]) * MILLI,
        max_step: *pick(rng, &[2, 10, 40]) * MILLI,
        too_fast: if rng.bool() { TooFast::Clamp } else { TooFast::Fallback },
        elements: (0..elements).map(|_| element(rng, inputs)).collect(),
        degraded: *pick(
            rng,
            &[Degraded::Keep, Degraded::Keep, Degraded::LowerRate { factor: 2 + u16::from(name) }, Degraded::Rest],
        ),
        max_gap: None,
        status,
    }
}

/// Most models remember something, for not much longer than from one observation to the next, or for long.
fn remember(rng: &mut Rng, tasks: &mut [TaskPlan]) {
    for place in 0..tasks.len() {
        let own =
            (rng.u8(..4) > 0).then(|| (tasks[place].deadline * rng.u64(100..=800) / 100).next_multiple_of(COARSE));
        // Tasks of one model remember alike.
        let first = tasks.iter().position(|task| task.model == tasks[place].model);
        tasks[place].max_gap = first.filter(|first| *first < place).map_or(own, |first| tasks[first].max_gap);
    }
}

/// A shortest period that hardly ever binds, or one near the deadline, and its jitter: none, some, or whole bursts.
fn period(rng: &mut Rng, deadline: u64) -> (u64, u64) {
    if rng.u8(..3) == 0 {
        return (1, 0);
    }
    let period = (deadline * rng.u64(30..=300) / 100).next_multiple_of(COARSE);
    let jitter = *pick(rng, &[0, period / 10, period / 2, 2 * period]);
    (period, jitter.next_multiple_of(COARSE))
}

fn element(rng: &mut Rng, inputs: usize) -> Element {
    let min = between(rng, -3.0, 0.5);
    let max = min + between(rng, 0.5, 4.0);
    let input = u32::try_from(rng.usize(..inputs)).expect("a task has few inputs");
    Element {
        min,
        max,
        max_change_per_s: between(rng, 0.5, 60.0),
        rest: between(rng, min, max).clamp(min, max),
        start: if rng.bool() {
            Start::Observation(input)
        } else {
            Start::Value(between(rng, min, max).clamp(min, max))
        },
    }
}

fn connection(rng: &mut Rng, robot: usize, tasks: &[TaskPlan], crowded: bool) -> ConnectionPlan {
    let task = if robot < tasks.len() { robot } else { rng.usize(..tasks.len()) };
    // From nearly twice as fast as its deadline, so that observations supersede each other, to four times slower.
    let period = tasks[task].deadline * rng.u64(60..=if crowded { 120 } else { 400 }) / 100;
    // Most controllers keep to their task's period, the others are always too fast.
    let period = if rng.u8(..4) > 0 { period.max(tasks[task].min_period) } else { period };
    ConnectionPlan { task, address: Address::of(&format!("robot-{robot}"), &format!("task-{task}")), period }
}

/// In a third of the seeds some clients, of which some flood.
fn clients(rng: &mut Rng, tasks: &[TaskPlan]) -> Vec<ClientPlan> {
    let count = if rng.u8(..3) == 0 { rng.usize(1..=5) } else { 0 };
    let client = |rng: &mut Rng, name: usize| {
        let task = rng.usize(..tasks.len());
        let pause = tasks[task].deadline * rng.u64(50..=300) / 100;
        let free = rng.u8(..4) == 0;
        ClientPlan {
            task,
            address: Address::of(&format!("client-{name}"), &format!("task-{task}")),
            min_period: if free { 1 } else { (pause / 2).next_multiple_of(COARSE) },
            arrival_jitter: *pick(rng, &[0, pause / 4, 3 * pause]),
            queue: rng.u8(1..=6),
            pause,
            floods: rng.u8(..3) == 0,
        }
    };
    (0..count).map(|name| client(rng, name)).collect()
}

/// In a third of the seeds most connections have joined inputs, of which some are hardly ever young enough.
fn joined(rng: &mut Rng, connections: &[ConnectionPlan], tasks: &[TaskPlan]) -> Vec<JoinedPlan> {
    if rng.u8(..3) > 0 {
        return Vec::new();
    }
    let mut inputs = Vec::new();
    for (connection, plan) in connections.iter().enumerate() {
        for name in 0..rng.usize(..=3) {
            let deadline = tasks[plan.task].deadline;
            let period = deadline * rng.u64(50..=400) / 100;
            let mut up_to = |most: u32| if rng.bool() { 0 } else { rng.u32(1..=most) };
            let odds = [up_to(500), up_to(1_000), up_to(1_000), up_to(100), up_to(50), up_to(100), up_to(20)];
            let [lost, late, wrong, stall, flood, restart, restart_loop] = odds;
            inputs.push(JoinedPlan {
                connection,
                address: Address::of_input(&format!("robot-{connection}"), "task", &format!("input-{name}")),
                values: rng.usize(1..=6),
                max_age: period * rng.u64(80..=500) / 100,
                synchronised: rng.bool(),
                period,
                lost,
                late,
                wrong,
                stall,
                flood,
                restart,
                restart_loop,
                pictures: rng.u8(..3) == 0,
            });
        }
    }
    inputs
}

/// Each model has a worker; others and spares have some models or all.
fn workers(rng: &mut Rng, models: u8, few: bool) -> Vec<WorkerSpec> {
    let all = (0..models).fold(ModelSet::EMPTY, |set, model| set.with(ModelId(model)));
    let some = |rng: &mut Rng| {
        let first = ModelSet::EMPTY.with(ModelId(rng.u8(..models)));
        if rng.bool() { all } else { first }
    };
    let mut workers: Vec<WorkerSpec> = if few || rng.bool() {
        vec![WorkerSpec { models: all, spare: false, place: Place::Box }]
    } else {
        (0..models)
            .map(|model| WorkerSpec { models: ModelSet::EMPTY.with(ModelId(model)), spare: false, place: Place::Box })
            .collect()
    };
    for _ in 0..rng.u8(..=if few { 0 } else { 2 }) {
        workers.push(WorkerSpec { models: some(rng), spare: false, place: Place::Box });
    }
    for _ in 0..rng.u8(..=2) {
        workers.push(WorkerSpec { models: some(rng), spare: true, place: Place::Box });
    }
    rng.shuffle(&mut workers);
    workers
}

/// Most models of most workers were measured, some badly: with an execution that many inferences exceed.
fn records(rng: &mut Rng, workers: &[WorkerSpec], tasks: &[TaskPlan], pace: u64) -> Vec<RecordPlan> {
    let mut records = Vec::new();
    for (worker, spec) in workers.iter().enumerate() {
        for task in tasks.iter().filter(|task| spec.models.contains(task.model)) {
            let again = records.iter().any(|one: &RecordPlan| (one.worker, one.model) == (worker, task.model));
            if again || rng.u8(..6) == 0 {
                continue;
            }
            let (window, above) = (rng.u32(60..=400), *pick(rng, &[1_000, 10_000, 50_000, 200_000]));
            let most = most_above(window, above);
            let executions = executions(rng, task.deadline * pace / 100);
            records.push(RecordPlan { worker, model: task.model, executions, window, above, most });
        }
    }
    records
}

/// Batches up to eight, each member more for nothing, for as much as one alone, or in between.
fn executions(rng: &mut Rng, usual: u64) -> Vec<u64> {
    let percent = if rng.u8(..3) > 0 { rng.u64(45..=65) } else { rng.u64(45..=260) };
    let alone = usual * percent / 100;
    let more = alone * *pick(rng, &[0, 30, 60, 100]) / 100;
    (0..*pick(rng, &[1, 4, 8, 8])).map(|others| alone + others * more).collect()
}

/// The least count that a healthy worker exceeds in one window of a million at most: the distribution summed from
/// none upwards, which does for a scenario's short windows.
fn most_above(window: u32, above: u32) -> u32 {
    let (trials, share) = (f64::from(window), f64::from(above) / 1e6);
    let mut probability = (1.0 - share).powf(trials);
    let (mut sum, mut count) = (probability, 0);
    while 1.0 - sum > 1e-6 {
        probability *= (trials - f64::from(count)) / f64::from(count + 1) * share / (1.0 - share);
        count += 1;
        sum += probability;
    }
    count
}

fn odds(rng: &mut Rng) -> Odds {
    let mut up_to = |most: u32| if rng.bool() { 0 } else { rng.u32(1..=most) };
    Odds {
        jitter: up_to(10_000),
        burst: up_to(200),
        flood: up_to(20),
        budget: up_to(5_000),
        mangle: up_to(1_500),
        restart: up_to(300),
        restart_loop: up_to(8),
        old_instance: up_to(300),
        lost_in: up_to(300),
        edge: up_to(400),
        edge_sought: up_to(10_000),
        lost_out: up_to(500),
        robot_stall: up_to(20),
        engine_late: up_to(150),
        any_order: up_to(6_000),
        slow: up_to(1_500),
        around_due: up_to(2_000),
        hung_long: up_to(20),
        hung_forever: up_to(3),
        bad_output: up_to(500),
        too_fast: up_to(3_000),
        put_delayed: up_to(4_000),
        put_past_deadline: up_to(40),
        put_stalled: up_to(60),
        link_failed: up_to(200),
        box_restart: up_to(4),
        noise: up_to(50),
        record_void: up_to(4),
        reset: up_to(300),
    }
}

fn pick<'c, T>(rng: &mut Rng, choices: &'c [T]) -> &'c T {
    &choices[rng.usize(..choices.len())]
}
