//! A server with the box's three hand-overs and nothing of its engine: zenoh's callback, a thread in the
//! engine's place, a worker, and back to the engine's place, which puts.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use heapless::spsc::{Consumer, Producer, Queue};
use manifest::Manifest;
use message::Response;
use miette::{IntoDiagnostic, Result};
use zenoh_link::{Arrival, Inbox, Link};

use super::answerer::{Answerer, Reply};
use super::{ROUTE, Server, until_the_bench_ends};
use crate::scheduling;

/// One observation on its way, and its answer.
struct Parcel {
    frame: Vec<u8>,
    reply: Box<Reply>,
    length: usize,
}

type Receiver = Consumer<'static, Box<Parcel>>;
type Sender = Producer<'static, Box<Parcel>>;

pub(super) fn serve(server: &Server, manifest: &Manifest) -> Result<()> {
    let answerer = Answerer::of(server.subject, manifest)?;
    let engine: Arc<OnceLock<Thread>> = Arc::default();
    let woken = Arc::clone(&engine);
    let (link, inbox) = server.open_link(manifest, move || {
        if let Some(engine) = woken.get() {
            engine.unpark();
        }
    })?;
    let (orders, received) = Box::leak(Box::new(Queue::<_, 2>::new())).split();
    let (reports, done) = Box::leak(Box::new(Queue::<_, 2>::new())).split();

    let (back, priority) = (Arc::clone(&engine), server.fifo_priority);
    let worker =
        spawn("worker", priority.map(|priority| priority - 2), move || work(answerer, received, reports, &back))?;
    let turning = Engine { link, orders, done, worker };
    let thread = spawn("engine", priority, move || turning.run(inbox))?;
    let _ = engine.set(thread);
    until_the_bench_ends();
    Ok(())
}

fn spawn(name: &str, priority: Option<i32>, run: impl FnOnce() + Send + 'static) -> Result<Thread> {
    let prepared = move || {
        if let Some(priority) = priority {
            scheduling::fifo(priority).expect("the bench has real-time rights, so its servers have");
        }
        run();
    };
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(prepared).into_diagnostic()?;
    Ok(spawned.thread().clone())
}

/// The thread in the engine's place.
struct Engine {
    link: Link,
    orders: Sender,
    done: Receiver,
    worker: Thread,
}

impl Engine {
    fn run(mut self, mut inbox: Inbox) {
        let parcel = || Box::new(Parcel { frame: Vec::new(), reply: Box::new([0; Response::MAX_FRAME]), length: 0 });
        let mut free = Some(parcel());
        loop {
            if let Some(parcel) = self.done.dequeue() {
                let _ = self.link.respond(ROUTE, &parcel.reply[..parcel.length]);
                free = Some(parcel);
            }
            let more = inbox.poll(|arrival| {
                if let Arrival::Frame { bytes, .. } = arrival
                    && let Some(mut parcel) = free.take()
                {
                    parcel.frame.clear();
                    parcel.frame.extend_from_slice(bytes);
                    assert!(self.orders.enqueue(parcel).is_ok(), "there is one parcel");
                    self.worker.unpark();
                }
            });
            if !more {
                thread::park();
            }
        }
    }
}

fn work(mut answerer: Answerer, mut received: Receiver, mut reports: Sender, engine: &OnceLock<Thread>) {
    loop {
        let Some(mut parcel) = received.dequeue() else {
            thread::park();
            continue;
        };
        parcel.length = answerer.answer(&parcel.frame, &mut parcel.reply);
        assert!(reports.enqueue(parcel).is_ok(), "there is one parcel");
        if let Some(engine) = engine.get() {
            engine.unpark();
        }
    }
}
