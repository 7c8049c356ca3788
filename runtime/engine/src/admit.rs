//! admit: decoded observation -> a waiting [`Job`] with its slot and deadline, or a refusal.
//!
//! A newer observation replaces one that still waits and inherits the earlier deadline. A refused observation
//! replaces nothing, takes no epoch and moves no bucket.

use message::Header;

use crate::{
    account::Outcome,
    connection::{Job, Stage, Standing},
    decode::{Decoded, Expected, decode},
    engine::{Draining, Engine, Pending},
    fault::Fault,
    reason::Reason,
    respond::{Echo, Target},
    task::{ConnectionId, SlotId},
    time::Instant,
    worker::Awaited,
};

/// A place to wait.
struct Place {
    slot: SlotId,
    deadline: Instant,
    rank: Instant,
}

impl Engine<'_> {
    pub(crate) fn frame(&mut self, id: ConnectionId, arrival: Instant, bytes: &[u8]) {
        if self.peek(id).due() <= self.now {
            self.fall_due(id);
        }
        self.connection(id).ledger.receive(1);
        let expected = Expected {
            task: self.task(id),
            address: self.peek(id).spec.address,
            margin: self.settings.margin,
            draining: self.draining != Draining::No,
            fault: self.fault,
        };
        match decode(bytes, &expected) {
            Ok(decoded) => self.admit(id, arrival, &decoded),
            Err((reason, header)) => self.refuse(id, header, Some(arrival), reason),
        }
        self.refresh(id);
    }

    /// A frame that nobody decoded: too large, or the queue was full.
    pub(crate) fn refuse_unread(&mut self, id: ConnectionId, header: Option<Header>, arrival: Instant, reason: Reason) {
        self.connection(id).ledger.receive(1);
        self.refuse(id, header, Some(arrival), reason);
    }

    fn admit(&mut self, id: ConnectionId, arrival: Instant, decoded: &Decoded<'_>) {
        let header = decoded.header();
        if let Err(reason) = self.enter(id, header, arrival) {
            if self.fault.is(Fault::RefusalSupersedes) {
                self.drop_waiting(id);
            }
            return self.refuse(id, Some(header), Some(arrival), reason);
        }
        self.connection(id).session.accept(header.sequence);
        self.connection(id).session.seen(decoded.last_response());
        let deadline = arrival.after(decoded.budget());
        if self.now >= deadline {
            return self.miss(id, Echo { arrival: Some(arrival), ..Echo::of(header) }, Reason::ExpiredOnArrival);
        }
        let envelope = self.task(id).envelope();
        self.connection(id).reference.offer_start(&envelope, decoded.values());
        let by_task = arrival.after(self.task(id).deadline());
        let rank = if self.fault.is(Fault::BudgetBuysRank) { deadline } else { by_task };
        let Place { slot, deadline, rank } = self.replace_waiting(id, deadline, rank);
        let due = if self.fault.is(Fault::NoMargin) { deadline } else { deadline.before(self.settings.margin) };
        let Header { epoch, sequence, stamp } = header;
        let echo = Echo { epoch, sequence: Some(sequence), stamp, arrival: Some(arrival) };
        let job = Job { slot, echo, sequence, deadline, due, rank, oldest: None, beginning: None };
        let job = if self.fault.is(Fault::EchoOtherSequence) { job.mistaken() } else { job };
        self.connection(id).waiting = Some(job);
        self.refresh(id);
        // Behind an answer of its own that is open it waits for that: its own fallback would close it.
        let could_start = self.entry(id).startable != Instant::NEVER;
        if let (true, Some(reason)) = (could_start, self.lacks(id)) {
            return self.fall_back_waiting(id, reason);
        }
        if could_start && self.no_time_for_waiting(id) && !self.fault.is(Fault::HopelessWaits) {
            return self.fall_back_waiting(id, Reason::NoTimeLeft);
        }
        self.push(Pending::Store(slot));
    }

    /// Checks epoch, sequence and period, in this order, and takes a new epoch.
    ///
    /// The period comes last of all that is checked for a refusal: whatever else is wrong with a frame is told by its
    /// own reason. That costs a flood nothing: a refusal echoes a sequence that only the checksum over the whole frame
    /// vouches for, and beside that all other checks are cheap. It comes before the expiry, because a flood that
    /// makes itself wait is no breach of the box. A refused frame takes no epoch.
    fn enter(&mut self, id: ConnectionId, header: Header, arrival: Instant) -> Result<(), Reason> {
        let begins = self.begins_epoch(id, header)?;
        let policed = self.police(id, arrival, begins);
        if begins && (policed.is_ok() || self.fault.is(Fault::TooSoonChangesEpoch)) {
            self.change_epoch(id, header);
        }
        policed
    }

    /// Checks epoch and sequence, and says whether a new epoch begins.
    fn begins_epoch(&self, id: ConnectionId, header: Header) -> Result<bool, Reason> {
        let session = &self.peek(id).session;
        let begins = match session.standing(header.epoch, self.now) {
            Standing::Retired if !self.fault.is(Fault::AcceptRetiredEpoch) => return Err(Reason::Epoch),
            Standing::TooOften => return Err(Reason::EpochRate),
            Standing::First | Standing::New | Standing::Retired => true,
            Standing::Current => false,
        };
        let any = begins && !self.fault.is(Fault::EpochKeepsSequence);
        let duplicate = self.fault.is(Fault::AcceptDuplicate) && session.is_last(header.sequence);
        if any || session.is_newer(header.sequence) || duplicate { Ok(begins) } else { Err(Reason::Sequence) }
    }

    /// Lets an observation in by its period, or as the first of an epoch that begins afresh.
    fn police(&mut self, id: ConnectionId, arrival: Instant, begins: bool) -> Result<(), Reason> {
        let (jitter, period, fault) = (self.task(id).arrival_jitter(), self.period(id), self.fault);
        let bucket = &mut self.connection(id).bucket;
        let afresh = begins
            && !fault.is(Fault::NoEpochAfresh)
            && (bucket.may_begin_afresh(arrival) || fault.is(Fault::EveryEpochAfresh));
        if bucket.conforms(arrival, jitter) {
            bucket.take(arrival, period);
        } else if afresh {
            bucket.begin_afresh(arrival, period);
        } else if !fault.is(Fault::AcceptTooSoon) {
            if fault.is(Fault::TooSoonMovesBucket) {
                bucket.take(arrival, period);
            }
            return Err(Reason::Period);
        }
        Ok(())
    }

    /// Resets what belongs to an epoch, and refuses at once what the old one left waiting or running.
    fn change_epoch(&mut self, id: ConnectionId, header: Header) {
        let now = self.now;
        let keep_sequence = self.fault.is(Fault::EpochKeepsSequence);
        if let Some(job) = self.connection(id).waiting.take() {
            self.free_slot(job.slot);
            self.retire(id, job);
        }
        match core::mem::replace(&mut self.connection(id).stage, Stage::Idle) {
            Stage::Idle => {}
            Stage::Running { job, worker } => {
                self.abandon(id, worker, Awaited::Closed);
                self.retire(id, job);
            }
            Stage::Sending(mut sending) => {
                sending.retired = true;
                self.connection(id).stage = Stage::Sending(sending);
            }
        }
        let keep_reference = self.fault.is(Fault::EpochKeepsReference);
        let keep_state = self.fault.is(Fault::StateSurvivesEpoch);
        if !self.fault.is(Fault::PlanSurvivesEpoch) {
            self.forget_plans(id);
        }
        let connection = self.connection(id);
        connection.session.change(header.epoch, now, keep_sequence);
        if !keep_reference {
            connection.reference = crate::reference::Reference::default();
        }
        if !keep_state {
            connection.state = crate::state::State::default();
        }
    }

    fn retire(&mut self, id: ConnectionId, job: Job) {
        self.connection(id).ledger.record(Outcome::Refused(Reason::EpochRetired));
        self.push(Pending::Refuse {
            target: Target::Connection(id),
            echo: job.echo,
            reason: Reason::EpochRetired,
            of: None,
        });
    }

    /// Where the new observation waits and how urgently: as the replaced one did, where there is one.
    fn replace_waiting(&mut self, id: ConnectionId, deadline: Instant, rank: Instant) -> Place {
        let Some(old) = self.connection(id).waiting.take() else {
            if self.fault.is(Fault::StoreIntoRunningSlot)
                && let Stage::Running { job, .. } = &self.peek(id).stage
            {
                return Place { slot: job.slot, deadline, rank };
            }
            return Place { slot: self.take_slot(), deadline, rank };
        };
        if old.deadline <= self.now {
            // Nothing can answer it any more: its breach is its own, and the newer one has its whole budget.
            self.miss(id, old.echo, Reason::DeadlinePassed);
            return Place { slot: old.slot, deadline, rank };
        }
        if !self.fault.is(Fault::ForgetSuperseded) {
            self.connection(id).ledger.record(Outcome::Superseded);
        }
        let keeps_own = self.fault.is(Fault::SupersedeKeepsOwnDeadline);
        let deadline = if keeps_own { deadline } else { deadline.min(old.deadline) };
        Place { slot: old.slot, deadline, rank: rank.min(old.rank) }
    }

    fn drop_waiting(&mut self, id: ConnectionId) {
        if let Some(job) = self.connection(id).waiting.take() {
            self.connection(id).ledger.record(Outcome::Superseded);
            self.free_slot(job.slot);
        }
    }

    fn refuse(&mut self, id: ConnectionId, header: Option<Header>, arrival: Option<Instant>, reason: Reason) {
        self.connection(id).ledger.record(Outcome::Refused(reason));
        let echo = Echo { arrival, ..header.map_or(Echo::UNREADABLE, Echo::of) };
        self.push(Pending::Refuse { target: Target::Connection(id), echo, reason, of: None });
    }

    /// No response in time: counted as a breach, and a typed refusal says so.
    pub(crate) fn miss(&mut self, id: ConnectionId, echo: Echo, reason: Reason) {
        self.connection(id).ledger.record(Outcome::Missed(reason));
        if !self.fault.is(Fault::MissUntold) {
            self.push(Pending::Refuse { target: Target::Connection(id), echo, reason, of: None });
        }
    }
}
