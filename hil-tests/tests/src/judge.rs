//! Judges time on a noisy machine.
//!
//! A window runs from an observation's sending to its deadline. Where the machine may have stood still for longer
//! than the margin inside it, a miss is the platform's. Where more than 2 % of all windows hold such a standstill, the
//! result is inconclusive. Every other miss fails.

use std::{io::Write, time::Duration};

use rig::{Canaries, CanaryLog, Moment};

use crate::status::Status;

/// The machine, watched on each core while a box serves.
pub struct Watched {
    canaries: Canaries,
    margin: Duration,
}

/// What the canaries saw of the machine.
pub struct Machine {
    canaries: Vec<CanaryLog>,
    margin: Duration,
}

impl Watched {
    /// Watches from now on for standstills longer than the margin that the box keeps.
    ///
    /// # Panics
    /// If a thread cannot be started.
    #[must_use]
    pub fn beside(status: &Status) -> Self {
        let margin = status.margin();
        Self { canaries: Canaries::start(margin).expect("a thread can be started"), margin }
    }

    /// Ends it; what was seen.
    #[must_use]
    pub fn stop(self) -> Machine {
        Machine { canaries: self.canaries.stop(), margin: self.margin }
    }
}

impl Machine {
    fn is_spoilt(&self, window: &Window) -> bool {
        self.canaries.iter().any(|canary| canary.is_spoilt(window.from, window.until))
    }

    fn figures(&self) -> String {
        let wakes = CanaryLog::all_wakes(&self.canaries);
        let at = |quantile: f64| wakes.value_at_quantile(quantile) / 1_000;
        let (count, p50, p99, p999, max) = (wakes.len(), at(0.5), at(0.99), at(0.999), at(1.0));
        format!("canaries of {count} wake-ups late by p50 {p50}, p99 {p99}, p99.9 {p999}, at most {max} us")
    }
}

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
pub fn judge(windows: &[Window], lost: u64, machine: &Machine) -> Verdict {
    if machine.canaries.iter().any(|canary| !canary.real_time) {
        return Verdict::NoRealTime;
    }
    let spoilt = windows.iter().filter(|window| machine.is_spoilt(window)).count();
    let missed = windows.iter().filter(|window| window.missed).count();
    let unexcused = windows.iter().filter(|window| window.missed && !machine.is_spoilt(window)).count();
    let (count, margin) = (windows.len(), machine.margin.as_micros());
    let figures = format!(
        "{count} windows, {missed} missed, {unexcused} of them without excuse, {lost} lost on the link, \
         {spoilt} spoilt by standstills of more than {margin} us; {}",
        machine.figures()
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
    use rig::Wake;

    use super::*;

    const MARGIN: Duration = Duration::from_millis(2);

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    /// An observation each 10 ms; which are missed.
    fn windows(missed: &[u64]) -> Vec<Window> {
        (0..100).map(|n| Window { from: at(n * 10), until: at(n * 10 + 8), missed: missed.contains(&n) }).collect()
    }

    fn machine(late: &[(u64, u64)], real_time: bool) -> Machine {
        let mut canary = CanaryLog::new(MARGIN, Duration::from_millis(1), real_time);
        let mut wakes: Vec<_> = (0..1_000).map(|ms| (at(ms), Duration::from_micros(50))).collect();
        wakes.extend(late.iter().map(|(due, ms)| (at(*due), Duration::from_millis(*ms))));
        wakes.sort_unstable();
        for (due, late) in wakes {
            canary.note(Wake { due, late });
        }
        Machine { canaries: vec![canary], margin: MARGIN }
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
        word(&judge(&windows(missed), lost, &machine(late, true)))
    }

    #[test]
    fn a_miss_fails_unless_the_canary_was_late_inside_its_window() {
        assert_eq!(judged(&[], 0, &[]), "held");
        assert_eq!(judged(&[7], 0, &[]), "failed");
        assert_eq!(judged(&[7], 0, &[(72, 3)]), "held");
        assert_eq!(judged(&[7], 0, &[(66, 5)]), "held", "it woke inside");
        assert_eq!(judged(&[7], 0, &[(72, 1)]), "failed", "not longer than the margin");
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
        assert_eq!(word(&judge(&windows(&[7]), 0, &machine(&[], false))), "no real time");
    }
}
