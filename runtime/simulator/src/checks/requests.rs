//! One-off requests: exactly one reply each, in turn, in time, and never in the way of an observation.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "an input that is not listed is no request's, and a reason that is not listed explains nothing"
)]

use engine::{ModelId, Reason, ReasonKind, Replied, Reply, RequestLedger, SlotId, TABLE, Withheld};
use message::{InferBody, InferReply, InferRequest};

use super::{Checks, Drain};
use crate::{
    clock::MICRO,
    input::Input,
    report::{Check, Disturbance, Finding, Verdict},
    scenario::ClientPlan,
};

#[derive(Default)]
pub(super) struct Requests {
    clients: Vec<Client>,
    turn: u64,
    /// The request that is being handled.
    current: Option<Current>,
    /// The one-off that ended in this event: its client, and what the model said, unless nobody waits for it.
    finished: Option<(usize, Option<Vec<f32>>)>,
    /// The result whose withholding is being handled.
    withheld: Option<(usize, One, Withheld)>,
    /// Which slot a one-off uses that expired while it runs, and where.
    orphans: Vec<(usize, usize, SlotId)>,
}

#[derive(Default)]
struct Client {
    waiting: Vec<One>,
    running: Option<(One, usize)>,
    sending: Option<One>,
    served: u64,
    expected: u64,
    tally: Tally,
}

#[derive(Debug, Clone, Copy)]
struct One {
    id: u64,
    stamp: u64,
    slot: SlotId,
    arrival: u64,
    deadline: u64,
}

struct Current {
    client: usize,
    arrival: u64,
    bytes: Vec<u8>,
    done: bool,
}

#[derive(Clone)]
struct Tally {
    received: u64,
    answered: u64,
    refused: u64,
    expired: u64,
    discarded: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for Tally {
    fn default() -> Self {
        let (received, answered, refused, expired, discarded) = (0, 0, 0, 0, 0);
        Self { received, answered, refused, expired, discarded, by_reason: [0; Reason::COUNT] }
    }
}

impl Requests {
    pub(super) fn new(clients: usize) -> Self {
        Self { clients: (0..clients).map(|_| Client::default()).collect(), ..Self::default() }
    }

    pub(super) fn event(&mut self, input: &Input) {
        self.current = None;
        self.finished = None;
        self.withheld = None;
        match input {
            Input::Request { client, arrival, bytes } => self.arrives(*client, *arrival, bytes.clone()),
            Input::RequestOversize { client, arrival } => self.arrives(*client, *arrival, Vec::new()),
            Input::RequestsUnseen { client, count } => {
                let tally = &mut self.clients[*client].tally;
                tally.received += count;
                tally.refused += count;
                tally.by_reason[Reason::Overload.index()] += count;
            }
            Input::Replied { client, .. } => {
                let one = &mut self.clients[*client];
                one.sending.take().expect("the simulator reports only what was handed out");
                one.tally.answered += 1;
            }
            Input::ReplyWithheld { client, why, .. } => {
                let one = self.clients[*client].sending.take();
                self.withheld = one.map(|one| (*client, one, *why));
            }
            _ => {}
        }
    }

    fn arrives(&mut self, client: usize, arrival: u64, bytes: Vec<u8>) {
        self.clients[client].tally.received += 1;
        self.current = Some(Current { client, arrival, bytes, done: false });
    }

    /// Whose request waits in this slot.
    pub(super) fn waiting_in(&self, slot: SlotId) -> Option<usize> {
        self.clients.iter().position(|client| client.waiting.iter().any(|one| one.slot == slot))
    }

    /// When the request expires that this client runs.
    pub(super) fn deadline_of(&self, client: usize) -> u64 {
        self.clients[client].running.map_or(0, |(one, _)| one.deadline)
    }

    pub(super) fn holds(&self, slot: SlotId) -> bool {
        let held = |client: &Client| {
            let open = client.running.map(|(one, _)| one).into_iter().chain(client.sending);
            open.chain(client.waiting.iter().copied()).any(|one| one.slot == slot)
        };
        self.clients.iter().any(held) || self.orphans.iter().any(|(_, _, orphan)| *orphan == slot)
    }

    pub(super) fn in_flight(&self) -> u64 {
        let open = |client: &Client| {
            client.waiting.len() + usize::from(client.running.is_some()) + usize::from(client.sending.is_some())
        };
        u64::try_from(self.clients.iter().map(open).sum::<usize>()).expect("queues are short")
    }

