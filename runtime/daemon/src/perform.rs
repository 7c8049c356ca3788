//! Performs what the engine decides: stores, hands over to workers, puts or withholds, reports.
//!
//! A put takes zenoh's own locks: their holders run right below the engine's thread where FIFO is granted (see
//! [`zenoh_link`]). Whatever else could wait is handed to the main thread: log lines, and queries, whose reply and whose
//! memory are zenoh's business.
//!
//! It must never decide, log, block or free what zenoh allocated.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use engine::{Action, ConnectionId, Engine, Event, MAX_BATCH, Reason, Send, Target, Withheld, WorkerId};
use heapless::{Deque, spsc::Producer};
use message::{Notice, Observation, Response};
use zenoh_link::{Link, PendingQuery, PutError, RouteId};

use crate::{
    allocation, clock,
    reports::Report,
    worker::{Desk, Done, Member, Order, Slot},
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

/// A query and the encoded refusal that it gets, for a thread that may block.
pub(crate) struct Refused {
    query: PendingQuery,
    frame: [u8; Response::MAX_FRAME],
    length: usize,
}

impl Refused {
    /// Sends the refusal. It may block.
    pub(crate) fn reply(self, link: &Link) -> Result<(), PutError> {
        link.refuse_query(self.query, &self.frame[..self.length])
    }
}

/// How many refused queries wait for the main thread; further ones wait in the link, which drops and counts those
/// that find no room there.
pub(crate) const REFUSED: usize = 8;

/// The engine, and all that it needs to have its way.
pub(crate) struct Performer {
    pub(crate) engine: Engine<'static>,
    pub(crate) link: Arc<Link>,
    pub(crate) workers: Vec<Desk>,
    /// `None`: a worker has it.
    pub(crate) slots: Vec<Option<Slot>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: Producer<'static, Report>,
    pub(crate) refused: Producer<'static, Refused>,
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
    pub(crate) frame: Option<&'f [u8]>,
    pub(crate) stray: Option<&'f str>,
    pub(crate) query: Option<PendingQuery>,
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
        assert!(current.query.is_none(), "the engine refuses every query");
    }

    /// A worker's result: its slots come back with it.
    pub(crate) fn finished(&mut self, worker: WorkerId, done: Done) {
        let Done { mut members, result, execution } = done;
        {
            let each: heapless::Vec<_, MAX_BATCH> = members.iter().map(|member| member.memory.output()).collect();
            let outputs = result.map(|()| each.as_slice());
            self.engine.handle(clock::now(), Event::Finished { worker, outputs, execution });
        }
        for Member { slot, memory } in members.drain(..) {
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
                | Action::Store { .. }
                | Action::StartInference { .. }
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
                let frame = current.frame.expect("only a frame is stored");
                let values = frame.get(Observation::OVERHEAD..).expect("an admitted frame has its values");
                let memory = self.slots[usize::from(slot.0)].as_mut();
                allocation::deliberate();
                memory.expect("a free slot is here").store(message::floats(values));
            }
            Action::StartInference { worker, model, slots } => {
                let desk = &mut self.workers[usize::from(worker.0)];
                let mut members = desk.no_members();
                members.extend(slots.into_iter().map(|slot| {
                    let memory = self.slots[usize::from(slot.0)].take().expect("a slot that waits is here");
                    Member { slot, memory }
                }));
                desk.order(Order { model, members, at: clock::now() });
            }
            Action::Send(send) => self.send(&send, current),
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
                let query = current.query.take().expect("only a query is answered by a reply");
                let handed_on = self.refused.enqueue(Refused { query, frame: *frame, length });
                assert!(handed_on.is_ok(), "a query is taken only with room to hand it on");
                return Put::Taken;
            }
        };
        match put {
            Ok(()) => Put::Taken,
            Err(PutError::NotAnObservationKey { .. }) => Put::Nowhere,
            Err(PutError::UnknownRoute(_) | PutError::Zenoh(_)) => Put::Refused,
        }
    }

    fn report(&mut self, report: Report) {
        // A full queue loses a log line, never an outcome: the ledgers count each.
        let _ = self.reports.enqueue(report);
    }
}

pub(crate) fn connection(route: RouteId) -> ConnectionId {
    ConnectionId(u16::try_from(route.index()).expect("as many routes as connections, at most 65535"))
}

fn route(connection: ConnectionId) -> RouteId {
    RouteId::new(u32::from(connection.0))
}
