//! Snapshots of the ledgers: the status thread lends an empty one, the engine's thread fills it and gives it back.

use engine::{
    ClientId, ConnectionId, Duration, Engine, InputId, Ledger, ModelId, PlanLedger, PlanStatus, Reason, Record,
    RequestLedger, ResetLedger, SampleLedger, Service, Work, WorkerId,
};
use heapless::spsc::{Consumer, Producer, Queue};
use message::{Epoch, Status};

use crate::{clock, door::Door, plan::Plan};

/// What the box has done since its boot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) connections: Vec<ConnectionSnapshot>,
    pub(crate) workers: Vec<WorkerSnapshot>,
    pub(crate) total: Ledger,
    /// All clients', and queries on topics.
    pub(crate) requests: RequestLedger,
    /// Each client's.
    pub(crate) clients: Vec<RequestLedger>,
    pub(crate) records: Vec<RecordSnapshot>,
    /// Each joined input's.
    pub(crate) inputs: Vec<InputSnapshot>,
}

/// What became of one joined input's samples.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InputSnapshot {
    pub(crate) ledger: SampleLedger,
    /// How old the newest is.
    pub(crate) age: Option<Duration>,
}

/// What was held against one timing record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordSnapshot {
    pub(crate) worker: WorkerId,
    pub(crate) model: ModelId,
    pub(crate) executions: u64,
    /// Those above the declared one.
    pub(crate) above: u64,
    pub(crate) void: Option<Reason>,
}

/// What one connection has done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionSnapshot {
    pub(crate) ledger: Ledger,
    pub(crate) resets: ResetLedger,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) unseen: u32,
    pub(crate) marks: Status,
    pub(crate) plans: PlanLedger,
    pub(crate) plan: Option<PlanStatus>,
}

/// What one worker has done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerSnapshot {
    pub(crate) service: Service,
    pub(crate) work: Work,
}

impl From<&Record> for RecordSnapshot {
    fn from(record: &Record) -> Self {
        let spec = record.spec();
        Self {
            worker: spec.worker,
            model: spec.model,
            executions: record.executions(),
            above: record.above(),
            void: record.void(),
        }
    }
}

/// The engine thread's side.
pub(crate) struct Desk {
    empty: Consumer<'static, Box<Snapshot>>,
    full: Producer<'static, Box<Snapshot>>,
}

/// The asking side.
pub(crate) struct Counter {
    empty: Producer<'static, Box<Snapshot>>,
    full: Consumer<'static, Box<Snapshot>>,
    /// `None`: it was lent and did not come back in time.
    kept: Option<Box<Snapshot>>,
    door: Door,
}

/// One snapshot's memory and the two queues that it travels on.
pub(crate) fn exchange(plan: &Plan, engine: &Engine<'_>, door: Door) -> (Counter, Desk) {
    let (to_desk, empty) = Box::leak(Box::new(Queue::<_, 2>::new())).split();
    let (full, from_desk) = Box::leak(Box::new(Queue::<_, 2>::new())).split();
    let snapshot = Box::new(Snapshot {
        connections: vec![ConnectionSnapshot::default(); plan.served().count()],
        workers: vec![WorkerSnapshot { service: Service::Active, work: Work::default() }; plan.config.workers.len()],
        total: Ledger::default(),
        requests: RequestLedger::default(),
        clients: vec![RequestLedger::default(); plan.clients().count()],
        records: engine.records().iter().map(RecordSnapshot::from).collect(),
        inputs: vec![InputSnapshot::default(); plan.joined().count()],
    });
    (Counter { empty: to_desk, full: from_desk, kept: Some(snapshot), door }, Desk { empty, full })
}

impl Desk {
    /// Fills the lent snapshot, if one is.
    pub(crate) fn serve(&mut self, engine: &Engine<'_>) {
        let Some(mut snapshot) = self.empty.dequeue() else { return };
        for (id, entry) in (0u16..).map(ConnectionId).zip(&mut snapshot.connections) {
            *entry = ConnectionSnapshot {
                ledger: engine.ledger(id),
                resets: engine.resets(id),
                epoch: engine.epoch(id),
                unseen: engine.unseen(id),
                marks: engine.marks(id),
                plans: engine.plan_ledger(id),
                plan: engine.plan_status(id, clock::now()),
            };
        }
        for (id, entry) in (0u16..).map(WorkerId).zip(&mut snapshot.workers) {
            *entry = WorkerSnapshot { service: engine.service(id), work: engine.work(id) };
        }
        snapshot.total = engine.total();
        snapshot.requests = engine.requests();
        for (id, entry) in (0u16..).map(ClientId).zip(&mut snapshot.clients) {
            *entry = engine.request_ledger(id);
        }
        let now = clock::now();
        for (id, entry) in (0u16..).map(InputId).zip(&mut snapshot.inputs) {
            *entry = InputSnapshot { ledger: engine.sample_ledger(id), age: engine.sample_age(id, now) };
        }
        for (record, entry) in engine.records().iter().zip(&mut snapshot.records) {
            *entry = RecordSnapshot::from(record);
        }
        assert!(self.full.enqueue(snapshot).is_ok(), "there is one snapshot");
    }
}

impl Counter {
    /// A snapshot as of now; `None`: the engine's thread did not answer within a second.
    pub(crate) fn take(&mut self) -> Option<&Snapshot> {
        // One that came back too late for the last asker is stale, and is filled anew.
        if let Some(snapshot) = self.kept.take().or_else(|| self.full.dequeue()) {
            assert!(self.empty.enqueue(snapshot).is_ok(), "there is one snapshot");
        }
        self.door.wake();
        // Asking is rare and waits on no lock: it looks again each millisecond.
        for _ in 0..1_000 {
            if let Some(snapshot) = self.full.dequeue() {
                return Some(self.kept.insert(snapshot));
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        None
    }
}
