//! The promise, checked from outside: by events, actions and frames alone, without the reference model.
//!
//! [`Checks`] follows each observation that the engine accepted and asks each check about what it sees.

mod accounts;
mod batches;
mod envelope;
mod follow;
mod in_time;
mod joined;
mod once;
mod period;
mod records;
mod requests;
mod state;
mod workers;

use engine::{Action, Origin, Reason, SlotId};
use message::Response;

use self::{
    accounts::Tally, envelope::Envelope, in_time::InTime, joined::Samples, once::Once, period::Period,
    records::Records, requests::Requests, state::State, workers::Workers,
};
pub(crate) use self::{
    in_time::Excuses,
    state::{FRESH, link},
};
use crate::{
    input::{Input, Key, Parsed, connection_of},
    joined::{JoinedInputs, Sample},
    outlook::{Outlook, Serving},
    report::{Check, Disturbance, Disturbances, Finding, Verdict},
    scenario::Scenario,
};

pub(crate) struct Checks<'s> {
    scenario: &'s Scenario,
    lines: Vec<Line>,
    workers: Workers,
    records: Records,
    requests: Requests,
    strays: Tally,
    queries: u64,
    joined: JoinedInputs<'s>,
    /// What was counted of each joined input, and which sample is to be kept in this event.
    samples: Samples,
    drain: Drain,
    /// The members of the inference whose end is being handled.
    finished: Vec<Finished>,
    /// The send whose withholding is being handled.
    withheld: Option<Key>,
    /// An observation whose epoch ended in this event, and whether a newer one was let in.
    retired: Option<Key>,
    let_in: bool,
    /// Whose state must advance in this event, and where it was computed.
    advances: Option<(usize, SlotId)>,
    seen: Disturbances,
}

/// One connection, as far as it can be seen from outside.
struct Line {
    waiting: Option<Open>,
    running: Option<Open>,
    sending: Option<Sending>,
    tally: Tally,
    in_time: InTime,
    once: Once,
    period: Period,
    envelope: Envelope,
    state: State,
}

/// One accepted observation without an outcome.
#[derive(Debug, Clone, Copy)]
struct Open {
    key: Key,
    slot: SlotId,
    /// Its own deadline or an earlier one that it inherited.
    deadline: u64,
    /// When it, or the first of those it superseded, would expire with its task's longest budget.
    rank: u64,
    /// The oldest joined sample that it was started with, or that was too old for that.
    oldest: Option<Sample>,
    /// It waited beside a free worker, because its connection occupied another.
    held_back: bool,
}

/// An answer on its way.
#[derive(Debug, Clone, Copy)]
struct Sending {
    open: Open,
    origin: Origin,
    /// A worker still runs on its slot, which is the worker's from now on.
    orphaned: bool,
}

#[derive(Debug)]
struct Finished {
    key: Key,
    /// What the model said for it.
    output: Option<Vec<f32>>,
    answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drain {
    No,
    Asked,
    Done,
}

impl<'s> Checks<'s> {
    pub(crate) fn new(scenario: &'s Scenario) -> Self {
        Self {
            scenario,
            lines: scenario.connections.iter().map(|_| Line::new()).collect(),
            workers: Workers::new(scenario),
            records: Records::new(scenario),
            requests: Requests::new(scenario.clients.len()),
            strays: Tally::default(),
            queries: 0,
            joined: JoinedInputs::new(scenario),
            samples: Samples::new(scenario.joined.len()),
            drain: Drain::No,
            finished: Vec::new(),
            withheld: None,
            retired: None,
            let_in: false,
            advances: None,
            seen: Disturbances::default(),
        }
    }

    /// The workers in service as they are known from outside.
    fn outlook(&self, now: u64) -> Outlook<'s> {
        let serving = self.workers.serving().map(|(worker, runs)| {
            let measured = self.records.valid_on(self.scenario, worker);
            Serving { worker, runs, measured }
        });
        Outlook { scenario: self.scenario, now, serving: serving.collect() }
    }

    /// What happened that only these checks can tell.
    pub(crate) fn seen(&self) -> Disturbances {
        let mut seen = self.seen;
        seen.add(self.workers.seen());
        seen
    }

    /// Which observation waits in this slot.
    pub(crate) fn waiting_in(&self, slot: SlotId) -> Option<Key> {
        self.lines.iter().filter_map(|line| line.waiting).find(|open| open.slot == slot).map(|open| open.key)
    }

