//! One boot of the box: the engine's thread, the link's queues, slot memory, workers and sends around one engine.

use std::collections::{BTreeMap, VecDeque};

use engine::{Engine, Reason, Reply, Send, Ticket, VoidCause, Withheld};
use fastrand::Rng;

use crate::{
    Options,
    camera::{Shown, UNIX_AT_ORIGIN},
    checks::{Checks, FRESH},
    clock::{MICRO, MILLI},
    input::{Input, Key},
    link::Ingress,
    mangle,
    reference::{self, ExpectedAnswer, Reference},
    report::{Check, Disturbance, Finding, Verdict},
    scenario::{Scenario, happens},
    world::{Happening, World},
};

pub(crate) struct Boot<'t, 's> {
    pub(crate) number: u64,
    pub(crate) id: u64,
    pub(crate) engine: Engine<'t>,
    pub(crate) scenario: &'s Scenario,
    pub(crate) checks: Checks<'s>,
    pub(crate) reference: Option<Reference<'s>>,
    /// What workers, sends and operators report, in order.
    pub(crate) reports: VecDeque<Input>,
    ingress: Ingress,
    /// Whose values each slot of the daemon's memory holds.
    pub(crate) memory: Vec<Option<Key>>,
    /// The state that was computed in each slot, and the one that each connection has.
    pub(crate) computed: Vec<u64>,
    pub(crate) states: Vec<u64>,
    puts: BTreeMap<u64, Put>,
    next_put: u64,
    /// The result of each client that is on its way.
    replies: BTreeMap<usize, Reply>,
    requests_arrived: u64,
    samples_arrived: u64,
    /// Until when the engine's thread is busy or held up.
    busy_until: u64,
    next_turn: Option<(u64, u64)>,
    turns: u64,
    arrived: u64,
    drain_asked: bool,
}

/// A send on its way to the link.
struct Put {
    send: Send,
    ticket: Ticket,
    connection: usize,
    deadline: u64,
    expected: Option<ExpectedAnswer>,
}

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Restart,
    NothingLeft,
}

impl<'t, 's> Boot<'t, 's> {
    pub(crate) fn new(
        world: &World<'s>,
        number: u64,
        id: u64,
        engine: Engine<'t>,
        slots: usize,
        options: Options,
    ) -> Self {
        let scenario = world.scenario;
        let boot = Self {
            number,
            id,
            engine,
            scenario,
            checks: Checks::new(scenario),
            // The reference model knows observations only.
            reference: (options.reference && scenario.clients.is_empty()).then(|| Reference::new(scenario)),
            reports: VecDeque::new(),
            ingress: Ingress::new(scenario.connections.len(), scenario.box_plan.queue, scenario.joined.len()),
            memory: vec![None; slots],
            computed: vec![FRESH; slots],
            states: vec![FRESH; scenario.connections.len()],
            puts: BTreeMap::new(),
            next_put: 0,
            replies: BTreeMap::new(),
            requests_arrived: 0,
            samples_arrived: 0,
            busy_until: 0,
            next_turn: None,
            turns: 0,
            arrived: 0,
            drain_asked: false,
        };
        #[cfg(feature = "faults")]
        let boot = {
            let mut boot = boot;
            boot.engine.inject(options.fault);
            boot
        };
        boot
    }

    pub(crate) fn run(mut self, world: &mut World<'s>) -> Result<End, Finding> {
        while let Some(happening) = world.timeline.advance() {
            if self.happens(world, happening)? == Some(End::Restart) {
                world.report.disturbances.note(Disturbance::BoxRestarted);
                world.progress.line(|| format!("{} the box restarts", world.timeline.now()));
                self.close(world)?;
                return Ok(End::Restart);
            }
            self.schedule_turn(world);
        }
        self.checks.ended()?;
        self.close(world)?;
        Ok(End::NothingLeft)
    }

