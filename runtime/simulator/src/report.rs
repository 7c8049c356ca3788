//! What a run brings back: what happened and how often, or the first thing that was wrong.

use std::fmt;

use engine::{Ledger, Reason, RequestLedger, SampleLedger};

/// What a run disturbs and what only disturbances lead to, counted where it really happens and not where it was
/// only planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each name says what happened; the report prints it beside its count")]
pub enum Disturbance {
    Jitter,
    Burst,
    Flood,
    BudgetVaried,
    BudgetUnfit,
    Truncated,
    BitFlipped,
    WrongType,
    WrongContract,
    WrongAddress,
    ValuesMissing,
    ValuesNotFinite,
    SequenceZero,
    Duplicated,
    WentBack,
    OldInstance,
    ControllerRestarted,
    Oversized,
    LostOnTheWayIn,
    DelayedToAnEdge,
    QueueFull,
    ShedUnseen,
    ArrivedDuringSending,
    EngineLateWithinMargin,
    EngineLateBeyondMargin,
    EngineLateBeyondDeadline,
    SpuriousWake,
    WorkerSlow,
    WorkerAroundDue,
    WorkerHungLong,
    WorkerHungForever,
    WorkerFailed,
    OutputNan,
    OutputInfinite,
    OutputOutOfRange,
    OutputTooFast,
    OutputWrongLength,
    PutDelayed,
    PutPastDeadline,
    PutStalled,
    LinkFailed,
    LostAfterPut,
    RobotReadsNothing,
    BoxRestarted,
    Drained,
    Queried,
    QueriesUnseen,
    Strayed,
    StrayUnreadable,
    ReplacedPastItsDeadline,
    ReplacedAtItsDeadline,
    HeldToOneWorker,
    OverrunCounted,
    LateButNotOverrun,
    LetInAtTheEdge,
    RefusedJustBeforeTheEdge,
    LetInAnew,
    RestartTooSoon,
    ExecutionAbove,
    WindowEnded,
    Recovered,
    Batched,
    PassedOver,
    LeftBehind,
    FellDueInABatch,
    OverrunBySeveral,
    GivenUpOnArrival,
    GivenUpAtItsTurn,
    WaitedForAFaster,
    ImproperRequest,
    RequestBudgetVaried,
    OneOffBegan,
    OneOffOverran,
    ReplyPastDeadline,
    SampleLost,
    SampleLate,
    SampleWrong,
    PictureWrong,
    SampleFlood,
    SamplePassedOver,
    CameraStalled,
    CameraRestarted,
    LackedOnArrival,
    LackedAtItsTurn,
    ResetDemanded,
    ImproperReset,
    ResetTookEffect,
    GapPassed,
    StateAdvanced,
}