    /// Whether a send of this connection is on its way.
    pub(crate) fn is_sending(&self, connection: usize) -> bool {
        self.lines[connection].sending.is_some()
    }

    /// The deadline that the observation running or waiting in this slot has.
    pub(crate) fn due_of(&self, key: Key) -> u64 {
        let line = &self.lines[key.connection];
        let open = line.running.or(line.waiting);
        open.map_or(0, |open| open.deadline - self.scenario.box_plan.margin)
    }

    /// Whether an observation of another epoch than this waits or runs.
    pub(crate) fn has_open_of_another_epoch(&self, connection: usize, epoch: message::Epoch) -> bool {
        let line = &self.lines[connection];
        [line.waiting, line.running].into_iter().flatten().any(|open| open.key.epoch != epoch.value())
    }

    /// When this connection's open observations fall due and expire, and its next one is let in, from `now` on.
    pub(crate) fn edges(&self, connection: usize, now: u64) -> Vec<u64> {
        let line = &self.lines[connection];
        let open = [line.waiting, line.running].into_iter().flatten();
        let edges = open.flat_map(|open| [open.deadline - self.scenario.box_plan.margin, open.deadline]);
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        let let_in = line.period.earliest(task).into_iter().flat_map(|earliest| [earliest.saturating_sub(1), earliest]);
        edges.chain(let_in).filter(|edge| *edge > now).collect()
    }

    /// The deadline of the send that is on its way.
    pub(crate) fn deadline_of_send(&self, connection: usize) -> u64 {
        self.lines[connection].sending.map_or(0, |sending| sending.open.deadline)
    }

    /// Whose one-off this worker runs, and when it expires.
    pub(crate) fn one_off_on(&self, worker: usize) -> Option<(usize, u64)> {
        self.requests.on(worker).map(|client| (client, self.requests.deadline_of(client)))
    }

    /// Whose inference this worker runs.
    pub(crate) fn running_on(&self, worker: usize) -> Vec<Key> {
        self.workers.running(worker)
    }

    /// What this connection sent last, or where it starts.
    pub(crate) fn last_values(&self, connection: usize) -> Vec<f32> {
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        self.lines[connection].envelope.from(task).to_vec()
    }

    /// An event is about to be handed in.
    pub(crate) fn event(&mut self, now: u64, input: &Input) {
        self.finished.clear();
        self.withheld = None;
        self.retired = None;
        self.let_in = false;
        self.advances = None;
        self.requests.event(input);
        self.samples.event(input, self.joined.arrives(now, input));
        match input {
            Input::Frame { connection, .. } | Input::Oversize { connection, .. } | Input::Shed { connection, .. } => {
                self.lines[*connection].tally.receive(1);
            }
            Input::ShedUnseen { connection, count } => {
                let tally = connection.map_or(&mut self.strays, |connection| &mut self.lines[connection].tally);
                tally.receive(*count);
                tally.refuse(Reason::Overload, *count);
            }
            Input::Stray { .. } => self.strays.receive(1),
            Input::Query => self.queries += 1,
            Input::QueriesUnseen { count } => self.queries += count,
            Input::Finished { worker, outputs, execution } => {
                let in_service = self.workers.is_in_service(*worker);
                let (model, client) = (self.workers.model_on(*worker), self.requests.on(*worker));
                let keys = self.workers.finish(self.scenario, now, *worker);
                let ran_well = outputs.as_ref().is_ok_and(|outputs| outputs.iter().all(|output| !output.is_empty()));
                if ran_well && in_service {
                    let ran = (keys.len().max(1), *execution);
                    self.records.count(self.scenario, (*worker, model), ran, &mut self.seen);
                }
                if let Some(client) = client {
                    let output = outputs.as_ref().ok().map(|outputs| outputs[0].clone());
                    if self.requests.finish(*worker, output) {
                        let task = &self.scenario.tasks[self.scenario.clients[client].task];
                        self.workers.blame(self.scenario, *worker, task.deadline);
                    }
                    return;
                }
                let output = |place: usize| outputs.as_ref().ok().map(|outputs| outputs[place].clone());
                let finished = |(place, key)| Finished { key, output: output(place), answered: false };
                self.finished = keys.into_iter().enumerate().map(finished).collect();
            }
            Input::RecordVoid { worker, cause } => self.records.void(self.scenario, *worker, *cause),
            Input::Reset { connection, bytes } => self.demand(*connection, bytes.as_deref()),
            Input::ResetsShed { connection, count } => self.lines[*connection].state.refused += count,
            Input::Sent { ticket, .. } => {
                let connection = connection_of(*ticket);
                let line = &mut self.lines[connection];
                let Sending { origin, open, .. } =
                    line.sending.take().expect("the simulator reports only what was handed out");
                line.tally.answer(origin);
                let advances = matches!(origin, Origin::Model { .. }) && line.state.is_current(open.key);
                let remembers = self.scenario.task_of(connection).max_gap.is_some();
                self.advances = (advances && remembers).then_some((connection, open.slot));
            }
            Input::Withheld { ticket, .. } => {
                let sending = self.lines[connection_of(*ticket)].sending.take();
                self.withheld = sending.map(|sending| sending.open.key);
            }
            Input::Request { .. }
            | Input::RequestOversize { .. }
            | Input::RequestsUnseen { .. }
            | Input::Replied { .. }
            | Input::ReplyWithheld { .. }
            | Input::Sample { .. }
            | Input::Picture { .. }
            | Input::SampleOversize { .. }
            | Input::SamplesUnseen { .. }
            | Input::Timeout => {}
            Input::Drain => self.drain = Drain::Asked,
        }
    }

