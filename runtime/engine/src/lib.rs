//! genba's decisions, sans-io: what is answered, when, by what, and how it is counted.
//!
//! Events go in through [`Engine::handle`], actions come out of [`Engine::poll_action`], and
//! [`Engine::poll_timeout`] says when to come back. The engine never reads a clock, allocates, blocks or logs;
//! its tables are allocated once by the caller and lent. The modules follow the way of one observation.
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(
    clippy::large_enum_variant,
    clippy::large_types_passed_by_value,
    clippy::needless_pass_by_value,
    reason = "nothing can be boxed without allocating, and what is handed over is handed over"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        reason = "a test that panics says where"
    )
)]

pub mod residency;
pub mod schedulability;

mod engine;
mod face;
mod task;
mod time;

mod account;
mod admit;
mod answer;
mod batch;
mod bucket;
mod client;
mod connection;
mod decode;
mod executions;
mod fault;
mod guard;
mod hand_off;
mod joined;
mod one_off;
mod outlook;
mod plan;
mod reason;
mod record;
mod reference;
mod reply;
mod request;
mod reset;
mod respond;
mod sample;
mod schedule;
mod state;
mod worker;

pub use account::{Ledger, Outcome, RequestLedger};
pub use client::Client;
pub use connection::{Agenda, Connection};
pub use decode::unreadable;
pub use engine::{Engine, LimitError, Tables, slots_needed};
pub use executions::{Executions, ExecutionsError};
pub use face::{Action, Event, Slots, Timeout, Timer, VoidCause, Withheld};
#[cfg(feature = "faults")]
pub use fault::Fault;
pub use guard::{Complete, Guarded, Origin, Ranged};
pub use hand_off::{Failed, HandOff, HandOffFailure, HandOffLedger};
pub use joined::{Carries, InputId, Joined, JoinedSpec, MAX_INPUTS, SampleClock};
pub use plan::{Committed, Interpolation, MAX_PLAN, Overlap, PlanLedger, PlanSpec, PlanStatus, plan_room};
pub use reason::{Reason, ReasonKind, Row, TABLE};
pub use record::{Record, RecordSpec, Share, WindowError};
pub use reply::{Replied, Reply};
pub use request::proper;
pub use reset::ResetLedger;
pub use respond::{Answer, Notify, Refusal, Send, Target, Ticket};
pub use sample::SampleLedger;
pub use state::Memory;
pub use task::{
    ClientId, ClientSpec, ConnectionId, ConnectionSpec, DeclarationError, Degraded, Element, Envelope, Gives,
    MAX_ACTION, MAX_BATCH, MAX_QUEUE, ModelId, ModelSet, Settings, SlotId, Start, Task, TaskId, TaskSpec, TooFast,
    WorkerId, WorkerSpec,
};
pub use time::{Duration, Instant, WallClock};
pub use worker::{Member, Service, Work, Worker};