    fn happens(&mut self, world: &mut World<'s>, happening: Happening) -> Result<Option<End>, Finding> {
        match happening {
            Happening::Publish { controller } => {
                world.publish(controller);
                self.ask_drain(world);
            }
            Happening::Arrive { connection, bytes } => {
                if let Some(edge) = self.edge(world, connection, &bytes) {
                    world.report.disturbances.note(Disturbance::DelayedToAnEdge);
                    world.timeline.schedule(edge, Happening::Arrive { connection, bytes });
                    return Ok(None);
                }
                self.arrive(world, connection, bytes);
                if world.before_the_end() && happens(&mut world.rng, self.scenario.odds.box_restart) {
                    return Ok(Some(End::Restart));
                }
            }
            Happening::ArriveReset { connection, bytes } => self.arrive_reset(world, connection, bytes),
            Happening::Deliver { connection, bytes } => world.delivered(connection, &bytes),
            Happening::Turn { boot, serial } => {
                if boot == self.number && self.next_turn.is_some_and(|(_, next)| next == serial) {
                    self.next_turn = None;
                    self.turn(world)?;
                }
            }
            Happening::Finish { boot, worker, outputs, execution } => {
                if boot == self.number {
                    self.reports.push_back(Input::Finished { worker, outputs, execution });
                }
            }
            Happening::Put { boot, serial } => {
                if boot == self.number {
                    self.put(world, serial)?;
                }
            }
            Happening::Reported { boot, input } => {
                if boot == self.number {
                    self.reports.push_back(input);
                }
            }
            Happening::Ask { client } => world.ask(client),
            Happening::ArriveRequest { client, bytes } => self.arrive_request(world, client, bytes),
            Happening::PutReply { boot, client } => {
                if boot == self.number {
                    self.put_reply(world, client)?;
                }
            }
            Happening::Shoot { input } => world.shoot(input),
            Happening::ArriveSample { input, shown } => self.arrive_sample(world, input, shown),
            Happening::Restart { boot } => {
                if boot == self.number && world.before_the_end() {
                    return Ok(Some(End::Restart));
                }
            }
        }
        Ok(None)
    }

    /// Sometimes, when a frame that arrives now arrives instead: the instant at which another falls due or expires.
    fn edge(&self, world: &mut World<'s>, connection: usize, bytes: &[u8]) -> Option<u64> {
        let odds = &self.scenario.odds;
        // Two that are rare enough to be sought: an observation that expires behind a send that stalls, and an
        // epoch that ends as its fallback falls due.
        let ends_epoch = |header: message::Header| self.checks.has_open_of_another_epoch(connection, header.epoch);
        let sought = self.checks.is_sending(connection) || message::peek(bytes).is_some_and(ends_epoch);
        let odds = if sought { odds.edge_sought } else { odds.edge };
        if !happens(&mut world.rng, odds) {
            return None;
        }
        let edges = self.checks.edges(connection, world.timeline.now());
        (!edges.is_empty()).then(|| edges[world.rng.usize(..edges.len())])
    }

    fn arrive(&mut self, world: &mut World<'s>, connection: usize, bytes: Vec<u8>) {
        let now = world.timeline.now();
        let seen = &mut world.report.disturbances;
        if self.checks.is_sending(connection) {
            seen.note(Disturbance::ArrivedDuringSending);
        }
        if happens(&mut world.rng, self.scenario.odds.noise) {
            self.reports.push_back(match world.rng.u8(..6) {
                0 => Input::Query,
                1 | 2 => Input::Stray { arrival: now, bytes: mangle::stray(&mut world.rng, seen, &bytes) },
                3 => {
                    seen.note(Disturbance::SpuriousWake);
                    Input::Timeout
                }
                4 => Input::QueriesUnseen { count: world.rng.u64(1..5) },
                _ => Input::ShedUnseen { connection: None, count: world.rng.u64(1..5) },
            });
        }
        if happens(&mut world.rng, self.scenario.odds.record_void) {
            let worker = world.rng.usize(..self.scenario.workers.len());
            let cause = if world.rng.bool() { VoidCause::Throttled } else { VoidCause::SettingChanged };
            self.reports.push_back(Input::RecordVoid { worker, cause });
        }
        let max_frame = self.scenario.tasks[self.scenario.connections[connection].task].max_frame();
        self.arrived += 1;
        self.ingress.arrive(connection, now, bytes, max_frame, seen);
    }

    fn arrive_reset(&mut self, world: &mut World<'s>, connection: usize, bytes: Vec<u8>) {
        self.reports.push_back(match world.demands.u8(..40) {
            0 => Input::Reset { connection, bytes: None },
            1 => Input::ResetsShed { connection, count: world.demands.u64(1..4) },
            _ => Input::Reset { connection, bytes: Some(bytes) },
        });
    }

