//! One turn of the engine's thread: an event goes in, every action is judged and done.

use engine::{Action, Answer, Instant, Replied, Reply, SlotId, Target};
use message::Observation;

use crate::{
    boot::Boot,
    checks::{FRESH, link},
    clock::MICRO,
    input::{Input, Key, Parsed, connection_of},
    reference::{self, Expected, ExpectedAnswer},
    report::{Check, Disturbance, Finding, Verdict},
    worker,
    world::{Happening, World},
};

/// How many events pass between two looks at every connection's counts.
const TOTALS_EVERY: u64 = 64;

impl<'s> Boot<'_, 's> {
    /// Hands one event to the engine and does what it wants done.
    pub(crate) fn handle(&mut self, world: &mut World<'s>, input: &Input) -> Verdict {
        let now = world.timeline.now();
        let parsed = parse(input);
        let parsed = parsed.as_ref();
        note(world, now, input, parsed);
        self.checks.event(now, input);
        let expected = self.reference.as_mut().map(|reference| reference.handle(now, input, parsed));
        self.engine.handle(Instant::from_nanos(now), input.lend(&mut Vec::new()));
        let actions = self.take_actions()?;
        for action in &actions {
            world.progress.line(|| format!("{now}   {}", tell(action)));
        }
        let frame_of = if let Input::Frame { connection, .. } = input { Some(*connection) } else { None };
        let expected: Vec<Option<Expected>> = match expected {
            Some(expected) => {
                let ordered = reference::actions(expected, &actions, frame_of, |slot| self.checks.waiting_in(slot))?;
                ordered.into_iter().map(Some).collect()
            }
            None => actions.iter().map(|_| None).collect(),
        };
        for (action, expected) in actions.into_iter().zip(expected) {
            self.perform(world, (input, parsed), action, expected)?;
        }
        self.checks.settled(now, &self.engine, touched(input), &world.excuses)?;
        if world.progress.steps().is_multiple_of(TOTALS_EVERY) {
            self.checks.totals(now, &self.engine, &world.excuses)?;
        }
        self.compare_figures(touched(input))
    }

    fn take_actions(&mut self) -> Result<Vec<Action>, Finding> {
        // A fallback and a start for each connection, a quarantine and an exit for each worker, each record, what a
        // frame that changes the epoch causes, farewells.
        let most =
            3 * self.scenario.connections.len() + 2 * self.scenario.workers.len() + self.scenario.records.len() + 5;
        // A reply for each request that waits or runs.
        // And the sample that is kept.
        let most = most + 1 + self.scenario.clients.iter().map(|client| usize::from(client.queue) + 2).sum::<usize>();
        let mut actions = Vec::new();
        while let Some(action) = self.engine.poll_action() {
            actions.push(action);
            Finding::unless(actions.len() <= most, Check::Bounds, || format!("more than {most} actions of one event"))?;
        }
        Ok(actions)
    }

    fn perform(
        &mut self,
        world: &mut World<'s>,
        (input, parsed): (&Input, Option<&Parsed>),
        action: Action,
        expected: Option<Expected>,
    ) -> Verdict {
        let now = world.timeline.now();
        if let Action::Send(send) = action {
            let answer =
                expected.and_then(|expected| if let Expected::Answer(answer) = expected { Some(answer) } else { None });
            return self.send(world, (input, parsed), send, answer);
        }
        if let Action::Reply(reply) = action {
            return self.reply(world, reply);
        }
        self.checks.action(now, (input, parsed), &action, None, &world.excuses)?;
        match action {
            Action::Send(_) | Action::Reply(_) => unreachable!("returned above"),
            Action::StoreSample { input } => world.progress.hash(&[11, u64::from(input.0)], &[]),
            Action::Store { slot } if matches!(input, Input::Request { .. }) => {
                let Some(cell) = self.memory.get_mut(usize::from(slot.0)) else {
                    return Err(Finding { check: Check::Slots, what: format!("{slot:?} does not exist") });
                };
                *cell = None;
                world.progress.hash(&[9, u64::from(slot.0)], &[]);
            }
            Action::Store { slot } => {
                let (Some(cell), Some(parsed)) = (self.memory.get_mut(usize::from(slot.0)), parsed) else {
                    return Err(Finding { check: Check::Slots, what: format!("{slot:?} does not exist") });
                };
                *cell = Some(parsed.key);
                world.progress.hash(&[1, u64::from(slot.0)], &[]);
            }
            Action::StartInference { worker, model, slots } => {
                world.progress.hash(&[2, u64::from(worker.0), u64::from(model.0)], &[]);
                for slot in &slots {
                    world.progress.hash(&[u64::from(slot.0)], &[]);
                }
                match self.checks.one_off_on(usize::from(worker.0)) {
                    Some(one_off) => self.start_one_off(world, usize::from(worker.0), one_off)?,
                    None => self.start(world, usize::from(worker.0), &slots)?,
                }
            }
            Action::Advance { connection, slot } => {
                world.progress.hash(&[11, u64::from(connection.0), u64::from(slot.0)], &[]);
                self.states[usize::from(connection.0)] = self.computed[usize::from(slot.0)];
            }
            Action::Notify(notify) => {
                let mut bytes = [0; message::Notice::MAX_FRAME];
                let length = notify.encode(&mut bytes);
                world.progress.hash(&[3], &bytes[..length]);
                world.report.alarm(engine::Reason::Farewell, 1);
            }
            Action::Quarantine { worker, reason, .. } => {
                world.progress.hash(&[4, u64::from(worker.0)], &[]);
                world.report.alarm(reason, 1);
            }
            Action::RecordVoid { worker, model, reason } => {
                world.progress.hash(&[8, u64::from(worker.0), u64::from(model.0)], &[]);
                world.report.alarm(reason, 1);
            }
            Action::Exit { reason } => {
                world.progress.hash(&[5], &[]);
                world.report.alarm(reason, 1);
                // Mostly the box is restarted soon, as by its service manager; sometimes it goes on without.
                if world.rng.u8(..20) > 0 {
                    let at = now + world.rng.u64(..50_000 * MICRO);
                    world.timeline.schedule(at, Happening::Restart { boot: self.number });
                }
            }
            Action::Drained => world.progress.hash(&[6], &[]),
        }
        Ok(())
    }

    fn send(
        &mut self,
        world: &mut World<'s>,
        (input, parsed): (&Input, Option<&Parsed>),
        send: engine::Send,
        expected: Option<ExpectedAnswer>,
    ) -> Verdict {
        let now = world.timeline.now();
        if let (Some(ticket), Answer::Guarded(_)) = (send.ticket(), send.answer()) {
            let action = Action::Send(send);
            self.checks.action(now, (input, parsed), &action, None, &world.excuses)?;
            if let Action::Send(send) = action {
                self.hand_to_link(world, send, (ticket, connection_of(ticket)), expected);
            }
            return Ok(());
        }
        let mut bytes = [0; message::Response::MAX_FRAME];
        let length = send.encode(Instant::from_nanos(now), &mut bytes);
        let bytes = &bytes[..length];
        let response = message::Response::decode(bytes)
            .map_err(|error| Finding { check: Check::Once, what: format!("a refusal nobody can read: {error}") })?;
        world.progress.hash(&[7], bytes);
        let target = send.target();
        self.checks.action(now, (input, parsed), &Action::Send(send), Some(&response), &world.excuses)?;
        if let Some(expected) = &expected {
            reference::frame(expected, &response, self.id, now, self.scenario)?;
        }
        if let Target::Connection(connection) = target {
            world.deliver(usize::from(connection.0), bytes);
        }
        Ok(())
    }

    fn reply(&mut self, world: &mut World<'s>, reply: Reply) -> Verdict {
        let now = world.timeline.now();
        let mut bytes = [0; message::InferReply::MAX_FRAME];
        let length = reply.encode(Instant::from_nanos(now), &mut bytes);
        let frame = message::InferReply::decode(&bytes[..length])
            .map_err(|error| Finding { check: Check::Requests, what: format!("a reply nobody can read: {error}") })?;
        world.progress.hash(&[10], &bytes[..length]);
        self.checks.reply(now, &reply, &frame)?;
        if let Replied::Result(_) = reply.says() {
            self.hand_reply_to_link(world, usize::from(reply.client().0), reply);
        }
        Ok(())
    }

    fn start_one_off(&mut self, world: &mut World<'s>, worker: usize, (client, deadline): (usize, u64)) -> Verdict {
        let now = world.timeline.now();
        let recorded = self.engine.client_on(crate::input::worker_id(worker));
        Finding::unless(recorded == Some(crate::input::client_id(client)), Check::Accounts, || {
            format!("worker {worker} runs a one-off of client {client}, the engine says {recorded:?}")
        })?;
        let (odds, seen) = (&self.scenario.odds, &mut world.report.disturbances);
        let task = &self.scenario.tasks[self.scenario.clients[client].task];
        let rest: Vec<f32> = task.elements.iter().map(|element| element.rest).collect();
        let outputs = worker::output(&mut world.asks, odds, seen, task, &rest).map(|output| vec![output]);
        let plan = &self.scenario.box_plan;
        if let Some(length) = worker::duration(&mut world.asks, odds, seen, (task, plan), (now, deadline), 1) {
            let finish = Happening::Finish { boot: self.number, worker, outputs, execution: length };
            world.timeline.schedule(now + length, finish);
        }
        Ok(())
    }

    fn start(&mut self, world: &mut World<'s>, worker: usize, slots: &[SlotId]) -> Verdict {
        let now = world.timeline.now();
        let running = self.checks.running_on(worker);
        let held: Vec<Option<Key>> =
            slots.iter().map(|slot| self.memory.get(usize::from(slot.0)).copied().flatten()).collect();
        let is_held = running.iter().map(|key| Some(*key)).eq(held.iter().copied());
        Finding::unless(is_held, Check::Slots, || format!("{slots:?} hold {held:?}, but are started for {running:?}"))?;
        let recorded = self.engine.members(crate::input::worker_id(worker)).map(|member| Key {
            connection: usize::from(member.connection.0),
            epoch: member.epoch.value(),
            sequence: member.sequence.value(),
        });
        Finding::unless(recorded.eq(running.iter().copied()), Check::Accounts, || {
            format!("worker {worker} runs {running:?}, the engine says otherwise")
        })?;
        self.begin_states(now, worker, slots, &running)?;
        let (odds, seen) = (&self.scenario.odds, &mut world.report.disturbances);
        let mut outputs = Vec::new();
        for key in &running {
            let task = &self.scenario.tasks[self.scenario.connections[key.connection].task];
            let last = self.checks.last_values(key.connection);
            outputs.push(worker::output(&mut world.rng, odds, seen, task, &last));
        }
        let outputs = outputs.into_iter().collect();
        let key = running[world.rng.usize(..running.len())];
        let task = &self.scenario.tasks[self.scenario.connections[key.connection].task];
        let (plan, due) = (&self.scenario.box_plan, self.checks.due_of(key));
        if let Some(length) = worker::duration(&mut world.rng, odds, seen, (task, plan), (now, due), running.len()) {
            let finish = Happening::Finish { boot: self.number, worker, outputs, execution: length };
            world.timeline.schedule(now + length, finish);
        }
        Ok(())
    }

    /// Each member starts from its connection's state, or from a fresh one, and computes the next.
    fn begin_states(&mut self, now: u64, worker: usize, slots: &[SlotId], running: &[Key]) -> Verdict {
        let memories: Vec<_> = self.engine.memories(crate::input::worker_id(worker)).collect();
        for (slot, key) in slots.iter().zip(running) {
            let memory = memories.iter().find(|memory| usize::from(memory.connection.0) == key.connection);
            let fresh = memory.is_none_or(|memory| memory.fresh);
            let from = if fresh { FRESH } else { self.states[key.connection] };
            self.computed[usize::from(slot.0)] = link(from, *key);
            self.checks.begins(now, (*key, from), memory)?;
        }
        let all =
            memories.iter().all(|memory| running.iter().any(|key| key.connection == usize::from(memory.connection.0)));
        Finding::unless(all, Check::State, || format!("{memories:?} are not of {running:?}"))
    }

    /// What the engine says of itself beside its actions.
    fn compare_figures(&self, touched: Option<usize>) -> Verdict {
        let Some(reference) = &self.reference else { return Ok(()) };
        let engine = self.engine.poll_timeout().map(|(at, _)| at.nanos());
        let model = reference.timeout();
        Finding::unless(engine == model, Check::Reference, || {
            format!("the engine wants to be woken at {engine:?}, the model at {model:?}")
        })?;
        let Some(connection) = touched else { return Ok(()) };
        let (engine, model) =
            (self.engine.unseen(crate::input::connection_id(connection)), reference.unseen(connection));
        Finding::unless(engine == model, Check::Reference, || {
            format!("the engine says {engine} responses are unseen, the model {model}")
        })
    }
}

