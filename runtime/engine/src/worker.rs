//! One worker, as the engine sees it: what it runs and for whom, how often it overran, whether it is in service.

use heapless::{Deque, Vec};
use message::{Epoch, Place, Sequence};

use crate::{
    fault::{Fault, Injected},
    joined::Sampled,
    task::{ClientId, ConnectionId, MAX_BATCH, ModelId, ModelSet, SlotId, WorkerSpec},
    time::{Duration, Instant},
};

/// The most overruns that a quarantine may wait for.
pub(crate) const MAX_OVERRUNS: usize = 16;

/// One worker's state. The daemon allocates a table of them and lends it to the engine.
#[derive(Debug)]
pub struct Worker {
    pub(crate) models: ModelSet,
    pub(crate) place: Place,
    pub(crate) service: Service,
    pub(crate) running: Option<Running>,
    pub(crate) work: Work,
    overruns: Deque<Instant, MAX_OVERRUNS>,
}

/// What a worker has done since the boot; what it runs now is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Inferences that returned, failed ones included.
    pub inferences: u64,
    /// The observations that they were run on: more than the inferences where there were batches.
    pub observations: u64,
    /// How long the worker was occupied with them.
    pub execution: Duration,
    /// The most observations that one of them was run on.
    pub largest_batch: u16,
}

impl Work {
    pub(crate) fn count(&mut self, members: usize, execution: Duration) {
        let members = u16::try_from(members).unwrap_or(u16::MAX);
        self.inferences = self.inferences.saturating_add(1);
        self.observations = self.observations.saturating_add(members.into());
        self.execution = self.execution.plus(execution);
        self.largest_batch = self.largest_batch.max(members);
    }
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

/// The inference that a worker runs: one for all its members, or for one request.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) model: ModelId,
    pub(crate) since: Instant,
    /// In the order of their ranks, each of another connection; none in a one-off.
    pub(crate) seats: Vec<Seat, MAX_BATCH>,
    pub(crate) one_off: Option<OneOff>,
    pub(crate) plan: Option<PlanRun>,
}

impl Running {
    pub(crate) const fn one_off(model: ModelId, since: Instant, one_off: OneOff) -> Self {
        Self { model, since, seats: Vec::new(), one_off: Some(one_off), plan: None }
    }

    pub(crate) const fn plan(model: ModelId, since: Instant, plan: PlanRun) -> Self {
        Self { model, since, seats: Vec::new(), one_off: None, plan: Some(plan) }
    }

    /// How many it answers.
    pub(crate) fn size(&self) -> usize {
        if self.one_off.is_some() || self.plan.is_some() { 1 } else { self.seats.len() }
    }

    /// Where the values lie that it runs on.
    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotId> + '_ {
        let alone = self.one_off.map(|one_off| one_off.slot).or(self.plan.map(|plan| plan.member.slot));
        self.seats.iter().map(|seat| seat.member.slot).chain(alone)
    }
}

/// A request that is run, and what becomes of its result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OneOff {
    pub(crate) client: ClientId,
    pub(crate) slot: SlotId,
    pub(crate) answer: Awaited,
}

/// An observation from which a plan is computed, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanRun {
    pub(crate) member: Member,
    /// When that observation arrived.
    pub(crate) origin: Instant,
    /// The oldest joined sample that it is computed from.
    pub(crate) oldest: Option<Sampled>,
    /// How many steps of the plan before it are played first.
    pub(crate) committed: u16,
    /// Closed: it will be discarded when it comes. Fell due: it was, with its worker.
    pub(crate) answer: Awaited,
}

/// An observation in an inference, and what becomes of its result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) member: Member,
    pub(crate) answer: Awaited,
}

/// What becomes of a result that an inference computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// It will be the answer.
    Open,
    /// It will be discarded: another answer went out, or its epoch ended.
    Closed,
    /// It will be discarded: its fallback fell due meanwhile.
    FellDue,
}

/// An observation in an inference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Whose it is.
    pub connection: ConnectionId,
    /// Of which epoch.
    pub epoch: Epoch,
    /// Its sequence.
    pub sequence: Sequence,
    /// Where its values lie.
    pub slot: SlotId,
}

impl Worker {
    /// A worker that is idle.
    #[must_use]
    pub fn new(spec: WorkerSpec) -> Self {
        let service = if spec.spare { Service::Spare } else { Service::Active };
        let WorkerSpec { models, place, .. } = spec;
        Self { models, place, service, running: None, work: Work::default(), overruns: Deque::new() }
    }

    /// Whether it may be given work now.
    pub(crate) fn is_free(&self) -> bool {
        self.service == Service::Active && self.running.is_none()
    }

    pub(crate) fn is_in_service(&self) -> bool {
        self.service == Service::Active
    }

    /// The seat in its inference that this connection's open answer comes from.
    pub(crate) fn seat_of(&mut self, connection: ConnectionId) -> Option<&mut Seat> {
        let mut seats = self.running.as_mut()?.seats.iter_mut();
        seats.find(|seat| seat.member.connection == connection)
    }

    pub(crate) fn one_off(&self) -> Option<OneOff> {
        self.running.as_ref()?.one_off
    }

    pub(crate) fn one_off_mut(&mut self) -> Option<&mut OneOff> {
        self.running.as_mut()?.one_off.as_mut()
    }

    pub(crate) fn plan_run(&self) -> Option<PlanRun> {
        self.running.as_ref()?.plan
    }

    pub(crate) fn plan_run_mut(&mut self) -> Option<&mut PlanRun> {
        self.running.as_mut()?.plan.as_mut()
    }

    /// The seat at this place, if its inference has one.
    pub(crate) fn seat(&self, place: usize) -> Option<Seat> {
        self.running.as_ref()?.seats.get(place).copied()
    }

    pub(crate) fn is_idle_in_quarantine(&self) -> bool {
        self.service == Service::Quarantined && self.running.is_none()
    }

    /// Whether it may be taken out of service for what its inferences do. One that hands off is not: its thread is back
    /// by its deadline whatever the cluster does, and the link has a breaker for each endpoint.
    pub(crate) fn is_blamed(&self) -> bool {
        self.place == Place::Box
    }

    /// When its inference counts as hung.
    pub(crate) fn hang_at(&self, hang: Duration, fault: Injected) -> Instant {
        let blamed = self.is_blamed() || fault.is(Fault::ClusterQuarantined);
        match (self.service, &self.running) {
            (Service::Active, Some(running)) if blamed => running.since.after(hang),
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
