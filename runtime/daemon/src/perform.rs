//! Performs what the engine decides: stores, hands over to workers, puts or withholds, reports.
//!
//! A put takes zenoh's own locks: their holders run right below the engine's thread where FIFO is granted (see
//! [`zenoh_link`]). Whatever else could wait is handed to the main thread: log lines, and queries, whose reply and whose
//! memory are zenoh's business.
//!
//! It must never decide, log, block or free what zenoh allocated.

use std::{
    num::NonZeroU8,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use engine::{Action, ConnectionId, Engine, Event, MAX_BATCH, Reason, Replied, Send, Target, Withheld, WorkerId};
use heapless::{Deque, spsc::Producer};
use message::{InferReply, InferRequest, InferResult, Input, Notice, Observation, Response};
use zenoh_link::{Link, PutError, RouteId};

use crate::{
    allocation, clock,
    reports::Report,
    requests::{Asker, Frame, Requests},
    samples::{Joined, Samples, Tensor},
    state::States,
    worker::{About, Desk, Done, Member, Order, Slot},
};

/// What other threads see and ask of the engine's thread.
#[derive(Default)]
pub(crate) struct Shared {
    /// Grows with each step: the watchdog reads it.
    pub(crate) progress: AtomicU64,
    /// Asks for a shutdown.
    pub(crate) drain: AtomicBool,
    /// Nothing is in flight any more and every controller got its farewell.
    pub(crate) drained: AtomicBool,
    /// Why the process must end, once it must.
    pub(crate) exit: OnceLock<Reason>,
}

impl Shared {
    /// Whether a shutdown was asked for.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain.load(Ordering::Acquire)
    }
}

/// The engine, and all that it needs to have its way.
pub(crate) struct Performer {
    pub(crate) engine: Engine<'static>,
    pub(crate) link: Arc<Link>,
    pub(crate) workers: Vec<Desk>,
    /// `None`: a worker has it.
    pub(crate) slots: Vec<Option<Slot>>,
    pub(crate) tasks: Tasks,
    pub(crate) samples: Samples,
    pub(crate) states: States,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: Producer<'static, Report>,
    pub(crate) requests: Requests,
    /// What one of zenoh's threads may not put.
    pub(crate) held: Deque<Action, HELD>,
    pub(crate) may_put: bool,
}

/// More than the engine decides upon one arrival: it hands out at most 16 actions for an event, and one of zenoh's
/// threads takes no further arrival while something is held.
const HELD: usize = 32;

/// What the actions of one event may refer to.
#[derive(Default)]
pub(crate) struct Current<'f> {
    /// An observation.
    pub(crate) frame: Option<&'f [u8]>,
    /// A one-off request.
    pub(crate) request: Option<&'f [u8]>,
    /// A joined input's.
    pub(crate) sample: Option<&'f [u8]>,
    /// What a camera's picture became.
    pub(crate) tensor: Option<Adoption<'f>>,
    pub(crate) stray: Option<&'f str>,
    pub(crate) asker: Option<Asker>,
}

/// Inputs that look alike at a camera share its tensor.
pub(crate) enum Adoption<'f> {
    /// It is kept for all of them.
    First(&'f mut Tensor),
    /// It has been.
    Shared,
}

impl Current<'_> {
    /// The values of what an admitted frame holds.
    fn values(&self) -> impl ExactSizeIterator<Item = f32> {
        let values = match (self.frame, self.request) {
            (Some(frame), _) => frame.get(Observation::OVERHEAD..),
            (None, Some(request)) => request.get(InferRequest::OVERHEAD..),
            (None, None) => None,
        };
        message::floats(values.expect("only an admitted frame is stored, and it has its values"))
    }
}

/// Whose task each connection and each client has, by its place in the config.
pub(crate) struct Tasks {
    pub(crate) of_connection: Vec<usize>,
    pub(crate) of_client: Vec<usize>,
}

/// What became of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Put {
    Taken,
    /// It was not tried: its deadline had passed.
    Late,
    /// The link did not take it.
    Refused,
    /// Nobody could be told: no response key follows from where the stray was published.
    Nowhere,
}

impl Performer {
    /// Lets the engine decide upon an event, and performs what it decides.
    pub(crate) fn event(&mut self, event: Event<'_>, mut current: Current<'_>) {
        self.engine.handle(clock::now(), event);
        self.perform(&mut current);
        assert!(current.asker.is_none(), "the engine keeps or refuses every query");
    }

    /// A worker's result: its slots come back with it.
    pub(crate) fn finished(&mut self, worker: WorkerId, done: Done) {
        let Done { mut members, result, execution } = done;
        {
            let each: heapless::Vec<_, MAX_BATCH> = members.iter().map(|member| member.memory.output()).collect();
            let outputs = result.map(|()| each.as_slice());
            self.engine.handle(clock::now(), Event::Finished { worker, outputs, execution });
        }
        // Samples are given back with their members: who holds one last is here.
        for Member { slot, memory, joined: _ } in members.drain(..) {
            self.slots[usize::from(slot.0)] = Some(memory);
        }
        self.workers[usize::from(worker.0)].give_back(members);
        self.perform(&mut Current::default());
    }

