//! A robot's controller: publishes observations, restarts, and keeps its own count of what it published.

use engine::Reason;
use fastrand::Rng;
use message::{Address, Body, ContractDigest, Epoch, Observation, Response, Sequence, Stamp};

use crate::{
    clock::{MICRO, MILLI},
    demand, mangle,
    report::{Disturbance, Disturbances},
    scenario::{ConnectionPlan, Odds, Scenario, TaskPlan, between, happens},
};

pub(crate) struct Controller {
    identity: Identity,
    period: u64,
    deadline_us: u32,
    margin_us: u32,
    inputs: usize,
    instance: Instance,
    /// Instances that were replaced, newest last; one sometimes goes on publishing.
    old: Vec<Instance>,
    last_frame: Vec<u8>,
    /// Publications left that follow at once.
    hurry: u32,
    /// Restarts left of a loop of restarts.
    loops: u32,
    reads_from: u64,
    /// Whether the box told that this instance's epoch was retired.
    retired: bool,
    /// Frames that left this controller.
    pub(crate) published: u64,
}

/// What each frame of a controller says of whom it is for.
#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) address: Address,
    pub(crate) contract: ContractDigest,
}

/// One start of the controller.
#[derive(Clone, Copy)]
struct Instance {
    epoch: u64,
    sequence: u64,
    last_response: Option<Sequence>,
}

impl Instance {
    fn new(rng: &mut Rng) -> Self {
        Self { epoch: rng.u64(1..), sequence: rng.u64(..1_000), last_response: None }
    }
}

impl Controller {
    pub(crate) fn new(rng: &mut Rng, place: usize, scenario: &Scenario) -> Self {
        let plan: &ConnectionPlan = &scenario.connections[place];
        let task: &TaskPlan = &scenario.tasks[plan.task];
        let micros = |nanos: u64| u32::try_from(nanos / MICRO).expect("a scenario's deadlines are milliseconds");
        Self {
            identity: Identity { address: plan.address, contract: task.contract },
            period: plan.period,
            deadline_us: micros(task.deadline),
            margin_us: micros(scenario.box_plan.margin),
            inputs: task.inputs,
            instance: Instance::new(rng),
            old: Vec::new(),
            last_frame: Vec::new(),
            hurry: 0,
            loops: 0,
            reads_from: 0,
            retired: false,
            published: 0,
        }
    }

    /// The next frame, and how long until the one after it.
    pub(crate) fn publish(&mut self, rng: &mut Rng, now: u64, odds: &Odds, seen: &mut Disturbances) -> (Vec<u8>, u64) {
        self.published += 1;
        self.maybe_restart(rng, odds, seen);
        if happens(rng, odds.robot_stall) {
            seen.note(Disturbance::RobotReadsNothing);
            self.reads_from = now + rng.u64(20..2_000) * MILLI;
        }
        let frame = self.frame(rng, now, odds, seen);
        (frame, self.pause(rng, odds, seen))
    }

    /// A demand that the state begins anew.
    pub(crate) fn demand(&self, rng: &mut Rng, seen: &mut Disturbances) -> Vec<u8> {
        let Instance { epoch, sequence, .. } = self.instance;
        demand::demand(rng, seen, (self.identity.address, self.identity.contract), (epoch, sequence + 1))
    }

    /// A response reached the controller. One that is told that its epoch was retired starts anew.
    pub(crate) fn receive(&mut self, now: u64, frame: &[u8]) {
        let Ok(response) = Response::decode(frame) else { return };
        if now < self.reads_from || response.epoch.value() != self.instance.epoch {
            return;
        }
        match response.body {
            Body::Action { .. } | Body::Fallback { .. } => {
                self.instance.last_response = self.instance.last_response.max(response.sequence);
            }
            Body::Refusal { reason } => self.retired |= reason == Reason::Epoch.number(),
        }
    }

