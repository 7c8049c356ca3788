//! One run: robots, lanes and the clock around one engine, and the judge of what it does.

use std::collections::BTreeMap;

use engine::{
    Action, Agenda, Answer, Committed, Connection, Duration, Engine, Event, Failed, Instant, Origin, Reason, Send,
    SlotId, Tables, Task, Ticket, Worker, WorkerId, plan_room, slots_needed,
};
use fastrand::Rng;
use message::{Body, Epoch, Observation, Place, Reset, Response, Sequence, Stamp, Status};

use super::{
    PlayOptions, Played,
    factory::{Factory, Kind, address, connection},
    lane,
    reference::{Expected, Observed, Player, ROUNDING, Says, Sending, Told, seconds},
};
use crate::{
    clock::{MICRO, MILLI, SECOND},
    input::connection_id,
    scenario::happens,
};

enum Happening {
    Publish { robot: usize },
    Frame { robot: usize, epoch: u64, sequence: u64, arrival: u64 },
    Demand { robot: usize, epoch: u64, from: u64 },
    Finish { worker: usize, output: Result<Vec<f32>, Failed>, took: u64 },
    Sent { robot: usize, ticket: Ticket, sequence: u64 },
}

/// A robot, as it knows itself and as it can be seen from outside.
struct Machine {
    rng: Rng,
    epoch: u64,
    restarted: u64,
    sequence: u64,
    /// What the box took in and did not answer: sequence and deadline, in the current epoch.
    open: Vec<(u64, u64)>,
    answered: u64,
    taken_in: Option<u64>,
    player: Player,
}

/// What a worker runs.
#[derive(Clone, Copy)]
struct Run {
    robot: usize,
    sequence: u64,
    slot: SlotId,
    plan: bool,
    until: u64,
}

struct World<'f> {
    factory: &'f Factory,
    now: u64,
    until: u64,
    timeline: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    machines: Vec<Machine>,
    runs: Vec<Option<Run>>,
    lanes: Vec<Rng>,
    /// Whose values each slot holds.
    memory: Vec<Option<(usize, u64, u64)>>,
    /// What must still come out of the event that is handled.
    expected: Vec<(usize, Expected)>,
    /// What the cluster gave for a robot that it answers one by one.
    remote: Option<(usize, Option<Reason>)>,
    played: Played,
}

type Verdict = Result<(), String>;

pub(super) fn run(seed: u64, length: u64, options: PlayOptions) -> Result<Played, String> {
    let until = length * SECOND;
    let factory = Factory::from_seed(seed, until);
    let played_by = |robot: &usize| factory.task_of(*robot).kind != Kind::Plan || options.plans;
    let robots: Vec<usize> = (0..factory.robots.len()).filter(played_by).collect();
    let tasks: Vec<Task<'_>> = factory.tasks.iter().map(super::factory::TaskPlan::declare).collect();
    let mut connections: Vec<Connection> =
        robots.iter().map(|robot| Connection::new(connection(*robot, factory.robots[*robot].task))).collect();
    let mut agenda = vec![Agenda::default(); robots.len()];
    let mut workers: Vec<Worker> = factory.workers.iter().map(|spec| Worker::new(*spec)).collect();
    let slots = slots_needed(connections.len(), &[], workers.len(), &[]);
    let mut free_slots: Vec<SlotId> = (0..u16::MAX).take(slots).map(SlotId).collect();
    let mut plans = vec![0.0; plan_room(&tasks, &connections)];
    let tables = Tables {
        tasks: &tasks,
        connections: &mut connections,
        agenda: &mut agenda,
        clients: &mut [],
        inputs: &mut [],
        workers: &mut workers,
        records: &mut [],
        plans: &mut plans,
        free_slots: &mut free_slots,
    };
    let mut engine = Engine::new(factory.settings(), tables).map_err(|error| format!("no engine: {error}"))?;
    #[cfg(feature = "faults")]
    engine.inject(options.fault);
    let mut world = World::new(seed, until, &factory, robots.len(), slots);
    world.run(&mut engine)?;
    Ok(world.played)
}

