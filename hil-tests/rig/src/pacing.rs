//! The canary: how late the robot's own loop woke. It tells a slow box from a slow machine.
//!
//! The loop runs before everything of the box. If it woke late, whatever ran then on this machine was
//! held up by something that is neither of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::Moment;
use crate::ledger::Window;

/// If more than this part of the windows is spoilt, the run says nothing.
pub(crate) const SPOILT_PERMILLE: u64 = 20;

/// The loop's own lateness.
pub struct Pacing {
    /// A wake-up later than this spoils the windows that it lies in.
    tolerance: Duration,
    wakes: Histogram<u64>,
    late: Vec<Wake>,
    /// Observations that were not sent because the next one was due already.
    pub skipped: u64,
    /// Observations that the link refused.
    pub unsent: u64,
}

/// A wake-up that came late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// When it was due.
    pub due: Moment,
    /// How much later it came.
    pub late: Duration,
}

/// The canary's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Canary {
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// A wake-up later than this is late: the box's own margin.
    pub tolerance_us: u64,
    /// Late wake-ups.
    pub late: u64,
    /// Windows from an observation to its deadline.
    pub windows: u64,
    /// Those that hold a late wake-up.
    pub spoilt: u64,
    pub skipped: u64,
}

impl Pacing {
    /// No wake-up yet; one that is later than `tolerance` is late.
    ///
    /// The box keeps its margin free for its own wake-up and send. Where the canary, which runs before it,
    /// needs longer, the box cannot keep its promise either.
    #[must_use]
    pub fn new(tolerance: Duration) -> Self {
        let wakes = Histogram::new_with_max(60_000_000_000, 3).expect("the bounds are constants that fit");
        Self { tolerance, wakes, late: Vec::new(), skipped: 0, unsent: 0 }
    }

    /// Notes a wake-up; they come in order.
    pub fn woke(&mut self, wake: Wake) {
        self.wakes.saturating_record(u64::try_from(wake.late.as_nanos()).unwrap_or(u64::MAX));
        if wake.late > self.tolerance {
            self.late.push(wake);
        }
    }

    /// Whether the loop was held up between these moments.
    #[must_use]
    pub fn is_spoilt(&self, from: Moment, to: Moment) -> bool {
        // due moments rise, so the last late wake-up that was due before the end reaches furthest
        let due_before = self.late.partition_point(|wake| wake.due <= to);
        self.late[..due_before].last().is_some_and(|wake| wake.due + wake.late >= from)
    }

    /// The figures, for these windows.
    pub fn canary(&self, windows: impl Iterator<Item = Window>, deadline: Duration) -> Canary {
        let at = |quantile| self.wakes.value_at_quantile(quantile) / 1000;
        let (mut count, mut spoilt) = (0, 0);
        for window in windows {
            count += 1;
            spoilt += u64::from(self.is_spoilt(window.sent_at, window.sent_at + deadline));
        }
        Canary {
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: self.wakes.max() / 1000,
            tolerance_us: u64::try_from(self.tolerance.as_micros()).unwrap_or(u64::MAX),
            late: self.late.len() as u64,
            windows: count,
            spoilt,
            skipped: self.skipped,
        }
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
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn pacing(late: &[(u64, u64)]) -> Pacing {
        let mut pacing = Pacing::new(Duration::from_millis(1));
        for (due, late_ms) in late {
            pacing.woke(Wake { due: at(*due), late: Duration::from_millis(*late_ms) });
        }
        pacing
    }

    #[test]
    fn a_window_is_spoilt_by_a_late_wake_up_that_overlaps_it() {
        // a loop that overslept by 20 ms catches up
        let pacing = pacing(&[(10, 0), (20, 1), (30, 20), (31, 19), (40, 10), (60, 0)]);
        for (from, to, spoilt) in [
            (0, 8, false),
            (18, 26, false), // as late as the tolerance is not too late
            (21, 29, false),
            (22, 30, true),
            (49, 57, true),
            (51, 59, false),
            (60, 68, false),
        ] {
            assert_eq!(pacing.is_spoilt(at(from), at(to)), spoilt, "{from} to {to} ms");
        }
    }

    #[test]
    fn more_than_two_percent_of_spoilt_windows_say_nothing() {
        let canary = |spoilt, skipped| Canary {
            p50_us: 0,
            p99_us: 0,
            max_us: 0,
            tolerance_us: 1000,
            late: 0,
            windows: 1000,
            spoilt,
            skipped,
        };
        assert!(!canary(20, 0).is_silent());
        assert!(canary(21, 0).is_silent());
        assert!(canary(0, 30).is_silent(), "what was never sent counts too");
        assert!(!Canary { windows: 0, ..canary(0, 0) }.is_silent());
    }

    #[test]
    fn the_figures_count_windows() {
        let pacing = pacing(&[(10, 5)]);
        let window = |ms| Window { sent_at: at(ms), covered_at: None, missed: false };
        let canary = pacing.canary([0, 4, 100].map(window).into_iter(), Duration::from_millis(8));
        assert_eq!((canary.windows, canary.spoilt, canary.late), (3, 1, 1));
    }
}
