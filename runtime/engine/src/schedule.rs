//! schedule: which observation a free worker starts next: the one with the earliest deadline, by its task's longest
//! budget.

use crate::{
    connection::Agenda,
    fault::{Fault, Injected},
    task::{ConnectionId, ModelSet, WorkerId},
    time::Instant,
    worker::Worker,
};

/// The next start: the first free worker that has work, and the startable connection of the earliest deadline
/// among its models (the first of several equal ones).
pub(crate) fn next(agenda: &[Agenda], workers: &[Worker], fault: Injected) -> Option<(WorkerId, ConnectionId)> {
    let mut free = (0u16..)
        .zip(workers)
        .filter(|(_, worker)| worker.is_free() || fault.is(Fault::ReuseQuarantined) && worker.is_idle_in_quarantine());
    free.find_map(|(id, worker)| earliest(agenda, worker.models, fault).map(|connection| (WorkerId(id), connection)))
}

/// Whose turn is after this one's among those that wait for one of these models.
pub(crate) fn after(agenda: &[Agenda], models: ModelSet, last: ConnectionId) -> Option<ConnectionId> {
    let (_, rank) = startable(agenda, models).find(|(id, _)| *id == last)?;
    let later = startable(agenda, models).filter(|turn| (turn.1, turn.0.0) > (rank, last.0));
    later.min_by_key(|(_, rank)| *rank).map(|(id, _)| id)
}

fn earliest(agenda: &[Agenda], models: ModelSet, fault: Injected) -> Option<ConnectionId> {
    let startable = startable(agenda, models);
    let chosen = if fault.is(Fault::LatestDeadlineFirst) {
        startable.max_by_key(|(_, rank)| *rank)
    } else {
        startable.min_by_key(|(_, rank)| *rank)
    };
    chosen.map(|(id, _)| id)
}

/// Who waits for one of these models and may start now, and of which rank.
fn startable(agenda: &[Agenda], models: ModelSet) -> impl Iterator<Item = (ConnectionId, Instant)> + '_ {
    let entries = (0u16..).zip(agenda);
    let waiting = entries.filter(move |(_, entry)| entry.startable != Instant::NEVER && models.contains(entry.model));
    waiting.map(|(id, entry)| (ConnectionId(id), entry.startable))
}