    /// Whose one-off this worker runs, or ran for one that expired.
    pub(super) fn on(&self, worker: usize) -> Option<usize> {
        let running = self.clients.iter().position(|client| client.running.is_some_and(|(_, on)| on == worker));
        running.or_else(|| self.orphans.iter().find(|(on, _, _)| *on == worker).map(|(_, client, _)| *client))
    }

    /// A one-off ended; returns whether it had expired.
    pub(super) fn finish(&mut self, worker: usize, output: Option<Vec<f32>>) -> bool {
        if let Some(place) = self.orphans.iter().position(|(on, _, _)| *on == worker) {
            let (_, client, _) = self.orphans.remove(place);
            self.clients[client].tally.discarded += 1;
            return true;
        }
        self.finished = self.on(worker).map(|client| (client, output));
        false
    }

    fn compare(&self, client: usize, ledger: &RequestLedger) -> Verdict {
        let Client { tally, waiting, running, sending, .. } = &self.clients[client];
        let open = waiting.len() + usize::from(running.is_some()) + usize::from(sending.is_some());
        let open = u64::try_from(open).expect("a queue is short");
        let own = [tally.received, tally.answered, tally.refused, tally.expired, tally.discarded, open];
        let engine = [
            ledger.received(),
            ledger.answered(),
            ledger.refused(),
            ledger.expired(),
            ledger.discarded(),
            ledger.in_flight(),
        ];
        let reasons = TABLE.iter().all(|row| ledger.by_reason(row.reason) == tally.by_reason[row.reason.index()]);
        Finding::unless(ledger.balances() && own == engine && reasons, Check::Accounts, || {
            format!("client {client}: seen {own:?}, the engine counts {engine:?}, reasons agree: {reasons}")
        })
    }
}

impl Checks<'_> {
    /// A request is let in.
    pub(super) fn store_request(&mut self, now: u64, slot: SlotId) -> Verdict {
        let Some(Current { client, arrival, bytes, done: false }) = &self.requests.current else {
            return Err(Finding { check: Check::Slots, what: format!("{slot:?} is to store what is no request") });
        };
        let (client, arrival) = (*client, *arrival);
        let plan = &self.scenario.clients[client];
        let task = &self.scenario.tasks[plan.task];
        let proper = InferRequest::decode(bytes).ok().filter(|request| self.is_proper(plan, request));
        let Some(request) = proper else {
            return Err(Finding {
                check: Check::Requests,
                what: format!("client {client}: an improper request is let in"),
            });
        };
        let wanted = u64::from(request.budget_us) * MICRO;
        let deadline = arrival + if wanted == 0 { task.deadline } else { wanted.min(task.deadline) };
        let one = One { id: request.request, stamp: request.stamp.value(), slot, arrival, deadline };
        let held = self.lines.iter().any(|line| line.holds(slot)) || self.workers.reads(slot);
        Finding::unless(!held && !self.requests.holds(slot), Check::Slots, || {
            format!("{slot:?} is stored into while it is in use")
        })?;
        let own = &self.requests.clients[client];
        let let_in = arrival + plan.arrival_jitter >= own.expected
            && own.waiting.len() < usize::from(plan.queue)
            && self.drain == Drain::No
            && now < deadline
            && !self.records.rests(self.scenario, &self.workers, task);
        Finding::unless(let_in, Check::Requests, || format!("client {client}: {one:?} is let in and should not"))?;
        let hopeless = self.is_hopeless(now, client, deadline, own.waiting.len());
        Finding::unless(!hopeless, Check::Requests, || format!("client {client}: {one:?} cannot be in time"))?;
        let factor = self.records.period(self.scenario, &self.workers, task) / task.min_period;
        let own = &mut self.requests.clients[client];
        own.expected = own.expected.max(arrival) + plan.min_period * factor;
        own.waiting.push(one);
        self.requests.current.as_mut().expect("just seen").done = true;
        Ok(())
    }

    fn is_proper(&self, plan: &ClientPlan, request: &InferRequest<'_>) -> bool {
        let task = &self.scenario.tasks[plan.task];
        let wanted = u64::from(request.budget_us) * MICRO;
        request.address == plan.address
            && request.contract == task.contract
            && request.values.len() == 4 * task.inputs
            && message::floats(request.values).all(f32::is_finite)
            && (wanted == 0 || wanted > self.scenario.box_plan.margin)
    }