fn note(world: &mut World<'_>, now: u64, input: &Input, parsed: Option<&Parsed>) {
    world.progress.step();
    world.report.events += 1;
    match input {
        Input::Query => world.report.disturbances.note(Disturbance::Queried),
        Input::QueriesUnseen { .. } => world.report.disturbances.note(Disturbance::QueriesUnseen),
        Input::Stray { .. } => world.report.disturbances.note(Disturbance::Strayed),
        Input::Frame { .. }
        | Input::Oversize { .. }
        | Input::Shed { .. }
        | Input::ShedUnseen { .. }
        | Input::Reset { .. }
        | Input::ResetsShed { .. }
        | Input::Finished { .. }
        | Input::RecordVoid { .. }
        | Input::Sent { .. }
        | Input::Withheld { .. }
        | Input::Request { .. }
        | Input::RequestOversize { .. }
        | Input::RequestsUnseen { .. }
        | Input::Replied { .. }
        | Input::ReplyWithheld { .. }
        | Input::Sample { .. }
        | Input::Picture { .. }
        | Input::SampleOversize { .. }
        | Input::SamplesUnseen { .. }
        | Input::Timeout
        | Input::Drain => {}
    }
    let (numbers, bytes) = fingerprint(input);
    world.progress.hash(&[now], &[]);
    world.progress.hash(&numbers, bytes);
    world.progress.line(|| match (input, parsed) {
        (Input::Frame { connection, arrival, bytes }, _) => {
            format!("{now} Frame of {connection}, arrived {arrival}, {} bytes, {:?}", bytes.len(), parsed)
        }
        (other, _) => format!("{now} {other:?}"),
    });
}

