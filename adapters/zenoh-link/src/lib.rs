//! The box's link to its robots: the only user of zenoh.
//!
//! [`open`] gives the [`Inbox`], which belongs to the engine thread and hands it what arrived; the [`Link`], which puts
//! responses, notices and refusals; and the [`Pictures`] of each camera, for a thread of its own. zenoh's threads take the time of an arrival,
//! put it into a queue and wake the engine thread. They decide nothing.
//!
//! What must never happen here:
//! - the engine thread waits for a thread of lower priority to receive: its side of every queue is wait-free, and it
//!   never frees a frame's payload, since that takes a lock of zenoh's. A query is given to it without its payload: it
//!   keeps it until it is decided, then hands it on to a thread that may block, which replies and frees it;
//! - a queue, a round or a message without a bound: a full queue refuses the newest frame, and what
//!   does not even fit among the refusals is counted; of a joined input only the newest sample waits;
//! - a robot that stops reading holds up a put, or another robot's responses: see [`Settings`];
//! - a client that asks too much takes another client's place: each has a queue of its own;
//! - a frame counted twice, or not at all, because its key matches several subscriptions.
//!
//! A put still takes zenoh's own locks (session, routing table, one queue for each transport). Give
//! zenoh's threads ([`Link::threads`]) the priority right below the engine thread's, so that whoever
//! holds such a lock runs on.

mod camera;
mod client;
mod durable;
mod input;
mod route;
mod settings;

mod open;

mod inbox;
mod link;
mod query;

mod intake;
mod subjects;

mod lane;
mod mailbox;
mod overflow;

mod error;
mod process;

pub use camera::{CameraId, CameraKeys, Picture, Pictures};
pub use client::{CLIENT_SLACK, ClientId, ClientKeys, MAX_CLIENT_QUEUE};
pub use durable::{Durable, DurableKeys, Durables};
pub use error::{LinkError, PutError, ThreadsRunning};
pub use inbox::{Arrival, Inbox, Request, Sample};
pub use input::{InputId, InputKeys};
pub use intake::Source;
pub use link::Link;
pub use open::{Topics, check, open};
pub use overflow::Overflowed;
pub use process::{ONE_WORKER, prepare_process};
pub use query::PendingQuery;
pub use route::{ROUTE_CAPACITY, RouteId, RouteKeys};
pub use settings::{Mode, RESPONSE_QUEUE, Settings};
