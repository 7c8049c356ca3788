//! The engine: takes events, keeps the tables, hands out actions.
//!
//! It never reads a clock, allocates, blocks or logs. `handle` takes one event and does a bounded amount of
//! work; `poll_action` hands out what follows from it, one action at a time, until there is none.

use heapless::Deque;
use message::{Address, ContractDigest, Epoch, ModelDigest, Observation, Place, Status};

use crate::{
    account::{Ledger, Outcome, RequestLedger},
    client::{self, Asked, Client},
    connection::{Agenda, Connection},
    face::{Action, Event, Timeout, Timer, Withheld},
    fault::{Fault, Injected},
    joined::{self, InputId, Joined, MAX_INPUTS},
    plan::{self, Provenance},
    reason::Reason,
    record::{Record, Standing},
    respond::{Answer, Echo, Identity, Notify, Refusal, Send, Target},
    sample::SampleLedger,
    schedule,
    task::{ClientId, ConnectionId, Gives, MAX_BATCH, MAX_QUEUE, ModelId, Settings, SlotId, Task, WorkerId},
    time::{Duration, Instant},
    worker::{Awaited, MAX_OVERRUNS, Member, OneOff, Running, Service, Work, Worker},
};

/// More than one event can cause before its actions are taken: an answer for each member of a batch, and then a
/// quarantine and an exit. A frame that changes the epoch causes four, a request one more than may wait with it.
const PENDING: usize = MAX_BATCH + MAX_QUEUE;

/// The tables that the daemon allocates once, from its config, and lends.
#[derive(Debug)]
pub struct Tables<'t> {
    /// The tasks.
    pub tasks: &'t [Task<'t>],
    /// One entry for each connection.
    pub connections: &'t mut [Connection],
    /// As many default entries as connections.
    pub agenda: &'t mut [Agenda],
    /// One entry for each client that may send one-off requests; may be empty.
    pub clients: &'t mut [Client],
    /// One entry for each joined input, in the order of the connections; may be empty.
    pub inputs: &'t mut [Joined],
    /// One entry for each worker thread.
    pub workers: &'t mut [Worker],
    /// The timing records, one at most for each model of a worker. What has none is marked as unmeasured.
    pub records: &'t mut [Record],
    /// The values of the connections' plans: at least as many as [`plan_room`](crate::plan_room); may be empty.
    pub plans: &'t mut [f32],
    /// Each slot's id once: at least as many as [`slots_needed`].
    pub free_slots: &'t mut [SlotId],
}

/// Why the tables cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitError {
    /// There is no task or no worker, a table is longer than its ids can name, or the agenda is not as long as the
    /// connections. Connections and clients may be none.
    TableSize,
    /// A connection names a task that is not there.
    UnknownTask(ConnectionId),
    /// A task's deadline leaves no room before the margin.
    Deadline(ConnectionId),
    /// A connection's task gives results and no action.
    NoAction(ConnectionId),
    /// A client names a task that is not there, that has plans, or whose deadline leaves no room before the margin, or its shortest
    /// period or its queue is out of bounds.
    Client(ClientId),
    /// A joined input is of no connection, out of the connections' order or one too many, or has no values or no age.
    Input(InputId),
    /// No worker in service has a session for this model.
    NoWorker(ModelId),
    /// Fewer slots than [`slots_needed`].
    TooFewSlots,
    /// `max_overruns` is not between 1 and 16.
    MaxOverruns,
    /// A timing record names a worker that does not serve this model, or is the second one.
    Record(ModelId),
    /// Fewer values for plans than [`plan_room`](crate::plan_room).
    PlanRoom,
    /// A worker on a cluster has a timing record, or is a spare.
    Cluster(WorkerId),
}