    fn ask_drain(&mut self, world: &mut World<'s>) {
        if world.plan.drains && !self.drain_asked && !world.before_the_end() {
            self.drain_asked = true;
            world.report.disturbances.note(Disturbance::Drained);
            self.reports.push_back(Input::Drain);
        }
    }

    /// The engine's thread runs when something waits for it or its timer fires, a little after.
    fn schedule_turn(&mut self, world: &mut World<'s>) {
        let now = world.timeline.now();
        let waits = !self.reports.is_empty() || !self.ingress.is_empty();
        let wanted = if waits { Some(now) } else { self.engine.poll_timeout().map(|(at, _)| at.nanos()) };
        let Some(wanted) = wanted else { return };
        let at = if wanted <= self.busy_until { self.busy_until } else { wanted.max(now) + wake_after(&mut world.rng) };
        if self.next_turn.is_none_or(|(next, _)| at < next) {
            self.turns += 1;
            self.next_turn = Some((at, self.turns));
            world.timeline.schedule(at, Happening::Turn { boot: self.number, serial: self.turns });
        }
    }

    fn turn(&mut self, world: &mut World<'s>) -> Verdict {
        let now = world.timeline.now();
        if now < self.busy_until {
            return Ok(());
        }
        if happens(&mut world.rng, self.scenario.odds.engine_late) {
            self.hold_up_engine(world);
            return Ok(());
        }
        let overdue = self.engine.poll_timeout().filter(|(at, _)| at.nanos() <= now);
        // Mostly timers first, then reports, then frames. In any order where they coincide and sometimes elsewhere,
        // because the engine must not rely on it.
        let at_once = overdue.is_some_and(|(at, _)| at.nanos() == now);
        let any_order = at_once || happens(&mut world.rng, self.scenario.odds.any_order);
        let first = if any_order && world.rng.bool() { self.ingress.take() } else { None };
        let input = match (first, overdue) {
            (Some(frame), _) => Some(frame),
            (None, Some(_)) if !any_order => Some(Input::Timeout),
            (None, _) => self.reports.pop_front().or_else(|| self.ingress.take()),
        };
        // Nothing to take: the timer that this turn was for was met by an earlier event, or fires now.
        let input = input.unwrap_or(Input::Timeout);
        // On a coarse grid a turn takes no time, so that a full queue does not take longer than it would.
        self.busy_until = if self.scenario.box_plan.grid == 1 { now + world.rng.u64(200..1_500) } else { now };
        if matches!(input, Input::Timeout) {
            self.note_lateness(world, overdue);
        }
        self.handle(world, &input)
    }

    fn hold_up_engine(&mut self, world: &mut World<'s>) {
        let now = world.timeline.now();
        let plan = &self.scenario.box_plan;
        let held_up = match world.rng.u8(..4) {
            0 | 1 => world.rng.u64(1..plan.margin),
            2 => world.rng.u64(plan.margin..3 * MILLI),
            _ => world.rng.u64(3 * MILLI..80 * MILLI),
        };
        self.busy_until = now + held_up;
        if held_up > world.excuses.tolerated() {
            world.excuses.hold_up_engine(now, now + held_up);
        }
    }

    fn note_lateness(&self, world: &mut World<'s>, overdue: Option<engine::Timeout>) {
        let Some((at, engine::Timer::FallbackDue(connection))) = overdue else { return };
        let late = world.timeline.now() - at.nanos();
        let plan = &self.scenario.box_plan;
        let task = &self.scenario.tasks[self.scenario.connections[usize::from(connection.0)].task];
        if late > task.deadline {
            world.report.disturbances.note(Disturbance::EngineLateBeyondDeadline);
        } else if late >= plan.margin {
            world.report.disturbances.note(Disturbance::EngineLateBeyondMargin);
        } else if late > 2 * WAKE {
            world.report.disturbances.note(Disturbance::EngineLateWithinMargin);
        }
    }

