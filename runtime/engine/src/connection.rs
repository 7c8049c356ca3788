//! One connection (a robot and a task): its epoch, the observation that waits, the one whose answer is open.

use heapless::Deque;
use message::{Epoch, Sequence, Stamp, Status};

use crate::{
    account::Ledger,
    bucket::Bucket,
    guard::Origin,
    guard::{Guarded, Values},
    joined::{Places, Sampled},
    plan::{Plans, Provenance},
    reference::Reference,
    reset::ResetLedger,
    respond::Echo,
    state::{Beginning, State},
    task::{ConnectionSpec, ModelId, SlotId, WorkerId},
    time::{Duration, Instant},
};

const RETIRED_EPOCHS: usize = 16;
const EPOCH_CHANGES_A_SECOND: usize = 8;
/// How many sent sequences are remembered to say how many of them the controller has not seen.
const UNSEEN: usize = 32;

/// One connection's state. The daemon allocates a table of them and lends it to the engine.
#[derive(Debug)]
pub struct Connection {
    pub(crate) spec: ConnectionSpec,
    pub(crate) session: Session,
    pub(crate) bucket: Bucket,
    pub(crate) waiting: Option<Job>,
    pub(crate) stage: Stage,
    /// Which worker runs, or ran last before it was taken out of service, an inference of this connection whose answer
    /// is closed.
    pub(crate) abandoned_on: Option<WorkerId>,
    /// Set when the engine is made.
    pub(crate) joined: Places,
    pub(crate) reference: Reference,
    pub(crate) state: State,
    pub(crate) plans: Plans,
    pub(crate) ledger: Ledger,
    pub(crate) resets: ResetLedger,
    pub(crate) serial: u64,
}

impl Connection {
    /// A connection that has not heard from its controller.
    #[must_use]
    pub fn new(spec: ConnectionSpec) -> Self {
        Self {
            spec,
            session: Session::default(),
            bucket: Bucket::default(),
            waiting: None,
            stage: Stage::Idle,
            abandoned_on: None,
            joined: Places::default(),
            reference: Reference::default(),
            state: State::default(),
            plans: Plans::default(),
            ledger: Ledger::default(),
            resets: ResetLedger::default(),
            serial: 0,
        }
    }

    /// When the next fallback of this connection falls due.
    pub(crate) fn due(&self) -> Instant {
        let waiting = self.waiting.map_or(Instant::NEVER, |job| job.due);
        match &self.stage {
            Stage::Idle => waiting,
            Stage::Running { job, .. } => job.due.min(waiting),
            Stage::Sending(_) => Instant::NEVER,
        }
    }

    /// The rank of the observation that could start now.
    pub(crate) fn startable(&self) -> Instant {
        match (&self.stage, self.waiting) {
            (Stage::Idle, Some(job)) => job.rank,
            (Stage::Idle | Stage::Running { .. } | Stage::Sending(_), _) => Instant::NEVER,
        }
    }

    /// Whether an observation waits for a worker, or will once the answer before it is reported as sent.
    pub(crate) fn waits(&self) -> bool {
        self.waiting.is_some() && matches!(self.stage, Stage::Idle | Stage::Sending(_))
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let open = match self.stage {
            Stage::Idle => 0,
            Stage::Running { .. } | Stage::Sending(_) => 1,
        };
        u64::from(self.waiting.is_some()).saturating_add(open)
    }
}

/// An admitted observation: constructed by admission only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) slot: SlotId,
    pub(crate) echo: Echo,
    pub(crate) sequence: Sequence,
    pub(crate) deadline: Instant,
    pub(crate) due: Instant,
    /// Its deadline, had it the longest budget: what is earliest starts first. A short budget brings the fallback
    /// forward and buys no worker, or one controller could make the others late.
    pub(crate) rank: Instant,
    /// The oldest joined sample that it is run with, or that was too old for that.
    pub(crate) oldest: Option<Sampled>,
    /// What its inference started from; `None`: it has not started, or its task has no state.
    pub(crate) beginning: Option<Beginning>,
}