impl core::fmt::Display for LimitError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TableSize => {
                formatter.write_str("no task, no worker, a table that is too long, or an agenda of another length")
            }
            Self::UnknownTask(ConnectionId(id)) => write!(formatter, "connection {id} names a task that is not there"),
            Self::NoAction(ConnectionId(id)) => {
                write!(formatter, "connection {id}: its task's model gives no action, so no robot can be answered")
            }
            Self::Deadline(ConnectionId(id)) => {
                write!(formatter, "connection {id}: the task's deadline leaves no room before the margin")
            }
            Self::Client(ClientId(id)) => write!(
                formatter,
                "client {id}: no such task, one with plans, no room before its deadline, no period, or a queue not from 1 to {MAX_QUEUE}"
            ),
            Self::Input(InputId(id)) => write!(
                formatter,
                "input {id}: no such connection, out of order, more than {MAX_INPUTS} for one, no values, or no max_age"
            ),
            Self::NoWorker(ModelId(id)) => write!(formatter, "no worker in service has a session for model {id}"),
            Self::TooFewSlots => formatter.write_str(
                "two slots are needed for each connection, one more than its queue for each client, and its largest \
                     batch for each worker",
            ),
            Self::Record(ModelId(id)) => {
                write!(formatter, "a timing record of model {id} is of a worker without it, or there are two")
            }
            Self::PlanRoom => formatter.write_str("each connection with a plan needs room for two of them"),
            Self::Cluster(WorkerId(id)) => {
                write!(formatter, "worker {id} hands off to a cluster: it can have no timing record and be no spare")
            }
            Self::MaxOverruns => write!(formatter, "max_overruns must be between 1 and {MAX_OVERRUNS}"),
        }
    }
}

impl core::error::Error for LimitError {}

/// The decisions of one box.
#[derive(Debug)]
pub struct Engine<'t> {
    pub(crate) settings: Settings,
    pub(crate) tables: Tables<'t>,
    pub(crate) free: usize,
    pub(crate) pending: Deque<Pending, PENDING>,
    pub(crate) now: Instant,
    pub(crate) fault: Injected,
    strays: Ledger,
    /// One-off requests of no client.
    queries: RequestLedger,
    /// How many one-offs were started.
    pub(crate) turn: u64,
    pub(crate) standing: Standing,
    pub(crate) draining: Draining,
    exiting: bool,
}

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Draining {
    No,
    /// Farewells went out to the connections before this one.
    Yes {
        farewells: u16,
    },
    Done,
}

/// An action that was decided and not yet taken.
#[derive(Debug)]
pub(crate) enum Pending {
    Store(SlotId),
    StoreSample(InputId),
    Start(WorkerId),
    /// `slot`: to be freed with it. `of`: where the state was computed.
    Advance {
        connection: ConnectionId,
        slot: Option<SlotId>,
        of: SlotId,
    },
    Send(ConnectionId),
    /// `of`: a stray's address and contract, to be echoed.
    Refuse {
        target: Target,
        echo: Echo,
        reason: Reason,
        of: Option<(Address, ContractDigest)>,
    },
    /// The result of this client's request.
    Reply(ClientId),
    /// `slot`: where the query is kept, if it was not just handed in.
    RefuseRequest {
        client: ClientId,
        slot: Option<SlotId>,
        asked: Asked,
        reason: Reason,
        /// As things were when it was refused.
        marks: Status,
    },
    Notify {
        connection: ConnectionId,
        epoch: Epoch,
    },
    Quarantine {
        worker: WorkerId,
        reason: Reason,
        spare: Option<WorkerId>,
    },
    RecordVoid {
        worker: WorkerId,
        model: ModelId,
        reason: Reason,
    },
    Exit,
    Drained,
}

impl<'t> Engine<'t> {
    /// An engine over these tables.
    ///
    /// # Errors
    /// [`LimitError`] if the tables cannot serve every observation.
    pub fn new(settings: Settings, tables: Tables<'t>) -> Result<Self, LimitError> {
        check(&settings, &tables)?;
        let free = tables.free_slots.len();
        for (entry, connection) in tables.agenda.iter_mut().zip(tables.connections.iter()) {
            let task = tables.tasks.get(usize::from(connection.spec.task.0)).expect("just checked");
            let unschedulable = task.is_unschedulable();
            *entry = Agenda { model: task.model(), unschedulable, ..Agenda::default() };
        }
        for (id, connection) in (0u16..).zip(tables.connections.iter_mut()) {
            connection.joined = joined::places(tables.inputs, ConnectionId(id));
        }
        let mut room = 0usize;
        for connection in tables.connections.iter_mut() {
            connection.plans.room = room;
            let task = tables.tasks.get(usize::from(connection.spec.task.0)).expect("just checked");
            room = room.saturating_add(task.plan_values().saturating_mul(2));
        }
        let standing = Standing::of(&tables);
        Ok(Self {
            settings,
            tables,
            free,
            pending: Deque::new(),
            now: Instant::from_nanos(0),
            fault: Injected::default(),
            strays: Ledger::default(),
            queries: RequestLedger::default(),
            turn: 0,
            standing,
            draining: Draining::No,
            exiting: false,
        })
    }

