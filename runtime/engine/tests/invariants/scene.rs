//! One connection, one worker, and a caller that performs what the engine decides.

use engine::{
    Action, Agenda, Answer, Connection, ConnectionId, ConnectionSpec, Degraded, Duration, Element, Engine, Envelope,
    Event, Instant, ModelId, ModelSet, Origin, Reason, Record, RecordSpec, Send, Settings, Share, SlotId, Start,
    Tables, Task, TaskId, TaskSpec, TooFast, Withheld, Worker, WorkerId, WorkerSpec,
};
use message::{Address, Boot, ContractDigest, Epoch, ModelDigest, Observation, Response, Sequence, Stamp, Status};

const CONTRACT: ContractDigest = ContractDigest::new([3; 16]);
pub(crate) const ONLY: ConnectionId = ConnectionId(0);
pub(crate) const WORKER: WorkerId = WorkerId(0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Action,
    Fallback(Reason),
    Refusal(Reason),
}

pub(crate) struct Scene {
    pub(crate) engine: Engine<'static>,
    pub(crate) withhold: bool,
    pub(crate) running: Option<SlotId>,
    pub(crate) stored: Option<SlotId>,
    pub(crate) values: Vec<f32>,
    /// The marks of the last response.
    pub(crate) status: Status,
    /// Why each record was told to be void.
    pub(crate) void: Vec<Reason>,
}

impl Scene {
    /// Observations may come as fast as they like.
    pub(crate) fn new() -> Self {
        Self::policed(Duration::from_nanos(1))
    }

    pub(crate) fn policed(min_period: Duration) -> Self {
        Self::declared(min_period, Degraded::Keep, Vec::new())
    }

    /// Its model was measured: 1 ms, which four of 50 inferences must not exceed.
    pub(crate) fn measured(degraded: Degraded) -> Self {
        let above = Share::from_parts_per_million(1_000).expect("a small share");
        let (execution, window) = (Duration::from_micros(1_000), 50);
        let spec = RecordSpec { worker: WORKER, model: ModelId(0), execution, above, window };
        Self::declared(Duration::from_micros(10), degraded, vec![Record::new(spec).expect("a good window")])
    }

    fn declared(min_period: Duration, degraded: Degraded, records: Vec<Record>) -> Self {
        let element = Element { min: -1.0, max: 1.0, max_change_per_s: 10.0, rest: 0.0, start: Start::Value(0.0) };
        let max_step = Duration::from_micros(10_000);
        let envelope = Envelope::new(vec![element].leak(), TooFast::Clamp, max_step).expect("a good element");
        let task = TaskSpec {
            contract: CONTRACT,
            model: ModelId(0),
            model_digest: ModelDigest::new([9; 32]),
            inputs: 2,
            deadline: Duration::from_micros(8_000),
            min_period,
            arrival_jitter: Duration::ZERO,
            hold: Duration::from_micros(50_000),
            envelope,
            degraded,
            status: Status::NONE,
        };
        let spec = ConnectionSpec { task: TaskId(0), address: Address::new(5) };
        let worker = WorkerSpec { models: ModelSet::EMPTY.with(ModelId(0)), spare: false };
        let tables = Tables {
            tasks: vec![Task::new(task).expect("a good task")].leak(),
            connections: vec![Connection::new(spec)].leak(),
            agenda: vec![Agenda::default()].leak(),
            workers: vec![Worker::new(worker)].leak(),
            records: records.leak(),
            free_slots: vec![SlotId(0), SlotId(1), SlotId(2)].leak(),
        };
        let settings = Settings {
            boot: Boot::new(1),
            margin: Duration::from_micros(1_000),
            max_overruns: 16,
            overrun_window: Duration::SECOND,
            hang: Duration::SECOND,
            status: Status::NONE,
        };
        let engine = Engine::new(settings, tables).expect("good tables");
        Self {
            engine,
            withhold: false,
            running: None,
            stored: None,
            values: Vec::new(),
            status: Status::NONE,
            void: Vec::new(),
        }
    }

    pub(crate) fn observe(&mut self, micros: u64, sequence: u64) -> Vec<(u64, Said)> {
        let frame = observation(sequence, 7, 0);
        self.frame(micros, &frame)
    }

    pub(crate) fn frame(&mut self, micros: u64, bytes: &[u8]) -> Vec<(u64, Said)> {
        self.handle(micros, Event::Frame { connection: ONLY, arrival: at(micros), bytes })
    }

    pub(crate) fn finish(&mut self, micros: u64, action: &[f32]) -> Vec<(u64, Said)> {
        self.finish_after(micros, Duration::ZERO, action)
    }

    pub(crate) fn finish_after(&mut self, micros: u64, execution: Duration, action: &[f32]) -> Vec<(u64, Said)> {
        self.handle(micros, Event::Finished { worker: WORKER, output: Ok(action), execution })
    }

    pub(crate) fn time(&mut self, micros: u64) -> Vec<(u64, Said)> {
        self.handle(micros, Event::Timeout)
    }

    /// Hands one event in, performs what follows, and returns what was said to the controller.
    pub(crate) fn handle(&mut self, micros: u64, event: Event<'_>) -> Vec<(u64, Said)> {
        let mut said = Vec::new();
        self.engine.handle(at(micros), event);
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Store { slot } => self.stored = Some(slot),
                Action::StartInference { slot, .. } => self.running = Some(slot),
                Action::Send(send) => said.extend(self.send(micros, &send)),
                Action::RecordVoid { reason, .. } => self.void.push(reason),
                Action::Notify(_) | Action::Quarantine { .. } | Action::Exit { .. } | Action::Drained => {}
            }
        }
        said
    }

    fn send(&mut self, micros: u64, send: &Send) -> Option<(u64, Said)> {
        let mut frame = [0; Response::MAX_FRAME];
        let length = send.encode(at(micros), &mut frame);
        self.status = Response::decode(&frame[..length]).expect("the engine encodes what it may").status;
        if let Some(ticket) = send.ticket() {
            if self.withhold {
                self.engine.handle(at(micros), Event::Withheld { ticket, why: Withheld::Deadline });
                return None;
            }
            self.engine.handle(at(micros), Event::Sent { ticket, at: at(micros) });
        }
        let what = match send.answer() {
            Answer::Guarded(guarded) => {
                self.values = guarded.values().to_vec();
                match guarded.origin() {
                    Origin::Model { .. } => Said::Action,
                    Origin::Fallback(reason) => Said::Fallback(reason),
                }
            }
            Answer::Refusal(refusal) => Said::Refusal(refusal.reason()),
        };
        Some((send.sequence().map_or(0, Sequence::value), what))
    }
}

pub(crate) fn at(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1_000)
}

pub(crate) fn observation(sequence: u64, epoch: u64, budget_us: u32) -> Vec<u8> {
    let observation = Observation {
        address: Address::new(5),
        contract: CONTRACT,
        epoch: Epoch::new(epoch),
        sequence: Sequence::new(sequence).expect("from 1"),
        stamp: Stamp::new(0),
        last_response: None,
        budget_us,
        values: &[0; 8],
    };
    let mut frame = vec![0; 128];
    let length = observation.encode(&mut frame).expect("two values have room");
    frame.truncate(length);
    frame
}
