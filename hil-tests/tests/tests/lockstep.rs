//! The main loop in lockstep: physics, engine and the real model in one process on a virtual clock.
//!
//! Deterministic, so exact: at 0 to 8 ms of latency the arm keeps to the part within 0.5 mm, a model that hangs
//! for 200 ms is stood in for, and at 20 ms (the negative control) the same loop must fail.

use std::{collections::VecDeque, path::PathBuf};

use engine::{
    Action, Agenda, Connection, ConnectionId, ConnectionSpec, Degraded, Duration, Element, Engine, Envelope, Event,
    Gives, Instant, Ledger, ModelId, ModelSet, Settings, SlotId, Start, Tables, Task, TaskId, TaskSpec, TooFast,
    Worker, WorkerId, WorkerSpec,
};
use manifest::Manifest;
use message::{
    Address, Body, Boot, ContractDigest, Epoch, ModelDigest, Observation, Place, Response, Sequence, Stamp, Status,
};
use onnx_model::{Library, Model, Provider};
use plants::{JOINTS, Ur5eConveyor};

const PERIOD_MS: u32 = 2;
const SETTLED_MS: u32 = 600;
const RUN_MS: u32 = 20_000;
const INFERENCE: Duration = Duration::from_micros(20);

#[test]
fn the_arm_keeps_to_the_part_at_each_latency_below_the_deadline() {
    for latency_ms in [0, 2, 5, 8] {
        let run = closed_loop(latency_ms, None);
        println!("latency {latency_ms:2} ms: RMS {:.3} mm, max {:.2} mm", run.rms_mm, run.max_mm);
        assert!(run.rms_mm <= 0.5, "{latency_ms} ms: RMS {} mm", run.rms_mm);
        assert_eq!(run.ledger.model(), u64::from(RUN_MS / PERIOD_MS), "each observation is answered by the model");
        assert!(run.ledger.balances());
    }
}

#[test]
fn negative_control_the_same_loop_fails_at_20_ms() {
    let run = closed_loop(20, None);
    println!("latency 20 ms: RMS {:.1} mm, max {:.0} mm, lost: {}", run.rms_mm, run.max_mm, run.lost);
    assert!(run.lost || run.rms_mm > 10.0, "20 ms must lie beyond the cliff: RMS {} mm", run.rms_mm);
}

#[test]
fn a_model_that_hangs_for_200_ms_is_stood_in_for_and_the_arm_goes_on() {
    let run = closed_loop(2, Some(10_000));
    println!("hang of 200 ms: RMS {:.3} mm, max {:.2} mm", run.rms_mm, run.max_mm);
    assert!(run.rms_mm < 1.0, "RMS {} mm", run.rms_mm);
    assert_eq!(run.ledger.discarded(), 1, "the late result is thrown away");
    assert_eq!(run.ledger.by_reason(engine::Reason::Late), 1, "the observation that hung");
    assert!(run.ledger.by_reason(engine::Reason::Unstarted) > 10, "those behind it");
    assert_eq!(run.ledger.missed(), 0);
    assert!(run.ledger.balances());
}

#[test]
fn the_same_run_twice_is_the_same_to_the_bit() {
    let (once, again) = (closed_loop(2, Some(500)), closed_loop(2, Some(500)));
    assert_eq!(once.torques, again.torques);
    assert_eq!(once.ledger, again.ledger);
}

struct Run {
    rms_mm: f64,
    max_mm: f64,
    lost: bool,
    ledger: Ledger,
    torques: Vec<[u32; JOINTS]>,
}