/// What happens to the one observation whose answer is open.
#[derive(Debug)]
pub(crate) enum Stage {
    /// None is open.
    Idle,
    /// A worker computes its answer.
    Running { job: Job, worker: WorkerId },
    /// Its answer was handed out and is not yet reported as sent or withheld.
    Sending(Sending),
}

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) job: Job,
    pub(crate) serial: u64,
    /// Taken when the caller polls it.
    pub(crate) guarded: Option<Guarded>,
    pub(crate) values: Values,
    pub(crate) origin: Origin,
    /// What it is marked with, as things were when it was made.
    pub(crate) marks: Status,
    /// Where it was computed, and of which plan it is a step.
    pub(crate) provenance: Provenance,
    /// The slot to free afterwards; `None`: a worker still runs on it.
    pub(crate) slot: Option<SlotId>,
    /// Its epoch was retired meanwhile: it counts, but advances nothing.
    pub(crate) retired: bool,
}

/// Who the controller is, and how far it has come.
#[derive(Debug, Default)]
pub(crate) struct Session {
    epoch: Option<Epoch>,
    retired: Deque<Epoch, RETIRED_EPOCHS>,
    changes: Deque<Instant, EPOCH_CHANGES_A_SECOND>,
    last_sequence: u64,
    sent: Deque<u64, UNSEEN>,
}

/// What an observation's epoch means to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The current one.
    Current,
    /// The first since boot.
    First,
    /// A new one: the controller restarted.
    New,
    /// One that was retired.
    Retired,
    /// A new one, but too many came within a second.
    TooOften,
}

impl Session {
    pub(crate) const fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    pub(crate) fn standing(&self, epoch: Epoch, now: Instant) -> Standing {
        match self.epoch {
            None => Standing::First,
            Some(current) if current == epoch => Standing::Current,
            Some(_) if self.retired.iter().any(|retired| *retired == epoch) => Standing::Retired,
            Some(_) => {
                let recent = |change: &&Instant| now.since(**change) < Duration::SECOND;
                if self.changes.iter().filter(recent).count() >= EPOCH_CHANGES_A_SECOND {
                    Standing::TooOften
                } else {
                    Standing::New
                }
            }
        }
    }

    /// Takes a new epoch and retires the current one.
    pub(crate) fn change(&mut self, epoch: Epoch, now: Instant, keep_sequence: bool) {
        if let Some(old) = self.epoch {
            push_newest(&mut self.retired, old);
            push_newest(&mut self.changes, now);
        }
        self.epoch = Some(epoch);
        self.last_sequence = if keep_sequence { self.last_sequence } else { 0 };
        self.sent.clear();
    }

    pub(crate) const fn is_newer(&self, sequence: Sequence) -> bool {
        sequence.value() > self.last_sequence
    }

    pub(crate) const fn is_last(&self, sequence: Sequence) -> bool {
        sequence.value() == self.last_sequence
    }

    pub(crate) const fn accept(&mut self, sequence: Sequence) {
        self.last_sequence = sequence.value();
    }

    pub(crate) fn sent(&mut self, sequence: Sequence) {
        push_newest(&mut self.sent, sequence.value());
    }

    /// The controller has seen the response with this sequence.
    pub(crate) fn seen(&mut self, last_response: Option<Sequence>) {
        let last = last_response.map_or(0, Sequence::value);
        while self.sent.front().is_some_and(|sequence| *sequence <= last) {
            self.sent.pop_front();
        }
    }

    pub(crate) fn unseen(&self) -> u32 {
        u32::try_from(self.sent.len()).unwrap_or(u32::MAX)
    }
}

pub(crate) fn push_newest<T, const N: usize>(ring: &mut Deque<T, N>, value: T) {
    if ring.is_full() {
        ring.pop_front();
    }
    assert!(ring.push_back(value).is_ok(), "a place was made just before");
}

/// What the engine looks at to choose what is next, small enough to scan for each event.
#[derive(Debug, Clone, Copy)]
pub struct Agenda {
    pub(crate) due: Instant,
    pub(crate) startable: Instant,
    /// It waits for a worker of its model: no one-off begins there.
    pub(crate) waits: bool,
    pub(crate) model: ModelId,
    pub(crate) unschedulable: bool,
}

impl Default for Agenda {
    fn default() -> Self {
        Self { due: Instant::NEVER, startable: Instant::NEVER, waits: false, model: ModelId(0), unschedulable: false }
    }
}

impl Job {
    /// For the fault that echoes another sequence.
    pub(crate) fn mistaken(mut self) -> Self {
        self.echo.sequence = Sequence::new(self.sequence.value().wrapping_add(1));
        self.echo.stamp = Stamp::new(0);
        self
    }
}
