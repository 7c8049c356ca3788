//! Judges time on a noisy machine.
//!
//! A window runs from an observation's sending to its deadline. Where the canary woke later than the margin
//! less its own period inside it, a miss is the platform's: it may have slept through the first of the stall. Where more than 2 % of all windows hold such a wake-up, the result is
//! inconclusive. Every other miss fails.

use std::{io::Write, time::Duration};

use rig::Moment;

use crate::canary::{self, Lateness};

/// From an observation's sending to its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it was sent.
    pub from: Moment,
    /// Its deadline.
    pub until: Moment,
    /// Whether nothing as new was answered, or the box said that it was too late.
    pub missed: bool,
}

/// What the misses of a run mean; each with the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No miss that the platform does not excuse.
    Held(String),
    /// A miss while the platform was in time.
    Failed(String),
    /// The platform was late too often to say.
    Inconclusive(String),
    /// Without real-time rights the platform is always to blame.
    NoRealTime,
}

/// More than one in this many spoilt windows make a result inconclusive: 2 %.
const ONE_IN: usize = 50;

/// Judges the windows of all controllers that should not have been disturbed; `lost` counts what the link lost.
#[must_use]
pub fn judge(windows: &[Window], lost: u64, lateness: &Lateness, margin: Duration) -> Verdict {
    if !lateness.is_real_time() {
        return Verdict::NoRealTime;
    }
    // A stall that begins right after a wake-up shows by a period less than it lasted.
    let late = lateness.later_than(margin.saturating_sub(canary::PERIOD));
    let is_spoilt = |window: &&Window| late.iter().any(|(due, woke)| *due <= window.until && *woke >= window.from);
    let spoilt = windows.iter().filter(is_spoilt).count();
    let missed = windows.iter().filter(|window| window.missed).count();
    let unexcused = windows.iter().filter(|window| window.missed && !is_spoilt(window)).count();
    let (count, margin) = (windows.len(), margin.as_micros());
    let figures = format!(
        "{count} windows, {missed} missed, {unexcused} of them without excuse, {lost} lost on the link, \
         {spoilt} spoilt by a canary that may have slept through {margin} us; {}",
        lateness.figures()
    );
    if spoilt * ONE_IN > count {
        Verdict::Inconclusive(figures)
    } else if unexcused > 0 || lost > spoilt as u64 {
        Verdict::Failed(figures)
    } else {
        Verdict::Held(figures)
    }
}

impl Verdict {
    /// Ends a test: prints the figures, fails where the verdict does, and notes a skip where nothing can be said.
    ///
    /// # Panics
    /// If the verdict is a failure.
    pub fn settle(self, test: &str) {
        match self {
            Self::Held(figures) => println!("{test}: held: {figures}"),
            Self::Failed(figures) => panic!("{test}: observations were missed: {figures}"),
            Self::Inconclusive(figures) => skip(&format!("SKIPPED-INCONCLUSIVE: {test}: {figures}")),
            Self::NoRealTime => skip(&format!("SKIPPED: no real-time rights: {test}: order and ledgers were checked")),
        }
    }
}

/// Says what was not judged, also to whoever counts.
///
/// # Panics
/// If the file of skips, which `GENBA_SKIPS` names, cannot be written.
pub fn skip(line: &str) {
    println!("{line}");
    if let Some(path) = std::env::var_os("GENBA_SKIPS") {
        let file = std::fs::File::options().append(true).create(true).open(path);
        // One write a line: tests of several processes append at once.
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("GENBA_SKIPS can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARGIN: Duration = Duration::from_millis(2);

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    /// An observation each 10 ms; which are missed.
    fn windows(missed: &[u64]) -> Vec<Window> {
        (0..100).map(|n| Window { from: at(n * 10), until: at(n * 10 + 8), missed: missed.contains(&n) }).collect()
    }

    fn canary(late: &[(u64, u64)]) -> Lateness {
        let on_time = (0..1_000).map(|ms| (at(ms), Duration::from_micros(50)));
        let late = late.iter().map(|(due, ms)| (at(*due), Duration::from_millis(*ms)));
        Lateness::of(on_time.chain(late).collect(), true)
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Held(_) => "held",
            Verdict::Failed(_) => "failed",
            Verdict::Inconclusive(_) => "inconclusive",
            Verdict::NoRealTime => "no real time",
        }
    }

    fn judged(missed: &[u64], lost: u64, late: &[(u64, u64)]) -> &'static str {
        word(&judge(&windows(missed), lost, &canary(late), MARGIN))
    }

    #[test]
    fn a_miss_fails_unless_the_canary_was_late_inside_its_window() {
        assert_eq!(judged(&[], 0, &[]), "held");
        assert_eq!(judged(&[7], 0, &[]), "failed");
        assert_eq!(judged(&[7], 0, &[(72, 3)]), "held");
        assert_eq!(judged(&[7], 0, &[(66, 5)]), "held", "it woke inside");
        assert_eq!(judged(&[7], 0, &[(72, 1)]), "failed", "not later than the margin");
        assert_eq!(judged(&[7], 0, &[(81, 3)]), "failed", "between two windows");
        assert_eq!(judged(&[7, 8], 0, &[(72, 3)]), "failed", "one excuse is not enough for two");
    }

    #[test]
    fn what_the_link_lost_needs_an_excuse_as_well() {
        assert_eq!(judged(&[], 1, &[]), "failed");
        assert_eq!(judged(&[], 1, &[(72, 3)]), "held");
    }

    #[test]
    fn more_than_two_percent_of_spoilt_windows_say_nothing() {
        assert_eq!(judged(&[], 0, &[(72, 3), (82, 3)]), "held");
        assert_eq!(judged(&[], 0, &[(72, 3), (82, 3), (92, 3)]), "inconclusive");
        assert_eq!(judged(&[50], 0, &[(72, 3), (82, 3), (92, 3)]), "inconclusive");
    }

    #[test]
    fn without_real_time_rights_nothing_is_said() {
        let slow = Lateness::of(Vec::new(), false);
        assert_eq!(word(&judge(&windows(&[7]), 0, &slow, MARGIN)), "no real time");
    }
}