    fn is_hopeless(&self, now: u64, client: usize, deadline: u64, ahead: usize) -> bool {
        let outlook = self.outlook(now);
        let model = self.scenario.tasks[self.scenario.clients[client].task].model;
        let from = self.requests.clients[client].running.map_or(now, |(_, worker)| outlook.worker_free_at(worker));
        outlook.no_time(model, deadline, from, u64::try_from(ahead).expect("a queue is short"))
    }

    /// A one-off begins: nobody's observation waits for its worker, and it is its client's turn.
    pub(super) fn start_one_off(&mut self, now: u64, (worker, model): (usize, ModelId), slot: SlotId) -> Verdict {
        let client = self.requests.waiting_in(slot).expect("the caller found it there");
        let task = &self.scenario.tasks[self.scenario.clients[client].task];
        Finding::unless(!self.is_waited_for(worker), Check::Requests, || {
            format!("worker {worker} begins a one-off although an observation waits for it")
        })?;
        let one = self.requests.clients[client].waiting[0];
        let in_order = one.slot == slot && task.model == model && self.may_start(client);
        let fits = self.outlook(now).fits(worker, model, one.deadline);
        Finding::unless(in_order && fits, Check::Requests, || {
            format!("client {client} begins {slot:?}, fits: {fits}")
        })?;
        let served = self.requests.clients[client].served;
        let before = (0..self.requests.clients.len()).find(|other| {
            let turn = (self.requests.clients[*other].served, *other) < (served, client);
            turn && self.could_begin(now, *other, worker)
        });
        Finding::unless(before.is_none(), Check::Requests, || {
            format!("client {client} begins on worker {worker}, but it is the turn of {before:?}")
        })?;
        self.requests.turn += 1;
        let own = &mut self.requests.clients[client];
        own.served = self.requests.turn;
        own.waiting.remove(0);
        own.running = Some((one, worker));
        self.seen.note(Disturbance::OneOffBegan);
        self.workers.start(self.scenario, now, (worker, model), Vec::new())
    }

    /// Whether an observation waits that this worker could run.
    fn is_waited_for(&self, worker: usize) -> bool {
        let models = self.scenario.workers[worker].models;
        self.lines.iter().enumerate().any(|(connection, line)| {
            let waits = line.waiting.is_some() && line.running.is_none() && self.workers.occupied_by(connection) == 0;
            waits && models.contains(self.scenario.task_of(connection).model)
        })
    }

    fn may_start(&self, client: usize) -> bool {
        let own = &self.requests.clients[client];
        let mut orphans = self.requests.orphans.iter().filter(|(_, of, _)| *of == client);
        own.running.is_none()
            && own.sending.is_none()
            && !own.waiting.is_empty()
            && !orphans.any(|(worker, _, _)| self.workers.is_in_service(*worker))
    }

    fn could_begin(&self, now: u64, client: usize, worker: usize) -> bool {
        let model = self.scenario.tasks[self.scenario.clients[client].task].model;
        let first = self.requests.clients[client].waiting.first().filter(|_| self.may_start(client));
        self.scenario.workers[worker].models.contains(model)
            && first.is_some_and(|first| self.outlook(now).fits(worker, model, first.deadline))
    }

    /// A reply is handed out: a result that may leave, or a refusal that leaves.
    pub(crate) fn reply(&mut self, now: u64, reply: &Reply, frame: &InferReply<'_>) -> Verdict {
        let client = usize::from(reply.client().0);
        let plan = &self.scenario.clients[client];
        let marks = self.records.marks(self.scenario, &self.workers, &self.scenario.tasks[plan.task]);
        let named = frame.address == plan.address && frame.status == marks && reply.status() == marks;
        Finding::unless(named, Check::Requests, || format!("not of client {client}, or marked wrongly: {frame:?}"))?;
        let (one, expired_by_report, reason) = match reply.says() {
            Replied::Result(_) => return self.result(now, client, reply, frame),
            Replied::Results(_) => {
                return Err(Finding { check: Check::Requests, what: "results of a model that gives an action".into() });
            }
            Replied::Refusal(refusal) => {
                let (one, why) = self.refused(now, client, reply.slot(), refusal.reason())?;
                (one, why == Some(Withheld::Deadline), refusal.reason())
            }
        };
        let number = if let InferBody::Refusal { reason } = frame.body { reason.value() } else { 0 };
        let age = u32::try_from((now - one.arrival) / MICRO).unwrap_or(u32::MAX);
        let echoes = (frame.request, frame.stamp.value(), frame.age_us) == (one.id, one.stamp, age)
            && number == reason.number().value()
            && reply.ticket().is_none()
            && reply.deadline().is_none();
        Finding::unless(echoes, Check::Requests, || format!("{one:?} is refused by {frame:?}"))?;
        let tally = &mut self.requests.clients[client].tally;
        tally.by_reason[reason.index()] += 1;
        let expired = expired_by_report || reason.row().kind == ReasonKind::Miss && reason != Reason::LinkFailed;
        *(if expired { &mut tally.expired } else { &mut tally.refused }) += 1;
        Ok(())
    }

