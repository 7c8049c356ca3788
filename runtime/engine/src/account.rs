//! account: each received observation ends in exactly one outcome (P6).
//!
//! received = answered + superseded + refused + missed + in flight, in every snapshot.

use crate::reason::{Reason, ReasonKind};

/// How an observation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The model's action was handed over in time.
    Model {
        /// The rate limit changed it.
        clamped: bool,
    },
    /// A fallback was handed over in time.
    Fallback(Reason),
    /// A newer observation of the connection took its place and its deadline.
    Superseded,
    /// It was refused.
    Refused(Reason),
    /// No response was handed over in time.
    Missed(Reason),
}

/// The counts of one connection, or of the whole box, since its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    received: u64,
    model: u64,
    fallback: u64,
    superseded: u64,
    refused: u64,
    missed: u64,
    in_flight: u64,
    clamped: u64,
    discarded: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            received: 0,
            model: 0,
            fallback: 0,
            superseded: 0,
            refused: 0,
            missed: 0,
            in_flight: 0,
            clamped: 0,
            discarded: 0,
            by_reason: [0; Reason::COUNT],
        }
    }
}

impl Ledger {
    /// Observations that reached our callback, malformed and shed ones included.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Observations whose own response was the model's action.
    #[must_use]
    pub const fn model(&self) -> u64 {
        self.model
    }

    /// Observations whose own response was a fallback.
    #[must_use]
    pub const fn fallback(&self) -> u64 {
        self.fallback
    }

    /// Observations that a newer one replaced while they waited.
    #[must_use]
    pub const fn superseded(&self) -> u64 {
        self.superseded
    }

    /// Observations that were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Observations without a response in time: each a breach.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// Observations whose outcome is still open.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Model's actions that the rate limit changed.
    #[must_use]
    pub const fn clamped(&self) -> u64 {
        self.clamped
    }

    /// Results that were thrown away because their answer was closed: it fell due, was overtaken, or its epoch was
    /// retired. Not an outcome.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Outcomes with this reason.
    #[must_use]
    pub fn by_reason(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason.index()).copied().unwrap_or(0)
    }

    /// Whether every received observation has exactly one outcome or is in flight.
    #[must_use]
    pub fn balances(&self) -> bool {
        let outcomes = [self.model, self.fallback, self.superseded, self.refused, self.missed, self.in_flight];
        outcomes.iter().fold(0u64, |sum, count| sum.saturating_add(*count)) == self.received
    }

    /// This ledger and another, summed.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (sum, count) in self.counts_mut().into_iter().zip(other.counts()) {
            add(sum, count);
        }
        for (sum, count) in self.by_reason.iter_mut().zip(other.by_reason) {
            add(sum, count);
        }
        self
    }

    pub(crate) fn receive(&mut self, count: u64) {
        add(&mut self.received, count);
    }

    pub(crate) fn record(&mut self, outcome: Outcome) {
        self.record_many(outcome, 1);
    }

    pub(crate) fn record_many(&mut self, outcome: Outcome, count: u64) {
        match outcome {
            Outcome::Model { clamped } => {
                add(&mut self.model, count);
                add(&mut self.clamped, if clamped { count } else { 0 });
            }
            Outcome::Fallback(reason) => {
                self.because(reason, ReasonKind::Fallback, count);
                add(&mut self.fallback, count);
            }
            Outcome::Superseded => add(&mut self.superseded, count),
            Outcome::Refused(reason) => {
                self.because(reason, ReasonKind::Refusal, count);
                add(&mut self.refused, count);
            }
            Outcome::Missed(reason) => {
                self.because(reason, ReasonKind::Miss, count);
                add(&mut self.missed, count);
            }
        }
    }

    pub(crate) fn discard(&mut self) {
        add(&mut self.discarded, 1);
    }

    pub(crate) fn with_in_flight(mut self, in_flight: u64) -> Self {
        self.in_flight = in_flight;
        self
    }

    fn because(&mut self, reason: Reason, kind: ReasonKind, count: u64) {
        // Why a hand-off gave nothing explains a fallback too.
        let fits =
            reason.row().kind == kind || (reason.row().kind == ReasonKind::HandOff && kind == ReasonKind::Fallback);
        assert!(fits, "{reason} cannot explain a {kind:?}");
        if let Some(counter) = self.by_reason.get_mut(reason.index()) {
            add(counter, count);
        }
    }

    fn counts(&self) -> [u64; 9] {
        let Self {
            received,
            model,
            fallback,
            superseded,
            refused,
            missed,
            in_flight,
            clamped,
            discarded,
            by_reason: _,
        } = *self;
        [received, model, fallback, superseded, refused, missed, in_flight, clamped, discarded]
    }

    fn counts_mut(&mut self) -> [&mut u64; 9] {
        let Self {
            received,
            model,
            fallback,
            superseded,
            refused,
            missed,
            in_flight,
            clamped,
            discarded,
            by_reason: _,
        } = self;
        [received, model, fallback, superseded, refused, missed, in_flight, clamped, discarded]
    }
}

