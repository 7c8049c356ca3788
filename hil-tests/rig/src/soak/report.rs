//! What a soak found, for people and for programs, and what it proves.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::conduct::{Conduct, Tally};
use super::memory::Memory;
use super::slope::{Growth, Size, Slope};
use crate::box_status::{BoxLedger, Comparison};
use crate::ledger::Totals;
use crate::verdict::Verdict;

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// One word.
    pub verdict: &'static str,
    /// Why, in sentences; none if it held.
    pub reasons: Vec<String>,
    /// How long the robots ran.
    pub seconds: u64,
    /// So long the memory may grow as it likes.
    pub warm_up_seconds: u64,
    /// How much it may grow afterwards.
    pub limit: Limit,
    /// How fast all that is in RAM grew; none where the run was too short.
    pub resident: Option<Slope>,
    /// What of it is no file's.
    pub anonymous: Option<Slope>,
    /// How often the box was asked for its ledgers.
    pub snapshots: u64,
    /// How often a robot saw the box's token go, or its session drop.
    pub tokens_lost: u64,
    /// The longest that a robot's loop was late, in milliseconds: this machine stood still, or was busy.
    pub late_ms: u64,
    /// Each robot's books beside the box's.
    pub robots: Vec<RobotReport>,
    /// Everything that the box received, strays included.
    pub total: BoxLedger,
    /// Second, KiB in RAM, KiB of it that are no file's.
    pub series: Vec<(u64, u32, u32)>,
}

/// How much the memory may grow after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// By less than this share an hour, with confidence: takes twenty minutes or more.
    PercentPerHour(f64),
    /// By less than this in all: only a memory that runs away exceeds it.
    Mib(u32),
}

/// One robot's books beside the box's.
#[derive(Debug, Clone, Serialize)]
#[allow(missing_docs, reason = "the names are those of the config and of the ledgers")]
pub struct RobotReport {
    pub robot: String,
    pub conduct: Conduct,
    pub tally: Tally,
    pub ledger: BoxLedger,
}

/// What the soak saw, to be judged.
pub(super) struct Seen {
    pub(super) duration: Duration,
    pub(super) warm_up: Duration,
    pub(super) limit: Limit,
    pub(super) series: Vec<(Duration, Memory)>,
    pub(super) snapshots: u64,
    /// What is wrong on any machine.
    pub(super) wrong: Vec<String>,
    pub(super) stopped: bool,
    pub(super) tokens_lost: u64,
    pub(super) late: Duration,
    pub(super) robots: Vec<RobotReport>,
    /// The books of the steady robot, observation by observation.
    pub(super) steady: Option<Totals>,
    pub(super) total: BoxLedger,
}

/// In simulated runs with the noise of an allocator, a minute was judged wrongly once in ten times, ten minutes never.
const RESOLVES: Duration = Duration::from_mins(10);
/// The box withholds its token when its engine stands still for 200 ms; a machine that stands still for half of that
/// may be why.
const STOOD_STILL: Duration = Duration::from_millis(100);

impl Seen {
    /// Judges it.
    pub(super) fn report(self) -> (Report, Verdict) {
        let after = self.series.iter().filter(|(at, _)| *at >= self.warm_up);
        let size = |kib: fn(&Memory) -> u32| {
            let sizes: Vec<_> = after.clone().map(|(at, memory)| Size { at: *at, kib: kib(memory) }).collect();
            Slope::of(&sizes)
        };
        let (resident, anonymous) = (size(|memory| memory.resident), size(|memory| memory.anonymous));
        let verdict = self.verdict(resident);
        let report = Report {
            verdict: verdict.word(),
            reasons: verdict.reasons().to_vec(),
            seconds: self.duration.as_secs(),
            warm_up_seconds: self.warm_up.as_secs(),
            limit: self.limit,
            resident,
            anonymous,
            snapshots: self.snapshots,
            tokens_lost: self.tokens_lost,
            late_ms: u64::try_from(self.late.as_millis()).unwrap_or(u64::MAX),
            robots: self.robots,
            total: self.total,
            series: self.series.iter().map(|(at, memory)| (at.as_secs(), memory.resident, memory.anonymous)).collect(),
        };
        (report, verdict)
    }

