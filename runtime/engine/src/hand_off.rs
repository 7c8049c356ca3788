//! Hand-offs: why one gives nothing, and the ledger that each ends in exactly once (P6).
//!
//! requested = delivered + refused + expired + failed + in flight, in every snapshot. A hand-off is a request of its own:
//! what becomes of the observation or the one-off that it was made for stands in their ledgers, and what is stored and
//! carried over a boot in the spool's. Attempts are counted by their records in the journal.
//!
//! The ledger lies with the caller, who hands off beside the engine: it holds no lock of the engine's.

use crate::reason::Reason;

/// Why an inference gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// The model could not be run; the worker's log says why.
    Model,
    /// The cluster gave no result, or was not asked.
    HandOff(HandOffFailure),
}

impl Failed {
    /// What a fallback or a refusal says of it.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Model => Reason::ModelFailed,
            Self::HandOff(failure) => failure.reason(),
        }
    }
}

/// Why a hand-off gives nothing: of all reasons, the only ones that it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HandOffFailure {
    /// No rule of the residency policy allows it, or one forbids it.
    Denied,
    /// Something in it has no data class.
    ClassUndeclared,
    /// No residency policy is in force.
    NoPolicy,
    /// The policy changed while it was sent.
    Revoked,
    /// The audit journal cannot take its record.
    Journal,
    /// No peer proved who it is.
    Identity,
    /// No endpoint can be reached, or none is healthy.
    NoEndpoint,
    /// No answer came in time.
    TimedOut,
    /// The answer is not what was declared.
    WrongAnswer,
    /// The cluster refused the request, or failed at it.
    Cluster,
    /// As many are in flight as may be.
    Overload,
    /// The spool has no room for it.
    SpoolFull,
    /// It was tried as often as may be, or refused for good.
    DeadLetter,
}

impl HandOffFailure {
    /// Every failure.
    pub const ALL: [Self; 13] = [
        Self::Denied,
        Self::ClassUndeclared,
        Self::NoPolicy,
        Self::Revoked,
        Self::Journal,
        Self::Identity,
        Self::NoEndpoint,
        Self::TimedOut,
        Self::WrongAnswer,
        Self::Cluster,
        Self::Overload,
        Self::SpoolFull,
        Self::DeadLetter,
    ];

    /// Its row of the table.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Denied => Reason::HandOffDenied,
            Self::ClassUndeclared => Reason::ClassUndeclared,
            Self::NoPolicy => Reason::NoPolicy,
            Self::Revoked => Reason::HandOffRevoked,
            Self::Journal => Reason::JournalRefused,
            Self::Identity => Reason::IdentityUnproven,
            Self::NoEndpoint => Reason::NoEndpoint,
            Self::TimedOut => Reason::HandOffTimedOut,
            Self::WrongAnswer => Reason::WrongAnswer,
            Self::Cluster => Reason::ClusterFailed,
            Self::Overload => Reason::HandOffOverload,
            Self::SpoolFull => Reason::SpoolFull,
            Self::DeadLetter => Reason::DeadLetter,
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// One hand-off that is in flight. It is ended by handing it back to its ledger, which takes it: so it ends once. One
/// that is dropped stays in flight, where it is seen.
#[derive(Debug)]
#[must_use = "a hand-off ends in its ledger: delivered, refused, expired or failed"]
pub struct HandOff {
    _of_a_ledger: (),
}

/// The hand-offs of one cluster, or of the whole box, since its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandOffLedger {
    requested: u64,
    delivered: u64,
    refused: u64,
    expired: u64,
    failed: u64,
    in_flight: u64,
    by_failure: [u64; HandOffFailure::ALL.len()],
}

impl HandOffLedger {
    /// A hand-off was asked for.
    pub fn request(&mut self) -> HandOff {
        add(&mut self.requested);
        add(&mut self.in_flight);
        HandOff { _of_a_ledger: () }
    }

    /// Its result came.
    pub fn deliver(&mut self, _hand_off: HandOff) {
        self.leave();
        add(&mut self.delivered);
    }

    /// Nothing of it was sent, and nothing will be.
    pub fn refuse(&mut self, _hand_off: HandOff, why: HandOffFailure) {
        self.leave();
        add(&mut self.refused);
        self.because(why);
    }

    /// Its time passed.
    pub fn expire(&mut self, _hand_off: HandOff) {
        self.leave();
        add(&mut self.expired);
    }

    /// It was tried, and gave nothing.
    pub fn fail(&mut self, _hand_off: HandOff, why: HandOffFailure) {
        self.leave();
        add(&mut self.failed);
        self.because(why);
    }

    /// Asked for since the boot, refused ones included.
    #[must_use]
    pub const fn requested(&self) -> u64 {
        self.requested
    }

    /// Whose result came.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Of which nothing was sent.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Whose time passed.
    #[must_use]
    pub const fn expired(&self) -> u64 {
        self.expired
    }

    /// That were tried and gave nothing, dead letters included.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.failed
    }

    /// That have not ended.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Refused and failed ones with this failure.
    #[must_use]
    pub fn by_failure(&self, failure: HandOffFailure) -> u64 {
        self.by_failure.get(failure.index()).copied().unwrap_or(0)
    }

    /// Whether every hand-off has exactly one outcome or is in flight.
    #[must_use]
    pub fn balances(&self) -> bool {
        let outcomes = [self.delivered, self.refused, self.expired, self.failed, self.in_flight];
        let ended = outcomes.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        self.requested == ended
    }

    fn leave(&mut self) {
        self.in_flight = self.in_flight.checked_sub(1).expect("a hand-off ends in the ledger that it began in");
    }

    fn because(&mut self, why: HandOffFailure) {
        if let Some(count) = self.by_failure.get_mut(why.index()) {
            add(count);
        }
    }
}

const fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{ReasonKind, TABLE};

    #[test]
    fn each_failure_is_a_row_of_the_hand_off_group_and_each_such_row_a_failure() {
        let of_failures = HandOffFailure::ALL.map(|failure| failure.reason().row().number);
        let of_group = TABLE.iter().filter(|row| row.kind == ReasonKind::HandOff).map(|row| row.number);
        assert!(of_group.eq(of_failures));
        for (place, failure) in HandOffFailure::ALL.iter().enumerate() {
            assert_eq!(failure.index(), place);
        }
    }

    #[test]
    fn each_hand_off_has_one_outcome_or_is_in_flight_after_every_step() {
        let mut ledger = HandOffLedger::default();
        let mut open = heapless::Vec::<HandOff, 8>::new();
        for ends in (0..5).cycle().take(20) {
            let hand_off = ledger.request();
            assert!(ledger.balances());
            match ends {
                0 => ledger.deliver(hand_off),
                1 => ledger.refuse(hand_off, HandOffFailure::Denied),
                2 => ledger.expire(hand_off),
                3 => ledger.fail(hand_off, HandOffFailure::DeadLetter),
                _ => assert!(open.push(hand_off).is_ok()),
            }
            assert!(ledger.balances());
        }
        assert_eq!((ledger.requested(), ledger.in_flight()), (20, 4));
        assert_eq!((ledger.delivered(), ledger.refused(), ledger.expired(), ledger.failed()), (4, 4, 4, 4));
        let denied = [HandOffFailure::Denied, HandOffFailure::DeadLetter, HandOffFailure::Journal];
        assert_eq!(denied.map(|failure| ledger.by_failure(failure)), [4, 4, 0]);
        let lost = HandOffLedger { delivered: 5, ..ledger };
        assert!(!lost.balances(), "one that ended twice is seen");
    }
}
