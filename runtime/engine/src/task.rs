//! What the daemon declares before the first observation: tasks, envelopes, connections, workers.
//!
//! Everything is checked when it is built, so that the engine meets no task that cannot be answered.

use message::{Address, ContractDigest, ModelDigest, Place};

use crate::{
    plan::{MAX_PLAN, PlanSpec},
    time::Duration,
};

/// The most elements an action may have.
pub const MAX_ACTION: usize = 64;
/// The most observations that one inference answers: the 64 robots of a whole cell line on one worker at once. Each
/// costs a worker 24 bytes and a timing record 8.
pub const MAX_BATCH: usize = 64;
/// The most one-off requests of one client that may wait. A longer queue would only let more of them expire.
pub const MAX_QUEUE: usize = 16;

/// Which task, by its place in the table handed to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(pub u16);

/// Which model, below [`ModelSet::CAPACITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelId(pub u8);

/// Which connection (a robot and a task), by its place in the table handed to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u16);

/// Which client (one who sends one-off requests of a task), by its place in the table handed to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId(pub u16);

/// Which worker, by its place in the table handed to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WorkerId(pub u16);

/// Which slot of the daemon's memory: one observation's values and the action computed from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(pub u16);

/// The models of which a worker owns a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelSet(u32);

impl ModelSet {
    /// How many models a box may have.
    pub const CAPACITY: u8 = 32;
    /// No model.
    pub const EMPTY: Self = Self(0);

    /// This set and `model`.
    ///
    /// # Panics
    /// If the model's number is not below [`Self::CAPACITY`].
    #[must_use]
    pub fn with(self, model: ModelId) -> Self {
        assert!(model.0 < Self::CAPACITY, "a box has at most {} models", Self::CAPACITY);
        Self(self.0 | 1u32.wrapping_shl(u32::from(model.0)))
    }

    /// Whether `model` is in the set.
    #[must_use]
    pub fn contains(self, model: ModelId) -> bool {
        model.0 < Self::CAPACITY && self.0 & 1u32.wrapping_shl(u32::from(model.0)) != 0
    }

    /// Every model that a box may have.
    pub(crate) fn all() -> impl Iterator<Item = ModelId> {
        (0..Self::CAPACITY).map(ModelId)
    }

    /// Whether every model of `other` is in this set.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }
}

/// From where the first action of a connection is measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// A declared value inside the range.
    Value(f32),
    /// This element of the observation, clamped into the range.
    Observation(u32),
}

/// One element of an action: its range, its rate limit, its rest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Element {
    /// The smallest value that may leave, in the element's unit.
    pub min: f32,
    /// The largest value that may leave, in the element's unit.
    pub max: f32,
    /// The largest change, in the element's unit per second.
    pub max_change_per_s: f32,
    /// Where a fallback ramps to.
    pub rest: f32,
    /// From where the first action is measured.
    pub start: Start,
}

impl Element {
    /// From where a connection's first action is measured, given its observation.
    pub fn starts_at(&self, mut observation: impl Iterator<Item = f32>) -> f32 {
        let value = match self.start {
            Start::Value(value) => value,
            Start::Observation(index) => {
                usize::try_from(index).ok().and_then(|index| observation.nth(index)).unwrap_or(self.rest)
            }
        };
        if value.is_nan() { self.rest } else { value.clamp(self.min, self.max) }
    }
}

/// What happens to a model's action that is inside the range but changes too fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooFast {
    /// It is clamped to the rate limit, and the response says so.
    Clamp,
    /// A fallback goes out in its place (except right after a fallback, when it is clamped).
    Fallback,
}

/// What no action of a task may leave.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'t> {
    elements: &'t [Element],
    too_fast: TooFast,
    max_step: Duration,
}

/// Why an envelope or a task was refused when it was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclarationError {
    /// An action needs between 1 and [`MAX_ACTION`] elements, results at least 1.
    Elements,
    /// A bound, rate, rest or start is not finite, or `min` is not below `max`.
    NotFinite,
    /// `max_change_per_s` is not above zero.
    Rate,
    /// `rest` or a declared `start` lies outside the range.
    OutsideRange,
    /// `start` names an element that the observation does not have.
    StartElement,
    /// The longest step of the rate limit is zero.
    MaxStep,
    /// The observation has no element.
    Inputs,
    /// `min_period` is zero.
    MinPeriod,
    /// A plan has no period, fewer than two steps, more than [`MAX_PLAN`] values or no timeout, or its task gives no action,
    /// remembers something or changes with a timing record.
    Plan,
    /// The factor of a lower rate is below 2.
    RateFactor,
}

impl core::fmt::Display for DeclarationError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Elements => "an action needs between 1 and 64 elements, results at least 1",
            Self::NotFinite => "a bound, rate, rest or start is not finite, or min is not below max",
            Self::Rate => "max_change_per_s must be above zero",
            Self::OutsideRange => "rest or start lies outside the range",
            Self::StartElement => "start names an element that the observation does not have",
            Self::MaxStep => "max_step_us must be above zero",
            Self::Inputs => "the observation has no element",
            Self::MinPeriod => "min_period_us must be above zero",
            Self::Plan => {
                "a plan needs a period, two steps, at most 16384 values and a timeout; its task gives an action, has no state and keeps on when degraded"
            }
            Self::RateFactor => "the factor of a lower rate must be at least 2",
        })
    }
}

