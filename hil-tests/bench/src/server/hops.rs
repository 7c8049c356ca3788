//! A server with the box's one hand-over and nothing of its engine: zenoh's callback, and a worker, which answers and,
//! like the box's, rises above zenoh's threads to put: else the client's next observation would interrupt it there.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use manifest::Manifest;
use message::Response;
use miette::{IntoDiagnostic, Result};
use zenoh_link::{Arrival, Inbox, Link};

use super::answerer::Answerer;
use super::{ROUTE, Server, until_the_bench_ends};
use crate::scheduling;

pub(super) fn serve(server: &Server, manifest: &Manifest) -> Result<()> {
    let answerer = Answerer::of(server.subject, manifest)?;
    let worker: Arc<OnceLock<Thread>> = Arc::default();
    let woken = Arc::clone(&worker);
    let (link, inbox) = server.open_link(manifest, move || {
        if let Some(worker) = woken.get() {
            worker.unpark();
        }
    })?;
    let priority = server.fifo_priority;
    let work = move || work(answerer, &link, inbox, priority);
    let thread = thread::Builder::new().name("worker".to_owned()).spawn(work).into_diagnostic()?;
    let _ = worker.set(thread.thread().clone());
    until_the_bench_ends();
    Ok(())
}

fn work(mut answerer: Answerer, link: &Link, mut inbox: Inbox, priority: Option<i32>) {
    let change = |to: Option<i32>| {
        if let Some(priority) = to {
            scheduling::fifo(priority).expect("the bench has real-time rights, so its servers have");
        }
    };
    let computes = priority.map(|priority| priority - 2);
    let mut reply = Box::new([0; Response::MAX_FRAME]);
    change(computes);
    loop {
        let more = inbox.poll(|arrival| {
            if let Arrival::Frame { bytes, .. } = arrival {
                let length = answerer.answer(bytes, &mut reply);
                change(priority);
                let _ = link.respond(ROUTE, &reply[..length]);
                change(computes);
            }
        });
        if !more {
            thread::park();
        }
    }
}