impl<'f> World<'f> {
    fn new(seed: u64, until: u64, factory: &'f Factory, robots: usize, slots: usize) -> Self {
        let own = |kind: u64, place: usize| {
            let place = u64::try_from(place).expect("a factory is small");
            Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (kind << 32) ^ place)
        };
        let machine = |robot| {
            let mut rng = own(1, robot);
            let epoch = rng.u64(1..);
            let (open, player) = (Vec::new(), Player::new());
            Machine { rng, epoch, restarted: 0, sequence: 0, open, answered: 0, taken_in: None, player }
        };
        let mut world = Self {
            factory,
            now: 0,
            until,
            timeline: BTreeMap::new(),
            serial: 0,
            machines: (0..robots).map(machine).collect(),
            runs: vec![None; factory.workers.len()],
            lanes: (0..factory.workers.len()).map(|worker| own(2, worker)).collect(),
            memory: vec![None; slots],
            expected: Vec::new(),
            remote: None,
            played: Played::default(),
        };
        for robot in 0..robots {
            let first = world.machines[robot].rng.u64(1..10 * MILLI);
            world.schedule(first, Happening::Publish { robot });
        }
        world
    }

    fn run(&mut self, engine: &mut Engine<'_>) -> Verdict {
        loop {
            let timer = engine.poll_timeout().map(|(at, _)| at.nanos().max(self.now));
            let next = self.timeline.keys().next().copied();
            let verdict = match (timer, next) {
                (None, None) => break,
                (Some(at), next) if next.is_none_or(|(then, _)| at <= then) => {
                    self.now = at;
                    self.handle(engine, Event::Timeout, None)
                }
                (_, Some(key)) => {
                    self.now = key.0;
                    let happening = self.timeline.remove(&key).expect("it was just found there");
                    self.happens(engine, happening)
                }
                (Some(_), None) => unreachable!("a timer that stands alone is the first"),
            };
            verdict.map_err(|what| format!("at {} us: {what}", self.now / MICRO))?;
        }
        self.close(engine)
    }

    fn schedule(&mut self, at: u64, happening: Happening) {
        self.serial += 1;
        self.timeline.insert((at, self.serial), happening);
    }

    fn happens(&mut self, engine: &mut Engine<'_>, happening: Happening) -> Verdict {
        match happening {
            Happening::Publish { robot } => {
                self.publish(robot);
                Ok(())
            }
            Happening::Frame { robot, epoch, sequence, arrival } => {
                self.frame(engine, robot, (epoch, sequence), arrival)
            }
            Happening::Demand { robot, epoch, from } => {
                if self.machines[robot].player.epoch == Some(epoch) {
                    self.machines[robot].player.demand(from);
                    self.played.cleared += 1;
                }
                let contract = self.factory.task_of(robot).contract();
                let epoch = Epoch::new(epoch);
                let from_sequence = Sequence::new(from).expect("from 1");
                let mut bytes = [0; 128];
                let reset = Reset { address: address(robot), contract, epoch, from_sequence };
                let length = reset.encode(&mut bytes).map_err(|error| error.to_string())?;
                let event = Event::Reset { connection: connection_id(robot), bytes: Some(&bytes[..length]) };
                self.handle(engine, event, None)
            }
            Happening::Finish { worker, output, took } => self.finish(engine, worker, &output, took),
            Happening::Sent { robot, ticket, sequence } => {
                self.sent(robot, sequence)?;
                self.handle(engine, Event::Sent { ticket, at: self.at() }, None)
            }
        }
    }

    fn at(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    fn publish(&mut self, robot: usize) {
        let (now, plays) = (self.now, self.factory.task_of(robot).kind == Kind::Plan);
        let period = self.factory.robots[robot].period;
        let machine = &mut self.machines[robot];
        if plays && now - machine.restarted > SECOND / 4 && happens(&mut machine.rng, self.factory.restarts) {
            machine.epoch = machine.rng.u64(1..);
            machine.restarted = now;
            machine.sequence = 0;
        }
        machine.sequence += 1;
        let (epoch, sequence) = (machine.epoch, machine.sequence);
        let demands = plays && happens(&mut machine.rng, self.factory.resets);
        let lag = if machine.rng.bool() { 0 } else { machine.rng.u64(..200 * MICRO) };
        let pause = period * machine.rng.u64(80..120) / 100;
        self.played.observations += 1;
        if demands {
            self.schedule(now + lag, Happening::Demand { robot, epoch, from: sequence + lag % 3 });
        }
        self.schedule(now + lag, Happening::Frame { robot, epoch, sequence, arrival: now });
        if now + pause < self.until {
            self.schedule(now + pause, Happening::Publish { robot });
        }
    }

    fn frame(&mut self, engine: &mut Engine<'_>, robot: usize, (epoch, sequence): (u64, u64), arrival: u64) -> Verdict {
        let task = self.factory.task_of(robot);
        let free = self.free_planner();
        let machine = &mut self.machines[robot];
        if machine.taken_in.replace(epoch) != Some(epoch) {
            // What the old epoch left is refused or on its way, and is nobody's any more.
            machine.open.clear();
            machine.answered = 0;
        }
        machine.open.push((sequence, arrival + task.deadline));
        if task.kind == Kind::Plan {
            machine.player.enter(epoch);
            let observed = Observed { sequence, arrival };
            if machine.player.sending.is_some() {
                machine.player.waiting = Some(observed);
            } else {
                let expected = machine.player.play(task, self.now, observed, free);
                self.expected.push((robot, expected));
            }
            let gap = machine.player.gap(task, arrival);
            self.played.longest_gap = self.played.longest_gap.max(gap);
        }
        let observation = Observation {
            address: address(robot),
            contract: task.contract(),
            epoch: Epoch::new(epoch),
            sequence: Sequence::new(sequence).expect("from 1"),
            stamp: Stamp::new(arrival),
            last_response: None,
            budget_us: 0,
            values: &[0; 4],
        };
        let mut bytes = [0; 128];
        let length = observation.encode(&mut bytes).map_err(|error| error.to_string())?;
        let (connection, bytes) = (connection_id(robot), &bytes[..length]);
        let event = Event::Frame { connection, arrival: Instant::from_nanos(arrival), bytes };
        self.handle(engine, event, Some((robot, epoch, sequence)))
    }

    fn finish(
        &mut self,
        engine: &mut Engine<'_>,
        worker: usize,
        output: &Result<Vec<f32>, Failed>,
        took: u64,
    ) -> Verdict {
        let run = self.runs[worker].take().ok_or("only what was started ends")?;
        let (task, place) = (self.factory.task_of(run.robot), self.factory.workers[worker].place);
        let machine = &mut self.machines[run.robot];
        if run.plan {
            machine.player.finished(task, self.now, place, output);
        } else if task.kind == Kind::Remote && self.now < run.until && machine.answered < run.sequence {
            let failed = output.as_ref().err().map(|failed| failed.reason());
            self.remote = Some((run.robot, failed));
        }
        let lent: [&[f32]; 1] = [output.as_deref().unwrap_or_default()];
        let outputs = output.as_ref().map(|_| &lent[..]).map_err(|failed| *failed);
        let worker = worker_id(worker);
        self.handle(engine, Event::Finished { worker, outputs, execution: Duration::from_nanos(took) }, None)
    }

    fn handle(&mut self, engine: &mut Engine<'_>, event: Event<'_>, frame: Option<(usize, u64, u64)>) -> Verdict {
        engine.handle(self.at(), event);
        while let Some(action) = engine.poll_action() {
            match action {
                Action::Store { slot } => self.store(slot, frame)?,
                Action::StartInference { worker, slots, .. } => self.start(engine, usize::from(worker.0), &slots)?,
                Action::Send(send) => self.send(engine, &send)?,
                Action::Quarantine { .. }
                | Action::Exit { .. }
                | Action::RecordVoid { .. }
                | Action::StoreSample { .. }
                | Action::Advance { .. }
                | Action::Reply(_)
                | Action::Notify(_)
                | Action::Drained => return Err(format!("nothing here asks for {action:?}")),
            }
        }
        if let Some((robot, expected)) = self.expected.first() {
            return Err(format!("robot {robot}: {expected:?} did not come"));
        }
        for (robot, machine) in self.machines.iter().enumerate() {
            let runs = |asked: &super::reference::Asked| {
                self.runs[asked.worker].is_some_and(|run| (run.robot, run.sequence) == (robot, asked.sequence))
            };
            if let Some(asked) = machine.player.asked.as_ref().filter(|asked| !runs(asked)) {
                return Err(format!("robot {robot}: {asked:?} was not started"));
            }
        }
        if let Some(left) = self.remote.take() {
            return Err(format!("robot and failure {left:?}: the cluster's word answered nobody"));
        }
        let late = |(robot, machine): (usize, &Machine)| {
            machine.open.iter().find(|(_, deadline)| *deadline <= self.now).map(|(sequence, _)| (robot, *sequence))
        };
        match self.machines.iter().enumerate().find_map(late) {
            Some((robot, sequence)) => Err(format!("robot {robot}: nothing answered {sequence} by its deadline")),
            None => Ok(()),
        }
    }

    fn store(&mut self, slot: SlotId, frame: Option<(usize, u64, u64)>) -> Verdict {
        let read = self.runs.iter().flatten().any(|run| run.slot == slot);
        self.memory[usize::from(slot.0)] = Some(frame.ok_or("something is stored that is no frame")?);
        if read { Err(format!("{slot:?} is written while an inference reads it")) } else { Ok(()) }
    }

    fn start(&mut self, engine: &Engine<'_>, worker: usize, slots: &[SlotId]) -> Verdict {
        let [slot] = *slots else { return Err(format!("{slots:?}: one at a time, nothing was measured")) };
        let (robot, epoch, sequence) = self.memory[usize::from(slot.0)].ok_or("an empty slot is started")?;
        let (task, place) = (self.factory.task_of(robot), self.factory.workers[worker].place);
        let plan = task.kind == Kind::Plan;
        let free = self.runs[worker].is_none() && self.factory.workers[worker].models.contains(task.model());
        if !free {
            return Err(format!("worker {worker} runs another, or not this model"));
        }
        let member = engine.plan_on(worker_id(worker)).map(|member| (member.epoch.value(), member.sequence.value()));
        if member != plan.then_some((epoch, sequence)) {
            return Err(format!("worker {worker} computes {member:?} for robot {robot}, {sequence}"));
        }
        let until = engine.deadline_on(worker_id(worker)).map(Instant::nanos).ok_or("nobody waits for what starts")?;
        let told = engine.committed_on(worker_id(worker));
        if plan {
            let asked = self.machines[robot].player.asked.as_ref();
            let timeout = task.plan.map_or(0, |plan| plan.timeout.nanos());
            let Some(asked) = asked.filter(|asked| (asked.worker, asked.sequence) == (worker, sequence)) else {
                return Err(format!("robot {robot}: {sequence} is asked on {worker}, not {asked:?}"));
            };
            if until != self.now + timeout {
                return Err(format!("robot {robot}: {sequence} is asked on {worker} until {until}"));
            }
            judge_told(asked.told.as_ref(), told).map_err(|what| format!("robot {robot}, {sequence}: {what}"))?;
            self.played.continued += u64::from(told.is_some_and(|told| told.steps > 0));
        }
        let (rng, told) = (&mut self.lanes[worker], told.map(|told| (told.rows, usize::from(told.steps))));
        let (took, output) = lane::gives(rng, self.factory, (task, place), (self.now, until), told);
        self.runs[worker] = Some(Run { robot, sequence, slot, plan, until });
        self.schedule(self.now + took, Happening::Finish { worker, output, took });
        Ok(())
    }

    fn send(&mut self, engine: &mut Engine<'_>, send: &Send) -> Verdict {
        let robot = usize::from(send.connection().ok_or("nobody else is here")?.0);
        let mut bytes = [0; Response::MAX_FRAME];
        let length = send.encode(self.at(), &mut bytes);
        let response = Response::decode(&bytes[..length]).map_err(|error| error.to_string())?;
        let sequence = response.sequence.map_or(0, Sequence::value);
        if let Answer::Refusal(refusal) = send.answer() {
            let reason = refusal.reason();
            if reason != Reason::EpochRetired {
                return Err(format!("robot {robot}: {sequence} is refused, {reason}"));
            }
            return Ok(());
        }
        let ticket = send.ticket().ok_or("an action without a ticket")?;
        if let Body::Fallback { reason, .. } = response.body
            && let Some(reason) = Reason::from_number(reason.value())
        {
            self.played.reasons[reason.index()] += 1;
        }
        match self.factory.task_of(robot).kind {
            Kind::Plan => self.judge_step(robot, &response)?,
            Kind::Control => self.judge_other(robot, Place::Box, &response, &bytes[..length])?,
            Kind::Remote => {
                self.judge_remote(robot, send)?;
                self.judge_other(robot, Place::Cluster, &response, &bytes[..length])?;
            }
        }
        let machine = &mut self.machines[robot];
        let late = machine.rng.u8(..30) == 0 && self.factory.task_of(robot).kind == Kind::Plan;
        if late {
            let at = self.now + machine.rng.u64(1..3 * MILLI);
            self.schedule(at, Happening::Sent { robot, ticket, sequence });
            return Ok(());
        }
        if send.deadline().is_none_or(|deadline| deadline <= self.at()) {
            return Err(format!("robot {robot}: {sequence} would leave past its deadline"));
        }
        self.sent(robot, sequence)?;
        engine.handle(self.at(), Event::Sent { ticket, at: self.at() });
        Ok(())
    }

    /// An answer left: it discharges what is older too.
    fn sent(&mut self, robot: usize, sequence: u64) -> Verdict {
        let (task, free) = (self.factory.task_of(robot), self.free_planner());
        let machine = &mut self.machines[robot];
        let of_now = machine.player.sending.as_ref().is_none_or(|sending| Some(sending.epoch) == machine.taken_in);
        if of_now {
            let deadline = machine.open.iter().find(|(open, _)| *open == sequence).map(|(_, deadline)| *deadline);
            if deadline.is_none_or(|deadline| deadline <= self.now) {
                return Err(format!("robot {robot}: {sequence} is answered past its deadline, or twice"));
            }
            machine.open.retain(|(open, _)| *open > sequence);
            machine.answered = sequence;
        }
        machine.player.sent(self.now);
        if let Some(observed) = machine.player.waiting.take() {
            let expected = machine.player.play(task, self.now, observed, free);
            self.expected.push((robot, expected));
        }
        Ok(())
    }

    fn judge_step(&mut self, robot: usize, response: &Response<'_>) -> Verdict {
        let place = self.expected.iter().position(|(of, _)| *of == robot);
        let (_, expected) =
            self.expected.remove(place.ok_or_else(|| format!("robot {robot}: an answer out of nothing"))?);
        let task = self.factory.task_of(robot);
        let player = &mut self.machines[robot].player;
        let values: Vec<f32> = message::floats(response.body.values()).collect();
        let wrong = |what: &str| Err(format!("robot {robot}: {what}: {response:?}, {values:?}; expected {expected:?}"));
        for (place, (value, element)) in values.iter().zip(&task.elements).enumerate() {
            let (from, span) = player.from(task, place, self.now);
            let most = f64::from(element.max_change_per_s) * seconds(span);
            let moved = (f64::from(*value) - from).abs();
            if !(element.min..=element.max).contains(value) || moved > most + ROUNDING {
                return wrong("outside its envelope");
            }
        }
        let by_plan = match (&expected.says, response.body) {
            (
                Says::Step { plan, step, origin, place, values: wanted, limited, blended, promised, .. },
                Body::Action { place: at, .. },
            ) => {
                let age = u32::try_from((self.now - origin) / MICRO).unwrap_or(u32::MAX);
                let told = (response.plan, u64::from(response.plan_step), at, response.input_age_us);
                if told != (*plan, *step, *place, age) {
                    return wrong("another step, plan, place or age");
                }
                if wanted.iter().zip(&values).any(|(wanted, value)| (wanted - f64::from(*value)).abs() > ROUNDING) {
                    return wrong("other values");
                }
                if *limited && !response.status.contains(Status::CLAMPED) {
                    return wrong("clamped and not marked");
                }
                self.played.steps += 1;
                self.played.clamped += u64::from(*limited);
                self.played.blended += u64::from(*blended);
                self.played.promised += u64::from(*promised);
                true
            }
            (Says::Fallback(reason), Body::Fallback { reason: told, .. }) if told == reason.number() => false,
            // Where the limit is met to the last bit either is right.
            (Says::Step { near_limit: true, .. }, Body::Fallback { reason, .. })
                if reason == Reason::TooFast.number() && task.too_fast == engine::TooFast::Fallback =>
            {
                false
            }
            (Says::Step { .. } | Says::Fallback(_), _) => return wrong("said otherwise"),
        };
        if !by_plan && (response.plan, response.plan_step) != (0, 0) {
            return wrong("a fallback of no plan names one");
        }
        let anew = expected.began_anew && (by_plan || matches!(expected.says, Says::Fallback(_)));
        if response.status.contains(Status::STATE_RESET) != anew {
            return wrong("another mark of a new beginning");
        }
        let (epoch, sequence) = (response.epoch.value(), response.sequence.map_or(0, Sequence::value));
        if player.epoch != Some(epoch) || sequence != expected.sequence {
            return wrong("another observation");
        }
        player.sending = Some(Sending { epoch, values, by_plan });
        Ok(())
    }

    /// The cluster's word is told as it is.
    fn judge_remote(&mut self, robot: usize, send: &Send) -> Verdict {
        let Some((_, failed)) = self.remote.take_if(|(of, _)| *of == robot) else { return Ok(()) };
        let Answer::Guarded(guarded) = send.answer() else { return Err("a refusal in place of a fallback".into()) };
        let right = match (failed, guarded.origin()) {
            (Some(reason), Origin::Fallback(told)) => reason == told,
            (None, Origin::Model { .. }) => true,
            (None, Origin::Fallback(told)) => {
                [Reason::ActionNotFinite, Reason::OutOfRange, Reason::ModelFailed].contains(&told)
            }
            (Some(_), Origin::Model { .. }) => false,
        };
        if right { Ok(()) } else { Err(format!("robot {robot}: {failed:?} is told as {:?}", guarded.origin())) }
    }

    fn judge_other(&mut self, robot: usize, place: Place, response: &Response<'_>, bytes: &[u8]) -> Verdict {
        for byte in self.now.to_le_bytes().iter().chain(bytes) {
            self.played.others = (self.played.others ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        match response.body {
            Body::Action { place: told, .. } if told != place => Err(format!("robot {robot}: computed at {told:?}")),
            Body::Action { .. } | Body::Fallback { .. } | Body::Refusal { .. } => Ok(()),
        }
    }

    fn free_planner(&self) -> Option<usize> {
        let planners = self.factory.workers.iter().zip(&self.runs).enumerate();
        let mut free =
            planners.filter(|(_, (spec, run))| spec.models.contains(super::factory::PLANNER) && run.is_none());
        free.next().map(|(worker, _)| worker)
    }

    /// The engine counts as was seen.
    fn close(&mut self, engine: &Engine<'_>) -> Verdict {
        let total = engine.total();
        self.played.missed = total.missed();
        if total.missed() > 0 || !total.balances() || total.in_flight() > 0 {
            return Err(format!("missed, in flight or not balanced: {total:?}"));
        }
        for (robot, machine) in self.machines.iter().enumerate() {
            let ledger = engine.plan_ledger(connection_id(robot));
            let counts = [ledger.asked(), ledger.adopted(), ledger.failed(), ledger.too_late(), ledger.discarded()];
            if counts != machine.player.counts || !ledger.balances() {
                return Err(format!("robot {robot}: {ledger:?}, seen were {:?}", machine.player.counts));
            }
            self.played.count_plans(&ledger);
        }
        Ok(())
    }
}

/// Whether a model is told what is played meanwhile.
fn judge_told(expected: Option<&Told>, told: Option<Committed<'_>>) -> Verdict {
    match (expected, told) {
        (None, None) => Ok(()),
        (Some(expected), Some(told)) => {
            let near = |(row, told): (&f64, &f32)| (row - f64::from(*told)).abs() <= ROUNDING;
            let alike = expected.rows.len() == told.rows.len() && expected.rows.iter().zip(told.rows).all(near);
            let right = alike && expected.committed == usize::from(told.steps);
            if right { Ok(()) } else { Err(format!("its model is told {told:?}, expected {expected:?}")) }
        }
        (Some(_), None) => Err("its model is told nothing".into()),
        (None, Some(_)) => Err("its model is told what it does not take".into()),
    }
}

fn worker_id(worker: usize) -> WorkerId {
    WorkerId(u16::try_from(worker).expect("a factory is small"))
}
