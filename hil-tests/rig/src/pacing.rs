//! What the machine itself did to a run: how late the robot's loop and the canaries woke.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::canary::{CanaryLog, Standstill, Wake};
use crate::clock::Moment;
use crate::ledger::Window;

/// If more than this part of the windows is spoilt, the run says nothing.
pub(crate) const SPOILT_PERMILLE: u64 = 20;

/// The lateness of the robot's loop and of the canaries.
pub struct Pacing {
    /// A standstill longer than this spoils the windows that it lies in.
    tolerance: Duration,
    robot: CanaryLog,
    canaries: Vec<CanaryLog>,
    /// Observations that were not sent because the next one was due already.
    pub skipped: u64,
    /// Observations that the link refused.
    pub unsent: u64,
}

/// The machine's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Canary {
    /// The robot's loop.
    pub robot_p99_us: u64,
    pub robot_max_us: u64,
    /// The canaries of all cores.
    pub p99_us: u64,
    pub max_us: u64,
    /// A standstill longer than this spoils a window: the box's own margin.
    pub tolerance_us: u64,
    /// Windows from an observation to its deadline.
    pub windows: u64,
    /// Those in which the machine may have stood still for longer.
    pub spoilt: u64,
    pub skipped: u64,
}

impl Pacing {
    /// No wake-up yet; the machine may stand still for as long as `tolerance`.
    ///
    /// The box keeps its margin free for its own wake-up and send. Where a canary, which runs before it,
    /// needs longer, the box cannot keep its promise either.
    #[must_use]
    pub fn new(tolerance: Duration) -> Self {
        // The robot's loop is judged by how late it was, not by what it cannot see in its sleep.
        let robot = CanaryLog::new(tolerance, Duration::ZERO, true);
        Self { tolerance, robot, canaries: Vec::new(), skipped: 0, unsent: 0 }
    }

    /// Notes a wake-up of the robot's loop; they come in order.
    pub fn woke(&mut self, wake: Wake) {
        self.robot.note(wake);
    }

    /// Adds what the canaries saw.
    pub fn canaries(&mut self, logs: Vec<CanaryLog>) {
        self.canaries.extend(logs);
    }

    /// Whether the robot or a core was held up between these moments.
    #[must_use]
    pub fn is_spoilt(&self, from: Moment, to: Moment) -> bool {
        self.logs().any(|log| log.is_spoilt(from, to))
    }

    /// When the robot or a core was held up for long.
    pub fn standstills(&self) -> impl Iterator<Item = Standstill> + '_ {
        self.logs().flat_map(CanaryLog::long)
    }

    /// The figures, for these windows.
    pub fn canary(&self, windows: impl Iterator<Item = Window>, deadline: Duration) -> Canary {
        let wakes = CanaryLog::all_wakes(&self.canaries);
        let p99_us = |wakes: &Histogram<u64>| wakes.value_at_quantile(0.99) / 1000;
        let (mut count, mut spoilt) = (0, 0);
        for window in windows {
            count += 1;
            spoilt += u64::from(self.is_spoilt(window.sent_at, window.sent_at + deadline));
        }
        Canary {
            robot_p99_us: p99_us(&self.robot.wakes),
            robot_max_us: self.robot.wakes.max() / 1000,
            p99_us: p99_us(&wakes),
            max_us: wakes.max() / 1000,
            tolerance_us: u64::try_from(self.tolerance.as_micros()).unwrap_or(u64::MAX),
            windows: count,
            spoilt,
            skipped: self.skipped,
        }
    }

    fn logs(&self) -> impl Iterator<Item = &CanaryLog> {
        self.canaries.iter().chain([&self.robot])
    }
}

impl Canary {
    /// Whether the machine could not pace the physics: then the run says nothing.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let of = self.windows + self.skipped;
        (self.spoilt + self.skipped) * 1000 > of * SPOILT_PERMILLE
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn late(due_ms: u64) -> Wake {
        Wake { due: at(due_ms), late: Duration::from_millis(5) }
    }

    #[test]
    fn a_window_is_spoilt_where_the_robot_or_any_core_stood_still() {
        let tolerance = Duration::from_millis(1);
        let mut pacing = Pacing::new(tolerance);
        pacing.woke(late(10));
        let idle = CanaryLog::new(tolerance, Duration::ZERO, true);
        let mut core = idle.clone();
        core.note(late(100));
        pacing.canaries(vec![idle, core]);
        let window = |ms| Window { sent_at: at(ms), covered_at: None, missed: false };
        let canary = pacing.canary([0, 4, 95, 200].map(window).into_iter(), Duration::from_millis(8));
        assert_eq!((canary.windows, canary.spoilt), (4, 2));
        assert_eq!(pacing.standstills().count(), 2);
    }

    #[test]
    fn more_than_two_percent_of_spoilt_windows_say_nothing() {
        let canary = |spoilt, skipped| Canary {
            robot_p99_us: 0,
            robot_max_us: 0,
            p99_us: 0,
            max_us: 0,
            tolerance_us: 1000,
            windows: 1000,
            spoilt,
            skipped,
        };
        assert!(!canary(20, 0).is_silent());
        assert!(canary(21, 0).is_silent());
        assert!(canary(0, 30).is_silent(), "what was never sent counts too");
        assert!(!Canary { windows: 0, ..canary(0, 0) }.is_silent());
    }
}
