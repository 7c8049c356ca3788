//! plan: a chunk of future references from one inference, indexed by time, played at the control rate.
//!
//! Each observation of a task with a plan is answered at once, from the connection's current plan by the time since the
//! plan's origin, or by a typed fallback where none covers it: no observation ever waits for an inference. When a plan is
//! due, an observation's slot is kept and an inference is started on it, whose result becomes the plan; the worker may
//! be on the box or on a cluster. A plan's origin is the arrival of the observation that it was computed from, so what has
//! passed meanwhile is skipped by construction. What is played goes through the guard as any action does.
//!
//! A new epoch and a controller's demand clear the plan, and what is computed then is discarded when it comes.

mod committed;
mod curve;
mod ledger;

use heapless::Deque;
use message::{Place, Sequence, Status};

pub use self::committed::Committed;
use self::ledger::Ending;
pub use self::ledger::{PlanLedger, PlanStatus};
use crate::{
    connection::{Connection, Job, push_newest},
    engine::{Draining, Engine, Pending},
    fault::Fault,
    guard::{self, Guarded},
    hand_off::Failed,
    joined::Sampled,
    reason::Reason,
    schedule,
    task::{ConnectionId, MAX_ACTION, Task, WorkerId},
    time::{Duration, Instant},
    worker::{Awaited, Member, PlanRun, Running},
};

/// The most values that a plan may have: what is checked and copied at once behind the engine's lock.
pub const MAX_PLAN: usize = 16_384;
/// How many round trips are remembered to ask for the next plan early enough: half a minute of them at two a second,
/// so that one slow answer does not make the box ask early for ever.
const ROUND_TRIPS: usize = 16;

/// How a task plays its model's output: `steps` references, one after the other, each as long as its action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanSpec {
    /// The time from one step to the next, above zero.
    pub period: Duration,
    /// How many steps a plan has, at least 2. Its horizon is `steps` periods: the last step lasts as long as any other.
    pub steps: u16,
    /// What lies between two steps.
    pub interpolation: Interpolation,
    /// How one plan gives way to the next.
    pub overlap: Overlap,
    /// How old a plan may be before the next is asked for; `None`: until it is about to run out.
    pub refresh: Option<Duration>,
    /// How long one inference may take, above zero.
    pub timeout: Duration,
    /// How long after one that gave no plan the next is asked for.
    pub retry: Duration,
}

/// What lies between two steps of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interpolation {
    /// The earlier step.
    Hold,
    /// A straight line.
    Linear,
    /// A Hermite curve through the steps, its slopes half the difference of a step's neighbours. Where it overshoots the
    /// range it is cut off there.
    Cubic,
}

/// How one plan gives way to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The old one fades into the new one for so long; zero: at once.
    Blend(Duration),
    /// The steps of the old one that will be played while the next is computed are committed: its model is told them
    /// ([`Engine::committed_on`]), and they are played whatever it gives in their place.
    Freeze,
}

impl Overlap {
    /// How long the old plan fades into the new one.
    #[must_use]
    pub const fn blend(self) -> Duration {
        match self {
            Self::Blend(blend) => blend,
            Self::Freeze => Duration::ZERO,
        }
    }
}

impl PlanSpec {
    /// How long a plan lasts.
    #[must_use]
    pub const fn horizon(&self) -> Duration {
        self.period.times(self.steps)
    }
}

/// How many f32 values [`Tables::plans`](crate::Tables::plans) must have: for each connection of a task with a plan, the
/// current plan and the one before it, or what is committed for the next.
#[must_use]
pub fn plan_room(tasks: &[Task<'_>], connections: &[Connection]) -> usize {
    let task = |connection: &Connection| tasks.get(usize::from(connection.spec.task.0));
    let room = |connection| task(connection).map_or(0, |task| task.plan_values().saturating_mul(2));
    connections.iter().map(room).fold(0, usize::saturating_add)
}

/// The plans of one connection.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    /// Where its values begin in the table. Set when the engine is made.
    pub(crate) room: usize,
    current: Option<Plan>,
    /// The one that the current one is blended from.
    before: Option<Plan>,
    /// A plan is being computed, whatever becomes of it.
    asking: bool,
    /// No plan is asked for before.
    not_before: Option<Instant>,
    last_id: u64,
    round_trips: Deque<Duration, ROUND_TRIPS>,
    demanded: Option<Sequence>,
    /// No action of a plan was sent since the controller demanded that it begins anew.
    anew: bool,
    ledger: PlanLedger,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    id: u64,
    /// Which of the two halves of its connection's room.
    second: bool,
    origin: Instant,
    adopted: Instant,
    place: Place,
    /// The oldest joined sample that it was computed from.
    oldest: Option<Sampled>,
    /// Its first steps, where they are those of the plan before it.
    promised: Option<Promised>,
}

