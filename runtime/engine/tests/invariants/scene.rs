//! One worker, one connection or some, and a caller that performs what the engine decides.

use engine::{
    Action, Agenda, Answer, Connection, ConnectionId, ConnectionSpec, Degraded, Duration, Element, Engine, Envelope,
    Event, Executions, Failed, Gives, InputId, Instant, Joined, JoinedSpec, LimitError, ModelId, ModelSet, Origin,
    Reason, Record, RecordSpec, Send, Settings, Share, SlotId, Start, Tables, Task, TaskId, TaskSpec, TooFast,
    Withheld, Worker, WorkerId, WorkerSpec, slots_needed,
};
use message::{
    Address, Body, Boot, ContractDigest, Epoch, ModelDigest, Observation, Place, Response, Sequence, Stamp, Status,
};

pub(crate) const CONTRACT: ContractDigest = ContractDigest::new([3; 16]);
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
    /// The slots of the inference that began last.
    pub(crate) running: Vec<SlotId>,
    pub(crate) stored: Option<SlotId>,
    pub(crate) values: Vec<f32>,
    /// The inputs whose newest sample was to be kept.
    pub(crate) sampled: Vec<InputId>,
    /// The age that the last response told of its inputs, and its own, in microseconds.
    pub(crate) ages: (u32, u32),
    /// The marks of the last response.
    pub(crate) status: Status,
    /// Each inference that began: whether with fresh state, and for how many microseconds it was not.
    pub(crate) began: Vec<(bool, u64)>,
    /// What the inference that began last was told of the plan before: its rows, and how many are committed.
    pub(crate) committed: Option<(Vec<f32>, u16)>,
    /// Whose state advanced, and to what was computed in which slot.
    pub(crate) advanced: Vec<(ConnectionId, SlotId)>,
    /// Why each record was told to be void.
    pub(crate) void: Vec<Reason>,
    /// Where the last response's action was computed; none of a fallback.
    pub(crate) place: Option<Place>,
    /// Of which plan the last response was which step.
    pub(crate) plan: (u64, u32),
}

impl Scene {
    /// Observations may come as fast as they like.
    pub(crate) fn new() -> Self {
        Self::policed(Duration::from_nanos(1))
    }

    pub(crate) fn policed(min_period: Duration) -> Self {
        Self::declared(&[TaskSpec { min_period, ..task() }], Vec::new())
    }

    /// Its model was measured: 1 ms, which four of 50 inferences must not exceed.
    pub(crate) fn measured(degraded: Degraded) -> Self {
        let task = TaskSpec { min_period: Duration::from_micros(10), degraded, ..task() };
        Self::declared(&[task], vec![record(0, &[1_000])])
    }

    /// Connections of a task that remembers, with a gap of 20 ms.
    pub(crate) fn remembering(connections: usize) -> Self {
        let task = TaskSpec { max_gap: Some(Duration::from_micros(20_000)), ..task() };
        Self::declared(&vec![task; connections], vec![record(0, &[1_000, 1_000])])
    }