/// Steps the arm for 20 s; each response takes `latency_ms` to arrive. At `hang_at_ms` one inference takes 200 ms.
fn closed_loop(latency_ms: u32, hang_at_ms: Option<u32>) -> Run {
    let folder = repository().join("models/ur5e-conveyor");
    let manifest = Manifest::load(&folder).expect("the shipped model is good");
    let library = Library::load(&Library::find(None).expect("make native")).expect("make native");
    let mut plant = Ur5eConveyor::load(&folder.join("arm.xml")).expect("the shipped arm loads");
    let mut site = Site::new(&manifest, Model::load(&library, &manifest, Provider::Cpu).expect("the shipped model"));
    let mut on_the_way = VecDeque::new();
    let (mut torque, mut errors, mut torques, mut lost) = ([0.0; JOINTS], Vec::new(), Vec::new(), false);
    for now_ms in 0..RUN_MS {
        if now_ms % PERIOD_MS == 0 {
            let hangs = hang_at_ms == Some(now_ms);
            site.observe(now_ms, &plant.observe(), hangs);
            if now_ms >= SETTLED_MS {
                errors.push(plant.error_m() * 1e3);
            }
        }
        site.run_until(Instant::from_nanos(u64::from(now_ms + 1) * 1_000_000));
        on_the_way.extend(site.sent.drain(..).map(|(at_ms, values)| (at_ms + latency_ms, values)));
        while on_the_way.front().is_some_and(|(due_ms, _)| *due_ms <= now_ms) {
            torque = on_the_way.pop_front().expect("just seen").1;
        }
        plant.apply(&torque);
        plant.step();
        torques.push(torque.map(f32::to_bits));
        lost |= plant.is_lost();
        if lost {
            break;
        }
    }
    let squares: f64 = errors.iter().map(|error| error * error).sum();
    let samples = f64::from(u32::try_from(errors.len()).expect("10,000 at most"));
    Run {
        rms_mm: (squares / samples).sqrt(),
        max_mm: errors.iter().copied().fold(0.0, f64::max),
        lost,
        ledger: site.engine.ledger(ConnectionId(0)),
        torques,
    }
}

/// A box on a virtual clock: the real engine and the real model, one worker, no link.
struct Site {
    engine: Engine<'static>,
    model: Model,
    contract: ContractDigest,
    address: Address,
    now: Instant,
    slots: Vec<Vec<f32>>,
    running: Option<(Instant, SlotId)>,
    hang_next: bool,
    sent: Vec<(u32, [f32; JOINTS])>,
}

impl Site {
    fn new(manifest: &Manifest, model: Model) -> Self {
        let contract = ContractDigest::new(manifest::Contract::new("track", manifest).expect("a good name").digest());
        let address = Address::of("ur5e", "track");
        let engine = Engine::new(settings(), tables(manifest, contract, address)).expect("one task, one worker");
        Self {
            engine,
            model,
            contract,
            address,
            now: Instant::from_nanos(0),
            slots: vec![Vec::new(); 4],
            running: None,
            hang_next: false,
            sent: Vec::new(),
        }
    }

    fn observe(&mut self, now_ms: u32, observation: &[f32], hangs: bool) {
        let mut values = [0; 21 * 4];
        let length = message::put_floats(observation, &mut values).expect("21 values have room");
        let observation = Observation {
            address: self.address,
            contract: self.contract,
            epoch: Epoch::new(7),
            sequence: Sequence::new(u64::from(now_ms / PERIOD_MS) + 1).expect("from 1"),
            stamp: Stamp::new(u64::from(now_ms)),
            last_response: None,
            budget_us: 0,
            values: &values[..length],
        };
        let mut frame = [0; 256];
        let length = observation.encode(&mut frame).expect("84 bytes of values have room");
        self.now = Instant::from_nanos(u64::from(now_ms) * 1_000_000);
        self.hang_next |= hangs;
        let event = Event::Frame { connection: ConnectionId(0), arrival: self.now, bytes: &frame[..length] };
        self.engine.handle(self.now, event);
        self.perform(&frame[..length]);
    }

    /// Lets the worker finish and the timers fire, up to but not including `end`.
    fn run_until(&mut self, end: Instant) {
        loop {
            let finishes = self.running.map_or(Instant::NEVER, |(at, _)| at);
            let fires = self.engine.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
            if finishes.min(fires) >= end {
                return;
            }
            self.now = finishes.min(fires).max(self.now);
            if finishes <= fires {
                let (_, slot) = self.running.take().expect("it finishes");
                self.model.observation_mut().copy_from_slice(&self.slots[usize::from(slot.0)]);
                let output = self.model.run().expect("the shipped model runs").action();
                let (worker, outputs) = (WorkerId(0), [output]);
                let event = Event::Finished { worker, outputs: Ok(&outputs), execution: Duration::ZERO };
                self.engine.handle(self.now, event);
            } else {
                self.engine.handle(self.now, Event::Timeout);
            }
            self.perform(&[]);
        }
    }

