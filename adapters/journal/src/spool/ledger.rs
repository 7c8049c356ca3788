//! What came of the requests: one line that adds up, in every snapshot.

use serde::{Deserialize, Serialize};

use super::clock::Clock;

/// Durable requests since this process opened the spool:
/// carried over + requested = delivered + refused + expired + failed + in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// In flight when the spool was opened.
    pub carried_over: u64,
    /// Put since then, refused ones and retried dead letters included, known copies not.
    pub requested: u64,
    /// Delivered.
    pub delivered: u64,
    /// Not stored.
    pub refused: u64,
    /// Not delivered within their time to live.
    pub expired: u64,
    /// Dead letters, whatever became of them; what damage lost is among them.
    pub failed: u64,
    /// Waiting, in doubt, or out: counted from the rows, not from the figures above.
    pub in_flight: u64,
    /// Copies of a request that was known. They are not among the requested.
    pub duplicates: u64,
    /// Attempts to deliver.
    pub attempts: u64,
}

impl Ledger {
    /// Whether it adds up.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.carried_over + self.requested
            == self.delivered + self.refused + self.expired + self.failed + self.in_flight
    }
}

/// Counts over the spool's whole life, stored in the same transaction as what they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counters {
    pub(super) clock: Clock,
    pub(super) next_position: u64,
    /// New requests and retried dead letters.
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) expired: u64,
    pub(super) failed: u64,
    pub(super) attempts: u64,
}

impl Counters {
    pub(super) fn new(clock: Clock) -> Counters {
        Counters { clock, next_position: 1, accepted: 0, delivered: 0, expired: 0, failed: 0, attempts: 0 }
    }

    /// What must be in flight if these counts are right; none where they contradict themselves.
    pub(super) fn in_flight(&self) -> Option<u64> {
        self.accepted.checked_sub(self.delivered)?.checked_sub(self.expired)?.checked_sub(self.failed)
    }
}
