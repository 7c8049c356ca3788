//! What a seed decides before a run begins.

use engine::{
    ConnectionSpec, Degraded, Duration, Element, Envelope, Gives, Interpolation, ModelId, ModelSet, Overlap, PlanSpec,
    Settings, Start, Task, TaskId, TaskSpec, TooFast, WorkerSpec,
};
use fastrand::Rng;
use message::{Address, Boot, ContractDigest, ModelDigest, Place, Status};

use crate::{
    clock::{MICRO, MILLI, SECOND},
    scenario::between,
};

pub(super) const CONTROL: ModelId = ModelId(0);
pub(super) const REMOTE: ModelId = ModelId(1);
pub(super) const PLANNER: ModelId = ModelId(2);

/// How a task's observations are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By a model on the box.
    Control,
    /// One by one by a cluster.
    Remote,
    /// By the steps of plans.
    Plan,
}

pub(super) struct TaskPlan {
    pub(super) kind: Kind,
    pub(super) deadline: u64,
    pub(super) max_step: u64,
    pub(super) too_fast: TooFast,
    pub(super) elements: Vec<Element>,
    pub(super) plan: Option<PlanSpec>,
}

/// A robot: its task, and the time between its observations.
pub(super) struct Robot {
    pub(super) task: usize,
    pub(super) period: u64,
}

pub(super) struct Factory {
    pub(super) tasks: Vec<TaskPlan>,
    /// Those without plans come first, so that they are the same with and without the others.
    pub(super) robots: Vec<Robot>,
    pub(super) workers: Vec<WorkerSpec>,
    pub(super) margin: u64,
    pub(super) hang: u64,
    /// About how long a lane takes.
    pub(super) latency: u64,
    /// How often lanes fail, and what comes back is no plan: in ten-thousandths.
    pub(super) failing: u32,
    /// When the cluster is cut off, and for how long.
    pub(super) cuts: Vec<(u64, u64)>,
    pub(super) restarts: u32,
    pub(super) resets: u32,
}

impl Factory {
    pub(super) fn from_seed(seed: u64, until: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        // Lanes to a cluster, or workers on the box: what is played is the same.
        let place = if rng.u8(..3) == 0 { Place::Box } else { Place::Cluster };
        let mut tasks = vec![control(rng), remote(rng)];
        for _ in 0..rng.usize(1..=2) {
            tasks.push(planned(rng));
        }
        let mut robots: Vec<Robot> =
            (0..rng.usize(1..=3)).map(|_| Robot { task: 0, period: rng.u64(4..=10) * MILLI }).collect();
        robots.push(Robot { task: 1, period: rng.u64(60..=120) * MILLI });
        for task in 2..tasks.len() {
            for _ in 0..rng.usize(1..=2) {
                robots.push(Robot { task, period: rng.u64(2_000..=20_000) * MICRO });
            }
        }
        let worker = |model, place| WorkerSpec { models: ModelSet::EMPTY.with(model), spare: false, place };
        let mut workers = vec![worker(CONTROL, Place::Box), worker(REMOTE, Place::Cluster)];
        workers.extend((0..rng.usize(1..=3)).map(|_| worker(PLANNER, place)));
        let horizon = |task: &TaskPlan| task.plan.map_or(0, |plan| plan.horizon().nanos());
        let longest = tasks.iter().map(horizon).max().unwrap_or(SECOND);
        let cuts = if rng.bool() {
            (0..2).map(|_| (rng.u64(..until), longest + rng.u64(..SECOND))).collect()
        } else {
            Vec::new()
        };
        Self {
            margin: 500 * MICRO,
            // A lane is slower than any hang, a worker on the box is not.
            hang: if place == Place::Cluster { 40 * MILLI } else { 5 * SECOND },
            latency: rng.u64(5..=300) * MILLI,
            failing: if rng.bool() { 0 } else { rng.u32(..4_000) },
            cuts,
            restarts: if rng.bool() { 0 } else { rng.u32(..100) },
            resets: if rng.bool() { 0 } else { rng.u32(..100) },
            tasks,
            robots,
            workers,
        }
    }

    pub(super) fn task_of(&self, robot: usize) -> &TaskPlan {
        &self.tasks[self.robots[robot].task]
    }

    pub(super) fn is_cut(&self, now: u64) -> bool {
        self.cuts.iter().any(|(from, span)| (*from..from + span).contains(&now))
    }

