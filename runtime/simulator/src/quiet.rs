//! A box where nothing goes wrong but its load: the real engine, exact arrivals, executions as told.
//!
//! Schedulability, batches and timing records are judged here. There is no noise between an arrival and a decision, so
//! that to the nanosecond a set holds or does not.

use std::iter::Peekable;

use engine::{
    Action, Agenda, Answer, Client, ClientId, ClientSpec, Connection, ConnectionId, ConnectionSpec, Degraded, Duration,
    Element, Engine, Envelope, Event, Gives, Instant, Ledger, MAX_BATCH, ModelId, ModelSet, Reason, Record,
    RequestLedger, Settings, SlotId, Start, Tables, Task, TaskId, TaskSpec, TooFast, Worker, WorkerId, WorkerSpec,
    schedulability::Demand, slots_needed,
};
use message::{
    Address, Boot, ContractDigest, Epoch, InferRequest, ModelDigest, Observation, Place, Sequence, Stamp, Status,
};

use crate::controller::encode;

/// One observation to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// When it arrives, in nanoseconds.
    pub at: u64,
    /// Whose it is, by its place in the set.
    pub connection: usize,
}

const MARGIN: u64 = 1_000_000;
/// How long a client's request may take, and how much faster than its rate it may come: longer than any run.
const PATIENCE: u64 = 1 << 50;
/// What the model says.
const NOTHING: &[f32] = &[0.0];
const CONTRACT: ContractDigest = ContractDigest::new([1; 16]);

/// What came of a run.
#[derive(Debug)]
pub struct Served {
    /// The box's ledger at the end.
    pub ledger: Ledger,
    /// The box's ledger of one-off requests.
    pub requests: RequestLedger,
    /// How many inferences ended.
    pub inferences: u64,
    /// How many observations shared an inference with others.
    pub batched: u64,
    /// The first record that was told to be void: after how many inferences, and why.
    pub void: Option<(u64, Reason)>,
}

/// Lets these observations come to one box and returns its ledger at the end.
///
/// The set shares so many workers; connection `i` uses model `i` modulo the number of models. What is released at one
/// instant is handed in in the given order, after inferences that end then. `execution` says how long an inference
/// of this connection takes.
#[must_use]
pub fn serve(
    set: &[Demand],
    shape: (u16, u8),
    releases: impl IntoIterator<Item = Release>,
    mut execution: impl FnMut(usize) -> u64,
) -> Ledger {
    serve_measured(set, shape, (Vec::new(), Status::NONE), releases, |members| execution(members[0])).ledger
}

/// The same with timing records, and therefore with batches: `execution` is asked for all members of an inference. The
/// tasks are marked so.
#[must_use]
pub fn serve_measured(
    set: &[Demand],
    shape: (u16, u8),
    records: (Vec<Record>, Status),
    releases: impl IntoIterator<Item = Release>,
    execution: impl FnMut(&[usize]) -> u64,
) -> Served {
    serve_beside(set, shape, 0, records, releases, execution)
}