    fn frame(&mut self, rng: &mut Rng, now: u64, odds: &Odds, seen: &mut Disturbances) -> Vec<u8> {
        let old = self.old.len();
        if old > 0 && happens(rng, odds.old_instance) {
            seen.note(Disturbance::OldInstance);
            let which = old - 1 - rng.usize(..old.min(18));
            let mut instance = self.old[which];
            instance.sequence += 1;
            self.old[which] = instance;
            return self.observe(rng, now, odds, seen, instance);
        }
        if happens(rng, odds.mangle) {
            let observation = self.observe(rng, now, odds, seen, self.instance.next());
            let mangled = mangle::mangle(rng, seen, self.identity, &observation, &self.last_frame);
            // A mangled frame takes its sequence with it, so that the next is not refused for it.
            self.instance = self.instance.next();
            return mangled;
        }
        self.instance = self.instance.next();
        let frame = self.observe(rng, now, odds, seen, self.instance);
        self.last_frame.clone_from(&frame);
        frame
    }

    fn observe(&self, rng: &mut Rng, now: u64, odds: &Odds, seen: &mut Disturbances, instance: Instance) -> Vec<u8> {
        let values: Vec<f32> = (0..self.inputs).map(|_| between(rng, -4.0, 4.0)).collect();
        let mut bytes = vec![0; self.inputs * size_of::<f32>()];
        message::put_floats(&values, &mut bytes).expect("there is room for each input");
        let observation = Observation {
            address: self.identity.address,
            contract: self.identity.contract,
            epoch: Epoch::new(instance.epoch),
            sequence: Sequence::new(instance.sequence.max(1)).expect("at least 1"),
            stamp: Stamp::new(now.wrapping_mul(3)),
            last_response: instance.last_response,
            budget_us: self.budget(rng, odds, seen),
            values: &bytes,
        };
        encode(&observation)
    }

    fn budget(&self, rng: &mut Rng, odds: &Odds, seen: &mut Disturbances) -> u32 {
        if !happens(rng, odds.budget) {
            return 0;
        }
        if rng.u8(..20) == 0 {
            seen.note(Disturbance::BudgetUnfit);
            return if rng.bool() { rng.u32(1..=self.margin_us) } else { self.deadline_us + rng.u32(1..1_000) };
        }
        seen.note(Disturbance::BudgetVaried);
        rng.u32(self.margin_us + 1..=self.deadline_us)
    }

    fn maybe_restart(&mut self, rng: &mut Rng, odds: &Odds, seen: &mut Disturbances) {
        if happens(rng, odds.restart_loop) {
            self.loops = rng.u32(9..30);
        }
        if std::mem::take(&mut self.retired) || self.loops > 0 || happens(rng, odds.restart) {
            self.loops = self.loops.saturating_sub(1);
            seen.note(Disturbance::ControllerRestarted);
            self.old.push(self.instance);
            self.instance = Instance::new(rng);
        }
    }

    fn pause(&mut self, rng: &mut Rng, odds: &Odds, seen: &mut Disturbances) -> u64 {
        if self.hurry > 0 {
            self.hurry -= 1;
            return rng.u64(1..30 * MICRO);
        }
        if happens(rng, odds.flood) {
            seen.note(Disturbance::Flood);
            self.hurry = rng.u32(50..300);
        } else if happens(rng, odds.burst) {
            seen.note(Disturbance::Burst);
            self.hurry = rng.u32(1..8);
        }
        if happens(rng, odds.jitter) {
            seen.note(Disturbance::Jitter);
            return self.period / 2 + rng.u64(..self.period);
        }
        self.period
    }
}

impl Instance {
    fn next(mut self) -> Self {
        self.sequence += 1;
        self
    }
}

/// The observation as a frame.
pub(crate) fn encode(observation: &Observation<'_>) -> Vec<u8> {
    let mut frame = vec![0; Observation::OVERHEAD + observation.values.len()];
    observation.encode(&mut frame).expect("there is room for the whole frame");
    frame
}