    /// Takes one event. `now` is the box's monotonic clock; a `now` that goes back counts as standing still.
    ///
    /// # Panics
    /// If the caller breaks the protocol: hands in an event before it took all actions of the one before, reports
    /// a worker that runs nothing or a send that was not handed out, or names an id outside the tables.
    pub fn handle(&mut self, now: Instant, event: Event<'_>) {
        self.now = self.now.max(now);
        let reports_a_send = matches!(event, Event::Sent { .. } | Event::Withheld { .. });
        assert!(reports_a_send || self.pending.is_empty(), "all actions of an event are taken before the next event");
        match event {
            Event::Frame { connection, arrival, bytes } => self.frame(connection, arrival.min(self.now), bytes),
            Event::Oversize { connection, arrival } => self.refuse_unread(connection, None, arrival, Reason::TooLarge),
            Event::Shed { connection, arrival, header } => {
                self.refuse_unread(connection, header, arrival, Reason::Overload);
            }
            Event::ShedUnseen { connection, count } => {
                let ledger = match connection {
                    Some(connection) => &mut self.connection(connection).ledger,
                    None => &mut self.strays,
                };
                ledger.receive(count);
                ledger.record_many(Outcome::Refused(Reason::Overload), count);
            }
            Event::Stray { arrival, bytes } => self.stray(arrival, bytes),
            Event::Query => {
                self.queries.refuse(Reason::QueryOnTopic, 1);
                let (target, echo, reason) = (Target::Query, Echo::UNREADABLE, Reason::QueryOnTopic);
                self.push(Pending::Refuse { target, echo, reason, of: None });
            }
            Event::QueriesUnseen { count } => self.queries.refuse(Reason::QueryOnTopic, count),
            Event::Request { client, arrival, bytes } => self.request(client, arrival.min(self.now), bytes),
            Event::RequestOversize { client, arrival } => self.refuse_unread_request(client, arrival),
            Event::RequestsUnseen { client, count } => self.client(client).ledger.refuse(Reason::Overload, count),
            Event::Sample { input, arrival, wall, bytes } => self.sample(input, arrival.min(self.now), wall, bytes),
            Event::Picture { input, arrival, wall, picture } => {
                self.picture(input, arrival.min(self.now), wall, picture);
            }
            Event::SampleOversize { input } => self.refuse_unread_sample(input),
            Event::SamplesUnseen { input, count } => self.pass_over_samples(input, count),
            Event::Reset { connection, bytes } => self.reset(connection, bytes),
            Event::ResetsShed { connection, count } => self.shed_resets(connection, count),
            Event::Finished { worker, outputs, execution } => self.finished(worker, outputs, execution),
            Event::RecordVoid { worker, cause } => self.void_records(worker, cause),
            Event::Sent { ticket, at } => self.sent(ticket, at),
            Event::Withheld { ticket, why } => self.withheld(ticket, why),
            Event::Timeout => {}
            Event::Drain => self.drain(),
        }
    }