/// The same beside so many clients, who count on from the connections: a release of theirs is a one-off request. They
/// use a model of their own, the next one, and have all the time in the world.
#[must_use]
pub fn serve_beside(
    set: &[Demand],
    (workers, models): (u16, u8),
    clients: u16,
    (mut records, status): (Vec<Record>, Status),
    releases: impl IntoIterator<Item = Release>,
    execution: impl FnMut(&[usize]) -> u64,
) -> Served {
    let elements = [Element { min: 0.0, max: 1.0, max_change_per_s: 1.0, rest: 0.0, start: Start::Value(0.0) }];
    let mut tasks: Vec<Task<'_>> =
        set.iter().zip((0..models).cycle()).map(|(one, model)| task((*one, model), status, &elements)).collect();
    let patient = Demand {
        connection: ConnectionId(0),
        min_period: Duration::from_nanos(1),
        arrival_jitter: Duration::ZERO,
        due: Duration::from_nanos(PATIENCE),
        execution: Duration::ZERO,
        longest: Duration::ZERO,
    };
    tasks.push(task((patient, models), status, &elements));
    let client = ClientSpec {
        task: TaskId(id(set.len())),
        address: Address::new(0),
        min_period: Duration::from_nanos(1),
        arrival_jitter: Duration::from_nanos(PATIENCE),
        queue: 2,
    };
    let mut clients: Vec<Client> = (0..clients).map(|_| Client::new(client)).collect();
    let spec = |place: usize| ConnectionSpec { task: TaskId(id(place)), address: Address::new(0) };
    let mut connections: Vec<Connection> = (0..set.len()).map(|place| Connection::new(spec(place))).collect();
    let all = (0..=models).fold(ModelSet::EMPTY, |set, model| set.with(ModelId(model)));
    let mut table: Vec<Worker> =
        (0..workers).map(|_| Worker::new(WorkerSpec { models: all, spare: false, place: Place::Box })).collect();
    let mut agenda = vec![Agenda::default(); set.len()];
    let slots = slots_needed(set.len(), &clients, usize::from(workers), &records);
    let mut free_slots: Vec<SlotId> = (0..id(slots)).map(SlotId).collect();
    let settings = Settings {
        boot: Boot::new(1),
        margin: Duration::from_nanos(MARGIN),
        max_overruns: 16,
        overrun_window: Duration::from_nanos(1),
        hang: Duration::from_nanos(u64::MAX),
        overhead: Duration::ZERO,
        status: Status::NONE,
    };
    let tables = Tables {
        tasks: &tasks,
        connections: &mut connections,
        agenda: &mut agenda,
        clients: &mut clients,
        inputs: &mut [],
        workers: &mut table,
        records: &mut records,
        plans: &mut [],
        free_slots: &mut free_slots,
    };
    let engine = Engine::new(settings, tables).expect("a set that can be declared");
    let mut quiet = Quiet {
        engine,
        running: vec![None; usize::from(workers)],
        owners: vec![0; slots],
        execution,
        arriving: 0,
        inferences: 0,
        batched: 0,
        void: None,
        promises: Promises { last: vec![0; set.len()] },
    };
    quiet.run(set.len(), releases.into_iter().peekable());
    let Quiet { inferences, batched, void, .. } = quiet;
    let requests = quiet.engine.requests();
    Served { ledger: quiet.engine.total(), requests, inferences, batched, void }
}

/// Answers that were not the model's although it was asked.
#[must_use]
pub fn late(ledger: &Ledger) -> u64 {
    [Reason::Late, Reason::Unstarted, Reason::Overtaken, Reason::NoTimeLeft]
        .map(|reason| ledger.by_reason(reason))
        .into_iter()
        .sum()
}

struct Quiet<'t, F> {
    engine: Engine<'t>,
    /// Until when each worker runs, and for how long.
    running: Vec<Option<(u64, u64)>>,
    /// Whose observation each slot holds.
    owners: Vec<usize>,
    execution: F,
    arriving: usize,
    inferences: u64,
    batched: u64,
    void: Option<(u64, Reason)>,
    promises: Promises,
}

/// What every response keeps is asserted: it leaves before its deadline (P1), its sequence is above all before it (P2), an
/// action's values are within the envelope (P4).
struct Promises {
    /// The last sequence that was answered, by connection.
    last: Vec<u64>,
}

impl Promises {
    fn hold(&mut self, send: &engine::Send, at: Instant) {
        let Answer::Guarded(guarded) = send.answer() else { return };
        assert!(send.deadline().is_some_and(|deadline| at < deadline), "a late response: {send:?} at {at:?}");
        assert!(guarded.values().iter().all(|value| (0.0..=1.0).contains(value)), "outside the envelope: {send:?}");
        let connection = send.connection().expect("an action is somebody's");
        let last = &mut self.last[usize::from(connection.0)];
        let sequence = send.sequence().expect("an action answers an observation").value();
        assert!(sequence > *last, "{connection:?}: {sequence} after {last}");
        *last = sequence;
    }
}