fn fingerprint(input: &Input) -> ([u64; 2], &[u8]) {
    let number = |place: usize| u64::try_from(place).unwrap_or(u64::MAX);
    match input {
        Input::Frame { connection, bytes, .. } => ([10, number(*connection)], bytes),
        Input::Oversize { connection, .. } => ([11, number(*connection)], &[]),
        Input::Shed { connection, .. } => ([12, number(*connection)], &[]),
        Input::ShedUnseen { count, .. } => ([13, *count], &[]),
        Input::Stray { arrival, bytes } => ([14, *arrival], bytes),
        Input::Query => ([15, 0], &[]),
        Input::Finished { worker, execution, .. } => ([16 + (number(*worker) << 8), *execution], &[]),
        Input::RecordVoid { worker, .. } => ([22, number(*worker)], &[]),
        Input::Sent { ticket, at } => ([17 + (number(connection_of(*ticket)) << 8), *at], &[]),
        Input::Withheld { ticket, .. } => ([18, number(connection_of(*ticket))], &[]),
        Input::Request { client, bytes, .. } => ([23, number(*client)], bytes),
        Input::RequestOversize { client, .. } => ([24, number(*client)], &[]),
        Input::RequestsUnseen { client, count } => ([25 + (number(*client) << 8), *count], &[]),
        Input::Replied { client, at, .. } => ([26 + (number(*client) << 8), *at], &[]),
        Input::ReplyWithheld { client, .. } => ([27, number(*client)], &[]),
        Input::Sample { input, bytes, .. } => ([28, number(*input)], bytes),
        Input::Picture { input, picture, .. } => ([31 + (number(*input) << 8), picture.unwrap_or(u64::MAX)], &[]),
        Input::SampleOversize { input } => ([29, number(*input)], &[]),
        Input::SamplesUnseen { input, count } => ([30 + (number(*input) << 8), *count], &[]),
        Input::Timeout => ([19, 0], &[]),
        Input::Drain => ([20, 0], &[]),
        Input::QueriesUnseen { count } => ([21, *count], &[]),
        Input::Reset { connection, bytes } => ([28, number(*connection)], bytes.as_deref().unwrap_or_default()),
        Input::ResetsShed { connection, count } => ([29 + (number(*connection) << 8), *count], &[]),
    }
}

