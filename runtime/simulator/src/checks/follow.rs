//! Follows an observation from its slot to its answer or refusal.

use engine::{Answer, Guarded, ModelId, Origin, Reason, ReasonKind, Send, SlotId};
use message::{Response, Status};

use super::{Checks, Excuses, Finished, Open, Sending, batches, envelope, in_time, once, workers::Member};
use crate::{
    input::{Input, Key, Parsed, connection_of},
    report::{Check, Disturbance, Finding, Verdict},
};

impl Checks<'_> {
    pub(super) fn store(&mut self, now: u64, input: &Input, parsed: Option<&Parsed>, slot: SlotId) -> Verdict {
        self.accept(now, input, parsed, slot)?;
        let Some(Parsed { key, .. }) = parsed else { unreachable!("what was accepted was read") };
        let line = &self.lines[key.connection];
        let Some(open) = line.waiting else { unreachable!("what was accepted waits") };
        let task = self.scenario.task_of(key.connection);
        let rests = self.records.rests(self.scenario, &self.workers, task);
        let could_start = line.is_idle() && self.workers.occupied_by(key.connection) == 0 && !rests;
        let due = open.deadline - self.scenario.box_plan.margin;
        let lacks = self.joined.lacks(now, key.connection).filter(|_| could_start);
        Finding::unless(lacks.is_none(), Check::Joined, || {
            format!("{key:?} lacks an input and is not told: {lacks:?}")
        })?;
        let hopeless = could_start && self.outlook(now).no_time(task.model, due, now, 0);
        Finding::unless(!hopeless, Check::InTime, || format!("{key:?} cannot be in time and is not told at once"))
    }

    /// What cannot be in time is answered as it arrives: it is let in, and needs no slot.
    pub(super) fn gives_up_an_arrival(
        &mut self,
        now: u64,
        input: &Input,
        parsed: Option<&Parsed>,
        send: &Send,
    ) -> Verdict {
        let gives_up = matches!(send.answer(), Answer::Guarded(guarded)
            if matches!(guarded.origin(), Origin::Fallback(Reason::NoTimeLeft | Reason::InputMissing | Reason::InputTooOld)));
        let no_time = matches!(send.answer(), Answer::Guarded(guarded)
            if guarded.origin() == Origin::Fallback(Reason::NoTimeLeft));
        let arrives = parsed.is_some_and(|parsed| {
            send.sequence().is_some_and(|sequence| parsed.key.sequence == sequence.value())
                && self.lines[parsed.key.connection].waiting.is_none_or(|open| open.key != parsed.key)
        });
        if !gives_up {
            return Ok(());
        }
        if !arrives {
            self.seen.note(if no_time { Disturbance::GivenUpAtItsTurn } else { Disturbance::LackedAtItsTurn });
            return Ok(());
        }
        self.seen.note(if no_time { Disturbance::GivenUpOnArrival } else { Disturbance::LackedOnArrival });
        self.accept(now, input, parsed, NO_SLOT)
    }

    fn accept(&mut self, now: u64, input: &Input, parsed: Option<&Parsed>, slot: SlotId) -> Verdict {
        let (Input::Frame { connection, arrival, .. }, Some(parsed)) = (input, parsed) else {
            return Err(Finding { check: Check::Slots, what: format!("{slot:?} is to store what is no frame") });
        };
        let task = &self.scenario.tasks[self.scenario.connections[*connection].task];
        self.let_in = true;
        let line = &mut self.lines[*connection];
        let begins_epoch = line.once.begins_epoch(parsed.key);
        let period = self.records.period(self.scenario, &self.workers, task);
        line.period.let_in((task, period), (parsed.key, *arrival), begins_epoch, &mut self.seen)?;
        line.once.accept(parsed.key)?;
        envelope::proper_inputs(task, parsed)?;
        line.envelope.observe(task, parsed);
        line.state.observe(parsed.key, *arrival);
        let plan = &self.scenario.connections[*connection];
        let is_ours = parsed.address == plan.address && parsed.contract == task.contract;
        Finding::unless(is_ours, Check::Once, || format!("{:?} was accepted, but is not for this task", parsed.key))?;
        let budget = if parsed.budget == 0 { task.deadline } else { parsed.budget };
        let own = arrival + budget;
        Finding::unless(now < own, Check::InTime, || "accepted past its deadline".into())?;
        let superseded = line.waiting.take();
        if let Some(old) = superseded {
            line.tally.supersede();
            Finding::unless(now < old.deadline, Check::InTime, || {
                format!("{:?} is superseded past its deadline and not told as missed", old.key)
            })?;
        }
        let deadline = superseded.map_or(own, |old| old.deadline.min(own));
        let rank = superseded.map_or(u64::MAX, |old| old.rank).min(arrival + task.deadline);
        line.in_time.accept(parsed.key, own);
        let held = self.lines.iter().any(|line| line.holds(slot)) || self.workers.reads(slot);
        self.lines[*connection].waiting =
            Some(Open { key: parsed.key, slot, deadline, rank, oldest: None, held_back: false });
        let held = (held || self.requests.holds(slot)) && slot != NO_SLOT;
        Finding::unless(!held, Check::Slots, || format!("{slot:?} is stored into while it is in use"))
    }

    pub(super) fn send(&mut self, now: u64, send: &Send) -> Verdict {
        let (Some(ticket), Answer::Guarded(guarded), Some(sequence)) = (send.ticket(), send.answer(), send.sequence())
        else {
            return Err(Finding {
                check: Check::Once,
                what: format!("an action without ticket or sequence: {send:?}"),
            });
        };
        let margin = self.scenario.box_plan.margin;
        let line = &mut self.lines[connection_of(ticket)];
        let is_it = |open: &Open| open.key.sequence == sequence.value();
        let (open, was_running) = match (line.running.take_if(|open| is_it(open)), &mut line.waiting) {
            (Some(open), _) => (open, true),
            (None, waiting) => (waiting.take_if(|open| is_it(open)).ok_or_else(|| not_open(sequence))?, false),
        };
        let lacks = if was_running { None } else { self.joined.lacks(now, open.key.connection) };
        if let Origin::Fallback(reason @ (Reason::InputMissing | Reason::InputTooOld)) = guarded.origin() {
            Finding::unless(lacks == Some(reason), Check::Joined, || {
                format!("{open:?} is answered by {reason}, but lacks {lacks:?}, running: {was_running}")
            })?;
        }
        let oldest = if was_running { open.oldest } else { self.joined.oldest(now, open.key.connection) };
        let open = Open { oldest, ..open };
        if guarded.origin() == Origin::Fallback(Reason::NoTimeLeft) {
            Finding::unless(lacks.is_none(), Check::Joined, || {
                format!("{open:?} lacks {lacks:?} and is told otherwise")
            })?;
            let (model, due) = (self.scenario.task_of(open.key.connection).model, open.deadline - margin);
            Finding::unless(!was_running && self.outlook(now).no_time(model, due, now, 0), Check::InTime, || {
                format!("{open:?} is given up, but could be in time")
            })?;
        }
        let line = &mut self.lines[open.key.connection];
        let from_result = match guarded.origin() {
            Origin::Model { .. }
            | Origin::Fallback(Reason::ActionNotFinite | Reason::OutOfRange | Reason::TooFast | Reason::ModelFailed) => {
                true
            }
            Origin::Fallback(_) => false,
        };
        if from_result {
            let finished = self.finished.iter_mut().find(|finished| finished.key == open.key);
            let late = now + margin >= open.deadline;
            let says_so = finished.as_ref().is_some_and(|finished| is_its_own(finished, guarded));
            let holds = says_so && !late;
            if let Some(finished) = finished {
                finished.answered = true;
            }
            Finding::unless(holds, Check::Once, || {
                format!("{:?} is answered with a result that was late or not its own", open.key)
            })?;
        }
        Finding::unless(line.sending.is_none(), Check::Once, || format!("two sends of {:?} at once", open.key))?;
        line.sending = Some(Sending { open, origin: guarded.origin(), orphaned: was_running && !from_result });
        line.envelope.send(now);
        if guarded.origin() == Origin::Fallback(Reason::Late) {
            self.workers.fell_late(self.scenario, now, open.key);
        }
        let task = &self.scenario.tasks[self.scenario.connections[open.key.connection].task];
        let rests = self.records.rests(self.scenario, &self.workers, task);
        let says_so = guarded.origin() == Origin::Fallback(Reason::Resting);
        Finding::unless(says_so == (rests && !was_running), Check::Records, || {
            format!("{:?} is answered by {:?}, resting: {rests}", open.key, guarded.origin())
        })
    }

    /// A response carries the marks of its task's timing.
    pub(super) fn marked(&self, send: &Send) -> Verdict {
        let Some(connection) = send.connection() else { return Ok(()) };
        let task = &self.scenario.tasks[self.scenario.connections[usize::from(connection.0)].task];
        let expected = self.records.marks(self.scenario, &self.workers, task);
        let own = send.status().bits() & !Status::STATE_RESET.bits();
        Finding::unless(own == expected.bits(), Check::Records, || {
            format!("a response of {connection:?} is marked {:?}, expected is {expected:?}", send.status())
        })
    }

    pub(super) fn refusal(
        &mut self,
        now: u64,
        input: &Input,
        parsed: Option<&Parsed>,
        frame: &Response<'_>,
        excuses: &Excuses,
    ) -> Verdict {
        let Some(reason) = refused_for(frame) else {
            return Err(Finding { check: Check::Once, what: "a refusal whose frame is none".into() });
        };
        let connection = match input {
            Input::Frame { connection, .. } | Input::Oversize { connection, .. } | Input::Shed { connection, .. } => {
                *connection
            }
            Input::Withheld { ticket, .. } => connection_of(*ticket),
            Input::Stray { bytes, .. } => {
                self.strays.refuse(reason, 1);
                once::names_the_stray(bytes, frame)?;
                return once::echoes(now, input, frame);
            }
            Input::Query => return once::echoes(now, input, frame),
            Input::ShedUnseen { .. }
            | Input::QueriesUnseen { .. }
            | Input::Request { .. }
            | Input::RequestOversize { .. }
            | Input::RequestsUnseen { .. }
            | Input::Replied { .. }
            | Input::ReplyWithheld { .. }
            | Input::Reset { .. }
            | Input::ResetsShed { .. }
            | Input::Finished { .. }
            | Input::RecordVoid { .. }
            | Input::Sent { .. }
            | Input::Sample { .. }
            | Input::Picture { .. }
            | Input::SampleOversize { .. }
            | Input::SamplesUnseen { .. }
            | Input::Timeout
            | Input::Drain => {
                return Err(Finding { check: Check::Once, what: format!("a refusal out of nothing: {reason}") });
            }
        };
        let line = &mut self.lines[connection];
        let key = Key {
            connection,
            epoch: frame.epoch.value(),
            sequence: frame.sequence.map_or(0, message::Sequence::value),
        };
        match reason.row().kind {
            ReasonKind::Refusal => line.tally.refuse(reason, 1),
            ReasonKind::Miss => line.tally.miss(reason),
            ReasonKind::Fallback | ReasonKind::Alarm | ReasonKind::Notice | ReasonKind::HandOff => {
                return Err(Finding { check: Check::Once, what: format!("{reason} cannot refuse") });
            }
        }
        match (reason, self.withheld) {
            (Reason::EpochRetired, _) => {
                let closed = [&mut line.waiting, &mut line.running]
                    .into_iter()
                    .find_map(|open| open.take_if(|open| open.key == key));
                line.in_time.retire(key);
                self.retired = Some(key);
                Finding::unless(closed.is_some(), Check::Once, || format!("{key:?} is retired, but is not open"))
            }
            (_, Some(withheld)) => {
                self.withheld = None;
                Finding::unless(withheld == key, Check::Once, || {
                    format!("{withheld:?} was withheld, {key:?} is told")
                })?;
                line.in_time.miss(now, key, reason, excuses)
            }
            (Reason::DeadlinePassed, None) => {
                // Out of a frame: the one that waited can no longer be answered and makes way.
                let expired = line.waiting.take_if(|open| open.key == key && open.deadline <= now);
                Finding::unless(expired.is_some(), Check::InTime, || {
                    format!("{key:?} is told as missed, but does not wait past its deadline")
                })?;
                self.seen.note(Disturbance::ReplacedPastItsDeadline);
                if expired.is_some_and(|open| open.deadline == now) {
                    self.seen.note(Disturbance::ReplacedAtItsDeadline);
                }
                line.in_time.miss(now, key, reason, excuses)
            }
            (Reason::ExpiredOnArrival, None) => {
                self.let_in = true;
                let task = &self.scenario.tasks[self.scenario.connections[connection].task];
                let begins_epoch = line.once.begins_epoch(key);
                let period = self.records.period(self.scenario, &self.workers, task);
                line.period.let_in((task, period), (key, arrival_of(input)), begins_epoch, &mut self.seen)?;
                line.once.accept(key)?;
                line.state.enters(key);
                once::echoes(now, input, frame)?;
                in_time::expired(now, input, parsed, task, excuses)
            }
            (Reason::Period, None) => {
                let task = &self.scenario.tasks[self.scenario.connections[connection].task];
                let begins_epoch = line.once.begins_epoch(key);
                once::echoes(now, input, frame)?;
                line.period.refused(task, (key, arrival_of(input)), begins_epoch, &mut self.seen)
            }
            (_, None) => {
                once::echoes(now, input, frame)?;
                if reason == Reason::Sequence { line.once.is_old(key) } else { Ok(()) }
            }
        }
    }

    /// The observations that wait in these slots begin: the one of the earliest rank of those that might, and the
    /// company that may come along.
    pub(super) fn start(&mut self, now: u64, (worker, model): (usize, ModelId), slots: &[SlotId]) -> Verdict {
        let mut members = Vec::new();
        for slot in slots {
            let open = self.lines.iter_mut().find_map(|line| line.waiting.take_if(|open| open.slot == *slot));
            let (Some(open), true) = (open, self.scenario.workers.len() > worker) else {
                return Err(Finding { check: Check::Slots, what: format!("nothing waits in {slot:?}, which starts") });
            };
            members.push(open);
        }
        let models = self.scenario.workers[worker].models;
        let others = self.lines.iter().enumerate().filter(|(_, line)| line.is_idle());
        let others = others.filter(|(connection, _)| models.contains(self.scenario.task_of(*connection).model));
        let others = others.filter(|(connection, _)| self.workers.occupied_by(*connection) == 0);
        let outlook = self.outlook(now);
        let due = |open: &Open| open.deadline - self.scenario.box_plan.margin;
        let fits = |open: &Open| outlook.fits(worker, self.scenario.task_of(open.key.connection).model, due(open));
        Finding::unless(members.iter().all(fits), Check::InTime, || {
            format!("{members:?} are started, but cannot all end in time")
        })?;
        let first = members.first().map_or(0, |open| open.rank);
        // Who cannot end in time here waits for another worker.
        let others = others.filter_map(|(_, line)| line.waiting).filter(|open| open.rank > first || fits(open));
        let others: Vec<Open> = others.collect();
        batches::judge(self.scenario, now, (worker, model), &members, others, &mut self.seen)?;
        for open in &members {
            let connection = open.key.connection;
            let one_open = self.lines[connection].is_idle();
            Finding::unless(one_open, Check::Once, || {
                format!("{open:?} is started before the one before is answered")
            })?;
            let rests = self.records.rests(self.scenario, &self.workers, self.scenario.task_of(connection));
            Finding::unless(!rests, Check::Records, || format!("{open:?} is started, but its task rests"))?;
            let lacks = self.joined.lacks(now, connection);
            Finding::unless(lacks.is_none(), Check::Joined, || format!("{open:?} is started, but lacks {lacks:?}"))?;
            let oldest = self.joined.oldest(now, connection);
            self.lines[connection].running = Some(Open { oldest, ..*open });
        }
        let ran = members.iter().map(|open| Member { key: open.key, slot: open.slot, late: false }).collect();
        self.workers.start(self.scenario, now, (worker, model), ran)?;
        members.iter().try_for_each(|open| self.workers.one_worker_each(open.key.connection))
    }

    /// No worker is idle that an observation waits for, but where its connection occupies another.
    pub(super) fn nothing_waits_in_vain(&mut self, now: u64) -> Verdict {
        let outlook = self.outlook(now);
        for (connection, line) in self.lines.iter_mut().enumerate() {
            let idle = line.is_idle();
            let Some(open) = line.waiting.as_mut().filter(|_| idle) else { continue };
            let task = &self.scenario.tasks[self.scenario.connections[connection].task];
            let (model, rests) = (task.model, self.records.rests(self.scenario, &self.workers, task));
            Finding::unless(!rests, Check::Records, || format!("{open:?} waits, but its task rests"))?;
            if !outlook.has_a_free_one(model) {
                continue;
            }
            let due = open.deadline - self.scenario.box_plan.margin;
            let lacks = self.joined.lacks(now, connection).filter(|_| self.workers.occupied_by(connection) == 0);
            Finding::unless(lacks.is_none(), Check::Joined, || format!("{open:?} waits, but lacks {lacks:?}"))?;
            // It waits for another worker, which is in time and busy.
            let better = !outlook.fits_a_free_one(model, due) && !outlook.no_time(model, due, now, 0);
            if better && self.workers.occupied_by(connection) == 0 {
                self.seen.note(Disturbance::WaitedForAFaster);
                continue;
            }
            Finding::unless(self.workers.occupied_by(connection) > 0, Check::Workers, || {
                format!("{open:?} waits although a worker is free")
            })?;
            if !std::mem::replace(&mut open.held_back, true) {
                self.seen.note(Disturbance::HeldToOneWorker);
            }
        }
        Ok(())
    }
}

/// Why this frame refuses; `None` if it refuses nothing.
fn refused_for(frame: &Response<'_>) -> Option<Reason> {
    match frame.body {
        message::Body::Refusal { reason } => Reason::from_number(reason.value()),
        message::Body::Action { .. } | message::Body::Fallback { .. } => None,
    }
}

/// Whether an answer from a result is from the one of its own inference: what the rate limit left alone is the same to
/// the bit.
fn is_its_own(finished: &Finished, guarded: &Guarded) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    match (guarded.origin(), &finished.output) {
        (Origin::Model { clamped: false }, Some(output)) => bits(output) == bits(guarded.values()),
        (Origin::Model { .. }, None) => false,
        (Origin::Model { clamped: true } | Origin::Fallback(_), _) => true,
    }
}

/// Nothing is stored for an observation that is given up as it arrives.
const NO_SLOT: SlotId = SlotId(u16::MAX);

/// When this frame arrived; never, if it is none.
fn arrival_of(input: &Input) -> u64 {
    if let Input::Frame { arrival, .. } = input { *arrival } else { u64::MAX }
}

fn not_open(sequence: message::Sequence) -> Finding {
    Finding { check: Check::Once, what: format!("an answer to {sequence:?}, which is not open") }
}
