//! one-off: a request begins, its result comes or its deadline passes, and its reply leaves.
//!
//! A free worker starts a one-off only while no observation waits for it: control is held up by the one that runs, if
//! one does, and by no more. Whoever was served least recently is next; one-offs are not batched.

use message::{Place, Status};

use crate::{
    account::RequestOutcome,
    client::{Asked, Outcome, Request, Sending, Stage},
    engine::{Draining, Engine, Pending},
    face::Withheld,
    fault::Fault,
    guard,
    hand_off::Failed,
    reason::Reason,
    reply::{Replied, Reply},
    respond::{Party, Refusal, Ticket},
    schedule,
    task::{ClientId, Gives, ModelId, SlotId, WorkerId},
    time::{Duration, Instant},
    worker::{Awaited, OneOff, Running},
};

impl Engine<'_> {
    /// One step of what follows for one-off requests from the clock and the tables; `false`: nothing follows.
    pub(crate) fn advance_requests(&mut self) -> bool {
        if let Some(id) = self.client_ids().find(|id| self.peek_client(*id).due() <= self.now) {
            self.expire(id);
            return true;
        }
        if let Some((id, reason)) = self.client_ids().find_map(|id| Some((id, self.gives_up(id)?))) {
            let Request { slot, asked, .. } = self.client(id).queue.remove(0);
            self.free_slot(slot);
            self.refuse_request(id, Some(slot), asked, reason);
            return true;
        }
        if let Some((worker, id)) = self.next_one_off() {
            self.start_one_off(worker, id);
            return true;
        }
        false
    }

    /// Why the first that waits of this client will not be run.
    fn gives_up(&self, id: ClientId) -> Option<Reason> {
        let (client, task) = (self.peek_client(id), self.task_of(id));
        let first = client.queue.first()?;
        if self.draining != Draining::No {
            return Some(Reason::Draining);
        }
        if self.task_rests(&task) {
            return Some(Reason::Resting);
        }
        let would_start = self.can_start(id) && self.has_free_worker(task.model());
        let hopeless =
            would_start && !self.fault.is(Fault::HopelessStarts) && self.no_time_for_request(id, first.deadline, 0);
        hopeless.then_some(Reason::NoTimeLeft)
    }

    /// Whether the first that waits of this client may be started.
    fn can_start(&self, id: ClientId) -> bool {
        let client = self.peek_client(id);
        let occupies = client.abandoned_on.is_some_and(|worker| self.peek_worker(worker).is_in_service());
        client.first().is_some() && !occupies
    }

    /// The first free worker that no observation waits for, and whose turn it is there.
    fn next_one_off(&self) -> Option<(WorkerId, ClientId)> {
        let free = (0u16..).zip(self.tables.workers.iter()).filter(|(_, worker)| worker.is_free());
        let idle = free.filter(|(_, worker)| {
            !schedule::is_waited_for(self.tables.agenda, worker.models) || self.fault.is(Fault::OneOffBeforeControl)
        });
        let mut idle = idle.map(|(id, _)| WorkerId(id));
        idle.find_map(|worker| self.whose_turn(worker).map(|client| (worker, client)))
    }

    /// Who was served least recently of those whose next request this worker may start.
    fn whose_turn(&self, worker: WorkerId) -> Option<ClientId> {
        let models = self.peek_worker(worker).models;
        let fits = |id: &ClientId| {
            let (client, model) = (self.peek_client(*id), self.task_of(*id).model());
            let first = client.first().filter(|_| self.can_start(*id) && models.contains(model));
            first.is_some_and(|first| self.fits(worker, model, first.deadline) || self.fault.is(Fault::HopelessStarts))
        };
        let served = |id: &ClientId| if self.fault.is(Fault::NotRoundRobin) { 0 } else { self.peek_client(*id).served };
        self.client_ids().filter(fits).min_by_key(served)
    }

    fn start_one_off(&mut self, worker: WorkerId, id: ClientId) {
        let (model, since) = (self.task_of(id).model(), self.now);
        self.turn = self.turn.saturating_add(1);
        let turn = self.turn;
        let client = self.client(id);
        let request = client.queue.remove(0);
        client.stage = Stage::Running { request, worker };
        client.served = turn;
        let one_off = OneOff { client: id, slot: request.slot, answer: Awaited::Open };
        self.worker(worker).running = Some(Running::one_off(model, since, one_off));
        self.push(Pending::Start(worker));
    }

    /// The request of this client whose deadline passed first in its order: it is told, whatever becomes of its result.
    pub(crate) fn expire(&mut self, id: ClientId) {
        let now = self.now;
        let client = self.client(id);
        if let Stage::Running { request: Request { slot, asked, deadline }, worker } = client.stage
            && deadline <= now
        {
            client.stage = Stage::Idle;
            client.abandoned_on = Some(worker);
            let one_off = self.worker(worker).one_off_mut();
            one_off.expect("a client that waits for a worker has its one-off there").answer = Awaited::FellDue;
            return self.expire_request(id, Some(slot), asked, Reason::DeadlinePassed);
        }
        let expired = client.queue.iter().position(|request| request.deadline <= now);
        if let Some(place) = expired {
            let Request { slot, asked, .. } = client.queue.remove(place);
            self.free_slot(slot);
            self.expire_request(id, Some(slot), asked, Reason::DeadlinePassed);
        }
    }

    /// A worker that ran a one-off is free again: its result goes to the guard, or is discarded.
    pub(crate) fn finished_one_off(&mut self, worker: WorkerId, ended: OneOff, output: Result<&[f32], Failed>) {
        let OneOff { client: id, slot, answer } = ended;
        match answer {
            Awaited::Open => self.reply_with(id, self.peek_worker(worker).place, output),
            Awaited::Closed | Awaited::FellDue => {
                let client = self.client(id);
                client.ledger.discard();
                client.abandoned_on.take_if(|abandoned| *abandoned == worker);
                self.free_slot(slot);
            }
        }
    }

    fn reply_with(&mut self, id: ClientId, place: Place, output: Result<&[f32], Failed>) {
        let task = self.task_of(id);
        let marks = self.marks_of(&task);
        let Stage::Running { request, .. } = core::mem::replace(&mut self.client(id).stage, Stage::Idle) else {
            unreachable!("a result is awaited as long as its client waits for it")
        };
        let result = output.map_err(Failed::reason).and_then(|raw| match task.gives() {
            Gives::Action(envelope) => guard::result(&envelope, raw).map(Outcome::Action),
            Gives::Results { values } => guard::results(values, raw).map(Outcome::Results),
        });
        #[cfg(feature = "faults")]
        let result = match output {
            Ok(raw) if raw.len() == task.envelope().elements().len() && self.fault.is(Fault::ResultUnchecked) => {
                Ok(Outcome::Action(guard::unranged(&task.envelope(), raw)))
            }
            Ok(_) | Err(_) => result,
        };
        match result {
            Ok(result) => {
                let client = self.client(id);
                client.serial = client.serial.saturating_add(1);
                let (serial, result) = (client.serial, Some(result));
                client.stage = Stage::Sending(Sending { request, serial, result, marks, place });
                self.push(Pending::Reply(id));
            }
            Err(reason) => {
                self.free_slot(request.slot);
                self.refuse_request(id, Some(request.slot), request.asked, reason);
            }
        }
        if self.fault.is(Fault::ReplyTwice) {
            self.push(Pending::RefuseRequest {
                client: id,
                slot: Some(request.slot),
                asked: request.asked,
                reason: Reason::DeadlinePassed,
                marks,
            });
        }
    }

    /// The reply with this client's result, once.
    pub(crate) fn reply(&mut self, id: ClientId) -> Reply {
        let (boot, model, address) =
            (self.settings.boot, self.task_of(id).model_digest(), self.peek_client(id).spec.address);
        let no_deadline = self.fault.is(Fault::ExpiredResultLeaves);
        let untold = self.fault.is(Fault::PlaceUntold);
        let Stage::Sending(sending) = &mut self.client(id).stage else {
            unreachable!("a reply is announced when the client's result begins to be sent")
        };
        let result = sending.result.take().expect("each result is announced once");
        Reply {
            client: id,
            slot: Some(sending.request.slot),
            ticket: Some(Ticket { of: Party::Client(id), serial: sending.serial }),
            deadline: if no_deadline { None } else { Some(sending.request.deadline) },
            address,
            boot,
            model,
            status: sending.marks,
            place: if untold { Place::Box } else { sending.place },
            asked: sending.request.asked,
            says: match result {
                Outcome::Action(result) => Replied::Result(result),
                Outcome::Results(complete) => Replied::Results(complete),
            },
        }
    }

    pub(crate) fn request_refusal(
        &self,
        client: ClientId,
        slot: Option<SlotId>,
        asked: Asked,
        (reason, marks): (Reason, Status),
    ) -> Reply {
        let task = self.task_of(client);
        Reply {
            client,
            slot,
            ticket: None,
            deadline: None,
            address: self.peek_client(client).spec.address,
            boot: self.settings.boot,
            model: task.model_digest(),
            status: marks,
            place: Place::Box,
            asked,
            says: Replied::Refusal(Refusal::new(reason)),
        }
    }

    /// A result left.
    pub(crate) fn replied(&mut self, id: ClientId, serial: u64) {
        let request = self.take_reply(id, serial);
        self.client(id).ledger.record(RequestOutcome::Answered, 1);
        self.free_slot(request.slot);
    }

    /// A result did not leave: its client is told why.
    pub(crate) fn reply_withheld(&mut self, id: ClientId, serial: u64, why: Withheld) {
        let Request { slot, asked, .. } = self.take_reply(id, serial);
        self.free_slot(slot);
        match why {
            Withheld::Deadline => self.expire_request(id, Some(slot), asked, why.reason()),
            Withheld::Link => self.refuse_request(id, Some(slot), asked, why.reason()),
        }
    }

    fn take_reply(&mut self, id: ClientId, serial: u64) -> Request {
        match core::mem::replace(&mut self.client(id).stage, Stage::Idle) {
            Stage::Sending(sending) if sending.serial == serial => sending.request,
            Stage::Idle | Stage::Running { .. } | Stage::Sending(_) => {
                unreachable!("a ticket is reported once, while its client's result is being sent")
            }
        }
    }

    /// Whether a one-off that expired took, by itself, longer than its task's whole deadline: only then it is its
    /// worker's fault. A short budget quarantines nobody.
    pub(crate) fn one_off_blames(&self, running: &Running, took: Duration) -> bool {
        running.one_off.is_some_and(|one_off| {
            let whole = took >= self.task_of(one_off.client).deadline();
            one_off.answer == Awaited::FellDue && (whole || self.fault.is(Fault::OneOffBlames))
        })
    }

    /// When the next request expires, and whose it is.
    pub(crate) fn next_request_due(&self) -> Option<(Instant, ClientId)> {
        self.client_ids().map(|id| (self.peek_client(id).due(), id)).min_by_key(|(due, _)| *due)
    }

    pub(crate) fn client_ids(&self) -> impl Iterator<Item = ClientId> + use<> {
        (0..u16::try_from(self.tables.clients.len()).unwrap_or(u16::MAX)).map(ClientId)
    }

    pub(crate) fn has_free_worker(&self, model: ModelId) -> bool {
        self.tables.workers.iter().any(|worker| worker.is_free() && worker.models.contains(model))
    }
}