fn touched(input: &Input) -> Option<usize> {
    match input {
        Input::Frame { connection, .. } | Input::Oversize { connection, .. } | Input::Shed { connection, .. } => {
            Some(*connection)
        }
        Input::Reset { connection, .. } | Input::ResetsShed { connection, .. } => Some(*connection),
        Input::ShedUnseen { connection, .. } => *connection,
        Input::Sent { ticket, .. } | Input::Withheld { ticket, .. } => Some(connection_of(*ticket)),
        Input::Stray { .. }
        | Input::Query
        | Input::QueriesUnseen { .. }
        | Input::Finished { .. }
        | Input::RecordVoid { .. }
        | Input::Request { .. }
        | Input::RequestOversize { .. }
        | Input::RequestsUnseen { .. }
        | Input::Replied { .. }
        | Input::ReplyWithheld { .. }
        | Input::Sample { .. }
        | Input::Picture { .. }
        | Input::SampleOversize { .. }
        | Input::SamplesUnseen { .. }
        | Input::Timeout
        | Input::Drain => None,
    }
}

fn parse(input: &Input) -> Option<Parsed> {
    let Input::Frame { connection, bytes, .. } = input else { return None };
    let frame = Observation::decode(bytes).ok()?;
    Some(Parsed {
        key: Key { connection: *connection, epoch: frame.epoch.value(), sequence: frame.sequence.value() },
        address: frame.address,
        contract: frame.contract,
        stamp: frame.stamp.value(),
        budget: u64::from(frame.budget_us) * MICRO,
        values: message::floats(frame.values).collect(),
    })
}

/// One action in a line of a trace.
fn tell(action: &Action) -> String {
    let Action::Send(send) = action else { return format!("{action:?}") };
    let says = match send.answer() {
        Answer::Guarded(guarded) => format!("{:?} {:?}", guarded.origin(), guarded.values()),
        Answer::Refusal(refusal) => format!("refused: {}", refusal.reason()),
    };
    let deadline = send.deadline().map(Instant::nanos);
    format!("Send to {:?}, sequence {:?}, deadline {deadline:?}: {says}", send.target(), send.sequence())
}