    /// Whether memory grew by less than the limit after the warm-up.
    fn grows(&self, resident: Option<Slope>) -> Growth {
        match self.limit {
            Limit::PercentPerHour(_) if self.duration < self.warm_up + RESOLVES => Growth::Unresolved,
            Limit::PercentPerHour(limit) => resident.map_or(Growth::Unresolved, |slope| slope.against(limit)),
            Limit::Mib(mib) => {
                let mut after = self.series.iter().filter(|(at, _)| *at >= self.warm_up);
                match (after.next(), after.next_back()) {
                    (Some((_, first)), Some((_, last))) if last.resident > first.resident + mib * 1024 => Growth::Above,
                    (Some(_), Some(_)) => Growth::Below,
                    _ => Growth::Unresolved,
                }
            }
        }
    }

    fn verdict(&self, resident: Option<Slope>) -> Verdict {
        let mut broken = self.wrong.clone();
        let mut doubts = Vec::new();
        for RobotReport { robot, conduct, tally, ledger } in &self.robots {
            broken.extend(tally.denied_by(ledger).iter().map(|denied| format!("{robot}: {denied}")));
            if !ledger.balances() || ledger.in_flight > 0 {
                broken.push(format!("{robot}: the last ledger does not end: {ledger:?}"));
            }
            if *conduct == Conduct::Steady && tally.model == 0 {
                broken.push(format!("{robot}: the model never answered"));
            }
            if let (Conduct::Steady, Some(totals)) = (conduct, &self.steady)
                && ledger.compared_with(totals) == Comparison::Differ
            {
                broken.push(format!("{robot}: the box's ledger denies what it saw: {ledger:?}, {totals:?}"));
            }
        }
        if let Some(totals) = &self.steady {
            let wrong = [totals.twice, totals.out_of_order, totals.unasked, totals.malformed, totals.over_age];
            if wrong.iter().any(|count| *count > 0) {
                broken.push(format!("answers came twice, out of order, unasked, malformed or late: {totals:?}"));
            }
        }
        if self.tokens_lost > 0 {
            let lost = format!("the box's token or a robot's session was lost {} times", self.tokens_lost);
            if self.late < STOOD_STILL { broken.push(lost) } else { doubts.push(lost) }
        }
        match self.grows(resident) {
            Growth::Below => {}
            Growth::Above => broken.push(format!("the box's memory grows by more than {}", self.limit)),
            Growth::Unresolved => {
                doubts.push(format!("whether the box's memory grows by less than {} is not resolved", self.limit));
            }
        }
        if self.stopped {
            doubts.push("the run was stopped before its end".to_owned());
        }
        match (broken.is_empty(), doubts.is_empty()) {
            (false, _) => Verdict::Broken(broken),
            (true, false) => Verdict::Inconclusive(doubts),
            (true, true) => Verdict::Held,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PercentPerHour(percent) => write!(formatter, "{percent} % an hour"),
            Self::Mib(mib) => write!(formatter, "{mib} MiB"),
        }
    }
}

