//! batch: which observations a free worker takes along with the one that it starts. It never waits for company.
//!
//! The worker goes through what waits for it in the order of ranks, from the observation that it starts. It takes each
//! one of the same model, as long as by the timing record of that model, with what the box adds to each inference,
//! - the batch ends before the fallback of every member falls due, and
//! - nobody who is passed over, and would be in time after a smaller batch, becomes late: each who is passed over is
//!   taken to run alone once the batch has ended, the earliest rank first.
//!
//! Who waits behind the last member is not asked: a batch ends no later than its members one by one would.
//!
//! An observation of a task that was shown to be schedulable is never passed over. To be in time among those who wait
//! is not to be in time among those to come: with each batch that passes it by, it gives away time that schedulability
//! has promised to later arrivals with earlier deadlines. Where nothing was shown, the most answers are what counts.
//!
//! Without a timing record a model answers one observation at a time, and is never passed over. A void one still
//! counts: who goes on degraded goes on as before, where one at a time could be a fraction of the rate.
//!
//! The work is bounded: at most [`MOST_PASSED`] + [`MAX_BATCH`] looks over the agenda and the records. To start each
//! member alone would look over them as often.

use heapless::Vec;

use crate::{
    connection::Agenda,
    engine::Engine,
    executions::Executions,
    fault::{Fault, Injected},
    schedule,
    task::{ConnectionId, MAX_BATCH, ModelId, WorkerId},
    time::{Duration, Instant},
};

/// The members of a batch, in the order of their ranks.
pub(crate) type Members = Vec<ConnectionId, MAX_BATCH>;

/// How many may be passed over before a batch is closed.
const MOST_PASSED: usize = MAX_BATCH;

impl Engine<'_> {
    /// Who starts on this worker together with `first`, itself included.
    pub(crate) fn batch(&self, worker: WorkerId, first: ConnectionId) -> Members {
        let head = self.entry(first);
        let Some(record) = self.record(worker, head.model) else { return alone(first) };
        let begins = self.now.after(self.settings.overhead);
        let mut forming = Forming::new(&record.spec().executions, begins, self.fault);
        forming.take(first, head.due);
        let models = self.peek_worker(worker).models;
        let order = |last: &ConnectionId| schedule::after(self.tables.agenda, models, *last);
        let waiting = core::iter::successors(order(&first), order);
        for next in waiting.take(MAX_BATCH.saturating_add(MOST_PASSED)) {
            let entry = self.entry(next);
            let Some(end) = forming.end_with_one_more() else { break };
            if entry.model == head.model && forming.suits(entry.due, end) {
                forming.take(next, entry.due);
            } else if !forming.pass_over(entry, self.alone(worker, entry.model)) {
                break;
            }
        }
        forming.members
    }

    /// How long an inference of one observation of this model takes on this worker, with what the box adds.
    fn alone(&self, worker: WorkerId, model: ModelId) -> Option<Duration> {
        let record = self.record(worker, model)?;
        Some(record.spec().executions.alone().plus(self.settings.overhead))
    }
}

/// A batch that is being formed.
struct Forming<'e> {
    executions: &'e Executions,
    /// When it would end, if it took no time.
    begins: Instant,
    members: Members,
    /// It must end before this, or it makes somebody late. Who is late anyway asks for nothing.
    before: Instant,
    /// How long those who were passed over run, one after the other.
    passed: Duration,
    fault: Injected,
}

impl<'e> Forming<'e> {
    fn new(executions: &'e Executions, begins: Instant, fault: Injected) -> Self {
        Self { executions, begins, members: Vec::new(), before: Instant::NEVER, passed: Duration::ZERO, fault }
    }

    fn end(&self, members: usize) -> Option<Instant> {
        self.executions.of(members).map(|execution| self.begins.after(execution))
    }

    /// When it would end with one member more, if it may have one more.
    fn end_with_one_more(&self) -> Option<Instant> {
        self.end(self.members.len().saturating_add(1)).filter(|end| *end < self.before)
    }

    /// Whether one whose fallback falls due then is in time in a batch that ends then.
    fn suits(&self, due: Instant, end: Instant) -> bool {
        end < due || self.fault.is(Fault::BatchMakesMemberLate)
    }

    fn take(&mut self, member: ConnectionId, due: Instant) {
        assert!(self.members.push(member).is_ok(), "executions know no batch above MAX_BATCH");
        if !self.fault.is(Fault::BatchMakesMemberLate) {
            self.must_end_before(due);
        }
    }

    /// Passes somebody over who alone would run so long, and says whether that may be.
    fn pass_over(&mut self, entry: Agenda, alone: Option<Duration>) -> bool {
        let promised = !entry.unschedulable && !self.fault.is(Fault::BatchPassesPromised);
        let (false, Some(alone)) = (promised, alone) else { return false };
        self.passed = self.passed.plus(alone);
        if !self.fault.is(Fault::BatchMakesPassedLate) {
            self.must_end_before(entry.due.before(self.passed));
        }
        true
    }

    fn must_end_before(&mut self, instant: Instant) {
        if self.end(self.members.len()).is_some_and(|end| end < instant) {
            self.before = self.before.min(instant);
        }
    }
}

fn alone(first: ConnectionId) -> Members {
    Vec::from_slice(&[first]).expect("there is room for one")
}
