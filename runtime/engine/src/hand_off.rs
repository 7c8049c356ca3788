//! Hand-offs: why one gives nothing, and the ledger that each ends in exactly once (P6).
//!
//! carried over + requested = delivered + refused + expired + failed + in flight, in every snapshot. What is stored or
//! in doubt is in flight, a dead letter has failed, attempts are counted apart. A hand-off is a request of its own: what
//! becomes of the observation or the one-off that it was made for stands in their ledgers.
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
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Stored,
    InDoubt,
}

/// The hand-offs of one cluster, or of the whole box, since its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandOffLedger {
    carried_over: u64,
    requested: u64,
    delivered: u64,
    refused: u64,
    expired: u64,
    failed: u64,
    attempts: u64,
    open: u64,
    stored: u64,
    in_doubt: u64,
    by_failure: [u64; HandOffFailure::ALL.len()],
}

impl HandOffLedger {
    /// A hand-off was asked for.
    pub fn request(&mut self) -> HandOff {
        add(&mut self.requested);
        add(&mut self.open);
        HandOff { phase: Phase::Open }
    }

    /// The spool holds one of an earlier boot.
    pub fn carry_over(&mut self) -> HandOff {
        add(&mut self.carried_over);
        add(&mut self.stored);
        HandOff { phase: Phase::Stored }
    }

    /// It lies in the spool, and waits there.
    pub fn store(&mut self, hand_off: &mut HandOff) {
        self.enter(hand_off, Phase::Stored);
    }

    /// It may have been sent, and nobody knows whether it arrived.
    pub fn doubt(&mut self, hand_off: &mut HandOff) {
        self.enter(hand_off, Phase::InDoubt);
    }

    /// One attempt at it begins.
    pub fn attempt(&mut self, _hand_off: &HandOff) {
        add(&mut self.attempts);
    }

    /// Its result came.
    pub fn deliver(&mut self, hand_off: HandOff) {
        self.leave(&hand_off);
        add(&mut self.delivered);
    }

    /// Nothing of it was sent, and nothing will be.
    pub fn refuse(&mut self, hand_off: HandOff, why: HandOffFailure) {
        self.leave(&hand_off);
        add(&mut self.refused);
        self.because(why);
    }

    /// Its time passed.
    pub fn expire(&mut self, hand_off: HandOff) {
        self.leave(&hand_off);
        add(&mut self.expired);
    }

    /// It was tried, and gave nothing.
    pub fn fail(&mut self, hand_off: HandOff, why: HandOffFailure) {
        self.leave(&hand_off);
        add(&mut self.failed);
        self.because(why);
    }

    /// Of earlier boots, from the spool.
    #[must_use]
    pub const fn carried_over(&self) -> u64 {
        self.carried_over
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

    /// Attempts, several for one hand-off where it was tried again. Not an outcome.
    #[must_use]
    pub const fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Of those in flight: they wait in the spool.
    #[must_use]
    pub const fn stored(&self) -> u64 {
        self.stored
    }

    /// Of those in flight: nobody knows whether they arrived.
    #[must_use]
    pub const fn in_doubt(&self) -> u64 {
        self.in_doubt
    }

    /// That have not ended, stored and in doubt included.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.open.saturating_add(self.stored).saturating_add(self.in_doubt)
    }

    /// Refused and failed ones with this failure.
    #[must_use]
    pub fn by_failure(&self, failure: HandOffFailure) -> u64 {
        self.by_failure.get(failure.index()).copied().unwrap_or(0)
    }

    /// Whether every hand-off has exactly one outcome or is in flight.
    #[must_use]
    pub fn balances(&self) -> bool {
        let outcomes = [self.delivered, self.refused, self.expired, self.failed, self.in_flight()];
        let ended = outcomes.iter().fold(0u64, |sum, count| sum.saturating_add(*count));
        self.carried_over.saturating_add(self.requested) == ended
    }

    fn enter(&mut self, hand_off: &mut HandOff, phase: Phase) {
        self.leave(hand_off);
        hand_off.phase = phase;
        add(self.in_phase(phase));
    }

    fn leave(&mut self, hand_off: &HandOff) {
        let count = self.in_phase(hand_off.phase);
        *count = count.checked_sub(1).expect("a hand-off ends in the ledger that it began in");
    }

    const fn in_phase(&mut self, phase: Phase) -> &mut u64 {
        match phase {
            Phase::Open => &mut self.open,
            Phase::Stored => &mut self.stored,
            Phase::InDoubt => &mut self.in_doubt,
        }
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
        // Every course of three steps: what begins, what happens meanwhile, how it ends.
        for course in 0..2 * 4 * 5 {
            let (begins, meanwhile, ends) = (course % 2, course / 2 % 4, course / 8);
            let mut hand_off = if begins == 0 { ledger.request() } else { ledger.carry_over() };
            assert!(ledger.balances());
            match meanwhile {
                0 => ledger.attempt(&hand_off),
                1 => ledger.store(&mut hand_off),
                2 => ledger.doubt(&mut hand_off),
                _ => {
                    ledger.doubt(&mut hand_off);
                    ledger.store(&mut hand_off);
                }
            }
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
        assert_eq!((ledger.requested(), ledger.carried_over(), ledger.attempts()), (20, 20, 10));
        assert_eq!((ledger.delivered(), ledger.refused(), ledger.expired(), ledger.failed()), (8, 8, 8, 8));
        assert_eq!((ledger.in_flight(), ledger.stored(), ledger.in_doubt()), (8, 5, 2));
        let denied = [HandOffFailure::Denied, HandOffFailure::DeadLetter, HandOffFailure::Journal];
        assert_eq!(denied.map(|failure| ledger.by_failure(failure)), [8, 8, 0]);
        let lost = HandOffLedger { delivered: 9, ..ledger };
        assert!(!lost.balances(), "one that ended twice is seen");
    }
}
