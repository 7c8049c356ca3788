//! The engine's thread: takes what arrived, lets the engine decide, performs what it decided.
//!
//! Every queue that it reads or fills is wait-free. A put takes zenoh's own locks: their holders run right below this
//! thread where FIFO is granted (see [`zenoh_link`]). Whatever else could wait is handed to the main thread: log
//! lines, and queries, whose reply and whose memory are zenoh's business.
//!
//! It must never decide, log, block or free what zenoh allocated.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
};

use engine::{Action, ConnectionId, Engine, Event, Instant, Reason, Send, Target, Withheld, WorkerId};
use heapless::spsc::Producer;
use message::{Notice, Observation, Response};
use zenoh_link::{Arrival, Inbox, Link, Overflowed, PendingQuery, PutError, RouteId};

use crate::{
    allocation, clock,
    reports::Report,
    snapshot::Desk as SnapshotDesk,
    worker::{Desk, Done, Order, Slot},
};

/// The longest sleep: the watchdog expects a step this often.
pub(crate) const HEARTBEAT: engine::Duration = engine::Duration::from_micros(50_000);

/// Wakes the engine's thread; waits for nothing.
#[derive(Clone, Default)]
pub(crate) struct Wake(Arc<OnceLock<Thread>>);

impl Wake {
    /// Names the thread to be woken.
    pub(crate) fn this_thread(&self) {
        self.0.set(thread::current()).expect("one thread runs the engine");
    }

    /// Wakes it, now or when it next falls asleep.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

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

/// What the engine's thread works with.
pub(crate) struct Turn {
    pub(crate) engine: Engine<'static>,
    pub(crate) link: Arc<Link>,
    pub(crate) workers: Vec<Desk>,
    /// `None`: a worker has it.
    pub(crate) slots: Vec<Option<Slot>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: Producer<'static, Report>,
    pub(crate) refused: Producer<'static, Refused>,
    pub(crate) snapshots: SnapshotDesk,
}

/// What the actions of one event may refer to.
#[derive(Default)]
struct Current<'f> {
    frame: Option<&'f [u8]>,
    stray: Option<&'f str>,
    query: Option<PendingQuery>,
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

impl Turn {
    /// Runs until nothing is left to answer after a shutdown was asked for.
    pub(crate) fn run(mut self, mut inbox: Inbox) {
        allocation::ours(|| self.turn(&mut inbox));
    }

    fn turn(&mut self, inbox: &mut Inbox) {
        let mut draining = false;
        while !self.shared.drained.load(Ordering::Acquire) {
            self.shared.progress.fetch_add(1, Ordering::Release);
            // Before any frame, however many wait: a deadline does not queue behind them.
            self.fall_due();
            if !draining && self.shared.drain.load(Ordering::Acquire) {
                draining = true;
                self.event(Event::Drain, Current::default());
            }
            self.take_results();
            let mut more = inbox.poll(|arrival| self.arrive(arrival));
            more |= self.take_query(inbox);
            inbox.take_overflow(|what, count| self.overflow(what, count));
            self.snapshots.serve(&self.engine);
            if !more {
                self.sleep();
            }
        }
    }

    fn sleep(&mut self) {
        let now = clock::now();
        let heartbeat = now.after(HEARTBEAT);
        let wanted = self.engine.poll_timeout().map_or(heartbeat, |(at, _)| at.min(heartbeat));
        if wanted > now {
            thread::park_timeout(wanted.since(now).into());
        }
    }

    fn fall_due(&mut self) {
        if self.engine.poll_timeout().is_some_and(|(at, _)| at <= clock::now()) {
            self.event(Event::Timeout, Current::default());
        }
    }

    fn take_results(&mut self) {
        for worker in 0..self.workers.len() {
            if let Some(Done { slot, memory, result }) = self.workers[worker].done() {
                let id = WorkerId(u16::try_from(worker).expect("the engine's table has at most 65535 workers"));
                let output = result.map(|()| memory.output());
                self.engine.handle(clock::now(), Event::Finished { worker: id, output });
                self.slots[usize::from(slot.0)] = Some(memory);
                self.perform(&mut Current::default());
            }
        }
    }

    fn arrive(&mut self, arrival: Arrival<'_>) {
        match arrival {
            Arrival::Frame { route, at_ns, bytes } => {
                let event = Event::Frame { connection: connection(route), arrival: Instant::from_nanos(at_ns), bytes };
                self.event(event, Current { frame: Some(bytes), ..Current::default() });
            }
            Arrival::Oversize { route, at_ns } => {
                let event = Event::Oversize { connection: connection(route), arrival: Instant::from_nanos(at_ns) };
                self.event(event, Current::default());
            }
            Arrival::Shed { route, at_ns, header } => {
                let event = Event::Shed { connection: connection(route), arrival: Instant::from_nanos(at_ns), header };
                self.event(event, Current::default());
            }
            Arrival::Stray { key, at_ns, bytes } => {
                let event = Event::Stray { arrival: Instant::from_nanos(at_ns), bytes };
                self.event(event, Current { stray: Some(key), ..Current::default() });
            }
        }
    }

    /// At most one query, and only if it can be handed on: this thread never frees one. Returns whether one was
    /// taken.
    fn take_query(&mut self, inbox: &mut Inbox) -> bool {
        if !self.refused.ready() {
            return false;
        }
        let Some(query) = inbox.take_query() else { return false };
        self.event(Event::Query, Current { query: Some(query), ..Current::default() });
        true
    }

    fn overflow(&mut self, what: Overflowed, count: u64) {
        let event = match what {
            Overflowed::Route(route) => Event::ShedUnseen { connection: Some(connection(route)), count },
            Overflowed::Strays => Event::ShedUnseen { connection: None, count },
            Overflowed::Queries => Event::QueriesUnseen { count },
        };
        self.event(event, Current::default());
    }

    fn event(&mut self, event: Event<'_>, mut current: Current<'_>) {
        self.engine.handle(clock::now(), event);
        self.perform(&mut current);
        assert!(current.query.is_none(), "the engine refuses every query");
    }

    fn perform(&mut self, current: &mut Current<'_>) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Store { slot } => {
                    let frame = current.frame.expect("only a frame is stored");
                    let values = frame.get(Observation::OVERHEAD..).expect("an admitted frame has its values");
                    let memory = self.slots[usize::from(slot.0)].as_mut();
                    allocation::deliberate();
                    memory.expect("a free slot is here").store(message::floats(values));
                }
                Action::StartInference { worker, model, slot } => {
                    let memory = self.slots[usize::from(slot.0)].take().expect("a slot that waits is here");
                    self.workers[usize::from(worker.0)].order(Order { model, slot, memory });
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
                Action::Exit { reason } => {
                    // The engine says so once; a second reason would change nothing.
                    let _ = self.shared.exit.set(reason);
                }
                Action::Drained => self.shared.drained.store(true, Ordering::Release),
            }
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

fn connection(route: RouteId) -> ConnectionId {
    ConnectionId(u16::try_from(route.index()).expect("as many routes as connections, at most 65535"))
}

fn route(connection: ConnectionId) -> RouteId {
    RouteId::new(u32::from(connection.0))
}