impl fmt::Display for Slope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percent_per_hour, low, high } = self;
        write!(formatter, "{percent_per_hour:.2} % an hour (95 %: {low:.2} to {high:.2})")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slope = |slope: Option<Slope>| slope.map_or("too short to fit".to_owned(), |slope| slope.to_string());
        let (first, last) = (self.series.first(), self.series.last());
        let mib = |entry: Option<&(u64, u32, u32)>| entry.map_or(0.0, |(_, kib, _)| f64::from(*kib) / 1024.0);
        writeln!(formatter, "memory     {:.1} MiB at first, {:.1} MiB at last", mib(first), mib(last))?;
        writeln!(
            formatter,
            "           after {} s it grows by {}; under {} is asked for",
            self.warm_up_seconds,
            slope(self.resident),
            self.limit
        )?;
        writeln!(formatter, "           the part that is no file's by {}", slope(self.anonymous))?;
        writeln!(formatter, "ledgers    {} snapshots", self.snapshots)?;
        for RobotReport { robot, tally, ledger, .. } in &self.robots {
            writeln!(
                formatter,
                "{robot:<10} {} sent, {} received: {} by the model, {} fallbacks, {} superseded, {} refused, {} missed",
                tally.sent,
                ledger.received,
                ledger.model,
                ledger.fallback,
                ledger.superseded,
                ledger.refused,
                ledger.missed
            )?;
        }
        writeln!(
            formatter,
            "tokens     lost {} times; a robot's loop was late by {} ms at most",
            self.tokens_lost, self.late_ms
        )?;
        for reason in &self.reasons {
            writeln!(formatter, "           {reason}")?;
        }
        write!(formatter, "{} after {} s", self.verdict, self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run without a fault; the memory grows by so many percent an hour.
    fn seen(percent_per_hour: u32) -> Seen {
        let kib = |second: u32| 200_000 + second * 2_000 * percent_per_hour / 3_600;
        let memory = |second| Memory { resident: kib(second), anonymous: kib(second) / 2 };
        let ledger = BoxLedger { received: 9, model: 9, ..BoxLedger::default() };
        let tally = Tally { sent: 9, model: 9, ..Tally::default() };
        Seen {
            duration: Duration::from_mins(30),
            warm_up: Duration::from_mins(5),
            limit: Limit::PercentPerHour(1.0),
            series: (0..1_800).map(|second| (Duration::from_secs(second.into()), memory(second))).collect(),
            snapshots: 1_800,
            wrong: Vec::new(),
            stopped: false,
            tokens_lost: 0,
            late: Duration::ZERO,
            robots: vec![RobotReport { robot: "steady".into(), conduct: Conduct::Steady, tally, ledger }],
            steady: Some(Totals { sent: 9, model: 9, ..Totals::default() }),
            total: ledger,
        }
    }

    fn word(seen: Seen) -> &'static str {
        seen.report().1.word()
    }

    #[test]
    fn a_run_without_a_fault_holds_and_a_leak_breaks_it() {
        assert_eq!(word(seen(0)), "held");
        assert_eq!(word(seen(2)), "broken");
        for percent in [0, 2] {
            let short = Seen { warm_up: Duration::from_mins(25), ..seen(percent) };
            assert_eq!(word(short), "inconclusive", "five minutes are too short");
        }
        let short = |percent| Seen { limit: Limit::Mib(32), ..seen(percent) };
        assert_eq!(word(short(2)), "held", "too little to be told in a short run");
        assert_eq!(word(short(50)), "broken");
    }

    #[test]
    fn whatever_does_not_agree_breaks_it() {
        assert_eq!(word(Seen { wrong: vec!["a ledger does not balance".into()], ..seen(0) }), "broken");
        let mut denied = seen(0);
        denied.robots[0].ledger.model = 8;
        assert_eq!(word(denied), "broken");
        let mut open = seen(0);
        open.robots[0].ledger = BoxLedger { received: 10, in_flight: 1, ..open.robots[0].ledger };
        assert_eq!(word(open), "broken");
        let twice = Totals { sent: 9, model: 9, twice: 1, ..Totals::default() };
        assert_eq!(word(Seen { steady: Some(twice), ..seen(0) }), "broken");
        let mut silent = seen(0);
        silent.robots[0].tally.model = 0;
        assert_eq!(word(silent), "broken");
    }

    #[test]
    fn a_lost_token_breaks_it_unless_the_machine_stood_still() {
        assert_eq!(word(Seen { tokens_lost: 1, ..seen(0) }), "broken");
        assert_eq!(word(Seen { tokens_lost: 1, late: STOOD_STILL, ..seen(0) }), "inconclusive");
        assert_eq!(word(Seen { stopped: true, ..seen(0) }), "inconclusive");
    }
}