impl Disturbance {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Every disturbance, in order.
    pub const ALL: [Self; 89] = [
        Self::Jitter,
        Self::Burst,
        Self::Flood,
        Self::BudgetVaried,
        Self::BudgetUnfit,
        Self::Truncated,
        Self::BitFlipped,
        Self::WrongType,
        Self::WrongContract,
        Self::WrongAddress,
        Self::ValuesMissing,
        Self::ValuesNotFinite,
        Self::SequenceZero,
        Self::Duplicated,
        Self::WentBack,
        Self::OldInstance,
        Self::ControllerRestarted,
        Self::Oversized,
        Self::LostOnTheWayIn,
        Self::DelayedToAnEdge,
        Self::QueueFull,
        Self::ShedUnseen,
        Self::ArrivedDuringSending,
        Self::EngineLateWithinMargin,
        Self::EngineLateBeyondMargin,
        Self::EngineLateBeyondDeadline,
        Self::SpuriousWake,
        Self::WorkerSlow,
        Self::WorkerAroundDue,
        Self::WorkerHungLong,
        Self::WorkerHungForever,
        Self::WorkerFailed,
        Self::OutputNan,
        Self::OutputInfinite,
        Self::OutputOutOfRange,
        Self::OutputTooFast,
        Self::OutputWrongLength,
        Self::PutDelayed,
        Self::PutPastDeadline,
        Self::PutStalled,
        Self::LinkFailed,
        Self::LostAfterPut,
        Self::RobotReadsNothing,
        Self::BoxRestarted,
        Self::Drained,
        Self::Queried,
        Self::QueriesUnseen,
        Self::Strayed,
        Self::StrayUnreadable,
        Self::ReplacedPastItsDeadline,
        Self::ReplacedAtItsDeadline,
        Self::HeldToOneWorker,
        Self::OverrunCounted,
        Self::LateButNotOverrun,
        Self::LetInAtTheEdge,
        Self::RefusedJustBeforeTheEdge,
        Self::LetInAnew,
        Self::RestartTooSoon,
        Self::ExecutionAbove,
        Self::WindowEnded,
        Self::Recovered,
        Self::Batched,
        Self::PassedOver,
        Self::LeftBehind,
        Self::FellDueInABatch,
        Self::OverrunBySeveral,
        Self::GivenUpOnArrival,
        Self::GivenUpAtItsTurn,
        Self::WaitedForAFaster,
        Self::ImproperRequest,
        Self::RequestBudgetVaried,
        Self::OneOffBegan,
        Self::OneOffOverran,
        Self::ReplyPastDeadline,
        Self::SampleLost,
        Self::SampleLate,
        Self::SampleWrong,
        Self::PictureWrong,
        Self::SampleFlood,
        Self::SamplePassedOver,
        Self::CameraStalled,
        Self::CameraRestarted,
        Self::LackedOnArrival,
        Self::LackedAtItsTurn,
        Self::ResetDemanded,
        Self::ImproperReset,
        Self::ResetTookEffect,
        Self::GapPassed,
        Self::StateAdvanced,
    ];
}

/// How often each disturbance happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disturbances([u64; Disturbance::COUNT]);

impl Default for Disturbances {
    fn default() -> Self {
        Self([0; Disturbance::COUNT])
    }
}

impl Disturbances {
    /// How often this one happened.
    #[must_use]
    pub const fn of(&self, which: Disturbance) -> u64 {
        self.0[which as usize]
    }

    pub(crate) const fn note(&mut self, which: Disturbance) {
        self.0[which as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (sum, count) in self.0.iter_mut().zip(other.0) {
            *sum += count;
        }
    }
}

/// What happened in a run, or in several summed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Observations that controllers published, repeated and mangled ones included.
    pub observations: u64,
    /// Events that the engine was handed.
    pub events: u64,
    /// The engine's ledgers, summed over connections, strays and boots.
    pub ledger: Ledger,
    /// Queries that were refused.
    pub queries: u64,
    /// One-off requests, queries included, summed over clients and boots.
    pub requests: RequestLedger,
    /// Samples of joined inputs, summed over inputs and boots.
    pub samples: SampleLedger,
    /// Workers quarantined, exits and farewells, by reason.
    pub alarms: Vec<(Reason, u64)>,
    /// Observations that a box lost because it was restarted, on their way in or in flight.
    pub lost: u64,
    /// How often each disturbance happened.
    pub disturbances: Disturbances,
    /// A hash over every event, action and frame, in order.
    pub trace_hash: u64,
    /// Every event and action as a line of text, if it was asked for.
    pub trace: Vec<String>,
}

impl Report {
    /// How often the engine gave this reason, as an outcome, an alarm or a notice.
    #[must_use]
    pub fn by_reason(&self, reason: Reason) -> u64 {
        let alarms = self.alarms.iter().find(|(alarm, _)| *alarm == reason).map_or(0, |(_, count)| *count);
        let queries = if reason == Reason::QueryOnTopic { self.queries } else { 0 };
        self.ledger.by_reason(reason) + self.samples.by_reason(reason) + alarms + queries
    }