#[derive(Debug, Clone, Copy)]
struct Promised {
    steps: u16,
    from: Source,
}

/// What a step was computed from.
#[derive(Debug, Clone, Copy)]
struct Source {
    origin: Instant,
    oldest: Option<Sampled>,
}

impl Plan {
    fn source(&self, step: u32) -> Source {
        let promised = self.promised.filter(|promised| step < u32::from(promised.steps));
        promised.map_or(Source { origin: self.origin, oldest: self.oldest }, |promised| promised.from)
    }
}

/// Which step of which plan an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) plan: u64,
    pub(crate) place: u32,
    /// When the observation arrived that it was computed from.
    pub(crate) origin: Instant,
}

/// Where an action was computed, and of which plan it is a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provenance {
    pub(crate) place: Place,
    pub(crate) step: Option<Step>,
}

impl Provenance {
    /// Computed there, for this observation.
    pub(crate) const fn at(place: Place) -> Self {
        Self { place, step: None }
    }
}

impl Plans {
    /// The controller demands that its plan is cleared for the first observation with this sequence or a later one.
    pub(crate) fn demand(&mut self, from: Sequence) {
        self.demanded = Some(from);
    }

    /// An action of a plan was sent.
    pub(crate) fn sent(&mut self) {
        self.anew = false;
    }

    /// What its next action is marked with.
    pub(crate) const fn marks(&self) -> Status {
        if self.anew { Status::STATE_RESET } else { Status::NONE }
    }

    fn clear(&mut self) {
        self.current = None;
        self.before = None;
    }

    /// What the next plan takes at worst, and one period for the step in between.
    fn meanwhile(&self, spec: &PlanSpec) -> Duration {
        let longest = self.round_trips.iter().max().copied().unwrap_or(Duration::ZERO);
        // What takes longer is not adopted.
        longest.min(spec.timeout).plus(spec.period)
    }

    /// How early the next plan is asked for: what passes meanwhile, and the blend.
    fn lead(&self, spec: &PlanSpec) -> Duration {
        self.meanwhile(spec).plus(spec.overlap.blend())
    }

    /// Whether the next plan is to be asked for, at the arrival of this observation.
    fn wants(&self, spec: &PlanSpec, arrival: Instant, now: Instant, lead: Duration) -> bool {
        if self.not_before.is_some_and(|instant| now < instant) {
            return false;
        }
        let Some(current) = self.current else { return true };
        let remaining = current.origin.after(spec.horizon()).since(arrival);
        remaining <= lead || spec.refresh.is_some_and(|refresh| arrival.since(current.origin) >= refresh)
    }
}