    /// The engine wants something done. A refusal's frame comes with it.
    pub(crate) fn action(
        &mut self,
        now: u64,
        (input, parsed): (&Input, Option<&Parsed>),
        action: &Action,
        refusal: Option<&Response<'_>>,
        excuses: &Excuses,
    ) -> Verdict {
        if let Action::Send(send) = action {
            self.marked(send)?;
        }
        match action {
            Action::Store { slot } if matches!(input, Input::Request { .. }) => self.store_request(now, *slot),
            Action::StoreSample { input } => self.samples.kept(usize::from(input.0)),
            Action::Store { slot } => self.store(now, input, parsed, *slot),
            Action::StartInference { worker, model, slots } => {
                let ran = (usize::from(worker.0), *model);
                match slots.first().filter(|slot| self.requests.waiting_in(**slot).is_some()) {
                    Some(slot) => self.start_one_off(now, ran, *slot),
                    None => self.start(now, ran, slots),
                }
            }
            Action::Send(send) => {
                if let Some(frame) = refusal {
                    return self.refusal(now, input, parsed, frame, excuses);
                }
                self.gives_up_an_arrival(now, input, parsed, send)?;
                self.send(now, send)
            }
            Action::Advance { connection, slot } => self.advance(usize::from(connection.0), *slot),
            Action::Reply(_) => unreachable!("a reply is judged with its frame"),
            Action::Notify(notify) => {
                let line = &mut self.lines[usize::from(notify.connection().0)];
                Finding::unless(self.drain == Drain::Asked, Check::Bounds, || "a farewell outside a drain".into())?;
                line.once.farewell()
            }
            Action::Quarantine { worker, reason, spare } => {
                let spare = spare.map(|spare| usize::from(spare.0));
                let void = |checks: &Self| {
                    let models = checks.scenario.tasks.iter().map(|task| task.model);
                    models.filter(|model| checks.records.are_void_for(checks.scenario, &checks.workers, *model)).count()
                };
                let before = void(self);
                self.workers.quarantine(self.scenario, now, usize::from(worker.0), *reason, spare)?;
                if void(self) < before {
                    self.seen.note(Disturbance::Recovered);
                }
                Ok(())
            }
            Action::RecordVoid { worker, model, reason } => {
                self.records.told(self.scenario, (usize::from(worker.0), *model), *reason)
            }
            Action::Exit { .. } => self.workers.exit(self.scenario),
            Action::Drained => {
                let open = self.lines.iter().any(|line| line.in_flight() > 0 || !line.once.farewell_was_said())
                    || self.requests.in_flight() > 0;
                let holds = self.drain == Drain::Asked && !open;
                self.drain = Drain::Done;
                Finding::unless(holds, Check::Bounds, || {
                    "drained, but unasked, twice, with observations in flight or without a farewell".into()
                })
            }
        }
    }

