//! answer: an observation begins, its result comes or its fallback falls due, and its answer leaves.
//!
//! Outcome, last action and counts change only when the caller reports what happened to the send.

use message::{Place, Status};

use crate::{
    account::Outcome,
    connection::{Connection, Job, Sending, Stage},
    engine::{Engine, Pending},
    face::Withheld,
    fault::Fault,
    guard::{self, Guarded, Origin},
    hand_off::Failed,
    plan::Provenance,
    reason::Reason,
    respond::{Answer, Echo, Party, Send, Target, Ticket},
    task::{ConnectionId, MAX_BATCH, SlotId, WorkerId},
    time::{Duration, Instant},
    worker::{Awaited, Member, OneOff, Running, Seat},
};

impl Engine<'_> {
    /// The waiting observation's inference begins on this worker.
    pub(crate) fn begin(&mut self, id: ConnectionId, worker: WorkerId) -> Seat {
        let oldest = self.oldest_sample(id);
        let connection = self.connection(id);
        let job = connection.waiting.take().expect("the agenda names connections with a waiting observation only");
        let job = Job { oldest, ..job };
        connection.stage = Stage::Running { job, worker };
        self.refresh(id);
        let Job { slot, sequence, echo: Echo { epoch, arrival, .. }, .. } = job;
        let beginning = self.begin_state(id, sequence, arrival);
        if let Stage::Running { job, .. } = &mut self.connection(id).stage {
            job.beginning = beginning;
        }
        Seat { member: Member { connection: id, epoch, sequence, slot }, answer: Awaited::Open }
    }

    /// The fallback of this connection's oldest open observation goes out.
    pub(crate) fn fall_due(&mut self, id: ConnectionId) {
        let now = self.now;
        let newer_first = self.fault.is(Fault::NewerFallbackFirst);
        let connection = self.connection(id);
        match core::mem::replace(&mut connection.stage, Stage::Idle) {
            Stage::Idle => match self.task(id).plan() {
                Some(spec) => self.play(id, &spec),
                None => self.fall_back_waiting(id, Reason::Unstarted),
            },
            Stage::Running { worker, .. } if newer_first && connection.waiting.is_some_and(|job| job.due <= now) => {
                self.fall_back_waiting(id, Reason::Unstarted);
                self.abandon(id, worker, Awaited::Closed);
                self.connection(id).ledger.record(Outcome::Fallback(Reason::Overtaken));
            }
            Stage::Running { job, worker } => self.fall_back_running(id, job, worker),
            Stage::Sending(sending) => connection.stage = Stage::Sending(sending),
        }
        self.refresh(id);
    }

    /// A worker is free again: the result of each member goes to the guard, or is discarded.
    pub(crate) fn finished(&mut self, worker: WorkerId, outputs: Result<&[&[f32]], Failed>, execution: Duration) {
        // Where a member failed the others were run once more, each alone: that is no execution of a batch.
        let ran_well = outputs.is_ok_and(|outputs| outputs.iter().all(|output| !output.is_empty()));
        if let (Some(running), true) = (&self.peek_worker(worker).running, ran_well) {
            let ran = (running.model, running.size());
            self.watch(worker, ran, execution);
        }
        for place in 0..MAX_BATCH {
            let Some(Seat { member, answer }) = self.peek_worker(worker).seat(place) else { break };
            if answer == Awaited::Open && self.peek(member.connection).due() <= self.now {
                self.fall_due(member.connection);
            }
        }
        if let Some(OneOff { client, answer: Awaited::Open, .. }) = self.peek_worker(worker).one_off() {
            while self.peek_client(client).due() <= self.now {
                self.expire(client);
            }
        }
        let running = self.worker(worker).running.take().expect("only a worker that was started finishes");
        self.worker(worker).work.count(running.size(), execution);
        for (place, seat) in running.seats.iter().enumerate() {
            let swapped = running.seats.len().saturating_sub(place).saturating_sub(1);
            let place = if self.fault.is(Fault::BatchSwapsOutputs) { swapped } else { place };
            // What has no output failed.
            let output = outputs.and_then(|outputs| outputs.get(place).copied().ok_or(Failed::Model));
            match seat.answer {
                Awaited::Open => self.answer_with(worker, seat.member, output),
                Awaited::Closed | Awaited::FellDue => self.discard(worker, seat.member, output),
            }
        }
        if let Some(one_off) = running.one_off {
            let output = outputs.and_then(|outputs| outputs.first().copied().ok_or(Failed::Model));
            self.finished_one_off(worker, one_off, output);
        }
        if let Some(run) = running.plan {
            let output = outputs.and_then(|outputs| outputs.first().copied().ok_or(Failed::Model));
            self.finished_plan(worker, &running, run, output);
        }
        self.count_overrun(worker, &running);
    }

    fn answer_with(&mut self, worker: WorkerId, member: Member, output: Result<&[f32], Failed>) {
        let Member { connection: id, slot, .. } = member;
        let Stage::Running { job, .. } = core::mem::replace(&mut self.connection(id).stage, Stage::Idle) else {
            unreachable!("an answer is awaited as long as its connection waits for it")
        };
        let guarded = self.guard(id, output);
        let place = self.peek_worker(worker).place;
        self.hand_out(id, job, (guarded, Provenance::at(place)), Some(slot));
    }

    fn discard(&mut self, worker: WorkerId, member: Member, output: Result<&[f32], Failed>) {
        let Member { connection: id, slot, .. } = member;
        let connection = self.connection(id);
        connection.ledger.discard();
        connection.abandoned_on.take_if(|abandoned| *abandoned == worker);
        if self.fault.is(Fault::StateAdvancesOnDiscard) {
            self.advance_wrongly(id, Some(slot));
        }
        if !self.fault.is(Fault::FreeSlotWhileRunning) {
            self.free_slot(slot);
        }
        self.refresh(id);
        self.send_late(id, output);
    }

    /// The result that this worker computes for this connection will be discarded.
    pub(crate) fn abandon(&mut self, id: ConnectionId, worker: WorkerId, answer: Awaited) {
        self.connection(id).abandoned_on = Some(worker);
        let seat = self.worker(worker).seat_of(id).expect("a connection that waits for a worker has a seat there");
        seat.answer = answer;
    }

    /// The send of this connection's answer, once.
    pub(crate) fn answer(&mut self, id: ConnectionId) -> Send {
        let mut identity = self.identity(id);
        let no_deadline = self.fault.is(Fault::NoDeadlineOnSend);
        let unmarked = self.fault.is(Fault::ClampUnmarked);
        let untold = self.fault.is(Fault::InputAgeUntold);
        let place_untold = self.fault.is(Fault::PlaceUntold);
        let step_untold = self.fault.is(Fault::PlanUntold);
        let connection = self.connection(id);
        let Stage::Sending(sending) = &mut connection.stage else {
            unreachable!("an answer is announced when the connection begins to send")
        };
        identity.status = sending.marks;
        let oldest = match sending.origin {
            Origin::Model { .. } | Origin::Fallback(Reason::InputTooOld) if !untold => sending.job.oldest,
            Origin::Model { .. } | Origin::Fallback(_) => None,
        };
        let mut provenance = sending.provenance;
        if place_untold {
            provenance.place = Place::Box;
        }
        if step_untold {
            provenance.step = None;
        }
        let mut guarded = sending.guarded.take().expect("each answer is announced once");
        if unmarked {
            guarded = guarded.unmarked();
        }
        Send {
            target: Target::Connection(id),
            ticket: Some(Ticket { of: Party::Connection(id), serial: sending.serial }),
            deadline: if no_deadline { None } else { Some(sending.job.deadline) },
            identity,
            echo: sending.job.echo,
            oldest,
            provenance,
            answer: Answer::Guarded(guarded),
        }
    }

    /// An answer left at `at`.
    pub(crate) fn sent(&mut self, ticket: Ticket, at: Instant) {
        let id = match ticket.of {
            Party::Connection(id) => id,
            Party::Client(id) => return self.replied(id, ticket.serial),
        };
        let sending = self.take_sending(id, ticket.serial);
        let twice = self.fault.is(Fault::CountFallbackTwice);
        let connection = self.connection(id);
        match sending.origin {
            Origin::Model { clamped } => connection.ledger.record(Outcome::Model { clamped }),
            Origin::Fallback(reason) => {
                connection.ledger.record_many(Outcome::Fallback(reason), if twice { 2 } else { 1 });
            }
        }
        advance(connection, &sending, at);
        let free = self.advance_state(id, &sending, at);
        self.settle(id, free);
    }

    /// An answer did not leave.
    pub(crate) fn withheld(&mut self, ticket: Ticket, why: Withheld) {
        let (id, now) = match ticket.of {
            Party::Connection(id) => (id, self.now),
            Party::Client(id) => return self.reply_withheld(id, ticket.serial, why),
        };
        let sending = self.take_sending(id, ticket.serial);
        if self.fault.is(Fault::AdvanceWhenWithheld) {
            advance(self.connection(id), &sending, now);
        }
        if self.fault.is(Fault::StateAdvancesWhenWithheld) {
            self.advance_wrongly(id, sending.slot);
        }
        self.miss(id, sending.job.echo, why.reason());
        self.settle(id, sending.slot);
    }

    pub(crate) fn fall_back_waiting(&mut self, id: ConnectionId, why: Reason) {
        let Some(job) = self.connection(id).waiting.take() else { return };
        let reason = if self.rests(id) { Reason::Resting } else { why };
        let oldest = if reason == Reason::InputTooOld { self.oldest_sample(id) } else { None };
        let job = Job { oldest, ..job };
        let stand_in = self.stand_in(id, reason);
        self.hand_out(id, job, (stand_in, Provenance::at(Place::Box)), Some(job.slot));
    }

    fn fall_back_running(&mut self, id: ConnectionId, job: Job, worker: WorkerId) {
        let overran = job.due <= self.now;
        if overran && self.fault.is(Fault::NoFallbackWhileRunning) {
            let later = Job { due: Instant::NEVER, ..job };
            self.connection(id).stage = Stage::Running { job: later, worker };
            return;
        }
        let (answer, reason) =
            if overran { (Awaited::FellDue, Reason::Late) } else { (Awaited::Closed, Reason::Overtaken) };
        self.abandon(id, worker, answer);
        let stand_in = self.stand_in(id, reason);
        let early = self.fault.is(Fault::FreeSlotWhileRunning).then_some(job.slot);
        self.hand_out(id, job, (stand_in, Provenance::at(Place::Box)), early);
    }

    /// Blames a worker, once for each inference, if that took by itself longer than a whole deadline leaves to a member
    /// that fell due: one that began late on a loaded box, or for a small budget, is not its fault.
    fn count_overrun(&mut self, worker: WorkerId, running: &Running) {
        let took = self.now.since(running.since);
        let left = |seat: &Seat| self.task(seat.member.connection).deadline().less(self.settings.margin);
        let blames = |seat: &Seat| seat.answer == Awaited::FellDue && took >= left(seat);
        let at_fault = running.seats.iter().any(blames) || self.one_off_blames(running, took);
        let answers_for_it = self.peek_worker(worker).is_blamed() || self.fault.is(Fault::ClusterQuarantined);
        if !at_fault || !answers_for_it || self.fault.is(Fault::NeverQuarantine) {
            return;
        }
        let (now, window, max) = (self.now, self.settings.overrun_window, self.settings.max_overruns);
        let overrunning = self.worker(worker);
        if overrunning.overran(now, window, usize::from(max)) && overrunning.is_in_service() {
            self.quarantine(worker, Reason::WorkerOverruns);
        }
    }

    fn guard(&self, id: ConnectionId, output: Result<&[f32], Failed>) -> Guarded {
        let envelope = self.task(id).envelope();
        let reference = &self.peek(id).reference;
        #[cfg(feature = "faults")]
        if let Ok(raw) = output
            && raw.len() == envelope.elements().len()
            && (self.fault.is(Fault::SkipEnvelope)
                || self.fault.is(Fault::SkipRateLimit) && guard::action(&envelope, reference, self.now, raw).is_ok())
        {
            return guard::unguarded(&envelope, raw);
        }
        let checked = match output {
            Ok(raw) => guard::action(&envelope, reference, self.now, raw),
            Err(failed) => Err(failed.reason()),
        };
        checked.unwrap_or_else(|reason| self.stand_in(id, reason))
    }

    pub(crate) fn stand_in(&self, id: ConnectionId, reason: Reason) -> Guarded {
        let task = self.task(id);
        let forever = self.fault.is(Fault::HoldForever);
        let hold = if forever { Duration::from_nanos(u64::MAX) } else { task.hold() };
        guard::fallback(&task.envelope(), &self.peek(id).reference, self.now, hold, reason)
    }

    pub(crate) fn hand_out(
        &mut self,
        id: ConnectionId,
        job: Job,
        (guarded, provenance): (Guarded, Provenance),
        slot: Option<SlotId>,
    ) {
        let marks = self.marks(id);
        let unmarked = self.fault.is(Fault::StateResetUnmarked);
        let connection = self.connection(id);
        let by_model = matches!(guarded.origin(), Origin::Model { .. });
        let anew = if by_model { connection.plans.marks() } else { Status::NONE };
        let fresh = by_model && !unmarked && job.beginning.is_some_and(|beginning| beginning.fresh);
        let reset = if fresh || connection.reference.is_fresh() { Status::STATE_RESET } else { Status::NONE };
        connection.serial = connection.serial.saturating_add(1);
        connection.stage = Stage::Sending(Sending {
            job,
            serial: connection.serial,
            values: guarded.held(),
            origin: guarded.origin(),
            guarded: Some(guarded),
            marks: marks.with(reset).with(anew),
            provenance,
            slot,
            retired: false,
        });
        self.refresh(id);
        self.push(Pending::Send(id));
    }

    fn take_sending(&mut self, id: ConnectionId, serial: u64) -> Sending {
        let connection = self.connection(id);
        match core::mem::replace(&mut connection.stage, Stage::Idle) {
            Stage::Sending(sending) if sending.serial == serial => sending,
            Stage::Idle | Stage::Running { .. } | Stage::Sending(_) => {
                unreachable!("a ticket is reported once, while its connection is sending")
            }
        }
    }

    fn settle(&mut self, id: ConnectionId, free: Option<SlotId>) {
        if let Some(slot) = free {
            self.free_slot(slot);
        }
        self.refresh(id);
    }

    /// The fault that sends a result although its answer is closed.
    fn send_late(&mut self, id: ConnectionId, output: Result<&[f32], Failed>) {
        if !self.fault.is(Fault::SendLateResult) || !matches!(self.peek(id).stage, Stage::Idle) {
            return;
        }
        if let Some(job) = self.connection(id).waiting.take() {
            let guarded = self.guard(id, output);
            self.hand_out(id, job, (guarded, Provenance::at(Place::Box)), Some(job.slot));
        }
    }
}

fn advance(connection: &mut Connection, sending: &Sending, at: Instant) {
    if !sending.retired {
        connection.reference.advance(sending.values, sending.origin, at);
        connection.session.sent(sending.job.sequence);
        if sending.provenance.step.is_some() && matches!(sending.origin, Origin::Model { .. }) {
            connection.plans.sent();
        }
    }
}
