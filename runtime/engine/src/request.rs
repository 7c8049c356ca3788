//! request: a one-off request's frame -> a waiting [`Request`] with its slot and deadline, or a refusal.
//!
//! The order of checks is that of an observation. A refused request waits nowhere and moves no bucket.

use message::{Address, ContractDigest, InferRequest};

use crate::{
    account::RequestOutcome,
    client::{Asked, Request},
    decode,
    engine::{Draining, Engine, Pending},
    fault::Fault,
    reason::Reason,
    task::{ClientId, SlotId, Task},
    time::{Duration, Instant},
};

impl Engine<'_> {
    pub(crate) fn request(&mut self, id: ClientId, arrival: Instant, bytes: &[u8]) {
        while self.peek_client(id).due() <= self.now {
            self.expire(id);
        }
        self.client(id).ledger.receive(1);
        let unreadable = Asked::unreadable(arrival);
        let request = match InferRequest::decode(bytes) {
            Ok(request) => request,
            Err(malformed) => return self.refuse_request(id, None, unreadable, decode::unreadable(malformed)),
        };
        let asked = Asked { request: request.request, stamp: request.stamp, arrival };
        match self.admissible(id, arrival, &request) {
            Ok(deadline) => self.admit_request(id, asked, deadline),
            Err(reason @ Reason::ExpiredOnArrival) => self.expire_request(id, None, asked, reason),
            Err(reason) => self.refuse_request(id, None, asked, reason),
        }
    }

    /// A request that nobody decoded, because it is too large.
    pub(crate) fn refuse_unread_request(&mut self, id: ClientId, arrival: Instant) {
        self.client(id).ledger.receive(1);
        self.refuse_request(id, None, Asked::unreadable(arrival), Reason::TooLarge);
    }

    /// When its result must have left, or why it is not let in.
    fn admissible(&self, id: ClientId, arrival: Instant, request: &InferRequest<'_>) -> Result<Instant, Reason> {
        let (client, task) = (self.peek_client(id), self.task_of(id));
        if self.draining != Draining::No {
            return Err(Reason::Draining);
        }
        proper(request, client.spec.address, task.contract(), task.inputs())?;
        let budget = self.budget(request, &task)?;
        if !client.bucket.conforms(arrival, client.spec.arrival_jitter) {
            return Err(Reason::Period);
        }
        let deadline = arrival.after(budget);
        if self.now >= deadline {
            return Err(Reason::ExpiredOnArrival);
        }
        if self.task_rests(&task) {
            return Err(Reason::Resting);
        }
        if client.is_full() && !self.fault.is(Fault::QueueUnbounded) {
            return Err(Reason::Overload);
        }
        if self.no_time_for_request(id, deadline, client.queue.len()) && !self.fault.is(Fault::HopelessRequestWaits) {
            return Err(Reason::NoTimeLeft);
        }
        Ok(deadline)
    }

    /// Its own budget, but no longer than the task's deadline.
    fn budget(&self, request: &InferRequest<'_>, task: &Task<'_>) -> Result<Duration, Reason> {
        match request.budget_us {
            0 => Ok(task.deadline()),
            wanted => {
                let wanted = Duration::from_micros(u64::from(wanted)).min(task.deadline());
                if wanted > self.settings.margin { Ok(wanted) } else { Err(Reason::Budget) }
            }
        }
    }

    fn admit_request(&mut self, id: ClientId, asked: Asked, deadline: Instant) {
        let period = self.period_of(&self.task_of(id), self.peek_client(id).spec.min_period);
        let slot = self.take_slot();
        let client = self.client(id);
        client.bucket.take(asked.arrival, period);
        let request = Request { slot, asked, deadline };
        assert!(client.queue.push(request).is_ok(), "a queue is no longer than MAX_QUEUE: Engine::new checks");
        self.push(Pending::Store(slot));
    }

    pub(crate) fn refuse_request(&mut self, id: ClientId, slot: Option<SlotId>, asked: Asked, reason: Reason) {
        self.client(id).ledger.record(RequestOutcome::Refused(reason), 1);
        self.tell_client(id, slot, asked, reason);
    }

    pub(crate) fn expire_request(&mut self, id: ClientId, slot: Option<SlotId>, asked: Asked, reason: Reason) {
        self.client(id).ledger.record(RequestOutcome::Expired(reason), 1);
        self.tell_client(id, slot, asked, reason);
    }

    fn tell_client(&mut self, client: ClientId, slot: Option<SlotId>, asked: Asked, reason: Reason) {
        if self.fault.is(Fault::RefusedRequestUntold) && slot.is_some() {
            return;
        }
        let marks = self.marks_of(&self.task_of(client));
        self.push(Pending::RefuseRequest { client, slot, asked, reason, marks });
    }
}

/// Whether a request is one of this client's, with so many finite numbers.
///
/// # Errors
/// The first thing that is wrong with it, in the order of an observation's checks.
pub fn proper(
    request: &InferRequest<'_>,
    address: Address,
    contract: ContractDigest,
    inputs: usize,
) -> Result<(), Reason> {
    if request.address != address {
        return Err(Reason::Address);
    }
    if request.contract != contract {
        return Err(Reason::Contract);
    }
    if request.values.len() != inputs.saturating_mul(size_of::<f32>()) {
        return Err(Reason::ValuesLength);
    }
    if !message::floats(request.values).all(f32::is_finite) {
        return Err(Reason::ObservationNotFinite);
    }
    Ok(())
}
