//! One client (a name and a task): the one-off requests that wait, and the one whose reply is open.
//!
//! Its requests queue, in order, in a queue of its own. At most one is run or replied to at a time, and a client
//! occupies at most one worker in service: however many it asks for, and whatever they do to the model.

use heapless::Vec;
use message::{Place, Stamp, Status};

use crate::{
    account::RequestLedger,
    bucket::Bucket,
    guard::{Complete, Ranged},
    task::{ClientSpec, MAX_QUEUE, SlotId, WorkerId},
    time::Instant,
};

/// One client's state. The daemon allocates a table of them and lends it to the engine.
#[derive(Debug)]
pub struct Client {
    pub(crate) spec: ClientSpec,
    pub(crate) bucket: Bucket,
    /// In the order of their arrivals, no more than `spec.queue`.
    pub(crate) queue: Vec<Request, MAX_QUEUE>,
    pub(crate) stage: Stage,
    /// Which worker runs, or ran last before it was taken out of service, a request of this client that expired.
    pub(crate) abandoned_on: Option<WorkerId>,
    /// The turn at which one of its requests was started last: whoever waits longest is next.
    pub(crate) served: u64,
    pub(crate) serial: u64,
    pub(crate) ledger: RequestLedger,
}

impl Client {
    /// A client that has not asked for anything.
    #[must_use]
    pub fn new(spec: ClientSpec) -> Self {
        Self {
            spec,
            bucket: Bucket::default(),
            queue: Vec::new(),
            stage: Stage::Idle,
            abandoned_on: None,
            served: 0,
            serial: 0,
            ledger: RequestLedger::default(),
        }
    }

    /// When the next of its requests expires.
    pub(crate) fn due(&self) -> Instant {
        let waiting = self.queue.iter().map(|request| request.deadline).min().unwrap_or(Instant::NEVER);
        match &self.stage {
            Stage::Running { request, .. } => request.deadline.min(waiting),
            Stage::Idle | Stage::Sending(_) => waiting,
        }
    }

    /// The request that could start now, if a worker is free.
    pub(crate) fn first(&self) -> Option<&Request> {
        match self.stage {
            Stage::Idle => self.queue.first(),
            Stage::Running { .. } | Stage::Sending(_) => None,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= usize::from(self.spec.queue)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let open = match self.stage {
            Stage::Idle => 0,
            Stage::Running { .. } | Stage::Sending(_) => 1,
        };
        u64::try_from(self.queue.len()).unwrap_or(u64::MAX).saturating_add(open)
    }
}

/// An admitted request: constructed by admission only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) slot: SlotId,
    pub(crate) asked: Asked,
    pub(crate) deadline: Instant,
}

/// What a reply echoes of its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) request: u64,
    pub(crate) stamp: Stamp,
    pub(crate) arrival: Instant,
}

impl Asked {
    /// Nothing could be read.
    pub(crate) const fn unreadable(arrival: Instant) -> Self {
        Self { request: 0, stamp: Stamp::new(0), arrival }
    }
}

/// What happens to the one request whose reply is open.
#[derive(Debug)]
pub(crate) enum Stage {
    /// None is open.
    Idle,
    /// A worker computes its result.
    Running { request: Request, worker: WorkerId },
    /// Its result was handed out and is not yet reported as sent or withheld.
    Sending(Sending),
}

/// What a request's model gave.
#[derive(Debug)]
pub(crate) enum Outcome {
    Action(Ranged),
    Results(Complete),
}

/// A result on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) request: Request,
    pub(crate) serial: u64,
    /// Taken when the caller polls it.
    pub(crate) result: Option<Outcome>,
    /// What it is marked with, as things were when it was made.
    pub(crate) marks: Status,
    /// Where it was computed.
    pub(crate) place: Place,
}