impl<F: FnMut(&[usize]) -> u64> Quiet<'_, F> {
    fn run(&mut self, connections: usize, mut releases: Peekable<impl Iterator<Item = Release>>) {
        let mut sequences = vec![0; connections];
        loop {
            let ends = self.running.iter().enumerate().filter_map(|(worker, run)| run.map(|(end, _)| (end, worker)));
            let end = ends.min();
            let timeout = self.engine.poll_timeout().map(|(at, _)| at.nanos());
            let release = releases.peek().copied();
            let Some(now) = [end.map(|(at, _)| at), timeout, release.map(|one| one.at)].into_iter().flatten().min()
            else {
                return;
            };
            match (end, release) {
                (Some((at, worker)), _) if at == now => {
                    let (_, length) = self.running[worker].take().expect("it just ended");
                    self.inferences += 1;
                    let (worker, execution) = (WorkerId(id(worker)), Duration::from_nanos(length));
                    self.handle(now, Event::Finished { worker, outputs: Ok(&[NOTHING; MAX_BATCH]), execution });
                }
                (_, Some(Release { at, connection })) if at == now => {
                    releases.next();
                    self.arriving = connection;
                    let arrival = Instant::from_nanos(now);
                    if connection >= connections {
                        let (client, frame) = (ClientId(id(connection - connections)), request());
                        self.handle(now, Event::Request { client, arrival, bytes: &frame });
                        continue;
                    }
                    sequences[connection] += 1;
                    let frame = frame(sequences[connection]);
                    let connection = ConnectionId(id(connection));
                    self.handle(now, Event::Frame { connection, arrival, bytes: &frame });
                }
                _ => self.handle(now, Event::Timeout),
            }
        }
    }

    fn handle(&mut self, now: u64, event: Event<'_>) {
        let at = Instant::from_nanos(now);
        self.engine.handle(at, event);
        // P6, after whatever happened.
        let of_a_client = self.arriving >= self.promises.last.len();
        assert!(of_a_client || self.engine.ledger(ConnectionId(id(self.arriving))).balances(), "the ledger at {at:?}");
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Store { slot } => self.owners[usize::from(slot.0)] = self.arriving,
                Action::StartInference { worker, slots, .. } => {
                    let members: Vec<usize> = slots.iter().map(|slot| self.owners[usize::from(slot.0)]).collect();
                    if let [_, _, ..] = members[..] {
                        self.batched += u64::try_from(members.len()).expect("a batch is small");
                    }
                    let length = (self.execution)(&members);
                    self.running[usize::from(worker.0)] = Some((now + length, length));
                }
                // Reported before the next action is taken, as the daemon does.
                Action::Send(send) => {
                    self.promises.hold(&send, at);
                    if let Some(ticket) = send.ticket() {
                        self.engine.handle(at, Event::Sent { ticket, at });
                    }
                }
                Action::Reply(reply) => {
                    if let Some(ticket) = reply.ticket() {
                        self.engine.handle(at, Event::Sent { ticket, at });
                    }
                }
                Action::RecordVoid { reason, .. } => self.void = self.void.or(Some((self.inferences, reason))),
                Action::StoreSample { .. }
                | Action::Advance { .. }
                | Action::Notify(_)
                | Action::Quarantine { .. }
                | Action::Exit { .. }
                | Action::Drained => {
                    unreachable!("nothing is joined, nothing is drained and no worker hangs")
                }
            }
        }
    }
}

fn task((demand, model): (Demand, u8), status: Status, elements: &[Element]) -> Task<'_> {
    let max_step = Duration::from_nanos(MARGIN);
    let spec = TaskSpec {
        contract: CONTRACT,
        model: ModelId(model),
        model_digest: ModelDigest::NONE,
        inputs: 1,
        deadline: Duration::from_nanos(demand.due.nanos() + MARGIN),
        min_period: demand.min_period,
        arrival_jitter: demand.arrival_jitter,
        hold: Duration::ZERO,
        gives: Gives::Action(Envelope::new(elements, TooFast::Clamp, max_step).expect("one good element")),
        degraded: Degraded::Keep,
        max_gap: None,
        plan: None,
        status,
    };
    Task::new(spec).expect("a set that can be declared")
}

fn frame(sequence: u64) -> Vec<u8> {
    encode(&Observation {
        address: Address::new(0),
        contract: CONTRACT,
        epoch: Epoch::new(1),
        sequence: Sequence::new(sequence).expect("counted from 1"),
        stamp: Stamp::new(0),
        last_response: None,
        budget_us: 0,
        values: &[0; 4],
    })
}

fn request() -> Vec<u8> {
    let (address, contract, stamp) = (Address::new(0), CONTRACT, Stamp::new(0));
    let request = InferRequest { address, contract, request: 1, stamp, budget_us: 0, values: &[0; 4] };
    let mut frame = vec![0; InferRequest::OVERHEAD + 4];
    request.encode(&mut frame).expect("there is room for the whole frame");
    frame
}

fn id(place: usize) -> u16 {
    u16::try_from(place).expect("a set is small")
}
