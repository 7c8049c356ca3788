//! The engine's thread: takes what arrived, lets the engine decide, performs what it decided.
//!
//! It never waits for a thread of lower priority: every queue it reads is wait-free, every put returns at once,
//! and what is worth a log line is handed to the main thread.

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
use zenoh_link::{Arrival, Inbox, Link, PendingQuery, RouteId};

use crate::{
    allocation, clock,
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
}

/// What the main thread should log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    Quarantine { worker: WorkerId, reason: Reason, spare: Option<WorkerId> },
    Exit(Reason),
    Missed { connection: Option<ConnectionId>, reason: Reason },
    NotSent,
}

/// How many reports wait for the main thread; those beyond are counted in the ledgers all the same.
pub(crate) const REPORTS: usize = 64;

/// What the engine's thread works with.
pub(crate) struct Turn {
    pub(crate) engine: Engine<'static>,
    pub(crate) link: Arc<Link>,
    pub(crate) workers: Vec<Desk>,
    /// `None`: a worker has it.
    pub(crate) slots: Vec<Option<Slot>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reports: Producer<'static, Report>,
    pub(crate) snapshots: SnapshotDesk,
}

/// What the actions of one event may refer to.
#[derive(Default)]
struct Current<'f> {
    frame: Option<&'f [u8]>,
    stray: Option<&'f str>,
    query: Option<PendingQuery>,
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
            if !draining && self.shared.drain.load(Ordering::Acquire) {
                draining = true;
                self.event(Event::Drain, Current::default());
            }
            self.take_results();
            let more = inbox.poll(|arrival| self.arrive(arrival));
            inbox.take_uncounted(|route, count| {
                let connection = route.map(connection);
                self.event(Event::ShedUnseen { connection, count }, Current::default());
            });
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
            Arrival::Oversize { route, .. } => {
                self.event(Event::Oversize { connection: connection(route) }, Current::default());
            }
            Arrival::Shed { route, header, .. } => {
                self.event(Event::Shed { connection: connection(route), header }, Current::default());
            }
            Arrival::Stray { key, bytes, .. } => {
                let event = Event::Stray { header: message::peek(bytes) };
                self.event(event, Current { stray: Some(key), ..Current::default() });
            }
            Arrival::Query { query } => {
                self.event(Event::Query, Current { query: Some(query), ..Current::default() });
            }
        }
    }

    fn event(&mut self, event: Event<'_>, mut current: Current<'_>) {
        self.engine.handle(clock::now(), event);
        self.perform(&mut current);
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
                Action::Exit { reason } => self.report(Report::Exit(reason)),
                Action::Drained => self.shared.drained.store(true, Ordering::Release),
            }
        }
    }

    /// Reads the clock just before the put, puts or withholds, and tells the engine which.
    fn send(&mut self, send: &Send, current: &mut Current<'_>) {
        let mut buffer = [0; Response::MAX_FRAME];
        let length = send.encode(clock::now(), &mut buffer);
        let frame = &buffer[..length];
        let at = clock::now();
        if send.deadline().is_some_and(|deadline| at >= deadline) {
            return self.withheld(send, Withheld::Deadline);
        }
        let put = allocation::others(|| match send.target() {
            Target::Connection(connection) => self.link.respond(route(connection), frame).is_ok(),
            Target::Stray => current.stray.is_none_or(|key| self.link.respond_stray(key, frame).is_ok()),
            Target::Query => current.query.take().is_none_or(|query| self.link.refuse_query(query, frame).is_ok()),
        });
        tracing::trace!(target: "genba::observation", send = ?send.answer(), sequence = ?send.sequence(), put);
        match (put, send.ticket()) {
            (true, Some(ticket)) => self.engine.handle(at, Event::Sent { ticket, at }),
            (false, Some(_)) => self.withheld(send, Withheld::Link),
            (true, None) => {}
            (false, None) => self.report(Report::NotSent),
        }
        if let engine::Answer::Refusal(refusal) = send.answer()
            && refusal.reason().row().kind == engine::ReasonKind::Miss
        {
            self.report(Report::Missed { connection: send.connection(), reason: refusal.reason() });
        }
    }

    fn withheld(&mut self, send: &Send, why: Withheld) {
        let ticket = send.ticket().expect("only an action has a deadline or an outcome");
        self.engine.handle(clock::now(), Event::Withheld { ticket, why });
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