impl core::error::Error for DeclarationError {}

impl<'t> Envelope<'t> {
    /// Checks and builds an envelope; `max_step` is the longest time over which the rate limit is measured.
    ///
    /// # Errors
    /// The first [`DeclarationError`] that an element shows.
    pub fn new(elements: &'t [Element], too_fast: TooFast, max_step: Duration) -> Result<Self, DeclarationError> {
        if elements.is_empty() || elements.len() > MAX_ACTION {
            return Err(DeclarationError::Elements);
        }
        if max_step == Duration::ZERO {
            return Err(DeclarationError::MaxStep);
        }
        elements.iter().try_for_each(check_element)?;
        Ok(Self { elements, too_fast, max_step })
    }

    /// The elements, in the action's order.
    #[must_use]
    pub const fn elements(&self) -> &'t [Element] {
        self.elements
    }

    /// What happens to an action that changes too fast.
    #[must_use]
    pub const fn too_fast(&self) -> TooFast {
        self.too_fast
    }

    /// The longest time over which the rate limit is measured.
    #[must_use]
    pub const fn max_step(&self) -> Duration {
        self.max_step
    }
}

fn check_element(element: &Element) -> Result<(), DeclarationError> {
    let Element { min, max, max_change_per_s, rest, start } = *element;
    let start = match start {
        Start::Value(value) => value,
        Start::Observation(_) => rest,
    };
    if ![min, max, max_change_per_s, rest, start].iter().all(|value| value.is_finite()) || min >= max {
        return Err(DeclarationError::NotFinite);
    }
    if max_change_per_s <= 0.0 {
        return Err(DeclarationError::Rate);
    }
    if ![rest, start].iter().all(|value| (min..=max).contains(value)) {
        return Err(DeclarationError::OutsideRange);
    }
    Ok(())
}

/// What a task's model gives.
#[derive(Debug, Clone, Copy)]
pub enum Gives<'t> {
    /// An action, and what it may not leave.
    Action(Envelope<'t>),
    /// Results for who asks once, so many f32 values: held to no range. No robot can be answered with them.
    Results {
        /// Above 0.
        values: usize,
    },
}

/// What a task is declared with.
#[derive(Debug, Clone, Copy)]
pub struct TaskSpec<'t> {
    /// What the controller must have been built for.
    pub contract: ContractDigest,
    /// The model that answers.
    pub model: ModelId,
    /// The digest of the model's file, as responses carry it.
    pub model_digest: ModelDigest,
    /// How many f32 values an observation has.
    pub inputs: usize,
    /// The longest budget, and the one of an observation that names none.
    pub deadline: Duration,
    /// The shortest time from one observation to the next, above zero.
    pub min_period: Duration,
    /// How much sooner than that an observation may come after one that came late.
    pub arrival_jitter: Duration,
    /// How long the last action is repeated before a fallback ramps to rest.
    pub hold: Duration,
    /// What its model gives.
    pub gives: Gives<'t>,
    /// What it does when its model's timing record is void.
    pub degraded: Degraded,
    /// How long after it last advanced the state of a connection counts; `None`: the model remembers nothing.
    pub max_gap: Option<Duration>,
    /// How it plays its model's output; `None`: that is one action, for the observation that it was computed from.
    pub plan: Option<PlanSpec>,
    /// What each of its responses is marked with. With [`message::Status::UNSCHEDULABLE`] its observations may also be
    /// overtaken by batches of other models.
    pub status: message::Status,
}

/// What a task does while a timing record of its model is void. Its responses are marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degraded {
    /// The model goes on answering.
    Keep,
    /// The model goes on answering, and the shortest period is so many times as long.
    LowerRate {
        /// At least 2.
        factor: u16,
    },
    /// Fallbacks answer, at once.
    Rest,
}

/// A task: the named contract that an observation is answered under.
#[derive(Debug, Clone, Copy)]
pub struct Task<'t>(TaskSpec<'t>);

impl<'t> Task<'t> {
    /// Checks and builds a task.
    ///
    /// # Errors
    /// [`DeclarationError`] if no observation of this task could be answered.
    pub fn new(spec: TaskSpec<'t>) -> Result<Self, DeclarationError> {
        if spec.inputs == 0 {
            return Err(DeclarationError::Inputs);
        }
        if spec.min_period == Duration::ZERO {
            return Err(DeclarationError::MinPeriod);
        }
        if matches!(spec.degraded, Degraded::LowerRate { factor: 0 | 1 }) {
            return Err(DeclarationError::RateFactor);
        }
        if matches!(spec.gives, Gives::Results { values: 0 }) {
            return Err(DeclarationError::Elements);
        }
        if !Self(spec).plays_what_it_may() {
            return Err(DeclarationError::Plan);
        }
        for element in Self(spec).envelope().elements() {
            match element.start {
                Start::Observation(index) if usize::try_from(index).is_ok_and(|index| index >= spec.inputs) => {
                    return Err(DeclarationError::StartElement);
                }
                Start::Observation(_) | Start::Value(_) => {}
            }
        }
        Ok(Self(spec))
    }

