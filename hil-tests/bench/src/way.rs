//! The way of one observation through the box's own code, without zenoh and on one thread: frame, engine,
//! slot, session, guard, response frame. Counts our allocations there and times each step.
//!
//! It performs the engine's actions as the daemon's `turn.rs` and `worker.rs` do.

use std::hint::black_box;
use std::thread;
use std::time::Instant as Clock;

use engine::{
    Action, Agenda, Answer, Connection, ConnectionId, ConnectionSpec, Degraded, Duration, Element, Engine, Envelope,
    Event, Failed, Gives, Instant, ModelId, ModelSet, Origin, Settings, SlotId, Start, Tables, Task, TaskId, TaskSpec,
    TooFast, Worker, WorkerId, WorkerSpec,
};
use heapless::spsc::Queue;
use manifest::Manifest;
use message::{Address, Boot, ModelDigest, Observation, Place, Response, Status};
use miette::{IntoDiagnostic, Result, miette};
use onnx_model::Model;
use serde::{Deserialize, Serialize};

use crate::allocations;
use crate::measure::PAUSE;
use crate::statistics::Times;
use crate::subject::{ROBOT, TASK};
use crate::traffic::{self, Controller};

/// How many observations are counted, with and without the deliberate allocation.
pub(crate) const OBSERVATIONS: u64 = 10_000;

/// What was found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) allocations: Allocations,
    /// The median time of each step, clock readings taken off.
    pub(crate) steps: Vec<StepTime>,
}

/// Our allocations on an observation's way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Allocations {
    pub(crate) observations: u64,
    /// Must be 0.
    pub(crate) ours: u64,
    /// The same way with one deliberate allocation for each observation: must be `observations`.
    pub(crate) negative_control: u64,
}

/// What one step costs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StepTime {
    pub(crate) step: String,
    pub(crate) median_ns: u64,
}

/// The steps of the way, in order.
const STEPS: [&str; 6] = [
    "decode, admit, schedule",
    "copy into the slot",
    "run the session (nothing else has run in between)",
    "guard",
    "encode the response",
    "account",
];

/// Walks the way often enough to count and to time it.
pub(crate) fn walk(model: Model, manifest: &Manifest) -> Result<Found> {
    let mut controller = Controller::new(manifest)?;
    let mut way = Way::new(model, manifest)?;
    // The first observation begins an epoch.
    way.observation(controller.next())?;

    let mut times = STEPS.map(|_| Times::new());
    let (mut ours, mut negative_control) = (0, 0);
    let clock_ns = clock_reading_ns();
    for turn in 0..OBSERVATIONS {
        let (spans, counted) = allocations::count(|| way.observation(controller.next()));
        ours += counted;
        for (times, span) in times.iter_mut().zip(spans?) {
            times.record(span.saturating_sub(clock_ns));
        }
        let (result, counted) = allocations::count(|| {
            drop(black_box(Box::new(turn)));
            way.observation(controller.next())
        });
        result?;
        negative_control += counted;
        if turn % 1_000 == 0 {
            // One core for real-time threads must not be kept from all others.
            thread::sleep(PAUSE);
        }
    }
    let steps = STEPS.iter().zip(&times);
    Ok(Found {
        allocations: Allocations { observations: OBSERVATIONS, ours, negative_control },
        steps: steps.map(|(step, times)| StepTime { step: (*step).to_owned(), median_ns: times.median_ns() }).collect(),
    })
}

/// Nanoseconds of each step.
type Spans = [u64; STEPS.len()];

/// The box's own parts, on one thread.
struct Way {
    engine: Engine<'static>,
    model: Model,
    slots: Vec<Option<Box<Slot>>>,
    orders: Queue<(SlotId, Box<Slot>), 2>,
    done: Queue<(SlotId, Box<Slot>), 2>,
    start: Clock,
}