    /// Which request a refusal is of, and whether its reason holds.
    fn refused(
        &mut self,
        now: u64,
        client: usize,
        slot: Option<SlotId>,
        reason: Reason,
    ) -> Result<(One, Option<Withheld>), Finding> {
        let wrong = |what: &str| Finding {
            check: Check::Requests,
            what: format!("client {client}, {slot:?}: refused for {reason}, but {what}"),
        };
        let task = &self.scenario.tasks[self.scenario.clients[client].task];
        let rests = self.records.rests(self.scenario, &self.workers, task);
        let Some(slot) = slot else { return self.refused_on_arrival(now, client, reason) };
        if let Some((_, one, why)) = self.requests.withheld.take_if(|(of, one, _)| (*of, one.slot) == (client, slot)) {
            let expected = if why == Withheld::Deadline { Reason::DeadlinePassed } else { Reason::LinkFailed };
            return if reason == expected { Ok((one, Some(why))) } else { Err(wrong("it was withheld")) };
        }
        let own = &mut self.requests.clients[client];
        if let Some((one, worker)) = own.running.take_if(|(one, _)| one.slot == slot) {
            let finished = self.requests.finished.take_if(|(of, _)| *of == client);
            let explained = match (reason, &finished) {
                (Reason::DeadlinePassed, _) => now >= one.deadline,
                (Reason::ModelFailed, Some((_, output))) => {
                    output.as_ref().is_none_or(|output| output.len() != task.elements.len())
                }
                (Reason::ActionNotFinite | Reason::OutOfRange, Some((_, Some(output)))) => {
                    !is_in_range(&task.elements, output)
                }
                _ => false,
            };
            match finished {
                None => self.requests.orphans.push((worker, client, slot)),
                Some(_) if reason == Reason::DeadlinePassed => {
                    own.tally.discarded += 1;
                    self.workers.blame(self.scenario, worker, task.deadline);
                }
                Some(_) => {}
            }
            return if explained { Ok((one, None)) } else { Err(wrong("its inference does not say so")) };
        }
        let Some(place) = own.waiting.iter().position(|one| one.slot == slot) else {
            return Err(wrong("nothing is open there"));
        };
        let one = own.waiting.remove(place);
        let explained = match reason {
            Reason::DeadlinePassed => now >= one.deadline,
            Reason::Draining => self.drain != Drain::No,
            Reason::Resting => rests,
            Reason::NoTimeLeft => self.is_hopeless(now, client, one.deadline, 0),
            _ => false,
        };
        if explained { Ok((one, None)) } else { Err(wrong("nothing says so")) }
    }

