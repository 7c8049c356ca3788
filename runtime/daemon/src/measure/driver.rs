//! In the engine's place: hands inferences to the box's own workers, and times them until their results are back.
//!
//! The workers are those of `genba run`, started by the same code. It must never time anything else than they do.

use std::{thread, time::Duration};

use engine::SlotId;
use miette::{Diagnostic, Result};
use thiserror::Error;

use super::{
    breath::{Breath, nanos},
    observations::Observations,
};
use crate::{
    clock,
    plan::{Plan, model_id},
    worker::{Desk, Done, Order, Slot},
};

/// Workers at work.
pub(super) struct Driver<'d> {
    plan: &'d Plan,
    workers: Vec<Worker>,
    /// By model.
    observations: &'d mut [Observations],
}

struct Worker {
    desk: Desk,
    /// `None`: the worker has it.
    slot: Option<Slot>,
    /// Which of its models it ran last, to keep it busy with another.
    turn: usize,
    ordered: u64,
}

/// How inferences follow each other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace<'p> {
    pub(super) pause: Duration,
    /// The workers that are busy all the time.
    pub(super) beside: &'p [usize],
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
    pub(super) fn new(plan: &'d Plan, desks: Vec<Desk>, observations: &'d mut [Observations]) -> Self {
        let worker = |desk| Worker { desk, slot: Some(Slot::with_room(plan.slot_lengths())), turn: 0, ordered: 0 };
        Self { plan, workers: desks.into_iter().map(worker).collect(), observations }
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
            if self.is_busy(worker) && self.take(worker, model)? {
                let now = clock::nanos();
                let time = now - self.workers[worker].ordered;
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
                self.order(worker, model);
            } else {
                thread::park_timeout(Duration::from_nanos(due - now));
            }
        }
    }

    /// Waits until every worker is idle.
    fn settle(&mut self) -> Result<(), Stopped> {
        for worker in 0..self.workers.len() {
            while self.is_busy(worker) {
                if !self.take(worker, self.running(worker))? {
                    thread::park_timeout(self.hang());
                }
            }
        }
        Ok(())
    }

    /// Takes a busy worker's result, if it is there, and hands it the next inference, unless it is time to rest.
    fn keep_busy(&mut self, worker: usize, goes_on: bool) -> Result<(), Stopped> {
        if self.is_busy(worker) && !self.take(worker, self.running(worker))? {
            return Ok(());
        }
        if goes_on {
            self.workers[worker].turn += 1;
            self.order(worker, self.running(worker));
        }
        Ok(())
    }

    /// The model that a worker is kept busy with.
    fn running(&self, worker: usize) -> usize {
        let models = &self.plan.config.workers[worker].models;
        models[self.workers[worker].turn % models.len()]
    }

    fn is_busy(&self, worker: usize) -> bool {
        self.workers[worker].slot.is_none()
    }

    fn order(&mut self, place: usize, model: usize) {
        let worker = &mut self.workers[place];
        let mut memory = worker.slot.take().expect("an idle worker's slot is here");
        memory.store(self.observations[model].next().iter().copied());
        let slot = SlotId(u16::try_from(place).expect("the plan's slots are fewer than 65536"));
        worker.ordered = clock::nanos();
        worker.desk.order(Order { model: model_id(model), slot, memory });
    }

    /// Whether the result was there.
    fn take(&mut self, place: usize, model: usize) -> Result<bool, Stopped> {
        let names = || (self.plan.config.workers[place].name.clone(), self.plan.config.models[model].name.clone());
        let Some(Done { memory, result, .. }) = self.workers[place].desk.done() else {
            if Duration::from_nanos(clock::nanos() - self.workers[place].ordered) > self.hang() {
                let (worker, model) = names();
                return Err(Stopped::Hung { worker, model, hang_ms: self.plan.config.quarantine.hang_ms });
            }
            return Ok(false);
        };
        if result.is_err() {
            let (worker, model) = names();
            return Err(Stopped::Failed { worker, model });
        }
        self.workers[place].slot = Some(memory);
        Ok(true)
    }

    fn hang(&self) -> Duration {
        Duration::from_millis(self.plan.config.quarantine.hang_ms)
    }
}

/// Whether a scene is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}
