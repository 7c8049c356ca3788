//! In the engine's place: hands inferences to the box's own workers, and times them until their results are back.
//!
//! The workers are those of `genba run`, started by the same code. It must never time anything else than they do.

use std::{
    sync::{Arc, OnceLock},
    thread::{self, Thread},
    time::Duration,
};

use engine::{Instant, MAX_BATCH, SlotId};
use heapless::spsc::{Consumer, Queue};
use miette::{Diagnostic, Result};
use thiserror::Error;

use super::{
    breath::{Breath, nanos},
    observations::{Observations, Observed},
};
use crate::{
    clock,
    plan::{Plan, model_id},
    samples::Joined,
    state::Layout,
    worker::{About, Bring, Desk, Done, Member, Order, Slot},
};

/// Workers at work.
pub(super) struct Driver<'d> {
    plan: &'d Plan,
    workers: Vec<Worker>,
    /// By model.
    observations: &'d mut [Observations],
    layouts: Vec<Layout>,
}

struct Worker {
    desk: Desk,
    results: Consumer<'static, Done>,
    /// Those that the worker does not have.
    slots: Vec<Member>,
    busy: bool,
    /// Which of its models it ran last, to keep it busy with another.
    turn: usize,
    ordered: Instant,
}

/// How inferences follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace<'p> {
    pub(super) pause: Duration,
    /// The workers that are busy all the time.
    pub(super) beside: &'p [usize],
    /// How many observations each inference answers; those of busy workers answer one.
    pub(super) members: usize,
}

/// Why a measurement ended early.
#[derive(Debug, Error, Diagnostic)]
pub(super) enum Stopped {
    #[error("worker {worker}: the model {model} failed on an observation")]
    #[diagnostic(help("the log says why; correct the model, or the observations in its golden.json"))]
    Failed { worker: String, model: String },
    #[error("worker {worker}: an inference of the model {model} has not ended after {hang_ms} ms")]
    #[diagnostic(help("a box would take the worker out of service: correct the model, or raise [quarantine] hang_ms"))]
    Hung { worker: String, model: String, hang_ms: u64 },
}

