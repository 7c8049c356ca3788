//! Plans and clusters under virtual time: robots that play plans beside robots that are answered one by one.
//!
//! A seed decides the tasks, how long lanes to a cluster take, when they fail and how, when the cluster is cut off for longer
//! than any plan lasts, when controllers restart or demand that their plan is cleared. A [reference](reference) written
//! from the design says of each observation which step of which plan must answer it, and when the next plan is asked
//! for; the engine must do the same, to the step, and leave no observation unanswered. Some models continue plans: the
//! reference says what each must be told and is promised, whatever it gives in the place of that.
//!
//! It is apart from [`simulate`](crate::simulate): that one disturbs everything around observations that a model answers one by
//! one, this one everything around plans. What disturbs the same code is not repeated.

mod factory;
mod lane;
mod reference;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::{PlanLedger, Reason};

/// How a run is made.
#[derive(Debug, Clone, Copy)]
pub struct PlayOptions {
    /// Whether the robots that play plans are there. The others do the same with and without them.
    pub plans: bool,
    /// What the engine does wrong on purpose.
    #[cfg(feature = "faults")]
    pub fault: Option<engine::Fault>,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            plans: true,
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}

impl PlayOptions {
    /// The robots that play plans are not there.
    #[must_use]
    pub const fn without_plans() -> Self {
        Self {
            plans: false,
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}

/// What happened in a run, or in several summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Observations that were published.
    pub observations: u64,
    /// Answers that were a step of a plan.
    pub steps: u64,
    /// Of those, how many the rate limit changed.
    pub clamped: u64,
    /// Of those, how many were blended from the plan before.
    pub blended: u64,
    /// Of those, how many were promised by the plan before.
    pub promised: u64,
    /// Plans whose model was told what is played meanwhile.
    pub continued: u64,
    /// The longest time for which one connection had no plan, in nanoseconds.
    pub longest_gap: u64,
    /// Plans that were asked for, adopted, failed, came too late and were discarded.
    pub plans: [u64; 5],
    /// Epochs that ended and demands that took effect.
    pub cleared: u64,
    /// Observations without an answer in time.
    pub missed: u64,
    /// How often each reason was given, as a fallback or for a plan.
    pub reasons: [u64; Reason::COUNT],
    /// A hash over every frame to a robot without a plan, and when it left.
    pub others: u64,
}

impl Default for Played {
    fn default() -> Self {
        Self {
            observations: 0,
            steps: 0,
            clamped: 0,
            blended: 0,
            promised: 0,
            continued: 0,
            longest_gap: 0,
            plans: [0; 5],
            cleared: 0,
            missed: 0,
            reasons: [0; Reason::COUNT],
            others: 0xcbf2_9ce4_8422_2325,
        }
    }
}

impl Played {
    /// Adds another run's counts; the hash stays.
    pub fn add(&mut self, other: &Self) {
        self.observations += other.observations;
        self.steps += other.steps;
        self.clamped += other.clamped;
        self.blended += other.blended;
        self.promised += other.promised;
        self.continued += other.continued;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.cleared += other.cleared;
        self.missed += other.missed;
        self.plans.iter_mut().zip(other.plans).for_each(|(sum, count)| *sum += count);
        self.reasons.iter_mut().zip(other.reasons).for_each(|(sum, count)| *sum += count);
    }

    /// How often this reason was given.
    #[must_use]
    pub fn of(&self, reason: Reason) -> u64 {
        self.reasons[reason.index()]
    }

    fn count_plans(&mut self, ledger: &PlanLedger) {
        let counts = [ledger.asked(), ledger.adopted(), ledger.failed(), ledger.too_late(), ledger.discarded()];
        self.plans.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        for row in &engine::TABLE {
            self.reasons[row.reason.index()] += ledger.by_reason(row.reason);
        }
    }
}

/// What only a box with plans or with a cluster does wrong.
#[cfg(feature = "faults")]
pub const OF_PLANS: &[engine::Fault] = &[
    engine::Fault::PlaceUntold,
    engine::Fault::ClusterQuarantined,
    engine::Fault::PlanUntold,
    engine::Fault::PlanWrongStep,
    engine::Fault::PlanPlayedBeyondEnd,
    engine::Fault::PlanSurvivesEpoch,
    engine::Fault::PlanSurvivesReset,
    engine::Fault::PlanOfOldEpochAdopted,
    engine::Fault::PlanOutOfRangeAdopted,
    engine::Fault::PlanTooLateAdopted,
    engine::Fault::PlanUnblended,
    engine::Fault::PlanAskedLate,
    engine::Fault::PlanRetryStorm,
    engine::Fault::PlanSlotFreedEarly,
    engine::Fault::TwoPlansAtOnce,
    engine::Fault::CommittedShifted,
    engine::Fault::CommittedTooFew,
    engine::Fault::CommittedBeyondEnd,
    engine::Fault::CommittedOfNothing,
    engine::Fault::FrozenUnplayed,
];

/// Runs one seed for so many seconds of virtual time.
///
/// # Errors
/// The first thing that was wrong, and when.
pub fn play(seed: u64, seconds: u64, options: PlayOptions) -> Result<Played, String> {
    let run = catch_unwind(AssertUnwindSafe(|| world::run(seed, seconds, options)));
    let told = |what: String| format!("seed {seed}: {what}");
    run.unwrap_or_else(|panic| Err(format!("panic: {}", crate::message_of(panic.as_ref())))).map_err(told)
}
