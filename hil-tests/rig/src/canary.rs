//! Canaries: one thread on each core that does nothing but wake four times a millisecond and see how late it is.
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
#[derive(Debug, Clone)]
pub struct CanaryLog {
    /// Every wake-up's lateness in ns.
    pub wakes: Histogram<u64>,
    /// When the machine may have stood still, in order, none overlapping.
    pub standstills: Vec<Standstill>,
    /// Whether it came before everything else.
    pub real_time: bool,
    tolerance: Duration,
    blind: Duration,
}

/// A wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// When it was due.
    pub due: Moment,
    /// How much later it came.
    pub late: Duration,
}

/// A time in which nobody saw the machine run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// The last wake-up before it.
    pub from: Moment,
    /// The one that ended it.
    pub to: Moment,
}

impl Standstill {
    fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

impl Canaries {
    /// Starts them; the machine may stand still for as long as `tolerance`.
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
                let _ = priority::bind(0, &[core]);
                let real_time = priority::take(priority::CANARY).is_real_time();
                watch(CanaryLog::new(tolerance, PERIOD, real_time), &stop)
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
    /// Nothing seen yet. A standstill that begins right after a wake-up shows by `blind` less than it lasted.
    #[must_use]
    pub fn new(tolerance: Duration, blind: Duration, real_time: bool) -> Self {
        Self {
            wakes: Histogram::new_with_max(60_000_000_000, 3).expect("the bounds are constants that fit"),
            standstills: Vec::with_capacity(STANDSTILLS),
            real_time,
            tolerance,
            blind,
        }
    }

    /// The wake-ups of all of them.
    #[must_use]
    pub fn all_wakes(logs: &[Self]) -> Histogram<u64> {
        let mut all = Self::new(Duration::ZERO, Duration::ZERO, true).wakes;
        for log in logs {
            all.add(&log.wakes).expect("all have the same bounds");
        }
        all
    }

    /// Notes a wake-up; they come in order.
    pub fn note(&mut self, wake: Wake) {
        self.wakes.saturating_record(u64::try_from(wake.late.as_nanos()).unwrap_or(u64::MAX));
        if wake.late > PERIOD {
            // A loop that catches up is late several times for one standstill.
            let before = self.standstills.last().map_or(Moment::from_nanos(0), |last| last.to);
            let from = (wake.due - self.blind).max(before);
            self.standstills.push(Standstill { from, to: (wake.due + wake.late).max(from) });
        }
    }

    /// Whether the machine may have stood still for longer than is tolerated between these moments, all in all:
    /// a core that others use comes and goes each millisecond.
    #[must_use]
    pub fn is_spoilt(&self, from: Moment, to: Moment) -> bool {
        let ended_before = self.standstills.partition_point(|standstill| standstill.to < from);
        let inside = self.standstills[ended_before..].iter().take_while(|standstill| standstill.from <= to);
        inside.map(Standstill::length).sum::<Duration>() > self.tolerance
    }

    /// Those longer than is tolerated by themselves.
    pub fn long(&self) -> impl Iterator<Item = Standstill> + '_ {
        self.standstills.iter().copied().filter(|standstill| standstill.length() > self.tolerance)
    }
}

/// Short beside any margin, so that a canary sees nearly all of a standstill; and long beside an ordinary wake-up, so
/// that one which is later than this is none.
const PERIOD: Duration = Duration::from_micros(250);

/// Room for so many standstills is made before the first.
const STANDSTILLS: usize = 4096;

fn watch(mut log: CanaryLog, stop: &AtomicBool) -> CanaryLog {
    let mut due = Moment::now() + PERIOD;
    while !stop.load(Ordering::Relaxed) {
        due.sleep();
        let now = Moment::now();
        log.note(Wake { due, late: now.since(due) });
        // One that overslept does not catch up: it has said so.
        due = now + PERIOD;
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
    fn a_window_is_spoilt_by_a_standstill_that_overlaps_it() {
        let ms = Duration::from_millis;
        let mut log = CanaryLog::new(ms(2), ms(1), true);
        // a loop that overslept by 20 ms catches up
        for (due, late_ms) in [(10, 0), (20, 1), (30, 20), (31, 19), (40, 10), (60, 0), (70, 1), (72, 0), (74, 1)] {
            log.note(Wake { due: at(due), late: ms(late_ms) });
        }
        for (from, to, spoilt) in [
            (0, 8, false),
            (18, 26, false), // as long as is tolerated is not too long
            (20, 28, false),
            (21, 29, true), // it may have begun right after the wake-up before
            (49, 57, true),
            (51, 59, false),
            (60, 68, false),
            (70, 78, true), // one alone would be tolerated
            (72, 80, false),
        ] {
            assert_eq!(log.is_spoilt(at(from), at(to)), spoilt, "{from} to {to} ms");
        }
        assert_eq!(log.long().count(), 1);
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
