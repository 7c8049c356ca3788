//! Says when a core stood still for everybody: a thread of the highest priority there should never have to wait.
//!
//! A kernel takes a core away from real-time threads that use all of it, for a twentieth of each second, if anything
//! else wants to run there; and a virtual machine's core may be taken away as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::ledger::{Window, monotonic_ns};
use crate::scheduling;

/// A watch on one core.
pub(crate) struct Canary {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Window>>,
}

const PERIOD: Duration = Duration::from_micros(500);
/// Longer than a wake-up ever takes that nothing holds up.
const STANDSTILL_NS: u64 = 1_000_000;
const PRIORITY: i32 = 98;

impl Canary {
    pub(crate) fn start(core: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        let thread = thread::spawn(move || {
            // Without them it reports too many standstills, never too few; and then nothing is comparable anyway.
            let _ = scheduling::bind(core).and_then(|()| scheduling::fifo(PRIORITY));
            watch(&watched)
        });
        Self { over, thread }
    }

    /// When the core stood still since the start.
    pub(crate) fn end(self) -> Vec<Window> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// A wake-up that comes too late is a standstill from the last one before it.
fn watch(over: &AtomicBool) -> Vec<Window> {
    let mut standstills = Vec::new();
    let mut last = monotonic_ns();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(PERIOD);
        let now = monotonic_ns();
        if now - last > STANDSTILL_NS {
            standstills.push((last, now));
        }
        last = now;
    }
    standstills
}