    /// All actions of an event were taken.
    pub(crate) fn settled(
        &mut self,
        now: u64,
        engine: &engine::Engine<'_>,
        touched: Option<usize>,
        excuses: &Excuses,
    ) -> Verdict {
        for finished in self.finished.iter().filter(|finished| !finished.answered) {
            self.lines[finished.key.connection].tally.discard();
        }
        let untold = || format!("{:?} was withheld and its controller not told", self.withheld);
        Finding::unless(self.withheld.is_none(), Check::InTime, untold)?;
        Finding::unless(self.retired.is_none() || self.let_in, Check::Once, || {
            format!("{:?} was retired for a frame that was refused", self.retired)
        })?;
        Finding::unless(self.advances.is_none(), Check::State, || {
            format!("the state of {:?} should have advanced", self.advances)
        })?;
        self.workers.all_fit_are_in_service(self.scenario, now)?;
        self.records.all_told()?;
        self.samples.settled(engine)?;
        self.nothing_waits_in_vain(now)?;
        self.requests_settled(now, engine)?;
        if let Some(connection) = touched {
            let line = &self.lines[connection];
            let ledger = engine.ledger(crate::input::connection_id(connection));
            line.tally.compare(&ledger, line.in_flight())?;
            line.in_time.nothing_forgotten(now, excuses)?;
            self.demands_are_counted(connection, engine)?;
        }
        Ok(())
    }

    /// The whole box's counts, and whether nobody was forgotten.
    pub(crate) fn totals(&self, now: u64, engine: &engine::Engine<'_>, excuses: &Excuses) -> Verdict {
        let mut sum = self.strays.clone();
        let mut in_flight = 0;
        for (connection, line) in self.lines.iter().enumerate() {
            let ledger = engine.ledger(crate::input::connection_id(connection));
            line.tally.compare(&ledger, line.in_flight())?;
            line.in_time.nothing_forgotten(now, excuses)?;
            sum.add(&line.tally);
            in_flight += line.in_flight();
        }
        sum.compare(&engine.total(), in_flight)?;
        let requests = engine.requests();
        let clients = (0..self.scenario.clients.len())
            .map(|client| engine.request_ledger(crate::input::client_id(client)).received())
            .sum::<u64>();
        let all = requests.received() == clients + self.queries
            && requests.by_reason(Reason::QueryOnTopic) == self.queries
            && requests.in_flight() == self.requests.in_flight()
            && requests.balances();
        Finding::unless(all, Check::Accounts, || {
            format!("{} queries were asked, the engine says {requests:?}", self.queries)
        })
    }

    /// At the end of a boot in which nothing was left to happen.
    pub(crate) fn ended(&self) -> Verdict {
        let open = self.lines.iter().map(Line::in_flight).sum::<u64>() + self.requests.in_flight();
        Finding::unless(open == 0, Check::InTime, || format!("{open} observations or requests were never answered"))?;
        Finding::unless(self.drain != Drain::Asked, Check::Bounds, || "a drain that never ended".into())
    }

    /// An action or a fallback was put on the link.
    pub(crate) fn put(&mut self, at: u64, connection: usize, deadline: u64, frame: &Response<'_>) -> Verdict {
        Finding::unless(at < deadline, Check::InTime, || format!("put {} ns past its deadline", at - deadline))?;
        let task = &self.scenario.tasks[self.scenario.connections[connection].task];
        let line = &mut self.lines[connection];
        let key = Key {
            connection,
            epoch: frame.epoch.value(),
            sequence: frame.sequence.map_or(0, message::Sequence::value),
        };
        joined::tells_its_age(at, line.sending.map(|sending| sending.open), frame)?;
        line.once.put(key)?;
        line.in_time.put(at, key)?;
        let first = line.envelope.is_first(key.epoch);
        line.state.put(task, at, key, frame, first)?;
        line.envelope.put(task, at, key.epoch, frame)
    }
}

impl Line {
    fn new() -> Self {
        Self {
            waiting: None,
            running: None,
            sending: None,
            tally: Tally::default(),
            in_time: InTime::default(),
            once: Once::default(),
            period: Period::default(),
            envelope: Envelope::default(),
            state: State::default(),
        }
    }

    fn holds(&self, slot: SlotId) -> bool {
        let sending = self.sending.filter(|sending| !sending.orphaned).map(|sending| sending.open);
        [self.waiting, self.running, sending].into_iter().flatten().any(|open| open.slot == slot)
    }

    fn is_idle(&self) -> bool {
        self.running.is_none() && self.sending.is_none()
    }

    fn in_flight(&self) -> u64 {
        u64::from(self.waiting.is_some()) + u64::from(self.running.is_some()) + u64::from(self.sending.is_some())
    }
}