    /// The engine handed out a send with a ticket: it is put a little later, sometimes too late.
    pub(crate) fn hand_to_link(
        &mut self,
        world: &mut World<'s>,
        send: Send,
        (ticket, connection): (Ticket, usize),
        expected: Option<ExpectedAnswer>,
    ) {
        let now = world.timeline.now();
        let odds = &self.scenario.odds;
        let deadline = self.checks.deadline_of_send(connection);
        let delay = if happens(&mut world.rng, odds.put_past_deadline) {
            deadline.saturating_sub(now) + if world.rng.bool() { world.rng.u64(..MILLI) } else { 0 }
        } else if happens(&mut world.rng, odds.put_stalled) {
            world.report.disturbances.note(Disturbance::PutStalled);
            let task = &self.scenario.tasks[self.scenario.connections[connection].task];
            deadline.saturating_sub(now) + world.rng.u64(task.deadline..6 * task.deadline)
        } else if happens(&mut world.rng, odds.put_delayed) {
            world.report.disturbances.note(Disturbance::PutDelayed);
            world.rng.u64(1..world.excuses.tolerated())
        } else {
            world.rng.u64(500..10 * MICRO)
        };
        if delay > world.excuses.tolerated() {
            world.excuses.hold_up_put(connection, now, now + delay);
        }
        self.next_put += 1;
        self.puts.insert(self.next_put, Put { send, ticket, connection, deadline, expected });
        world.timeline.schedule(now + delay, Happening::Put { boot: self.number, serial: self.next_put });
    }

    /// The clock is read, then the send is put or withheld, and a little later the engine is told.
    fn put(&mut self, world: &mut World<'s>, serial: u64) -> Verdict {
        let Some(Put { send, ticket, connection, deadline, expected }) = self.puts.remove(&serial) else {
            return Ok(());
        };
        let at = world.timeline.now();
        let input = if send.deadline().is_some_and(|deadline| at >= deadline.nanos()) {
            world.report.disturbances.note(Disturbance::PutPastDeadline);
            Input::Withheld { ticket, why: Withheld::Deadline }
        } else if happens(&mut world.rng, self.scenario.odds.link_failed) {
            world.report.disturbances.note(Disturbance::LinkFailed);
            Input::Withheld { ticket, why: Withheld::Link }
        } else {
            let mut bytes = [0; message::Response::MAX_FRAME];
            let length = send.encode(engine::Instant::from_nanos(at), &mut bytes);
            let bytes = &bytes[..length];
            world.progress.hash(&[at], bytes);
            world.progress.line(|| format!("{at} put {connection} {:?}", message::Response::decode(bytes)));
            let response = message::Response::decode(bytes).map_err(|error| Finding {
                check: Check::Envelope,
                what: format!("a frame nobody can read: {error}"),
            })?;
            self.checks.put(at, connection, deadline, &response)?;
            if let Some(expected) = &expected {
                reference::frame(expected, &response, self.id, at, self.scenario)?;
            }
            world.deliver(connection, bytes);
            Input::Sent { ticket, at }
        };
        let delayed = happens(&mut world.rng, self.scenario.odds.put_delayed);
        let told = at + if delayed { world.rng.u64(1..world.excuses.tolerated()) } else { 0 };
        world.timeline.schedule(told, Happening::Reported { boot: self.number, input });
        Ok(())
    }

    /// A request waits for the engine in the link's queue, or is dropped there.
    fn arrive_request(&mut self, world: &mut World<'s>, client: usize, bytes: Vec<u8>) {
        let arrival = world.timeline.now();
        self.requests_arrived += 1;
        let mine = |input: &&Input| matches!(input, Input::Request { client: of, .. } if *of == client);
        let full = self.reports.iter().filter(mine).count() >= self.scenario.box_plan.queue;
        self.reports.push_back(match world.asks.u16(..300) {
            _ if full => Input::RequestsUnseen { client, count: 1 },
            0 => Input::RequestsUnseen { client, count: 1 },
            1 => Input::RequestOversize { client, arrival },
            _ => Input::Request { client, arrival, bytes },
        });
    }

    /// A sample waits for the engine's thread, in the place of one that waited before it.
    fn arrive_sample(&mut self, world: &mut World<'s>, input: usize, shown: Shown) {
        let arrival = world.timeline.now();
        self.samples_arrived += 1;
        // Now and then somebody has just set the box's wall clock.
        let set = world.sights.u8(..60) == 0;
        let wall = UNIX_AT_ORIGIN - 20 * MILLI + if set { world.sights.u64(..40 * MILLI) } else { 20 * MILLI };
        let huge = world.sights.u16(..300) == 0;
        let sample = match shown {
            Shown::Picture(picture) => {
                Input::Picture { input, arrival, wall, picture: if huge { Err(Reason::TooLarge) } else { picture } }
            }
            Shown::Frame(bytes) if huge || bytes.len() > self.scenario.joined[input].max_frame() => {
                Input::SampleOversize { input }
            }
            Shown::Frame(bytes) => Input::Sample { input, arrival, wall, bytes },
        };
        self.ingress.arrive_sample(input, sample, &mut world.report.disturbances);
    }

