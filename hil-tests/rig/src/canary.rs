//! Canaries: one thread on each core that does nothing but wake each millisecond and see how late it is.
//!
//! They run before everything of the box and of the robot. If one wakes late, whatever ran on its core was
//! held up by the machine itself. One for all cores would not do: a virtual machine stalls core by core.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::clock::Moment;
use crate::priority;

/// The canaries of all cores that this process may use.
pub struct Canaries {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<CanaryLog>>,
}

/// What one canary saw.
pub struct CanaryLog {
    /// Every wake-up's lateness in ns.
    pub wakes: Histogram<u64>,
    /// The late ones, in order.
    pub late: Vec<Wake>,
}

/// A wake-up that came late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// When it was due.
    pub due: Moment,
    /// How much later it came.
    pub late: Duration,
}

impl Canaries {
    /// Starts them; a wake-up that is later than `tolerance` is late.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(tolerance: Duration) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut canaries = Self { stop, threads: Vec::new() };
        for core in priority::cores()? {
            let stop = Arc::clone(&canaries.stop);
            let thread = Builder::new().name(format!("canary{core}")).spawn(move || {
                // Without either right it still watches, and its figures show it.
                let _ = priority::bind(core);
                let _ = priority::take(priority::CANARY);
                watch(tolerance, &stop)
            })?;
            canaries.threads.push(thread);
        }
        Ok(canaries)
    }

    /// Stops them; what each saw.
    #[must_use]
    pub fn stop(mut self) -> Vec<CanaryLog> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).map(|thread| thread.join().expect("a canary does not panic")).collect()
    }
}

impl Drop for Canaries {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl CanaryLog {
    pub(crate) fn new() -> Self {
        Self {
            wakes: Histogram::new_with_max(60_000_000_000, 3).expect("the bounds are constants that fit"),
            late: Vec::with_capacity(LATE),
        }
    }

    /// Notes a wake-up; they come in order.
    pub(crate) fn note(&mut self, wake: Wake, tolerance: Duration) {
        self.wakes.saturating_record(u64::try_from(wake.late.as_nanos()).unwrap_or(u64::MAX));
        if wake.late > tolerance {
            self.late.push(wake);
        }
    }

    /// Whether this canary was held up between these moments.
    #[must_use]
    pub fn is_spoilt(&self, from: Moment, to: Moment) -> bool {
        // Due moments rise, and so do the moments of waking: the last that was due before the end reaches furthest.
        let due_before = self.late.partition_point(|wake| wake.due <= to);
        self.late[..due_before].last().is_some_and(|wake| wake.due + wake.late >= from)
    }
}

const PERIOD: Duration = Duration::from_millis(1);

/// Room for so many late wake-ups is made before the first.
const LATE: usize = 4096;

fn watch(tolerance: Duration, stop: &AtomicBool) -> CanaryLog {
    let mut log = CanaryLog::new();
    let mut due = Moment::now() + PERIOD;
    while !stop.load(Ordering::Relaxed) {
        due.sleep();
        let late = Moment::now().since(due);
        log.note(Wake { due, late }, tolerance);
        // One that overslept does not catch up: it has said so.
        due = (due + PERIOD).max(Moment::now());
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_window_is_spoilt_by_a_late_wake_up_that_overlaps_it() {
        let mut log = CanaryLog::new();
        // a loop that overslept by 20 ms catches up
        for (due, late_ms) in [(10, 0), (20, 1), (30, 20), (31, 19), (40, 10), (60, 0)] {
            log.note(Wake { due: at(due), late: Duration::from_millis(late_ms) }, Duration::from_millis(1));
        }
        for (from, to, spoilt) in [
            (0, 8, false),
            (18, 26, false), // as late as the tolerance is not too late
            (21, 29, false),
            (22, 30, true),
            (49, 57, true),
            (51, 59, false),
            (60, 68, false),
        ] {
            assert_eq!(log.is_spoilt(at(from), at(to)), spoilt, "{from} to {to} ms");
        }
        assert_eq!(log.late.len(), 3);
    }

    #[test]
    fn each_core_has_its_canary() {
        let canaries = Canaries::start(Duration::from_millis(1)).expect("threads can be started");
        assert_eq!(canaries.threads.len(), std::thread::available_parallelism().expect("it is known").get());
        let until = Moment::now() + Duration::from_millis(20);
        until.sleep();
        for log in canaries.stop() {
            assert!(!log.wakes.is_empty());
        }
    }
}