    /// A connection for each task, and records that say how many microseconds batches of each model take.
    pub(crate) fn batching(tasks: &[TaskSpec<'static>], records: &[&[u64]]) -> Self {
        Self::declared(tasks, (0..).zip(records).map(|(model, micros)| record(model, micros)).collect())
    }

    /// The first connection's task has these joined inputs.
    pub(crate) fn joining(tasks: &[TaskSpec<'static>], records: &[&[u64]], inputs: &[JoinedSpec]) -> Self {
        let records = (0..).zip(records).map(|(model, micros)| record(model, micros)).collect();
        Self::declared_with(tasks, records, inputs, Place::Box)
    }

    /// A worker on the box, which was not measured.
    pub(crate) fn declared_once(task: TaskSpec<'static>) -> Self {
        Self::declared(&[task], Vec::new())
    }

    /// Why it cannot be, where there is no room for plans.
    pub(crate) fn without_room(task: TaskSpec<'static>) -> Option<LimitError> {
        built(&[task], Vec::new(), &[], (Place::Box, 0)).err()
    }

    /// Its worker hands off to a cluster.
    pub(crate) fn clustered(task: TaskSpec<'static>) -> Self {
        Self::declared_with(&[task], Vec::new(), &[], Place::Cluster)
    }

    fn declared(tasks: &[TaskSpec<'static>], records: Vec<Record>) -> Self {
        Self::declared_with(tasks, records, &[], Place::Box)
    }

    fn declared_with(tasks: &[TaskSpec<'static>], records: Vec<Record>, inputs: &[JoinedSpec], place: Place) -> Self {
        let room = engine::plan_room(&declare(tasks), &connect(tasks));
        let engine = built(tasks, records, inputs, (place, room)).expect("good tables");
        Self {
            engine,
            withhold: false,
            running: Vec::new(),
            stored: None,
            values: Vec::new(),
            sampled: Vec::new(),
            ages: (0, 0),
            status: Status::NONE,
            began: Vec::new(),
            committed: None,
            advanced: Vec::new(),
            void: Vec::new(),
            place: None,
            plan: (0, 0),
        }
    }

    pub(crate) fn observe(&mut self, micros: u64, sequence: u64) -> Vec<(u64, Said)> {
        let frame = observation(sequence, 7, 0);
        self.frame(micros, &frame)
    }

    pub(crate) fn frame(&mut self, micros: u64, bytes: &[u8]) -> Vec<(u64, Said)> {
        self.handle(micros, Event::Frame { connection: ONLY, arrival: at(micros), bytes })
    }

    /// The first observation of this connection; its sequence is 1 more than the connection's number.
    pub(crate) fn observe_by(&mut self, micros: u64, connection: u16) -> Vec<(u64, Said)> {
        self.observe_again(micros, connection, u64::from(connection) + 1)
    }

    pub(crate) fn observe_again(&mut self, micros: u64, connection: u16, sequence: u64) -> Vec<(u64, Said)> {
        let (connection, frame) = (ConnectionId(connection), observation(sequence, 7, 0));
        self.handle(micros, Event::Frame { connection, arrival: at(micros), bytes: &frame })
    }

    /// The sequences that the inference answers.
    pub(crate) fn members(&self) -> Vec<u64> {
        self.engine.members(WORKER).map(|member| member.sequence.value()).collect()
    }

    /// The inference gave nothing.
    pub(crate) fn fail(&mut self, micros: u64, failed: Failed) -> Vec<(u64, Said)> {
        self.handle(micros, Event::Finished { worker: WORKER, outputs: Err(failed), execution: Duration::ZERO })
    }

    pub(crate) fn finish(&mut self, micros: u64, action: &[f32]) -> Vec<(u64, Said)> {
        self.finish_after(micros, Duration::ZERO, action)
    }

    pub(crate) fn finish_after(&mut self, micros: u64, execution: Duration, action: &[f32]) -> Vec<(u64, Said)> {
        self.finish_batch(micros, execution, &[action])
    }

    pub(crate) fn finish_batch(&mut self, micros: u64, execution: Duration, actions: &[&[f32]]) -> Vec<(u64, Said)> {
        self.handle(micros, Event::Finished { worker: WORKER, outputs: Ok(actions), execution })
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
                Action::StoreSample { input } => self.sampled.push(input),
                Action::StartInference { slots, .. } => {
                    self.running = slots.to_vec();
                    let committed = self.engine.committed_on(WORKER);
                    self.committed = committed.map(|committed| (committed.rows.to_vec(), committed.steps));
                    let began = self.engine.memories(WORKER);
                    let micros =
                        |span: Duration| std::time::Duration::from(span).as_micros().try_into().expect("short");
                    self.began.extend(began.map(|memory| (memory.fresh, micros(memory.since_fresh))));
                }
                Action::Advance { connection, slot } => self.advanced.push((connection, slot)),
                Action::Send(send) => said.extend(self.send(micros, &send)),
                Action::RecordVoid { reason, .. } => self.void.push(reason),
                Action::Reply(_)
                | Action::Notify(_)
                | Action::Quarantine { .. }
                | Action::Exit { .. }
                | Action::Drained => {}
            }
        }
        said
    }

    fn send(&mut self, micros: u64, send: &Send) -> Option<(u64, Said)> {
        let mut frame = [0; Response::MAX_FRAME];
        let length = send.encode(at(micros), &mut frame);
        let response = Response::decode(&frame[..length]).expect("the engine encodes what it may");
        self.status = response.status;
        self.place = match response.body {
            Body::Action { place, .. } => Some(place),
            Body::Fallback { .. } | Body::Refusal { .. } => None,
        };
        self.plan = (response.plan, response.plan_step);
        self.ages = (response.input_age_us, response.age_us);
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

fn declare(tasks: &[TaskSpec<'static>]) -> Vec<Task<'static>> {
    tasks.iter().map(|task| Task::new(*task).expect("a good task")).collect()
}

fn connect(tasks: &[TaskSpec<'static>]) -> Vec<Connection> {
    let spec = |task| ConnectionSpec { task: TaskId(task), address: Address::new(5) };
    let count = u16::try_from(tasks.len()).expect("a scene is small");
    (0..count).map(|task| Connection::new(spec(task))).collect()
}

fn built(
    tasks: &[TaskSpec<'static>],
    records: Vec<Record>,
    inputs: &[JoinedSpec],
    (place, room): (Place, usize),
) -> Result<Engine<'static>, LimitError> {
    let models = tasks.iter().fold(ModelSet::EMPTY, |models, task| models.with(task.model));
    let slots = u16::try_from(slots_needed(tasks.len(), &[], 1, &records)).expect("a scene is small");
    let tables = Tables {
        tasks: declare(tasks).leak(),
        connections: connect(tasks).leak(),
        agenda: vec![Agenda::default(); tasks.len()].leak(),
        clients: &mut [],
        inputs: inputs.iter().map(|spec| Joined::new(*spec)).collect::<Vec<_>>().leak(),
        workers: vec![Worker::new(WorkerSpec { models, spare: false, place })].leak(),
        records: records.leak(),
        plans: vec![0.0; room].leak(),
        free_slots: (0..slots).map(SlotId).collect::<Vec<_>>().leak(),
    };
    let settings = Settings {
        boot: Boot::new(1),
        margin: Duration::from_micros(1_000),
        max_overruns: 16,
        overrun_window: Duration::SECOND,
        hang: Duration::SECOND,
        overhead: Duration::ZERO,
        status: Status::NONE,
    };
    Engine::new(settings, tables)
}

/// Deadline 8 ms, two inputs, one element in the range of ±1.
pub(crate) fn task() -> TaskSpec<'static> {
    let element = Element { min: -1.0, max: 1.0, max_change_per_s: 10.0, rest: 0.0, start: Start::Value(0.0) };
    let max_step = Duration::from_micros(10_000);
    TaskSpec {
        contract: CONTRACT,
        model: ModelId(0),
        model_digest: ModelDigest::new([9; 32]),
        inputs: 2,
        deadline: Duration::from_micros(8_000),
        min_period: Duration::from_nanos(1),
        arrival_jitter: Duration::ZERO,
        hold: Duration::from_micros(50_000),
        gives: Gives::Action(Envelope::new(vec![element].leak(), TooFast::Clamp, max_step).expect("a good element")),
        degraded: Degraded::Keep,
        max_gap: None,
        plan: None,
        status: Status::NONE,
    }
}

pub(crate) fn record(model: u8, micros: &[u64]) -> Record {
    let sizes: Vec<Duration> = micros.iter().copied().map(Duration::from_micros).collect();
    let executions = Executions::new(&sizes).expect("good sizes");
    let above = Share::from_parts_per_million(1_000).expect("a small share");
    let spec = RecordSpec { worker: WORKER, model: ModelId(model), executions, above, window: 50 };
    Record::new(spec).expect("a good window")
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