    /// The engine handed out a result: it is put a little later, sometimes too late.
    pub(crate) fn hand_reply_to_link(&mut self, world: &mut World<'s>, client: usize, reply: Reply) {
        let now = world.timeline.now();
        let deadline = reply.deadline().map_or(now, engine::Instant::nanos);
        let delay = match world.asks.u8(..20) {
            0 => deadline.saturating_sub(now) + world.asks.u64(..MILLI),
            1 => world.asks.u64(..MILLI),
            _ => world.asks.u64(500..10 * MICRO),
        };
        self.replies.insert(client, reply);
        world.timeline.schedule(now + delay, Happening::PutReply { boot: self.number, client });
    }

    fn put_reply(&mut self, world: &mut World<'s>, client: usize) -> Verdict {
        let Some(reply) = self.replies.remove(&client) else { return Ok(()) };
        let (at, ticket) = (world.timeline.now(), reply.ticket());
        let ticket =
            ticket.ok_or_else(|| Finding { check: Check::Requests, what: "a result without a ticket".into() })?;
        self.reports.push_back(if reply.deadline().is_some_and(|deadline| at >= deadline.nanos()) {
            world.report.disturbances.note(Disturbance::ReplyPastDeadline);
            Input::ReplyWithheld { client, ticket, why: Withheld::Deadline }
        } else if world.asks.u8(..50) == 0 {
            Input::ReplyWithheld { client, ticket, why: Withheld::Link }
        } else {
            let mut bytes = [0; message::InferReply::MAX_FRAME];
            let length = reply.encode(engine::Instant::from_nanos(at), &mut bytes);
            world.progress.hash(&[at], &bytes[..length]);
            Input::Replied { client, ticket, at }
        });
        Ok(())
    }

    /// The counts of a boot go into the report, and every frame that reached it is in them.
    fn close(&mut self, world: &mut World<'s>) -> Verdict {
        self.checks.totals(world.timeline.now(), &self.engine, &world.excuses)?;
        let received: u64 = (0..self.scenario.connections.len())
            .map(|connection| self.engine.ledger(crate::input::connection_id(connection)).received())
            .sum();
        let queued = self.ingress.len();
        Finding::unless(received + queued == self.arrived, Check::Accounts, || {
            format!("{} frames reached the box, {received} are in its ledger and {queued} in its queues", self.arrived)
        })?;
        let requests = self.engine.requests();
        let waits = |input: &&Input| {
            matches!(input, Input::Request { .. } | Input::RequestOversize { .. } | Input::RequestsUnseen { .. })
        };
        let waiting = u64::try_from(self.reports.iter().filter(waits).count()).expect("a queue is short");
        let received = requests.received() - requests.by_reason(engine::Reason::QueryOnTopic);
        Finding::unless(received + waiting == self.requests_arrived, Check::Accounts, || {
            format!("{} requests reached the box, {received} are in its ledger", self.requests_arrived)
        })?;
        let ledgers =
            (0..self.scenario.joined.len()).map(|input| self.engine.sample_ledger(crate::input::input_id(input)));
        let samples = ledgers.fold(engine::SampleLedger::default(), |sum, one| sum.plus(&one));
        let waiting = self.ingress.samples_waiting();
        Finding::unless(samples.received() + waiting == self.samples_arrived, Check::Accounts, || {
            format!("{} samples reached the box, {} are in its ledgers", self.samples_arrived, samples.received())
        })?;
        world.report.samples = world.report.samples.plus(&samples);
        world.report.requests = world.report.requests.plus(&requests);
        let total = self.engine.total();
        world.frames_arrived(self.arrived);
        world.report.disturbances.add(self.checks.seen());
        world.report.lost += queued + total.in_flight();
        world.report.ledger = world.report.ledger.plus(&total);
        world.report.queries += requests.by_reason(engine::Reason::QueryOnTopic);
        Ok(())
    }
}

fn wake_after(rng: &mut Rng) -> u64 {
    if rng.u8(..4) == 0 { 0 } else { rng.u64(..WAKE) }
}

/// The longest time from a timer or an arrival to the engine's thread, where nothing holds it up.
const WAKE: u64 = 20 * MICRO;