/// How a one-off request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    /// The model's result was handed over in time.
    Answered,
    /// It was refused.
    Refused(Reason),
    /// Its deadline passed: a refusal says so.
    Expired(Reason),
}

/// One-off requests of one client, or of the whole box, since its boot: received = answered + refused + expired + in
/// flight, in every snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLedger {
    received: u64,
    answered: u64,
    refused: u64,
    expired: u64,
    in_flight: u64,
    discarded: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for RequestLedger {
    fn default() -> Self {
        let (received, answered, refused, expired, in_flight, discarded) = (0, 0, 0, 0, 0, 0);
        Self { received, answered, refused, expired, in_flight, discarded, by_reason: [0; Reason::COUNT] }
    }
}

impl RequestLedger {
    /// Requests that reached us, malformed and dropped ones included.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Requests whose reply was the model's result, in time.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests that were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Requests whose deadline passed without a result.
    #[must_use]
    pub const fn expired(&self) -> u64 {
        self.expired
    }

    /// Requests whose outcome is still open.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// Results that were thrown away because their request had expired. Not an outcome.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Refused and expired requests with this reason. One-offs have no fallback: what would bring an observation its
    /// fallback refuses a request.
    #[must_use]
    pub fn by_reason(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason.index()).copied().unwrap_or(0)
    }

    /// Whether every received request has exactly one outcome or is in flight.
    #[must_use]
    pub fn balances(&self) -> bool {
        let outcomes = [self.answered, self.refused, self.expired, self.in_flight];
        outcomes.iter().fold(0u64, |sum, count| sum.saturating_add(*count)) == self.received
    }

    /// This ledger and another, summed.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        add(&mut self.received, other.received);
        add(&mut self.answered, other.answered);
        add(&mut self.refused, other.refused);
        add(&mut self.expired, other.expired);
        add(&mut self.in_flight, other.in_flight);
        add(&mut self.discarded, other.discarded);
        for (sum, count) in self.by_reason.iter_mut().zip(other.by_reason) {
            add(sum, count);
        }
        self
    }

    pub(crate) fn receive(&mut self, count: u64) {
        add(&mut self.received, count);
    }

    pub(crate) fn record(&mut self, outcome: RequestOutcome, count: u64) {
        let (counter, reason) = match outcome {
            RequestOutcome::Answered => (&mut self.answered, None),
            RequestOutcome::Refused(reason) => (&mut self.refused, Some(reason)),
            RequestOutcome::Expired(reason) => (&mut self.expired, Some(reason)),
        };
        add(counter, count);
        if let Some(counter) = reason.and_then(|reason| self.by_reason.get_mut(reason.index())) {
            add(counter, count);
        }
    }

    /// Received, and refused for this reason.
    pub(crate) fn refuse(&mut self, reason: Reason, count: u64) {
        self.receive(count);
        self.record(RequestOutcome::Refused(reason), count);
    }

    pub(crate) fn discard(&mut self) {
        add(&mut self.discarded, 1);
    }

    pub(crate) fn with_in_flight(mut self, in_flight: u64) -> Self {
        self.in_flight = in_flight;
        self
    }
}

fn add(counter: &mut u64, count: u64) {
    *counter = counter.saturating_add(count);
}