    /// Puts what one of zenoh's threads had to leave.
    pub(crate) fn put_held(&mut self) {
        while let Some(action) = self.held.pop_front() {
            self.act(action, &mut Current::default());
            // What follows from its report.
            self.perform(&mut Current::default());
        }
    }

    fn perform(&mut self, current: &mut Current<'_>) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                // The end of all after what is said before it.
                Action::Send(_) | Action::Notify(_) | Action::Drained if !self.may_put => {
                    let kept = self.held.push_back(action).is_ok();
                    assert!(kept, "one arrival causes no more than there is room for");
                }
                Action::Send(_)
                | Action::Notify(_)
                // It is handed to the main thread, which anybody may.
                | Action::Reply(_)
                | Action::Store { .. }
                | Action::StoreSample { .. }
                | Action::StartInference { .. }
                | Action::Advance { .. }
                | Action::Quarantine { .. }
                | Action::RecordVoid { .. }
                | Action::Exit { .. }
                | Action::Drained => self.act(action, current),
            }
        }
    }

    fn act(&mut self, action: Action, current: &mut Current<'_>) {
        match action {
            Action::Store { slot } => {
                let memory = self.slots[usize::from(slot.0)].as_mut();
                allocation::deliberate();
                memory.expect("a free slot is here").store(current.values());
                if let Some(asker) = current.asker.take() {
                    self.requests.keep(slot, asker);
                }
            }
            Action::StoreSample { input } => {
                match current.tensor.take() {
                    Some(Adoption::First(tensor)) => return self.samples.adopt(input, tensor),
                    Some(Adoption::Shared) => return,
                    None => {}
                }
                let sample = current.sample.and_then(|sample| sample.get(Input::OVERHEAD..));
                let values =
                    message::floats(sample.expect("only a sample that was read is kept, and it has its values"));
                self.samples.store(input, values);
            }
            Action::StartInference { worker, model, slots } => {
                let about = self.about(worker);
                let desk = &mut self.workers[usize::from(worker.0)];
                let mut members = desk.no_members();
                members.extend(slots.into_iter().map(|slot| {
                    let memory = self.slots[usize::from(slot.0)].take().expect("a slot that waits is here");
                    Member { slot, memory, joined: Joined::new() }
                }));
                // As many, in the same order; a one-off request has no connection, and its task no joined input.
                let of_plan = self.engine.plan_on(worker);
                for (member, of) in members.iter_mut().zip(self.engine.members(worker).chain(of_plan)) {
                    member.joined = self.samples.of(of.connection);
                }
                self.states.begin(&self.engine, (worker, model), &mut members);
                desk.order(Order { model, members, at: clock::now(), about });
            }
            Action::Advance { connection, slot } => {
                let memory = self.slots[usize::from(slot.0)].as_ref().expect("a slot that was computed in is here");
                self.states.advance(connection, memory);
            }
            Action::Send(send) => self.send(&send, current),
            Action::Reply(reply) => self.reply(&reply, current),
            Action::Notify(notify) => {
                let mut frame = [0; Notice::MAX_FRAME];
                let length = notify.encode(&mut frame);
                let put = || self.link.notify(route(notify.connection()), &frame[..length]);
                if allocation::others(put).is_err() {
                    self.report(Report::NotSent);
                }
            }
            Action::Quarantine { worker, reason, spare } => {
                self.report(Report::Quarantine { worker, reason, spare });
            }
            Action::RecordVoid { worker, model, reason } => {
                self.report(Report::RecordVoid { worker, model, reason });
            }
            Action::Exit { reason } => {
                // The engine says so once; a second reason would change nothing.
                let _ = self.shared.exit.set(reason);
            }
            Action::Drained => self.shared.drained.store(true, Ordering::Release),
        }
    }

    /// Reads the clock just before the put, puts or withholds, and tells the engine which.
    fn send(&mut self, send: &Send, current: &mut Current<'_>) {
        let mut buffer = [0; Response::MAX_FRAME];
        let length = send.encode(clock::now(), &mut buffer);
        let at = clock::now();
        let put = if send.deadline().is_some_and(|deadline| at >= deadline) {
            Put::Late
        } else {
            self.put(send.target(), &buffer, length, current)
        };
        if let Some(ticket) = send.ticket() {
            let event = match put {
                Put::Taken => Event::Sent { ticket, at },
                Put::Late => Event::Withheld { ticket, why: Withheld::Deadline },
                Put::Refused | Put::Nowhere => Event::Withheld { ticket, why: Withheld::Link },
            };
            self.engine.handle(at, event);
        } else if put == Put::Refused {
            self.report(Report::NotSent);
        }
        // Trace level formats, and so allocates, on this thread: it is for looking into a box, not for serving.
        tracing::trace!(target: "genba::observation", send = ?send.answer(), sequence = ?send.sequence(), ?put);
        if let engine::Answer::Refusal(refusal) = send.answer()
            && refusal.reason().row().kind == engine::ReasonKind::Miss
        {
            self.report(Report::Missed { connection: send.connection(), reason: refusal.reason() });
        }
    }

    /// Hands a request's reply to the main thread before its deadline, or withholds it, and tells the engine which.
    fn reply(&mut self, reply: &engine::Reply, current: &mut Current<'_>) {
        let frame = match reply.says() {
            // Only a box without robots has such models.
            Replied::Results(_) => {
                let slot = reply.slot().expect("results lie in a slot");
                let memory = self.slots[usize::from(slot.0)].as_ref().expect("a slot that was computed in is here");
                allocation::others(|| Frame::Long(results(reply, memory.output())))
            }
            Replied::Result(_) | Replied::Refusal(_) => {
                let mut frame = [0; InferReply::MAX_FRAME];
                let length = reply.encode(clock::now(), &mut frame);
                Frame::short(&frame[..length])
            }
        };
        let at = clock::now();
        if reply.deadline().is_some_and(|deadline| at >= deadline) {
            let ticket = reply.ticket().expect("what has a deadline has a ticket");
            // The query stays: its refusal follows.
            self.engine.handle(at, Event::Withheld { ticket, why: Withheld::Deadline });
            return;
        }
        let asker = match reply.slot() {
            Some(slot) => self.requests.release(slot),
            None => current.asker.take().expect("what was not admitted is refused at once"),
        };
        self.requests.reply(asker, frame, !matches!(reply.says(), Replied::Refusal(_)));
        if let Some(ticket) = reply.ticket() {
            self.engine.handle(at, Event::Sent { ticket, at });
        }
    }

    fn put(
        &mut self,
        target: Target,
        frame: &[u8; Response::MAX_FRAME],
        length: usize,
        current: &mut Current<'_>,
    ) -> Put {
        let bytes = &frame[..length];
        let put = match target {
            Target::Connection(connection) => allocation::others(|| self.link.respond(route(connection), bytes)),
            Target::Stray => {
                let key = current.stray.expect("only a stray is answered beside its key");
                allocation::others(|| self.link.respond_stray(key, bytes))
            }
            Target::Query => {
                let asker = current.asker.take().expect("only a query is answered by a reply");
                self.requests.reply(asker, Frame::short(bytes), false);
                return Put::Taken;
            }
        };
        match put {
            Ok(()) => Put::Taken,
            Err(PutError::NotAnObservationKey { .. }) => Put::Nowhere,
            Err(PutError::UnknownRoute(_) | PutError::Zenoh(_)) => Put::Refused,
        }
    }

    /// What the inference that was just started is for.
    fn about(&self, worker: WorkerId) -> About {
        let deadline = self.engine.deadline_on(worker).expect("it was just started");
        let member = self.engine.members(worker).next().or_else(|| self.engine.plan_on(worker));
        match (member, self.engine.client_on(worker)) {
            (Some(engine::Member { connection, sequence, .. }), _) => About {
                task: self.tasks.of_connection[usize::from(connection.0)],
                sequence: sequence.value(),
                deadline,
                priority: NonZeroU8::new(1),
            },
            (None, Some(client)) => About {
                task: self.tasks.of_client[usize::from(client.0)],
                sequence: 0,
                deadline,
                priority: NonZeroU8::new(2),
            },
            (None, None) => unreachable!("an inference is for somebody"),
        }
    }

    fn report(&mut self, report: Report) {
        // A full queue loses a log line, never an outcome: the ledgers count each.
        let _ = self.reports.enqueue(report);
    }
}

/// The frame of these results.
fn results(reply: &engine::Reply, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; size_of_val(values)];
    message::put_floats(values, &mut bytes).expect("as many bytes as are needed");
    let mut frame = vec![0; InferResult::OVERHEAD + bytes.len()];
    let encoded = reply.encode_results(clock::now(), &bytes, &mut frame);
    assert!(encoded.is_ok(), "a model whose results do not fit is not served");
    frame
}

pub(crate) fn connection(route: RouteId) -> ConnectionId {
    ConnectionId(u16::try_from(route.index()).expect("as many routes as connections, at most 65535"))
}

pub(crate) fn client_id(client: zenoh_link::ClientId) -> engine::ClientId {
    engine::ClientId(u16::try_from(client.index()).expect("as many clients as requests may be open, at most"))
}

fn route(connection: ConnectionId) -> RouteId {
    RouteId::new(u32::from(connection.0))
}