    /// What the controller must have been built for.
    #[must_use]
    pub const fn contract(&self) -> ContractDigest {
        self.0.contract
    }

    /// The model that answers.
    #[must_use]
    pub const fn model(&self) -> ModelId {
        self.0.model
    }

    /// The digest of the model's file, as responses carry it.
    #[must_use]
    pub const fn model_digest(&self) -> ModelDigest {
        self.0.model_digest
    }

    /// How many f32 values an observation has.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.0.inputs
    }

    /// The longest budget, and the one of an observation that names none.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.0.deadline
    }

    /// The shortest time from one observation to the next.
    #[must_use]
    pub const fn min_period(&self) -> Duration {
        self.0.min_period
    }

    /// How much sooner than that an observation may come after one that came late.
    #[must_use]
    pub const fn arrival_jitter(&self) -> Duration {
        self.0.arrival_jitter
    }

    /// How long the last action is repeated before a fallback ramps to rest.
    #[must_use]
    pub const fn hold(&self) -> Duration {
        self.0.hold
    }

    /// What no action may leave; without an element where there is none.
    #[must_use]
    pub const fn envelope(&self) -> Envelope<'t> {
        match self.0.gives {
            Gives::Action(envelope) => envelope,
            Gives::Results { .. } => Envelope { elements: &[], too_fast: TooFast::Clamp, max_step: Duration::ZERO },
        }
    }

    /// What its model gives.
    #[must_use]
    pub const fn gives(&self) -> Gives<'t> {
        self.0.gives
    }

    /// What it does when its model's timing record is void.
    #[must_use]
    pub const fn degraded(&self) -> Degraded {
        self.0.degraded
    }

    /// How long after it last advanced the state of a connection counts; `None`: the model remembers nothing.
    #[must_use]
    pub const fn max_gap(&self) -> Option<Duration> {
        self.0.max_gap
    }

    /// How it plays its model's output, if that is a plan.
    #[must_use]
    pub const fn plan(&self) -> Option<PlanSpec> {
        self.0.plan
    }

    /// How many f32 values its model's plan has; 0: it gives none.
    #[must_use]
    pub fn plan_values(&self) -> usize {
        let steps = self.0.plan.map_or(0, |plan| usize::from(plan.steps));
        steps.saturating_mul(self.envelope().elements().len())
    }

    fn plays_what_it_may(&self) -> bool {
        let Some(plan) = self.0.plan else { return true };
        let sizes = plan.steps >= 2 && self.plan_values() <= MAX_PLAN && self.plan_values() > 0;
        let times = plan.period > Duration::ZERO && plan.timeout > Duration::ZERO;
        sizes && times && self.0.max_gap.is_none() && self.0.degraded == Degraded::Keep
    }

    /// What each of its responses is marked with.
    #[must_use]
    pub const fn status(&self) -> message::Status {
        self.0.status
    }

    /// Whether it was not shown that its model is in time: then nothing was promised that later arrivals could break.
    pub(crate) const fn is_unschedulable(&self) -> bool {
        self.0.status.contains(message::Status::UNSCHEDULABLE)
    }
}

/// One connection that the box serves: a robot and a task.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionSpec {
    /// The task.
    pub task: TaskId,
    /// What frames for it are addressed to.
    pub address: Address,
}

/// One client that may send one-off requests of a task.
#[derive(Debug, Clone, Copy)]
pub struct ClientSpec {
    /// The task. It may have connections, clients or both.
    pub task: TaskId,
    /// What requests of it are addressed to: the client's name in the place of a robot's.
    pub address: Address,
    /// The shortest time from one request to the next, above zero.
    pub min_period: Duration,
    /// How much sooner than that a request may come after one that came late.
    pub arrival_jitter: Duration,
    /// How many requests may wait, 1 to [`MAX_QUEUE`].
    pub queue: u8,
}

/// One worker: a thread with a session for each of its models, or one that hands each request off to a cluster.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSpec {
    /// The models of which it owns a session.
    pub models: ModelSet,
    /// Whether it waits until another is quarantined.
    pub spare: bool,
    /// Where it computes. One on a cluster hands each request off and is back by
    /// [`Engine::deadline_on`](crate::Engine::deadline_on): it is never quarantined, no timing record is its, and it is
    /// nobody's spare.
    pub place: Place,
}

/// What holds for the whole box.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// This boot's id, random at each start.
    pub boot: message::Boot,
    /// How long before its deadline a fallback falls due.
    pub margin: Duration,
    /// How many overruns within `overrun_window` quarantine a worker; 1 to 16.
    pub max_overruns: u8,
    /// See `max_overruns`.
    pub overrun_window: Duration,
    /// One inference longer than this quarantines its worker.
    pub hang: Duration,
    /// What the box adds to each execution, from its start to its answer, as schedulability counts it too.
    pub overhead: Duration,
    /// What every response is marked with, e.g. [`message::Status::INSECURE`].
    pub status: message::Status,
}
