//! schedule: which observation a free worker starts next: the one with the earliest deadline, by its task's longest
//! budget.

use crate::{
    connection::Agenda,
    fault::{Fault, Injected},
    task::{ConnectionId, ModelId, ModelSet, WorkerId},
    time::Instant,
    worker::Worker,
};

/// The next start: the first free worker that has work, and the startable connection of the earliest deadline
/// among its models (the first of several equal ones). What cannot end there before it is due does not fit.
pub(crate) fn next(
    agenda: &[Agenda],
    workers: &[Worker],
    fault: Injected,
    fits: impl Fn(WorkerId, ModelId, Instant) -> bool,
) -> Option<(WorkerId, ConnectionId)> {
    let mut free = (0u16..)
        .zip(workers)
        .filter(|(_, worker)| worker.is_free() || fault.is(Fault::ReuseQuarantined) && worker.is_idle_in_quarantine());
    free.find_map(|(id, worker)| {
        let fits = |entry: &Agenda| fits(WorkerId(id), entry.model, entry.due);
        earliest(agenda, worker.models, fault, fits).map(|connection| (WorkerId(id), connection))
    })
}

/// Whether an observation waits for a worker with these models.
pub(crate) fn is_waited_for(agenda: &[Agenda], models: ModelSet) -> bool {
    agenda.iter().any(|entry| entry.waits && models.contains(entry.model))
}

/// Whose turn is after this one's among those that wait for one of these models.
pub(crate) fn after(agenda: &[Agenda], models: ModelSet, last: ConnectionId) -> Option<ConnectionId> {
    let (_, rank) = startable(agenda, models).find(|(id, _)| *id == last)?;
    let later = startable(agenda, models).filter(|turn| (turn.1, turn.0.0) > (rank, last.0));
    later.min_by_key(|(_, rank)| *rank).map(|(id, _)| id)
}

fn earliest(
    agenda: &[Agenda],
    models: ModelSet,
    fault: Injected,
    fits: impl Fn(&Agenda) -> bool,
) -> Option<ConnectionId> {
    let fits = |id: ConnectionId| agenda.get(usize::from(id.0)).is_some_and(&fits);
    let startable = startable(agenda, models).filter(|(id, _)| fits(*id));
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