    /// What must be done next; `None`: nothing, until the next event.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(pending) = self.pending.pop_front() {
                return Some(self.action(pending));
            }
            if !self.advance() {
                return None;
            }
        }
    }

    /// When the engine wants [`Event::Timeout`], and which timer that is.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timeout> {
        let due = (0u16..).zip(self.tables.agenda.iter()).min_by_key(|(_, entry)| entry.due);
        let due = due.map(|(id, entry)| (entry.due, Timer::FallbackDue(ConnectionId(id))));
        let hangs = (0u16..).zip(self.tables.workers.iter());
        let hang = hangs
            .map(|(id, worker)| (worker.hang_at(self.settings.hang, self.fault), Timer::Hang(WorkerId(id))))
            .min_by_key(|(at, _)| *at);
        let request = self.next_request_due().map(|(at, client)| (at, Timer::RequestDue(client)));
        [due, request, hang].into_iter().flatten().filter(|(at, _)| *at != Instant::NEVER).min_by_key(|(at, _)| *at)
    }

    /// The counts of one connection.
    #[must_use]
    pub fn ledger(&self, connection: ConnectionId) -> Ledger {
        let connection = self.peek(connection);
        connection.ledger.with_in_flight(connection.in_flight())
    }

    /// The counts of the whole box, strays included.
    #[must_use]
    pub fn total(&self) -> Ledger {
        let connections = self.tables.connections.iter();
        connections.fold(self.strays, |sum, one| sum.plus(&one.ledger.with_in_flight(one.in_flight())))
    }

    /// The counts of all one-off requests, those of no client included.
    #[must_use]
    pub fn requests(&self) -> RequestLedger {
        let clients = self.tables.clients.iter();
        clients.fold(self.queries, |sum, one| sum.plus(&one.ledger.with_in_flight(one.in_flight())))
    }

    /// The counts of one client's requests.
    #[must_use]
    pub fn request_ledger(&self, client: ClientId) -> RequestLedger {
        let client = self.peek_client(client);
        client.ledger.with_in_flight(client.in_flight())
    }

    /// The counts of one joined input's samples.
    #[must_use]
    pub fn sample_ledger(&self, input: InputId) -> SampleLedger {
        self.peek_input(input).ledger
    }

    /// How old an input's newest sample is at `now`, if one has come.
    #[must_use]
    pub fn sample_age(&self, input: InputId, now: Instant) -> Option<Duration> {
        self.peek_input(input).newest.map(|newest| newest.age(now))
    }

    /// How many of the last 32 responses sent to this controller it has not reported as seen.
    #[must_use]
    pub fn unseen(&self, connection: ConnectionId) -> u32 {
        self.peek(connection).session.unseen()
    }

    /// The current epoch of this connection's controller, if it was heard since boot.
    #[must_use]
    pub fn epoch(&self, connection: ConnectionId) -> Option<Epoch> {
        self.peek(connection).session.epoch()
    }

    /// The timing records and what was counted against them.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.tables.records
    }

    /// Whether this worker gets work.
    #[must_use]
    pub fn service(&self, worker: WorkerId) -> Service {
        self.peek_worker(worker).service
    }

    /// What this worker has done since the boot.
    #[must_use]
    pub fn work(&self, worker: WorkerId) -> Work {
        self.peek_worker(worker).work
    }

    /// What each response of this connection is marked with now.
    #[must_use]
    pub fn marks(&self, id: ConnectionId) -> Status {
        self.marks_of(&self.task(id))
    }

    /// The observations that this worker's inference answers, in the order of their slots; none if it runs none.
    pub fn members(&self, worker: WorkerId) -> impl Iterator<Item = Member> + '_ {
        let running = self.peek_worker(worker).running.iter();
        running.flat_map(|running| &running.seats).map(|seat| seat.member)
    }

    /// By when what this worker runs must be back for its answer: the deadline of a one-off, when an observation's fallback
    /// falls due, the timeout of a plan. `None`: it runs nothing, or only what will be discarded. Ask when
    /// [`Action::StartInference`] is taken: later on it says something else.
    #[must_use]
    pub fn deadline_on(&self, worker: WorkerId) -> Option<Instant> {
        let running = self.peek_worker(worker).running.as_ref()?;
        if let Some(OneOff { client, answer: Awaited::Open, .. }) = running.one_off {
            return match self.peek_client(client).stage {
                client::Stage::Running { request, .. } => Some(request.deadline),
                client::Stage::Idle | client::Stage::Sending(_) => None,
            };
        }
        if let Some(run) = running.plan {
            let timeout = self.task(run.member.connection).plan().map(|spec| spec.timeout);
            return timeout.filter(|_| run.answer == Awaited::Open).map(|timeout| running.since.after(timeout));
        }
        let open = running.seats.iter().filter(|seat| seat.answer == Awaited::Open);
        open.map(|seat| self.peek(seat.member.connection).due()).min()
    }

    /// Whose one-off request this worker runs, if it runs one.
    #[must_use]
    pub fn client_on(&self, worker: WorkerId) -> Option<ClientId> {
        self.peek_worker(worker).one_off().map(|one_off| one_off.client)
    }

    /// Switches one deliberate fault on, or all off.
    #[cfg(feature = "faults")]
    pub const fn inject(&mut self, fault: Option<crate::fault::Fault>) {
        self.fault = Injected::only(fault);
    }

    /// One step of what follows from the clock and the tables; `false`: nothing follows.
    fn advance(&mut self) -> bool {
        let entries = (0u16..).zip(self.tables.agenda.iter());
        if let Some((id, _)) = entries.filter(|(_, entry)| entry.due <= self.now).min_by_key(|(_, entry)| entry.due) {
            self.fall_due(ConnectionId(id));
            return true;
        }
        if let Some(worker) = self.hung() {
            self.quarantine(worker, Reason::WorkerHang);
            return true;
        }
        if let Some((worker, model, reason)) = self.next_void() {
            self.push(Pending::RecordVoid { worker, model, reason });
            return true;
        }
        if let Some((id, reason)) = self.lacking() {
            self.fall_back_waiting(id, reason);
            return true;
        }
        if let Some(id) = self.hopeless() {
            self.fall_back_waiting(id, Reason::NoTimeLeft);
            return true;
        }
        let fits = |worker, model, due| self.fits(worker, model, due) || self.fault.is(Fault::HopelessStarts);
        if let Some((worker, first)) = schedule::next(self.tables.agenda, self.tables.workers, self.fault, fits) {
            self.start(worker, first);
            return true;
        }
        self.advance_requests() || self.farewell()
    }

    /// Whose observation would be started now and cannot be in time any more.
    fn hopeless(&self) -> Option<ConnectionId> {
        let waiting = (0u16..).zip(self.tables.agenda.iter()).filter(|(_, entry)| entry.startable != Instant::NEVER);
        let mut turns = waiting.filter(|(_, entry)| self.has_free_worker(entry.model));
        let hopeless = turns.find(|(id, _)| self.no_time_for_waiting(ConnectionId(*id)));
        hopeless.filter(|_| !self.fault.is(Fault::HopelessStarts)).map(|(id, _)| ConnectionId(id))
    }

    fn action(&mut self, pending: Pending) -> Action {
        match pending {
            Pending::Store(slot) => Action::Store { slot },
            Pending::StoreSample(input) => Action::StoreSample { input },
            Pending::Start(worker) => {
                let running = self.peek_worker(worker).running.as_ref().expect("it was started just before");
                let slots = running.slots().collect();
                Action::StartInference { worker, model: running.model, slots }
            }
            Pending::Advance { connection, slot, of } => {
                if let Some(slot) = slot {
                    self.free_slot(slot);
                }
                Action::Advance { connection: self.advances(connection), slot: of }
            }
            Pending::Send(connection) => Action::Send(self.answer(connection)),
            Pending::Refuse { target, echo, reason, of } => Action::Send(self.refusal(target, echo, reason, of)),
            Pending::Reply(client) => Action::Reply(self.reply(client)),
            Pending::RefuseRequest { client, slot, asked, reason, marks } => {
                Action::Reply(self.request_refusal(client, slot, asked, (reason, marks)))
            }
            Pending::Notify { connection, epoch } => {
                let address = self.peek(connection).spec.address;
                Action::Notify(Notify::farewell(connection, address, self.settings.boot, epoch))
            }
            Pending::Quarantine { worker, reason, spare } => Action::Quarantine { worker, reason, spare },
            Pending::RecordVoid { worker, model, reason } => Action::RecordVoid { worker, model, reason },
            Pending::Exit => Action::Exit { reason: Reason::NoWorkerLeft },
            Pending::Drained => Action::Drained,
        }
    }

    /// An observation for nobody here: its sender is told, by its own address and contract.
    fn stray(&mut self, arrival: Instant, bytes: &[u8]) {
        self.strays.receive(1);
        self.strays.record(Outcome::Refused(Reason::UnknownTask));
        let of = Observation::decode(bytes).ok().map(|observation| (observation.address, observation.contract));
        let echo = Echo { arrival: Some(arrival), ..message::peek(bytes).map_or(Echo::UNREADABLE, Echo::of) };
        self.push(Pending::Refuse { target: Target::Stray, echo, reason: Reason::UnknownTask, of });
    }

    fn refusal(&self, target: Target, echo: Echo, reason: Reason, of: Option<(Address, ContractDigest)>) -> Send {
        let identity = match target {
            Target::Connection(connection) => self.identity(connection),
            Target::Stray | Target::Query => {
                let (address, contract) = of.unwrap_or((Address::new(0), ContractDigest::new([0; 16])));
                let Settings { boot, status, .. } = self.settings;
                Identity { address, contract, boot, model: ModelDigest::NONE, status }
            }
        };
        let answer = Answer::Refusal(Refusal::new(reason));
        Send {
            target,
            ticket: None,
            deadline: None,
            identity,
            echo,
            oldest: None,
            provenance: Provenance::at(Place::Box),
            answer,
        }
    }

    fn hung(&self) -> Option<WorkerId> {
        let mut workers = (0u16..).zip(self.tables.workers.iter());
        workers
            .find(|(_, worker)| worker.hang_at(self.settings.hang, self.fault) <= self.now)
            .map(|(id, _)| WorkerId(id))
    }

    /// Takes a worker out of service for good, and a spare in.
    pub(crate) fn quarantine(&mut self, worker: WorkerId, reason: Reason) {
        let quarantined = self.worker(worker);
        quarantined.service = Service::Quarantined;
        let models = quarantined.models;
        let mut workers = (0u16..).zip(self.tables.workers.iter_mut());
        let spare = workers.find(|(_, other)| other.service == Service::Spare && other.models.covers(models));
        let spare = spare.map(|(id, spare)| {
            spare.service = Service::Active;
            WorkerId(id)
        });
        self.give_up_plan_on(worker);
        self.judge_records();
        self.push(Pending::Quarantine { worker, reason, spare });
        if !self.exiting && self.unserved().is_some() {
            self.exiting = true;
            self.push(Pending::Exit);
        }
    }

    fn unserved(&self) -> Option<ModelId> {
        unserved(&self.tables)
    }

    fn start(&mut self, worker: WorkerId, first: ConnectionId) {
        let (model, since) = (self.task(first).model(), self.now);
        let members = self.batch(worker, first);
        let seats = members.into_iter().map(|connection| self.begin(connection, worker)).collect();
        self.worker(worker).running = Some(Running { model, since, seats, one_off: None, plan: None });
        self.push(Pending::Start(worker));
    }

    fn drain(&mut self) {
        if self.draining == Draining::No {
            self.draining = Draining::Yes { farewells: 0 };
        }
    }

    /// Once nothing is in flight, tells each known controller, one a call, and says so at the end.
    fn farewell(&mut self) -> bool {
        let Draining::Yes { farewells } = self.draining else { return false };
        let observations = self.tables.connections.iter().any(|connection| connection.in_flight() > 0);
        if observations || self.tables.clients.iter().any(|client| client.in_flight() > 0) {
            return false;
        }
        match self.tables.connections.get(usize::from(farewells)).map(|connection| connection.session.epoch()) {
            None => {
                self.draining = Draining::Done;
                self.push(Pending::Drained);
            }
            Some(epoch) => {
                self.draining = Draining::Yes { farewells: farewells.saturating_add(1) };
                if let Some(epoch) = epoch
                    && !self.fault.is(Fault::NoFarewell)
                {
                    self.push(Pending::Notify { connection: ConnectionId(farewells), epoch });
                }
            }
        }
        true
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        assert!(self.pending.push_back(pending).is_ok(), "one event causes fewer actions than there is room for");
    }

    pub(crate) fn connection(&mut self, id: ConnectionId) -> &mut Connection {
        self.tables.connections.get_mut(usize::from(id.0)).expect("a connection's id is below the table's length")
    }

    pub(crate) fn peek(&self, id: ConnectionId) -> &Connection {
        self.tables.connections.get(usize::from(id.0)).expect("a connection's id is below the table's length")
    }

    pub(crate) fn client(&mut self, id: ClientId) -> &mut Client {
        self.tables.clients.get_mut(usize::from(id.0)).expect("a client's id is below the table's length")
    }

    pub(crate) fn peek_client(&self, id: ClientId) -> &Client {
        self.tables.clients.get(usize::from(id.0)).expect("a client's id is below the table's length")
    }

    /// The task of this client.
    pub(crate) fn task_of(&self, id: ClientId) -> Task<'t> {
        let task = self.peek_client(id).spec.task;
        *self.tables.tasks.get(usize::from(task.0)).expect("each client's task was checked at the start")
    }

    pub(crate) fn worker(&mut self, id: WorkerId) -> &mut Worker {
        self.tables.workers.get_mut(usize::from(id.0)).expect("a worker's id is below the table's length")
    }

    pub(crate) fn peek_worker(&self, id: WorkerId) -> &Worker {
        self.tables.workers.get(usize::from(id.0)).expect("a worker's id is below the table's length")
    }

    pub(crate) fn entry(&self, id: ConnectionId) -> Agenda {
        *self.tables.agenda.get(usize::from(id.0)).expect("as many entries as connections")
    }

    pub(crate) fn record(&self, worker: WorkerId, model: ModelId) -> Option<&Record> {
        self.tables.records.iter().find(|record| record.is_of(worker, model))
    }

    pub(crate) fn task(&self, id: ConnectionId) -> Task<'t> {
        let task = self.peek(id).spec.task;
        *self.tables.tasks.get(usize::from(task.0)).expect("each connection's task was checked at the start")
    }

    pub(crate) fn identity(&self, id: ConnectionId) -> Identity {
        let task = self.task(id);
        Identity {
            address: self.peek(id).spec.address,
            contract: task.contract(),
            boot: self.settings.boot,
            model: task.model_digest(),
            status: self.marks(id),
        }
    }

    pub(crate) fn marks_of(&self, task: &Task<'_>) -> Status {
        self.settings.status.with(task.status()).with(self.timing_marks(task))
    }

    /// Brings the agenda's entry up to date; called after each change of a connection.
    pub(crate) fn refresh(&mut self, id: ConnectionId) {
        let waits = self.peek(id).waits() && !self.occupies_a_worker(id) && self.task(id).plan().is_none();
        let (due, startable) = match self.peek(id) {
            // What is answered from a plan waits for no worker.
            connection if self.task(id).plan().is_some() => {
                let answered_now = connection.startable() != Instant::NEVER;
                (if answered_now { self.now } else { connection.due() }, Instant::NEVER)
            }
            // A task that rests waits for nothing.
            connection if self.rests(id) && connection.startable() != Instant::NEVER => (self.now, Instant::NEVER),
            connection if self.occupies_a_worker(id) => (connection.due(), Instant::NEVER),
            connection => (connection.due(), connection.startable()),
        };
        let entry = self.tables.agenda.get_mut(usize::from(id.0)).expect("as many entries as connections");
        entry.due = due;
        entry.startable = startable;
        entry.waits = waits;
    }

    /// Whether an inference of this connection whose answer is closed still runs on a worker in service: then its
    /// next one waits, so that one robot's slow observations never hold more than one worker.
    fn occupies_a_worker(&self, id: ConnectionId) -> bool {
        self.peek(id).abandoned_on.is_some_and(|worker| self.peek_worker(worker).is_in_service())
    }

    pub(crate) fn take_slot(&mut self) -> SlotId {
        self.free = self.free.checked_sub(1).expect("as many slots as are needed: Engine::new checks");
        *self.tables.free_slots.get(self.free).expect("below the number of free slots")
    }

    pub(crate) fn free_slot(&mut self, slot: SlotId) {
        let place = self.tables.free_slots.get_mut(self.free).expect("no slot is freed twice");
        *place = slot;
        self.free = self.free.saturating_add(1);
    }
}