struct Slot {
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Way {
    fn new(model: Model, manifest: &Manifest) -> Result<Self> {
        let slot = || {
            let (inputs, outputs) = (model.observation_len(), model.action_len());
            Some(Box::new(Slot { input: Vec::with_capacity(inputs), output: Vec::with_capacity(outputs) }))
        };
        Ok(Self {
            engine: engine(manifest)?,
            slots: (0..SLOTS).map(|_| slot()).collect(),
            model,
            orders: Queue::new(),
            done: Queue::new(),
            start: Clock::now(),
        })
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(nanos(self.start, Clock::now()) + 1)
    }

    /// From a frame to a response's frame; nothing else is open on the way.
    fn observation(&mut self, frame: &[u8]) -> Result<Spans> {
        let begun = Clock::now();
        let arrival = self.now();
        self.engine.handle(arrival, Event::Frame { connection: ConnectionId(0), arrival, bytes: frame });
        let Some(Action::Store { slot: stored }) = self.engine.poll_action() else { return Err(strayed("stored")) };
        let storing = Clock::now();
        let values = frame.get(Observation::OVERHEAD..).ok_or_else(|| strayed("stored"))?;
        self.slots[usize::from(stored.0)].as_mut().expect("a free slot is here").store(message::floats(values));
        let starting = Clock::now();
        let Some(Action::StartInference { slots, .. }) = self.engine.poll_action() else {
            return Err(strayed("started"));
        };
        // There is one connection, so no batch.
        let slot = slots[0];
        let memory = self.slots[usize::from(slot.0)].take().expect("a slot that waits is here");
        assert!(self.orders.enqueue((slot, memory)).is_ok(), "there is one order");
        assert!(self.engine.poll_action().is_none(), "one start for one observation");
        let running = Clock::now();
        let (slot, mut memory) = self.orders.dequeue().expect("it was ordered above");
        let ran = memory.run(&mut self.model);
        assert!(self.done.enqueue((slot, memory)).is_ok(), "there is one result");
        let guarding = Clock::now();
        let (slot, memory) = self.done.dequeue().expect("it was done above");
        let each = [memory.output.as_slice()];
        let outputs = ran.map(|()| each.as_slice());
        self.engine.handle(self.now(), Event::Finished { worker: WorkerId(0), outputs, execution: Duration::ZERO });
        self.slots[usize::from(slot.0)] = Some(memory);
        let Some(Action::Send(send)) = self.engine.poll_action() else { return Err(strayed("answered")) };
        let encoding = Clock::now();
        let mut buffer = [0; Response::MAX_FRAME];
        let length = send.encode(self.now(), &mut buffer);
        black_box(&buffer[..length]);
        let accounting = Clock::now();
        let (at, ticket) = (self.now(), send.ticket().ok_or_else(|| strayed("answered"))?);
        let deadline = send.deadline().is_some_and(|deadline| at < deadline);
        assert!(deadline, "a deadline of minutes lasts");
        self.engine.handle(at, Event::Sent { ticket, at });
        assert!(self.engine.poll_action().is_none(), "nothing else is open");
        black_box(self.engine.poll_timeout());
        let ended = Clock::now();
        match send.answer() {
            Answer::Guarded(guarded) if matches!(guarded.origin(), Origin::Model { .. }) => Ok([
                // One step, which the copy into the slot splits.
                nanos(begun, storing) + nanos(starting, running),
                nanos(storing, starting),
                nanos(running, guarding),
                nanos(guarding, encoding),
                nanos(encoding, accounting),
                nanos(accounting, ended),
            ]),
            Answer::Guarded(_) | Answer::Refusal(_) => Err(strayed("answered by the model")),
        }
    }
}

impl Slot {
    fn store(&mut self, values: impl Iterator<Item = f32>) {
        self.input.clear();
        self.input.extend(values);
    }

    fn run(&mut self, model: &mut Model) -> Result<(), Failed> {
        self.output.clear();
        model.observation_mut().copy_from_slice(&self.input);
        self.output.extend_from_slice(model.run().map_err(|_| Failed::Model)?.action());
        Ok(())
    }
}

/// Two for the connection and one for the worker.
const SLOTS: u16 = 3;

/// Longer than any pause of the machine: this measures the way, not the deadline.
const DEADLINE: Duration = Duration::from_micros(600_000_000);

fn engine(manifest: &Manifest) -> Result<Engine<'static>> {
    let elements: Vec<Element> = manifest.output_elements().iter().map(element).collect::<Result<_>>()?;
    let declared = manifest.envelope().ok_or_else(|| miette!("the model has no action"))?;
    let too_fast = match declared.too_fast {
        manifest::TooFast::Clamp => TooFast::Clamp,
        manifest::TooFast::Fallback => TooFast::Fallback,
    };
    let max_step = u64::try_from(declared.max_step.as_nanos()).into_diagnostic()?;
    let envelope = Envelope::new(elements.leak(), too_fast, Duration::from_nanos(max_step)).into_diagnostic()?;
    let (model, inputs) = (ModelId(0), manifest.input_elements().len());
    let task = Task::new(TaskSpec {
        contract: traffic::contract(manifest)?,
        model,
        model_digest: ModelDigest::new(manifest.digest()),
        inputs,
        deadline: DEADLINE,
        min_period: Duration::from_micros(1),
        arrival_jitter: DEADLINE,
        hold: DEADLINE,
        gives: Gives::Action(envelope),
        degraded: Degraded::Keep,
        max_gap: None,
        plan: None,
        status: Status::NONE,
    });
    let spec = ConnectionSpec { task: TaskId(0), address: Address::of(ROBOT, TASK) };
    let settings = Settings {
        boot: Boot::new(1),
        margin: Duration::from_micros(1_000),
        overhead: Duration::ZERO,
        max_overruns: 8,
        overrun_window: Duration::SECOND,
        hang: DEADLINE,
        status: Status::NONE,
    };
    let tables = Tables {
        tasks: vec![task.into_diagnostic()?].leak(),
        connections: vec![Connection::new(spec)].leak(),
        agenda: vec![Agenda::default()].leak(),
        clients: Vec::new().leak(),
        inputs: Vec::new().leak(),
        workers: vec![Worker::new(WorkerSpec { models: ModelSet::EMPTY.with(model), spare: false, place: Place::Box })]
            .leak(),
        records: Vec::new().leak(),
        plans: &mut [],
        free_slots: (0..SLOTS).map(SlotId).collect::<Vec<_>>().leak(),
    };
    Engine::new(settings, tables).into_diagnostic()
}

fn element(declared: &manifest::OutputElement) -> Result<Element> {
    let start = match declared.start {
        manifest::Start::Value(value) => Start::Value(value),
        manifest::Start::Observation(index) => Start::Observation(u32::try_from(index.as_usize()).into_diagnostic()?),
    };
    let manifest::OutputElement { min, max, max_change_per_s, rest, .. } = *declared;
    Ok(Element { min, max, max_change_per_s, rest, start })
}

/// The median of what reading the clock twice in a row says.
fn clock_reading_ns() -> u64 {
    let mut times = Times::new();
    for _ in 0..1_000 {
        let first = Clock::now();
        times.record(nanos(first, Clock::now()));
    }
    times.median_ns()
}

fn nanos(from: Clock, to: Clock) -> u64 {
    u64::try_from((to - from).as_nanos()).unwrap_or(u64::MAX)
}

fn strayed(what: &str) -> miette::Report {
    miette!("an observation of the way was not {what}: the way and the engine no longer fit together")
}