    /// Adds another run's counts; the traces stay.
    pub fn add(&mut self, other: &Self) {
        self.observations += other.observations;
        self.events += other.events;
        self.ledger = self.ledger.plus(&other.ledger);
        self.queries += other.queries;
        self.requests = self.requests.plus(&other.requests);
        self.samples = self.samples.plus(&other.samples);
        self.lost += other.lost;
        for &(reason, count) in &other.alarms {
            self.alarm(reason, count);
        }
        self.disturbances.add(other.disturbances);
    }

    pub(crate) fn alarm(&mut self, reason: Reason, count: u64) {
        match self.alarms.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, sum)) => *sum += count,
            None => self.alarms.push((reason, count)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = &self.ledger;
        writeln!(
            f,
            "{} observations, {} events: {} model, {} fallback, {} superseded, {} refused, {} missed, {} lost by restarts",
            self.observations,
            self.events,
            ledger.model(),
            ledger.fallback(),
            ledger.superseded(),
            ledger.refused(),
            ledger.missed(),
            self.lost,
        )?;
        let requests = &self.requests;
        writeln!(
            f,
            "{} requests: {} answered, {} refused, {} expired",
            requests.received(),
            requests.answered(),
            requests.refused(),
            requests.expired()
        )?;
        let samples = &self.samples;
        writeln!(
            f,
            "{} samples: {} taken, {} passed over, {} refused",
            samples.received(),
            samples.taken(),
            samples.passed_over(),
            samples.refused()
        )?;
        write!(f, "reasons:")?;
        for row in &engine::TABLE {
            write!(f, " {} {},", row.name, self.by_reason(row.reason))?;
        }
        write!(f, "\ndisturbances:")?;
        Disturbance::ALL.iter().try_for_each(|which| write!(f, " {which:?} {},", self.disturbances.of(*which)))
    }
}

/// Which check found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// P1: answered in time, or the miss has a cause outside the engine.
    InTime,
    /// P2: nothing answered twice, sequences grow, one open inference, late results never sent.
    Once,
    /// No observation is let in sooner than its task's period allows, and none refused for it that came in time.
    Period,
    /// P4: each action is finite, in range and no faster than allowed.
    Envelope,
    /// P6: the engine's counts agree with what was seen from outside.
    Accounts,
    /// A slot holds one observation at a time and is not written while a worker reads it.
    Slots,
    /// Workers: at most one inference each, the earliest deadline by longest budget first, none idle without need, and none after a
    /// quarantine.
    Workers,
    /// A batch has no more members than were measured, in the order of deadlines, makes nobody late who would be in time
    /// without, and leaves nobody behind who might come along.
    Batches,
    /// A timing record is void when too many inferences exceed it, its tasks do as they declare, and each response
    /// says so.
    Records,
    /// Each inference starts from what was sent on its connection before, which advances with nothing else, and a response
    /// says where it began anew.
    State,
    /// A one-off request gets exactly one reply, in its client's turn and its time, and holds up no observation but by the
    /// one that runs.
    Requests,
    /// Nothing is run without a joined sample or with one that is too old, what lacks one is answered at once, and a
    /// response tells the age of what it was computed from.
    Joined,
    /// The inferences of one connection occupy at most one worker in service.
    OneWorker,
    /// An event causes only so many actions, and a drain ends.
    Bounds,
    /// The engine did something else than the reference model.
    Reference,
    /// The engine panicked.
    Panic,
}

/// What a check found.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) check: Check,
    pub(crate) what: String,
}

/// A check's verdict.
pub(crate) type Verdict = Result<(), Finding>;

impl Finding {
    /// A verdict: it holds, or what was found.
    pub(crate) fn unless(holds: bool, check: Check, what: impl FnOnce() -> String) -> Verdict {
        if holds { Ok(()) } else { Err(Self { check, what: what() }) }
    }
}

/// The first thing in a run that was wrong.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed that shows it again.
    pub seed: u64,
    /// After how many events.
    pub step: u64,
    /// What found it.
    pub check: Check,
    /// What was wrong.
    pub what: String,
    /// The last events and actions before it.
    pub tail: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, step, check, what, tail } = self;
        for line in tail {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {seed}, event {step}: {check:?}: {what}")
    }
}

impl std::error::Error for Violation {}