impl Engine<'_> {
    /// What became of the plans of this connection.
    #[must_use]
    pub fn plan_ledger(&self, connection: ConnectionId) -> PlanLedger {
        let plans = &self.peek(connection).plans;
        plans.ledger.with_in_flight(plans.asking)
    }

    /// The plan that this connection plays at `now`; `None`: it has none, or it has run out.
    #[must_use]
    pub fn plan_status(&self, connection: ConnectionId, now: Instant) -> Option<PlanStatus> {
        let spec = self.task(connection).plan()?;
        let Plan { id, origin, place, .. } = self.peek(connection).plans.current?;
        let remaining = origin.after(spec.horizon()).since(now);
        (remaining > Duration::ZERO).then(|| PlanStatus { id, age: now.since(origin), remaining, place })
    }

    /// The observation from which this worker computes a plan, if it computes one: its result is
    /// [`PlanSpec::steps`] actions, one after the other.
    #[must_use]
    pub fn plan_on(&self, worker: WorkerId) -> Option<Member> {
        Some(self.peek_worker(worker).plan_run()?.member)
    }

    /// The waiting observation of a task with a plan is answered, and the next plan asked for where one is due.
    pub(crate) fn play(&mut self, id: ConnectionId, spec: &PlanSpec) {
        let Some(job) = self.connection(id).waiting.take() else { return };
        let arrival = job.echo.arrival.unwrap_or(self.now);
        if let Some(from) = self.peek(id).plans.demanded
            && job.sequence >= from
        {
            self.connection(id).plans.demanded = None;
            if !self.fault.is(Fault::PlanSurvivesReset) {
                self.clear_plan(id);
                self.connection(id).plans.anew = true;
            }
        }
        let (guarded, step, oldest) = self.played(id, spec, arrival);
        let provenance =
            step.map_or(Provenance::at(Place::Box), |(step, place)| Provenance { place, step: Some(step) });
        let asked = self.plan_worker(id, spec, arrival).map(|worker| self.ask_plan(id, worker, &job, arrival));
        let kept = asked.is_some() && !self.fault.is(Fault::PlanSlotFreedEarly);
        let slot = if kept { None } else { Some(job.slot) };
        self.hand_out(id, Job { oldest, ..job }, (guarded, provenance), slot);
        if let Some(worker) = asked {
            self.push(Pending::Start(worker));
        }
    }

    /// What answers an observation that arrived then.
    fn played(
        &self,
        id: ConnectionId,
        spec: &PlanSpec,
        arrival: Instant,
    ) -> (Guarded, Option<(Step, Place)>, Option<Sampled>) {
        let stand_in = |reason| (self.stand_in(id, reason), None, None);
        let plans = &self.peek(id).plans;
        let Some(current) = plans.current else { return stand_in(Reason::PlanMissing) };
        let Some(at) = self.place_in(spec, &current, arrival) else { return stand_in(Reason::PlanRanOut) };
        let envelope = self.task(id).envelope();
        let elements = envelope.elements();
        let mut wanted = [0.0; MAX_ACTION];
        let values = self.plan_values(id, &current);
        let fading = plans.before.filter(|_| !self.fault.is(Fault::PlanUnblended)).and_then(|before| {
            let into = curve::share(arrival.since(current.adopted), spec.overlap.blend())?;
            Some((before, self.place_in(spec, &before, arrival)?, into))
        });
        // Where one fades into the other an action is of both: it is as old as the older one.
        let source = fading.map_or_else(|| current.source(at.step), |(before, at, _)| before.source(at.step));
        let fading = fading.map(|(before, at, into)| (self.plan_values(id, &before), at, into));
        for ((place, element), wanted) in elements.iter().enumerate().zip(&mut wanted) {
            let of = |values, at| curve::value(spec.interpolation, values, (elements.len(), place), at);
            let new = of(values, at);
            let value = fading.map_or(new, |(old, at, into)| curve::towards(of(old, at), new, into));
            *wanted = value.clamp(element.min, element.max);
        }
        let wanted = wanted.get(..elements.len()).expect("an envelope has at most MAX_ACTION elements");
        let step = Step { plan: current.id, place: at.step, origin: source.origin };
        let checked = guard::action(&envelope, &self.peek(id).reference, self.now, wanted);
        match checked {
            Ok(guarded) => (guarded, Some((step, current.place)), source.oldest),
            Err(reason) => stand_in(reason),
        }
    }

    /// Where in this plan an instant lies; `None`: behind its end.
    fn place_in(&self, spec: &PlanSpec, plan: &Plan, instant: Instant) -> Option<curve::At> {
        let shifted = if self.fault.is(Fault::PlanWrongStep) { spec.period } else { Duration::ZERO };
        let at = curve::At::new(instant.since(plan.origin).plus(shifted), spec.period, spec.steps);
        at.or_else(|| self.fault.is(Fault::PlanPlayedBeyondEnd).then(|| curve::At::last(spec.steps)))
    }

    fn plan_values(&self, id: ConnectionId, plan: &Plan) -> &[f32] {
        let (first, length) = self.half(id, plan.second);
        self.tables.plans.get(first..first.saturating_add(length)).expect("Engine::new found room for each plan")
    }

    fn half(&self, id: ConnectionId, second: bool) -> (usize, usize) {
        let length = self.task(id).plan_values();
        let room = self.peek(id).plans.room;
        (if second { room.saturating_add(length) } else { room }, length)
    }

    /// The worker on which the next plan of this connection is computed now, if it is to be: a free one that no
    /// observation waits for.
    fn plan_worker(&self, id: ConnectionId, spec: &PlanSpec, arrival: Instant) -> Option<WorkerId> {
        let plans = &self.peek(id).plans;
        let busy = plans.asking && !self.fault.is(Fault::TwoPlansAtOnce);
        if busy || self.draining != Draining::No || self.lacks(id).is_some() {
            return None;
        }
        let lead = if self.fault.is(Fault::PlanAskedLate) { Duration::ZERO } else { plans.lead(spec) };
        if !plans.wants(spec, arrival, self.now, lead) || self.nothing_is_left(id, spec, arrival) {
            return None;
        }
        let model = self.task(id).model();
        let mut free = (0u16..).zip(self.tables.workers.iter()).filter(|(_, worker)| worker.is_free());
        let fits = free.find(|(_, worker)| {
            worker.models.contains(model) && !schedule::is_waited_for(self.tables.agenda, worker.models)
        });
        fits.map(|(worker, _)| WorkerId(worker))
    }

    fn ask_plan(&mut self, id: ConnectionId, worker: WorkerId, job: &Job, arrival: Instant) -> WorkerId {
        let (model, since, oldest) = (self.task(id).model(), self.now, self.oldest_sample(id));
        let member = Member { connection: id, epoch: job.echo.epoch, sequence: job.sequence, slot: job.slot };
        let committed = self.commit(id, arrival);
        let run = PlanRun { member, origin: arrival, oldest, committed, answer: Awaited::Open };
        self.worker(worker).running = Some(Running::plan(model, since, run));
        let plans = &mut self.connection(id).plans;
        plans.asking = true;
        plans.ledger.ask();
        worker
    }

    /// A worker that computed a plan is free again.
    pub(crate) fn finished_plan(
        &mut self,
        worker: WorkerId,
        ended: &Running,
        run: PlanRun,
        output: Result<&[f32], Failed>,
    ) {
        let PlanRun { member: Member { connection: id, slot, .. }, origin, oldest, committed, answer } = run;
        if !self.fault.is(Fault::PlanSlotFreedEarly) {
            self.free_slot(slot);
        }
        let Some(spec) = self.task(id).plan() else { return };
        // It was counted when its worker was taken out of service.
        if answer == Awaited::FellDue {
            return;
        }
        let (now, place) = (self.now, self.peek_worker(worker).place);
        let unwanted = answer == Awaited::Closed && !self.fault.is(Fault::PlanOfOldEpochAdopted);
        let ends = if unwanted { Ending::Discarded } else { self.judge_plan(id, &spec, (origin, ended.since), output) };
        if let (Ending::Adopted, Ok(values)) = (ends, output) {
            self.adopt(id, (values, committed), (origin, place, oldest));
        }
        let storms = self.fault.is(Fault::PlanRetryStorm);
        let plans = &mut self.connection(id).plans;
        plans.asking = false;
        plans.not_before = match ends {
            Ending::Failed(_) | Ending::TooLate if !storms => Some(now.after(spec.retry)),
            Ending::Failed(_) | Ending::TooLate | Ending::Adopted | Ending::Discarded => None,
        };
        plans.ledger.end(ends);
    }

    /// What becomes of a plan that is wanted, now that it came.
    fn judge_plan(
        &mut self,
        id: ConnectionId,
        spec: &PlanSpec,
        (origin, since): (Instant, Instant),
        output: Result<&[f32], Failed>,
    ) -> Ending {
        if let Err(reason) = self.may_be_played(id, output) {
            return Ending::Failed(reason);
        }
        let (now, took) = (self.now, self.now.since(since));
        push_newest(&mut self.connection(id).plans.round_trips, took);
        let newer = self.peek(id).plans.current.is_none_or(|current| origin > current.origin);
        let lasts = origin.after(spec.horizon()) > now && took <= spec.timeout;
        if newer && (lasts || self.fault.is(Fault::PlanTooLateAdopted)) { Ending::Adopted } else { Ending::TooLate }
    }

    /// Whether every step of what was computed may be played, or why not.
    fn may_be_played(&self, id: ConnectionId, output: Result<&[f32], Failed>) -> Result<(), Reason> {
        let values = output.map_err(Failed::reason)?;
        let (task, envelope) = (self.task(id), self.task(id).envelope());
        if values.len() != task.plan_values() {
            return Err(Reason::ModelFailed);
        }
        let steps = values.chunks_exact(envelope.elements().len());
        let checked = steps.map(|step| guard::in_range(&envelope, step)).find(Result::is_err).unwrap_or(Ok(()));
        match checked {
            Err(Reason::OutOfRange) if self.fault.is(Fault::PlanOutOfRangeAdopted) => Ok(()),
            checked => checked,
        }
    }

    /// `committed`: so many of its first steps are played as they were promised, and lie in its half already.
    fn adopt(
        &mut self,
        id: ConnectionId,
        (values, committed): (&[f32], u16),
        (origin, place, oldest): (Instant, Place, Option<Sampled>),
    ) {
        let second = self.next_is_second(id);
        let promised = if self.fault.is(Fault::FrozenUnplayed) { 0 } else { usize::from(committed) };
        let (promised, (first, length)) = (promised.saturating_mul(self.elements(id)), self.half(id, second));
        let room = self.tables.plans.get_mut(first..first.saturating_add(length));
        let (_, own) =
            room.and_then(|room| room.split_at_mut_checked(promised)).expect("Engine::new found room for each plan");
        let (_, values) = values.split_at_checked(promised).expect("no more steps are committed than a plan has");
        own.copy_from_slice(values);
        let (now, promised) = (self.now, self.promised(id, committed, origin));
        let plans = &mut self.connection(id).plans;
        plans.last_id = plans.last_id.saturating_add(1);
        plans.before = plans.current;
        plans.current = Some(Plan { id: plans.last_id, second, origin, adopted: now, place, oldest, promised });
    }

    /// Whether the next plan goes into the second half of its connection's room.
    fn next_is_second(&self, id: ConnectionId) -> bool {
        self.peek(id).plans.current.is_some_and(|current| !current.second)
    }

    /// How many values a step has.
    fn elements(&self, id: ConnectionId) -> usize {
        self.task(id).envelope().elements().len()
    }

    /// The plan of this connection is not played any more, and one that is being computed will be discarded.
    pub(crate) fn clear_plan(&mut self, id: ConnectionId) {
        self.connection(id).plans.clear();
        let runs = self.tables.workers.iter_mut().filter_map(crate::worker::Worker::plan_run_mut);
        for run in runs.filter(|run| run.member.connection == id && run.answer == Awaited::Open) {
            run.answer = Awaited::Closed;
        }
    }

    /// An epoch ends: its plans with it. How long plans take, and when the next may be asked for, stays.
    pub(crate) fn forget_plans(&mut self, id: ConnectionId) {
        self.clear_plan(id);
        let plans = &mut self.connection(id).plans;
        plans.demanded = None;
        plans.anew = false;
    }

    /// A worker is out of service: the plan that it computes is given up, and another worker may be asked.
    pub(crate) fn give_up_plan_on(&mut self, worker: WorkerId) {
        let Some(run) = self.worker(worker).plan_run_mut() else { return };
        let id = run.member.connection;
        if core::mem::replace(&mut run.answer, Awaited::FellDue) != Awaited::FellDue {
            let plans = &mut self.connection(id).plans;
            plans.asking = false;
            plans.ledger.end(Ending::Discarded);
        }
    }
}
