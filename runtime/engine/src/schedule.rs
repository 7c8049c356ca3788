//! schedule: which observation a free worker starts next: the one with the earliest deadline, by its task's longest
//! budget.

use crate::{
    connection::Agenda,
    fault::{Fault, Injected},
    task::{ConnectionId, WorkerId},
    time::Instant,
    worker::Worker,
};

/// The next start: the first free worker that has work, and the startable connection of the earliest deadline
/// among its models (the first of several equal ones).
pub(crate) fn next(agenda: &[Agenda], workers: &[Worker], fault: Injected) -> Option<(WorkerId, ConnectionId)> {
    let mut free = (0u16..)
        .zip(workers)
        .filter(|(_, worker)| worker.is_free() || fault.is(Fault::ReuseQuarantined) && worker.is_idle_in_quarantine());
    free.find_map(|(id, worker)| earliest(agenda, worker, fault).map(|connection| (WorkerId(id), connection)))
}

fn earliest(agenda: &[Agenda], worker: &Worker, fault: Injected) -> Option<ConnectionId> {
    let startable = (0u16..)
        .zip(agenda)
        .filter(|(_, entry)| entry.startable != Instant::NEVER && worker.models.contains(entry.model));
    let chosen = if fault.is(Fault::LatestDeadlineFirst) {
        startable.max_by_key(|(_, entry)| entry.startable)
    } else {
        startable.min_by_key(|(_, entry)| entry.startable)
    };
    chosen.map(|(id, _)| ConnectionId(id))
}
