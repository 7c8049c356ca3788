//! P6: a count of one's own, from what was seen, beside the engine's ledger.

use engine::{Ledger, Origin, Reason, TABLE};

use crate::report::{Check, Finding, Verdict};

#[derive(Debug, Clone)]
pub(super) struct Tally {
    received: u64,
    model: u64,
    fallback: u64,
    superseded: u64,
    refused: u64,
    missed: u64,
    clamped: u64,
    discarded: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            received: 0,
            model: 0,
            fallback: 0,
            superseded: 0,
            refused: 0,
            missed: 0,
            clamped: 0,
            discarded: 0,
            by_reason: [0; Reason::COUNT],
        }
    }
}

impl Tally {
    pub(super) fn receive(&mut self, count: u64) {
        self.received += count;
    }

    pub(super) fn answer(&mut self, origin: Origin) {
        match origin {
            Origin::Model { clamped } => {
                self.model += 1;
                self.clamped += u64::from(clamped);
            }
            Origin::Fallback(reason) => {
                self.fallback += 1;
                self.by_reason[reason.index()] += 1;
            }
        }
    }

    pub(super) fn supersede(&mut self) {
        self.superseded += 1;
    }

    pub(super) fn refuse(&mut self, reason: Reason, count: u64) {
        self.refused += count;
        self.by_reason[reason.index()] += count;
    }

    pub(super) fn miss(&mut self, reason: Reason) {
        self.missed += 1;
        self.by_reason[reason.index()] += 1;
    }

    pub(super) fn discard(&mut self) {
        self.discarded += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.model += other.model;
        self.fallback += other.fallback;
        self.superseded += other.superseded;
        self.refused += other.refused;
        self.missed += other.missed;
        self.clamped += other.clamped;
        self.discarded += other.discarded;
        for (sum, count) in self.by_reason.iter_mut().zip(other.by_reason) {
            *sum += count;
        }
    }

    /// Whether the engine's ledger balances and says the same.
    pub(super) fn compare(&self, ledger: &Ledger, in_flight: u64) -> Verdict {
        let engine = [
            ledger.received(),
            ledger.model(),
            ledger.fallback(),
            ledger.superseded(),
            ledger.refused(),
            ledger.missed(),
            ledger.clamped(),
            ledger.discarded(),
            ledger.in_flight(),
        ];
        let Self { received, model, fallback, superseded, refused, missed, clamped, discarded, by_reason: _ } = *self;
        let own = [received, model, fallback, superseded, refused, missed, clamped, discarded, in_flight];
        let reasons = TABLE.iter().all(|row| ledger.by_reason(row.reason) == self.by_reason[row.reason.index()]);
        Finding::unless(ledger.balances() && engine == own && reasons, Check::Accounts, || {
            format!(
                "balances: {}, reasons agree: {reasons}, seen {own:?}, the engine counts {engine:?}",
                ledger.balances()
            )
        })
    }
}