    fn perform(&mut self, frame: &[u8]) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Store { slot } => {
                    self.slots[usize::from(slot.0)] = message::floats(&frame[Observation::OVERHEAD..]).collect();
                }
                Action::StartInference { slots, .. } => {
                    let takes = if self.hang_next { Duration::from_micros(200_000) } else { INFERENCE };
                    self.hang_next = false;
                    self.running = Some((self.now.after(takes), slots[0]));
                }
                Action::Send(send) => {
                    let mut frame = [0; Response::MAX_FRAME];
                    let length = send.encode(self.now, &mut frame);
                    let response = Response::decode(&frame[..length]).expect("the box encodes what it may");
                    if let Body::Action { values, .. } | Body::Fallback { values, .. } = response.body {
                        let torque: Vec<f32> = message::floats(values).collect();
                        let at_ms = u32::try_from(self.now.nanos() / 1_000_000).expect("20 s");
                        self.sent.push((at_ms, torque.try_into().expect("six joints")));
                    }
                    if let Some(ticket) = send.ticket() {
                        self.engine.handle(self.now, Event::Sent { ticket, at: self.now });
                    }
                }
                Action::Notify(_)
                | Action::StoreSample { .. }
                | Action::Advance { .. }
                | Action::Reply(_)
                | Action::Quarantine { .. }
                | Action::RecordVoid { .. }
                | Action::Exit { .. }
                | Action::Drained => {
                    unreachable!(
                        "one hang quarantines nobody here, nothing was measured, nobody asks beside it, nobody shuts down"
                    )
                }
            }
        }
    }
}

fn settings() -> Settings {
    Settings {
        boot: Boot::new(1),
        margin: Duration::from_micros(200),
        overhead: Duration::ZERO,
        max_overruns: 8,
        overrun_window: Duration::SECOND,
        hang: Duration::SECOND,
        status: Status::NONE,
    }
}

fn tables(manifest: &Manifest, contract: ContractDigest, address: Address) -> Tables<'static> {
    let elements = manifest.output_elements().iter().map(|element| Element {
        min: element.min,
        max: element.max,
        max_change_per_s: element.max_change_per_s,
        rest: element.rest,
        start: match element.start {
            manifest::Start::Value(value) => Start::Value(value),
            manifest::Start::Observation(_) => unreachable!("the shipped model declares values"),
        },
    });
    let elements: Vec<_> = elements.collect();
    let max_step =
        u64::try_from(manifest.envelope().expect("it has an action").max_step.as_nanos()).expect("milliseconds");
    let envelope = Envelope::new(elements.leak(), TooFast::Clamp, Duration::from_nanos(max_step)).expect("shipped");
    let task = Task::new(TaskSpec {
        contract,
        model: ModelId(0),
        model_digest: ModelDigest::new(manifest.digest()),
        inputs: 21,
        deadline: Duration::from_micros(8_000),
        min_period: Duration::from_micros(2_000),
        // The latencies of this test delay each observation alike, or hold up several.
        arrival_jitter: Duration::SECOND,
        hold: Duration::from_micros(50_000),
        gives: Gives::Action(envelope),
        degraded: Degraded::Keep,
        max_gap: None,
        plan: None,
        status: Status::NONE,
    });
    let task = task.expect("shipped");
    let spec = ConnectionSpec { task: TaskId(0), address };
    let worker = WorkerSpec { models: ModelSet::EMPTY.with(ModelId(0)), spare: false, place: Place::Box };
    Tables {
        tasks: vec![task].leak(),
        connections: vec![Connection::new(spec)].leak(),
        agenda: vec![Agenda::default()].leak(),
        workers: vec![Worker::new(worker)].leak(),
        clients: Vec::new().leak(),
        inputs: Vec::new().leak(),
        records: Vec::new().leak(),
        plans: &mut [],
        free_slots: (0..4).map(SlotId).collect::<Vec<_>>().leak(),
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
