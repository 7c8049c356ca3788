//! What `genba status` says of durable requests.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::durable::Kept;

/// Carried over + requested = delivered + refused + expired + failed + in flight.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DurableLine {
    carried_over: u64,
    requested: u64,
    delivered: u64,
    refused: u64,
    expired: u64,
    failed: u64,
    in_flight: u64,
    attempts: u64,
    /// Until somebody retries or purges them.
    dead_letters: u64,
    balances: bool,
}

impl DurableLine {
    pub(super) fn balances(&self) -> bool {
        self.balances
    }
}

pub(super) fn durable_line(kept: &Kept) -> DurableLine {
    let (ledger, usage) = kept.counts();
    DurableLine {
        carried_over: ledger.carried_over,
        requested: ledger.requested,
        delivered: ledger.delivered,
        refused: ledger.refused,
        expired: ledger.expired,
        failed: ledger.failed,
        in_flight: ledger.in_flight,
        attempts: ledger.attempts,
        dead_letters: usage.dead.items,
        balances: ledger.is_balanced(),
    }
}

pub(super) fn write_durable(text: &mut String, line: &DurableLine) {
    let DurableLine { carried_over, requested, delivered, refused, expired, failed, in_flight, .. } = line;
    let DurableLine { attempts, dead_letters, .. } = line;
    let _ = writeln!(
        text,
        "durable requests: {carried_over} carried over, {requested} requested, {delivered} delivered, {refused} refused, \
         {expired} expired, {failed} failed, {in_flight} in flight; {attempts} attempts, {dead_letters} dead letters"
    );
}