impl<'d> Driver<'d> {
    pub(super) fn new(
        plan: &'d Plan,
        workers: Vec<(Desk, Consumer<'static, Done>)>,
        observations: &'d mut [Observations],
    ) -> Self {
        let worker = |(desk, results)| Worker {
            desk,
            results,
            slots: (0..MAX_BATCH).map(|_| member(plan)).collect(),
            busy: false,
            turn: 0,
            ordered: Instant::from_nanos(0),
        };
        Self { plan, workers: workers.into_iter().map(worker).collect(), observations, layouts: plan.layouts() }
    }

    /// The most observations of a model that an inference on a worker can answer.
    pub(super) fn largest_batch(&self, model: usize, worker: usize) -> usize {
        self.workers[worker].desk.largest_batch(model)
    }

    /// Times inferences of a model on a worker, until `took` has enough. It is told each time in nanoseconds, and when
    /// it ended after the begin.
    pub(super) fn time(
        &mut self,
        (model, worker): (usize, usize),
        pace: Pace<'_>,
        took: &mut dyn FnMut(u64, Duration) -> Enough,
    ) -> Result<(), Stopped> {
        let begun = clock::nanos();
        let (mut breath, mut last) = (Breath::new(begun), begun);
        let (mut due, mut rests_until, mut counts) = (begun + nanos(pace.pause), begun, true);
        loop {
            if let Some(time) = self.take_if_busy(worker, model)? {
                let now = clock::nanos();
                let enough = if counts { took(time, Duration::from_nanos(now - begun)) } else { Enough::No };
                if enough == Enough::Yes {
                    return self.settle();
                }
                let rest = breath.after(now, if pace.beside.is_empty() { time } else { now - last });
                // After a rest the pause was another.
                (counts, last) = (rest.is_none(), now);
                rests_until = rest.unwrap_or(rests_until);
                due = (now + nanos(pace.pause)).max(rests_until);
            }
            let now = clock::nanos();
            for other in pace.beside {
                self.keep_busy(*other, now >= rests_until)?;
            }
            if self.is_busy(worker) {
                thread::park_timeout(self.hang());
            } else if now >= due {
                self.order(worker, model, pace.members);
            } else {
                thread::park_timeout(Duration::from_nanos(due - now));
            }
        }
    }

    /// Waits until every worker is idle.
    fn settle(&mut self) -> Result<(), Stopped> {
        for worker in 0..self.workers.len() {
            while self.is_busy(worker) {
                if self.take(worker, self.running(worker))?.is_none() {
                    thread::park_timeout(self.hang());
                }
            }
        }
        Ok(())
    }

    /// Takes a busy worker's result, if it is there, and hands it the next inference, unless it is time to rest.
    fn keep_busy(&mut self, worker: usize, goes_on: bool) -> Result<(), Stopped> {
        if self.is_busy(worker) && self.take(worker, self.running(worker))?.is_none() {
            return Ok(());
        }
        if goes_on {
            self.workers[worker].turn += 1;
            self.order(worker, self.running(worker), 1);
        }
        Ok(())
    }

    /// The model that a worker is kept busy with.
    fn running(&self, worker: usize) -> usize {
        let models = &self.plan.config.workers[worker].models;
        models[self.workers[worker].turn % models.len()]
    }

    fn is_busy(&self, worker: usize) -> bool {
        self.workers[worker].busy
    }

    fn order(&mut self, place: usize, model: usize, count: usize) {
        let worker = &mut self.workers[place];
        let mut members = worker.desk.no_members();
        members.extend(worker.slots.drain(..count));
        for member in &mut members {
            let Observed { values, joined } = self.observations[model].next();
            member.memory.store(values.iter().copied());
            member.joined.clone_from(joined);
            self.layouts[model].begin_fresh(&mut member.memory);
        }
        (worker.busy, worker.ordered) = (true, clock::now());
        let about = About { task: 0, sequence: 0, deadline: worker.ordered, priority: None };
        worker.desk.order(Order { model: model_id(model), members, at: worker.ordered, about });
    }

    fn take_if_busy(&mut self, place: usize, model: usize) -> Result<Option<u64>, Stopped> {
        if self.is_busy(place) { self.take(place, model) } else { Ok(None) }
    }

    /// How long the worker was occupied, in nanoseconds, if the result is there.
    fn take(&mut self, place: usize, model: usize) -> Result<Option<u64>, Stopped> {
        let names = || (self.plan.config.workers[place].name.clone(), self.plan.config.models[model].name.clone());
        let Some(Done { mut members, result, execution }) = self.workers[place].results.dequeue() else {
            if Duration::from(clock::now().since(self.workers[place].ordered)) > self.hang() {
                let (worker, model) = names();
                return Err(Stopped::Hung { worker, model, hang_ms: self.plan.config.quarantine.hang_ms });
            }
            return Ok(None);
        };
        if result.is_err() {
            let (worker, model) = names();
            return Err(Stopped::Failed { worker, model });
        }
        let worker = &mut self.workers[place];
        worker.busy = false;
        worker.slots.append(&mut members);
        worker.desk.give_back(members);
        Ok(Some(execution.nanos()))
    }

    fn hang(&self) -> Duration {
        Duration::from_millis(self.plan.config.quarantine.hang_ms)
    }
}

/// A slot that no engine knows.
fn member(plan: &Plan) -> Member {
    Member { slot: SlotId(0), memory: Slot::with_room(plan.slot_lengths()), joined: Joined::new() }
}

/// Brings results to the thread that times them.
#[derive(Clone, Default)]
pub(super) struct Results(Arc<OnceLock<Thread>>);

impl Results {
    /// For one worker, which has one inference at a time.
    pub(super) fn way_back(&self) -> (Bring, Consumer<'static, Done>) {
        let (mut results, brought) = Box::leak(Box::new(Queue::<Done, 2>::new())).split();
        let waits = Arc::clone(&self.0);
        let bring = move |done| {
            assert!(results.enqueue(done).is_ok(), "a result is taken before the next inference is ordered");
            if let Some(thread) = waits.get() {
                thread.unpark();
            }
        };
        (Box::new(bring), brought)
    }

    pub(super) fn wake_this_thread(&self) {
        self.0.set(thread::current()).expect("one thread times");
    }
}

/// Whether a scene is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}
