//! What became of a connection's plans.
//!
//! asked = adopted + failed + too late + discarded + in flight, in every snapshot.

use message::Place;

use crate::{reason::Reason, time::Duration};

/// How an inference for a plan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It became the plan.
    Adopted,
    /// It gave no plan, or one that may not be played.
    Failed(Reason),
    /// It took longer than its timeout, or had run out before it came.
    TooLate,
    /// Its epoch ended, the controller began anew, or its worker was taken out of service.
    Discarded,
}

/// The plans of one connection since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLedger {
    asked: u64,
    adopted: u64,
    failed: u64,
    too_late: u64,
    discarded: u64,
    in_flight: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for PlanLedger {
    fn default() -> Self {
        let (asked, adopted, failed, too_late, discarded, in_flight) = (0, 0, 0, 0, 0, 0);
        Self { asked, adopted, failed, too_late, discarded, in_flight, by_reason: [0; Reason::COUNT] }
    }
}

impl PlanLedger {
    /// Inferences that were started for a plan.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    /// Those whose result became the plan.
    #[must_use]
    pub const fn adopted(&self) -> u64 {
        self.adopted
    }

    /// Those that gave no plan, or one that may not be played.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// Those whose plan came too late to be played.
    #[must_use]
    pub const fn too_late(&self) -> u64 {
        self.too_late
    }

    /// Those that nobody wanted any more: their epoch ended, the controller began anew, or their worker was taken out
    /// of service.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Those that still run: one at most.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Failed ones with this reason.
    #[must_use]
    pub fn by_reason(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason.index()).copied().unwrap_or(0)
    }

    /// Whether each that was asked for has one ending or runs.
    #[must_use]
    pub fn balances(&self) -> bool {
        let endings = [self.adopted, self.failed, self.too_late, self.discarded, self.in_flight];
        endings.iter().fold(0u64, |sum, count| sum.saturating_add(*count)) == self.asked
    }

    pub(super) fn ask(&mut self) {
        add(&mut self.asked);
    }

    pub(super) fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Adopted => add(&mut self.adopted),
            Ending::Failed(reason) => {
                add(&mut self.failed);
                if let Some(count) = self.by_reason.get_mut(reason.index()) {
                    add(count);
                }
            }
            Ending::TooLate => add(&mut self.too_late),
            Ending::Discarded => add(&mut self.discarded),
        }
    }

    pub(super) fn with_in_flight(mut self, asking: bool) -> Self {
        self.in_flight = u64::from(asking);
        self
    }
}

/// The plan that a connection plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanStatus {
    /// Its number, as responses carry it.
    pub id: u64,
    /// Since the arrival of the observation that it was computed from.
    pub age: Duration,
    /// Until it runs out.
    pub remaining: Duration,
    /// Where it was computed.
    pub place: Place,
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}
