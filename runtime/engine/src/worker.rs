//! One worker, as the engine sees it: what it runs, how often it overran, whether it is in service.

use heapless::Deque;

use crate::{
    task::{ConnectionId, ModelId, ModelSet, SlotId, WorkerSpec},
    time::{Duration, Instant},
};

/// The most overruns that a quarantine may wait for.
pub(crate) const MAX_OVERRUNS: usize = 16;

/// One worker's state. The daemon allocates a table of them and lends it to the engine.
#[derive(Debug)]
pub struct Worker {
    pub(crate) models: ModelSet,
    pub(crate) service: Service,
    pub(crate) running: Option<Running>,
    overruns: Deque<Instant, MAX_OVERRUNS>,
}

/// Whether a worker gets work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It does.
    Active,
    /// It waits until another is quarantined.
    Spare,
    /// It does not, until the next boot.
    Quarantined,
}

/// The inference that a worker runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) model: ModelId,
    pub(crate) slot: SlotId,
    pub(crate) since: Instant,
    /// Whose answer it computes; `None`: that answer is closed and the result will be discarded.
    pub(crate) owner: Option<ConnectionId>,
    /// For whom it was started: it occupies this worker, and counts the result if that is discarded.
    pub(crate) started_for: ConnectionId,
    /// Its observation fell due meanwhile.
    pub(crate) late: bool,
}

impl Worker {
    /// A worker that is idle.
    #[must_use]
    pub fn new(spec: WorkerSpec) -> Self {
        let service = if spec.spare { Service::Spare } else { Service::Active };
        Self { models: spec.models, service, running: None, overruns: Deque::new() }
    }

    /// Whether it may be given work now.
    pub(crate) fn is_free(&self) -> bool {
        self.service == Service::Active && self.running.is_none()
    }

    pub(crate) fn is_in_service(&self) -> bool {
        self.service == Service::Active
    }

    /// The answer that it computes is closed: its result will be discarded.
    pub(crate) const fn disown(&mut self, late: bool) {
        if let Some(running) = &mut self.running {
            running.owner = None;
            running.late = late;
        }
    }

    pub(crate) fn is_idle_in_quarantine(&self) -> bool {
        self.service == Service::Quarantined && self.running.is_none()
    }

    /// When its inference counts as hung.
    pub(crate) fn hang_at(&self, hang: Duration) -> Instant {
        match (self.service, self.running) {
            (Service::Active, Some(running)) => running.since.after(hang),
            (Service::Active | Service::Spare | Service::Quarantined, _) => Instant::NEVER,
        }
    }

    /// Counts an overrun and says whether there were `max` within `window`.
    pub(crate) fn overran(&mut self, now: Instant, window: Duration, max: usize) -> bool {
        while self.overruns.front().is_some_and(|first| now.since(*first) > window) {
            self.overruns.pop_front();
        }
        if self.overruns.is_full() {
            self.overruns.pop_front();
        }
        assert!(self.overruns.push_back(now).is_ok(), "a place was made just before");
        self.overruns.len() >= max
    }
}