    fn refused_on_arrival(
        &mut self,
        now: u64,
        client: usize,
        reason: Reason,
    ) -> Result<(One, Option<Withheld>), Finding> {
        let wrong =
            || Finding { check: Check::Requests, what: format!("client {client}: refused for {reason} on arrival") };
        let Some(Current { client: of, arrival, bytes, done }) = &mut self.requests.current else {
            return Err(wrong());
        };
        if *of != client || std::mem::replace(done, true) {
            return Err(wrong());
        }
        let (arrival, bytes) = (*arrival, std::mem::take(bytes));
        let plan = &self.scenario.clients[client];
        let task = &self.scenario.tasks[plan.task];
        let own = &self.requests.clients[client];
        let unread = One { id: 0, stamp: 0, slot: SlotId(0), arrival, deadline: 0 };
        let Ok(request) = InferRequest::decode(&bytes) else {
            let says = if bytes.is_empty() { reason == Reason::TooLarge } else { reason.row().number < 107 };
            return if says { Ok((unread, None)) } else { Err(wrong()) };
        };
        let wanted = u64::from(request.budget_us) * MICRO;
        let deadline = arrival + if wanted == 0 { task.deadline } else { wanted.min(task.deadline) };
        let one = One { id: request.request, stamp: request.stamp.value(), deadline, ..unread };
        let explained = match reason {
            Reason::Draining => self.drain != Drain::No,
            Reason::Address
            | Reason::Contract
            | Reason::ValuesLength
            | Reason::ObservationNotFinite
            | Reason::Budget => !self.is_proper(plan, &request),
            Reason::Period => arrival + plan.arrival_jitter < own.expected,
            Reason::ExpiredOnArrival => now >= deadline,
            Reason::Resting => self.records.rests(self.scenario, &self.workers, task),
            Reason::Overload => own.waiting.len() >= usize::from(plan.queue),
            Reason::NoTimeLeft => self.is_hopeless(now, client, deadline, own.waiting.len()),
            _ => false,
        };
        if explained { Ok((one, None)) } else { Err(wrong()) }
    }

    fn result(&mut self, now: u64, client: usize, reply: &Reply, frame: &InferReply<'_>) -> Verdict {
        let task = &self.scenario.tasks[self.scenario.clients[client].task];
        let own = &mut self.requests.clients[client];
        let one = own.running.take().map(|(one, _)| one);
        let output = self.requests.finished.take().filter(|(of, _)| *of == client).and_then(|(_, output)| output);
        let InferBody::Result { values, .. } = frame.body else {
            return Err(Finding { check: Check::Requests, what: format!("a result that is none: {frame:?}") });
        };
        let holds = one.zip(output).is_some_and(|(one, output)| {
            now < one.deadline
                && reply.deadline().map(engine::Instant::nanos) == Some(one.deadline)
                && reply.ticket().is_some()
                && reply.slot() == Some(one.slot)
                && (frame.request, frame.stamp.value()) == (one.id, one.stamp)
                && frame.model == task.model_digest
                && is_in_range(&task.elements, &output)
                && message::floats(values).map(f32::to_bits).eq(output.iter().map(|value| value.to_bits()))
        });
        Finding::unless(holds && own.sending.is_none(), Check::Requests, || {
            format!("client {client} gets a result that is late, out of range or not its own: {frame:?}")
        })?;
        own.sending = one;
        Ok(())
    }

    /// After an event: nobody is forgotten, and no worker idles beside a request that it could run.
    pub(super) fn requests_settled(&self, now: u64, engine: &engine::Engine<'_>) -> Verdict {
        let Requests { current, finished, withheld, clients, .. } = &self.requests;
        let told = current.as_ref().is_none_or(|current| current.done) && finished.is_none() && withheld.is_none();
        Finding::unless(told, Check::Requests, || "a request without its reply".into())?;
        let outlook = self.outlook(now);
        for (client, own) in clients.iter().enumerate() {
            let open = own.waiting.iter().copied().chain(own.running.map(|(one, _)| one));
            let expired = open.clone().find(|one| one.deadline <= now);
            Finding::unless(expired.is_none(), Check::Requests, || {
                format!("client {client}: {expired:?} is not told")
            })?;
            let ledger = engine.request_ledger(engine::ClientId(u16::try_from(client).expect("few clients")));
            self.requests.compare(client, &ledger)?;
            for (worker, _) in self.workers.serving().filter(|(_, runs)| runs.is_none()) {
                let idles = self.could_begin(now, client, worker) && !self.is_waited_for(worker);
                Finding::unless(!idles, Check::Requests, || format!("client {client} waits beside worker {worker}"))?;
            }
            let model = self.scenario.tasks[self.scenario.clients[client].task].model;
            let hopeless = own.waiting.first().is_some_and(|first| {
                self.may_start(client)
                    && outlook.has_a_free_one(model)
                    && self.is_hopeless(now, client, first.deadline, 0)
            });
            Finding::unless(!hopeless, Check::Requests, || format!("client {client} waits for what is hopeless"))?;
        }
        Ok(())
    }
}

fn is_in_range(elements: &[engine::Element], output: &[f32]) -> bool {
    output.len() == elements.len()
        && output.iter().zip(elements).all(|(value, element)| (element.min..=element.max).contains(value))
}
