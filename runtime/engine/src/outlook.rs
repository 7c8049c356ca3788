//! outlook: whether an inference that has not begun can still end in time, by the timing records.
//!
//! It can on a worker that is free now, or will be when what runs there has taken its execution, if its own execution
//! then ends before it is due. What waits beside it is not counted, but for the requests of its own client that come
//! first: with the executions declared, nothing that could be in time is given up. Where a worker that might run it
//! has no record, or a void one, nothing is known, and nothing is given up.
//!
//! No observation of an accepted set is given up: that what runs takes its execution, and that it begins right after, is
//! one of the courses that schedulability has shown to be in time.

use crate::{
    engine::Engine,
    record::Record,
    task::{ClientId, ConnectionId, ModelId, WorkerId},
    time::{Duration, Instant},
};

impl Engine<'_> {
    /// The observation that waits here could start, but no worker can end it before it is due.
    pub(crate) fn no_time_for_waiting(&self, id: ConnectionId) -> bool {
        let waiting = self.peek(id).waiting;
        waiting.is_some_and(|job| self.no_time(self.entry(id).model, job.due, self.now, 0))
    }

    /// No worker can end this client's request before its deadline, behind so many of its own.
    pub(crate) fn no_time_for_request(&self, id: ClientId, deadline: Instant, ahead: usize) -> bool {
        let client = self.peek_client(id);
        let own = match client.stage {
            crate::client::Stage::Running { worker, .. } => self.free_at(worker),
            crate::client::Stage::Idle | crate::client::Stage::Sending(_) => self.now,
        };
        self.no_time(self.task_of(id).model(), deadline, own, ahead)
    }

    /// Whether one of this model that is started on this worker now ends in time, as far as is known.
    pub(crate) fn fits(&self, worker: WorkerId, model: ModelId, due: Instant) -> bool {
        self.known(worker, model).is_none_or(|alone| self.now.after(alone) < due)
    }

    /// Whether no worker in service ends an inference of this model before `due`, if it begins no sooner than `from`,
    /// after so many others of the same.
    fn no_time(&self, model: ModelId, due: Instant, from: Instant, ahead: usize) -> bool {
        let Some(shortest) = self.shortest(model) else { return false };
        let ahead = u16::try_from(ahead).unwrap_or(u16::MAX);
        let ends = |worker: WorkerId| {
            let alone = self.known(worker, model).unwrap_or(Duration::ZERO);
            self.free_at(worker).max(from).after(shortest.times(ahead)).after(alone)
        };
        self.serving(model).all(|worker| ends(worker) >= due)
    }

    /// The shortest that one of this model takes on any worker in service; none if that is not known of all.
    fn shortest(&self, model: ModelId) -> Option<Duration> {
        let mut shortest = None;
        for worker in self.serving(model) {
            let alone = self.known(worker, model)?;
            shortest = Some(shortest.map_or(alone, |shortest: Duration| shortest.min(alone)));
        }
        shortest
    }

    /// When this worker is free, if what it runs takes no longer than its record says.
    fn free_at(&self, worker: WorkerId) -> Instant {
        let running = self.peek_worker(worker).running.as_ref();
        let ends = running.and_then(|running| {
            let record = self.valid(worker, running.model)?;
            Some(running.since.after(record.spec().executions.of(running.size())?))
        });
        ends.unwrap_or(self.now).max(self.now)
    }

    /// How long one of this model takes on this worker, with what the box adds, by a record that holds.
    fn known(&self, worker: WorkerId, model: ModelId) -> Option<Duration> {
        Some(self.valid(worker, model)?.spec().executions.alone().plus(self.settings.overhead))
    }

    fn valid(&self, worker: WorkerId, model: ModelId) -> Option<&Record> {
        self.record(worker, model).filter(|record| record.void().is_none())
    }

    fn serving(&self, model: ModelId) -> impl Iterator<Item = WorkerId> + '_ {
        let workers = (0u16..).zip(self.tables.workers.iter());
        let serving = workers.filter(move |(_, worker)| worker.is_in_service() && worker.models.contains(model));
        serving.map(|(id, _)| WorkerId(id))
    }
}