impl Withheld {
    pub(crate) const fn reason(self) -> Reason {
        match self {
            Self::Deadline => Reason::DeadlinePassed,
            Self::Link => Reason::LinkFailed,
        }
    }
}

/// How many slots so many connections and workers and these clients need: an observation that waits and one that is
/// answered for each connection; as many requests as may wait and one that is answered for each client; and for each
/// worker its largest batch, because one that is quarantined may keep its members' slots.
#[must_use]
pub fn slots_needed(connections: usize, clients: &[Client], workers: usize, records: &[Record]) -> usize {
    let requests = clients.iter().map(|client| usize::from(client.spec.queue).saturating_add(1));
    let open = requests.fold(connections.saturating_mul(2), usize::saturating_add);
    let largest = |worker: usize| {
        let own = records.iter().map(Record::spec).filter(|spec| usize::from(spec.worker.0) == worker);
        let largest = own.map(|spec| spec.executions.largest_batch()).max().unwrap_or(1).min(connections);
        largest.max(usize::from(!clients.is_empty()))
    };
    (0..workers).map(largest).fold(open, usize::saturating_add)
}

fn check(settings: &Settings, tables: &Tables<'_>) -> Result<(), LimitError> {
    let Tables { tasks, connections, agenda, clients, inputs, workers, records, plans, free_slots } = tables;
    let ids = usize::from(u16::MAX);
    let asking = connections.len().saturating_add(clients.len());
    if [tasks.len(), workers.len()].iter().any(|size| *size == 0 || *size > ids)
        || [asking, free_slots.len(), inputs.len()].iter().any(|size| *size > ids)
        || agenda.len() != connections.len()
    {
        return Err(LimitError::TableSize);
    }
    if free_slots.len() < slots_needed(connections.len(), clients, workers.len(), records) {
        return Err(LimitError::TooFewSlots);
    }
    if plans.len() < plan::plan_room(tasks, connections) {
        return Err(LimitError::PlanRoom);
    }
    if !(1..=MAX_OVERRUNS).contains(&usize::from(settings.max_overruns)) {
        return Err(LimitError::MaxOverruns);
    }
    for (place, spec) in records.iter().map(Record::spec).enumerate() {
        let serves = workers.get(usize::from(spec.worker.0)).is_some_and(|worker| worker.models.contains(spec.model));
        let again = records.iter().take(place).any(|other| other.is_of(spec.worker, spec.model));
        if !serves || again {
            return Err(LimitError::Record(spec.model));
        }
    }
    for (id, worker) in (0u16..).zip(workers.iter()).filter(|(_, worker)| !worker.is_blamed()) {
        let recorded = records.iter().any(|record| record.spec().worker == WorkerId(id));
        if recorded || worker.service == Service::Spare {
            return Err(LimitError::Cluster(WorkerId(id)));
        }
    }
    if let Some(unfit) = joined::unfit(inputs, connections.len()) {
        return Err(LimitError::Input(unfit));
    }
    for (id, connection) in (0u16..).zip(connections.iter()) {
        let task = tasks.get(usize::from(connection.spec.task.0)).ok_or(LimitError::UnknownTask(ConnectionId(id)))?;
        if task.deadline() <= settings.margin {
            return Err(LimitError::Deadline(ConnectionId(id)));
        }
        if matches!(task.gives(), Gives::Results { .. }) {
            return Err(LimitError::NoAction(ConnectionId(id)));
        }
    }
    for (id, spec) in (0u16..).zip(clients.iter().map(|client| client.spec)) {
        let task = tasks
            .get(usize::from(spec.task.0))
            .filter(|task| task.deadline() > settings.margin && task.plan().is_none());
        let bounded = (1..=MAX_QUEUE).contains(&usize::from(spec.queue)) && spec.min_period > Duration::ZERO;
        if task.is_none() || !bounded {
            return Err(LimitError::Client(ClientId(id)));
        }
    }
    unserved(tables).map_or(Ok(()), |model| Err(LimitError::NoWorker(model)))
}

/// A task's model that no worker in service has a session for.
fn unserved(tables: &Tables<'_>) -> Option<ModelId> {
    let served = |model: ModelId| {
        tables.workers.iter().any(|worker| worker.service == Service::Active && worker.models.contains(model))
    };
    tables.tasks.iter().map(Task::model).find(|model| !served(*model))
}
