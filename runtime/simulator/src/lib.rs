//! The box under virtual time: the real engine, everything around it simulated, every promise checked.
//!
//! A seed decides all that happens: which tasks, robots and workers there are, when frames arrive and how they are
//! mangled, how long inferences run and what comes out, when the engine's thread and the link are held up, when
//! controllers and the box restart. The same seed replays the same run, to the byte.
//!
//! Two judges look at each run. The [checks](Check) know the promise and see what anybody outside the box sees:
//! events, actions and frames. The reference model does what the engine must do, written apart from it, and
//! each action must be the one that it expects. With the feature `faults` a run switches on one thing that the
//! engine does wrong on purpose, which a judge must find.
//!
//! # Terms
//! - **happening**: what the virtual clock jumps to: a frame arrives, a worker ends, the engine's thread wakes.
//! - **turn**: the engine's thread takes one event, and everything that the engine wants done is done.
//! - **boot**: the box from one start to its restart or the run's end: one engine.
//! - **step**: one event handed to the engine; a violation names it.
//! - **key**: names one observation: connection, epoch and sequence.
//! - **edge**: the very instant at which an observation falls due or expires, where decisions change.
//! - **excuse**: something outside the engine was held up longer than the margin allows for; only then may a
//!   deadline be missed.
//!
//! [`quiet`] is a box without any of that, where what is promised for an undisturbed one is held to the nanosecond.
//!
//! It never reads a clock and starts no thread.
#![forbid(unsafe_code)]

mod boot;
mod camera;
mod checks;
mod client;
mod clock;
mod controller;
mod demand;
mod input;
mod joined;
mod link;
mod mangle;
mod outlook;
pub mod plans;
pub mod quiet;
mod reference;
mod report;
mod scenario;
mod trace;
mod turn;
mod worker;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use report::{Check, Disturbance, Disturbances, Report, Violation};

use report::Finding;
use trace::Keep;
use world::Progress;

/// How a run is judged.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether the engine must also do what the reference model does; the other checks always hold.
    pub reference: bool,
    /// Whether the report carries every event and action as text.
    pub trace: bool,
    /// What the engine does wrong on purpose.
    #[cfg(feature = "faults")]
    pub fault: Option<engine::Fault>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reference: true,
            trace: false,
            #[cfg(feature = "faults")]
            fault: None,
        }
    }
}

/// Runs one seed until controllers have published this many observations and nothing is left to happen.
///
/// # Errors
/// The first [`Violation`], with the last events and actions before it; boxed, because it is rare and large.
pub fn simulate(seed: u64, observations: u64, options: Options) -> Result<Report, Box<Violation>> {
    let keep = if options.trace { Keep::All } else { Keep::Hash };
    match attempt(seed, observations, options, keep) {
        Ok(report) => Ok(report),
        // The same run once more, with its last lines kept: writing them always would cost more than the run.
        Err(first) => Err(Box::new(attempt(seed, observations, options, Keep::Tail).err().unwrap_or(first))),
    }
}

fn attempt(seed: u64, observations: u64, options: Options, keep: Keep) -> Result<Report, Violation> {
    let progress = Progress::new(keep);
    let run = catch_unwind(AssertUnwindSafe(|| world::run(seed, observations, options, &progress)));
    let finding = match run {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(finding)) => finding,
        Err(panic) => Finding { check: Check::Panic, what: message_of(panic.as_ref()) },
    };
    let Finding { check, what } = finding;
    Err(Violation { seed, step: progress.steps(), check, what, tail: progress.take_lines() })
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}