    pub(super) fn settings(&self) -> Settings {
        let hang = Duration::from_nanos(self.hang);
        let margin = Duration::from_nanos(self.margin);
        Settings {
            boot: Boot::new(1),
            margin,
            // More than a control worker's late inferences: it has no spare.
            max_overruns: 16,
            overrun_window: Duration::from_nanos(60 * MILLI),
            hang,
            overhead: Duration::ZERO,
            status: Status::NONE,
        }
    }
}

impl TaskPlan {
    pub(super) fn model(&self) -> ModelId {
        match self.kind {
            Kind::Control => CONTROL,
            Kind::Remote => REMOTE,
            Kind::Plan => PLANNER,
        }
    }

    pub(super) fn contract(&self) -> ContractDigest {
        ContractDigest::new([self.model().0 + 1; 16])
    }

    pub(super) fn declare(&self) -> Task<'_> {
        let envelope = Envelope::new(&self.elements, self.too_fast, Duration::from_nanos(self.max_step));
        let spec = TaskSpec {
            contract: self.contract(),
            model: self.model(),
            model_digest: ModelDigest::new([self.model().0 + 1; 32]),
            inputs: 1,
            deadline: Duration::from_nanos(self.deadline),
            min_period: Duration::from_nanos(1),
            arrival_jitter: Duration::ZERO,
            hold: Duration::from_nanos(50 * MILLI),
            gives: Gives::Action(envelope.expect("a factory's elements are good")),
            degraded: Degraded::Keep,
            max_gap: None,
            plan: self.plan,
            status: Status::NONE,
        };
        Task::new(spec).expect("a factory declares only what can be answered")
    }
}

pub(super) fn address(robot: usize) -> Address {
    Address::new(u32::try_from(robot).expect("a factory is small") + 1)
}

pub(super) fn connection(robot: usize, task: usize) -> ConnectionSpec {
    ConnectionSpec { task: TaskId(u16::try_from(task).expect("a factory is small")), address: address(robot) }
}

fn control(rng: &mut Rng) -> TaskPlan {
    let elements = elements(rng);
    let too_fast = TooFast::Clamp;
    TaskPlan { kind: Kind::Control, deadline: 8 * MILLI, max_step: 10 * MILLI, too_fast, elements, plan: None }
}

fn remote(rng: &mut Rng) -> TaskPlan {
    let elements = elements(rng);
    let too_fast = TooFast::Clamp;
    TaskPlan { kind: Kind::Remote, deadline: 60 * MILLI, max_step: 10 * MILLI, too_fast, elements, plan: None }
}

fn planned(rng: &mut Rng) -> TaskPlan {
    let period = rng.u64(10..=50) * MILLI;
    let steps = rng.u16(2..=40);
    let horizon = period * u64::from(steps);
    let nanos = Duration::from_nanos;
    let plan = PlanSpec {
        period: nanos(period),
        steps,
        interpolation: [Interpolation::Hold, Interpolation::Linear, Interpolation::Cubic][rng.usize(..3)],
        overlap: match rng.u8(..5) {
            0 | 1 => Overlap::Freeze,
            place => Overlap::Blend(nanos(u64::from(place - 2) * 30 * MILLI)),
        },
        refresh: rng.bool().then_some(nanos(horizon / 3)),
        timeout: nanos(rng.u64(100..=800) * MILLI),
        retry: nanos(rng.u64(..200) * MILLI),
    };
    TaskPlan {
        kind: Kind::Plan,
        deadline: 8 * MILLI,
        max_step: 20 * MILLI,
        too_fast: if rng.u8(..3) == 0 { TooFast::Fallback } else { TooFast::Clamp },
        elements: elements(rng),
        plan: Some(plan),
    }
}

fn elements(rng: &mut Rng) -> Vec<Element> {
    let quick = rng.u8(..3) > 0;
    let one = |rng: &mut Rng| Element {
        min: between(rng, -2.0, -1.0),
        max: between(rng, 1.0, 2.0),
        max_change_per_s: if quick { between(rng, 500.0, 1_000.0) } else { between(rng, 2.0, 20.0) },
        rest: 0.0,
        start: Start::Value(between(rng, -0.5, 0.5)),
    };
    (0..rng.usize(1..=4)).map(|_| one(rng)).collect()
}
