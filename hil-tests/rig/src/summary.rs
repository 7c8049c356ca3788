//! A run in figures: for the terminal, the page and other programs.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::answer::ReasonCode;
use crate::box_status::Comparison;
use crate::ledger::Totals;
use crate::pacing::Canary;
use crate::recording::Recording;
use crate::robot::Report;
use crate::round_trips::Quantiles;
use crate::site::Site;
use crate::verdict::{GOAL_MM, Verdict, missed, uncovered};

/// A run in figures.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// `held`, `broken` or `inconclusive`.
    pub verdict: &'static str,
    /// Why, in sentences.
    pub reasons: Vec<String>,
    /// The robot's name.
    pub robot: String,
    /// The task's name.
    pub task: String,
    /// The model's name.
    pub model: String,
    /// Simulated time.
    pub seconds: f64,
    /// The task's deadline.
    pub deadline_us: u64,
    /// Tracking error, root mean square, after the arm has settled.
    pub rms_mm: Option<f64>,
    /// Largest tracking error after the arm has settled.
    pub max_mm: f64,
    /// What became of each observation.
    pub observations: Totals,
    /// Observations without any answer.
    pub lost: u64,
    /// Misses that the machine does not excuse.
    pub missed_unexcused: u64,
    /// Windows without an answer in time that the machine does not excuse.
    pub uncovered: u64,
    /// From stamp to answer.
    pub round_trip: Quantiles,
    /// How long the model was to hang, if at all.
    pub hang_asked_ms: Option<u32>,
    /// How long it was silent.
    pub hang_lasted_ms: Option<u32>,
    /// The robot's own loop.
    pub canary: Canary,
    /// How the robot's loop was scheduled.
    pub scheduling: String,
    /// The box's own ledger beside the robot's; none if the box was not asked.
    pub ledgers: Option<Comparison>,
    /// Whether the box said farewell and ended well.
    pub farewell: bool,
}

impl Summary {
    /// Draws up the figures.
    #[must_use]
    pub fn of(site: &Site, recording: &Recording, report: &Report, canary: Canary, verdict: &Verdict) -> Self {
        let totals = recording.ledger.totals();
        Self {
            verdict: verdict.word(),
            reasons: verdict.reasons().to_vec(),
            robot: site.robot.clone(),
            task: site.task.clone(),
            model: site.model.clone(),
            seconds: f64::from(recording.now_ms()) / 1000.0,
            deadline_us: u64::try_from(recording.deadline.as_micros()).unwrap_or(u64::MAX),
            rms_mm: recording.tracking.rms_mm(),
            max_mm: recording.tracking.max_mm(),
            observations: totals.clone(),
            lost: totals.open(),
            missed_unexcused: missed(recording),
            uncovered: uncovered(recording),
            round_trip: recording.round_trips.quantiles(),
            hang_asked_ms: recording.hang.map(|hang| hang.asked_ms),
            hang_lasted_ms: recording.hang.map(|hang| hang.lasted_ms()),
            canary,
            scheduling: report.class.to_string(),
            ledgers: None,
            farewell: false,
        }
    }

    /// The table's rows: what, how much, what of it.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let totals = &self.observations;
        let mut rows = vec![
            Row::of("tracking error, RMS", self.rms_mm.map_or("none".into(), mm), format!("goal: under {GOAL_MM} mm")),
            Row::of("tracking error, largest", mm(self.max_mm), String::new()),
            Row::of("observations sent", totals.sent.to_string(), "500 a second".into()),
            Row::of("answered by the model", totals.model.to_string(), String::new()),
        ];
        rows.extend(by_reason("answered by a fallback", &totals.fallbacks));
        rows.push(Row::of("superseded by a newer one", totals.superseded.to_string(), String::new()));
        rows.extend(by_reason("refused", &totals.refused));
        rows.extend(by_reason("missed by the box", &totals.missed));
        if self.excused() > 0 {
            rows.push(Row::of("  excused", self.excused().to_string(), "This machine itself stood still then.".into()));
        }
        rows.push(Row::of("lost", self.lost.to_string(), String::new()));
        let quantiles = self.round_trip;
        let deadline = format!("deadline: {}", ms(self.deadline_us));
        for (name, us, note) in [
            ("round trip, p50", quantiles.p50_us, String::new()),
            ("round trip, p99", quantiles.p99_us, String::new()),
            ("round trip, p99.9", quantiles.p999_us, format!("of {}", quantiles.count)),
            ("round trip, max", quantiles.max_us, deadline),
        ] {
            rows.push(Row::of(name, ms(us), note));
        }
        if let Some((asked_ms, lasted_ms)) = self.hang_asked_ms.zip(self.hang_lasted_ms) {
            let lasted = if lasted_ms == u32::MAX { "for ever".into() } else { format!("{lasted_ms} ms") };
            rows.push(Row::of("the model's hang", lasted, format!("until it answered again; asked: {asked_ms} ms")));
        }
        let canary = self.canary;
        rows.push(Row::of(
            "the robot's own loop, p99 late",
            ms(canary.robot_p99_us),
            format!("max {}; {}", ms(canary.robot_max_us), self.scheduling),
        ));
        rows.push(Row::of(
            "the canaries, p99 late",
            ms(canary.p99_us),
            format!("max {}; one on each core", ms(canary.max_us)),
        ));
        rows.push(Row::of(
            "windows spoilt by this machine",
            canary.spoilt.to_string(),
            format!(
                "of {}: standstills of over {}; {} observations skipped",
                canary.windows,
                ms(canary.tolerance_us),
                canary.skipped
            ),
        ));
        if let Some(comparison) = self.ledgers {
            let (word, note) = comparison.words();
            rows.push(Row::of("the robot's and the box's ledger", word.into(), note));
        }
        let farewell = if self.farewell { "said, exit 0" } else { "none" };
        rows.push(Row::of("the box's farewell", farewell.into(), String::new()));
        rows
    }

    /// The verdict in one sentence.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.verdict {
            "held" if self.excused() > 0 => format!(
                "The promise held, {}; {} missed while this machine itself stood still.",
                self.error(),
                self.excused()
            ),
            "held" => format!("The promise held: an action or a fallback before every deadline, {}.", self.error()),
            "broken" => "The promise did not hold.".into(),
            _ => "Inconclusive: this run proves nothing.".into(),
        }
    }

    /// Misses that the canary excuses.
    fn excused(&self) -> u64 {
        self.observations.misses() - self.missed_unexcused
    }

    fn error(&self) -> String {
        self.rms_mm.map_or_else(|| "no tracking error".into(), |rms| format!("{rms:.2} mm RMS"))
    }
}

/// One row of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub what: String,
    /// The figure.
    pub value: String,
    /// What else there is to say.
    pub note: String,
}

impl Row {
    fn of(what: &str, value: String, note: String) -> Self {
        Self { what: what.into(), value, note }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (what, value) = (width(|row| &row.what), width(|row| &row.value));
        for row in &rows {
            let line = format!("  {:<what$}  {:>value$}  {}", row.what, row.value, row.note);
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f)?;
        writeln!(f, "{}", self.headline())?;
        for reason in &self.reasons {
            writeln!(f, "  - {reason}")?;
        }
        Ok(())
    }
}

/// Milliseconds, with as many digits as the figure is worth.
#[must_use]
pub(crate) fn ms(us: u64) -> String {
    let span = Duration::from_micros(us).as_secs_f64() * 1000.0;
    if span < 10.0 { format!("{span:.2} ms") } else { format!("{span:.1} ms") }
}

/// A fallback's or refusal's rows: the sum, then each reason.
fn by_reason(what: &str, counts: &std::collections::BTreeMap<u16, u64>) -> Vec<Row> {
    let sum: u64 = counts.values().sum();
    let mut rows = vec![Row::of(what, sum.to_string(), String::new())];
    for (number, count) in counts {
        let reason = ReasonCode::new(*number);
        rows.push(Row::of(&format!("  {reason}"), count.to_string(), reason.what().into()));
    }
    rows
}

fn mm(millimetres: f64) -> String {
    format!("{millimetres:.2} mm")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::priority::{Class, ROBOT};
    use crate::robot::End;

    pub(crate) fn site() -> Site {
        Site {
            robot: "ur5e".into(),
            task: "track".into(),
            model: "policy".into(),
            observation_key: "a/o".into(),
            response_key: "a/r".into(),
            notice_key: "a/n".into(),
            alive_key: "a/@genba/b/alive".into(),
            contract: message::ContractDigest::new([1; 16]),
            deadline: Duration::from_millis(8),
            can_hang: true,
            needs_camera: false,
            gives_plans: false,
            arm_xml: "arm.xml".into(),
        }
    }

    pub(crate) fn summary(recording: &Recording) -> Summary {
        let report = Report { end: End::Complete, class: Class::Fifo(ROBOT), overflowed: 0 };
        let canary = recording.pacing.canary(recording.ledger.windows(), recording.deadline);
        let verdict = Verdict::of(recording, &report, &canary);
        Summary::of(&site(), recording, &report, canary, &verdict)
    }

    #[test]
    fn an_empty_run_is_summed_up_too() {
        let recording = Recording::new(Duration::from_secs(1), Duration::from_millis(8), Duration::from_millis(1));
        let text = summary(&recording).to_string();
        assert!(text.contains("The promise did not hold."), "{text}");
        assert!(text.contains("too short"), "{text}");
    }

    #[test]
    fn figures_have_the_digits_they_are_worth() {
        assert_eq!(ms(340), "0.34 ms");
        assert_eq!(ms(12_340), "12.3 ms");
    }

    #[test]
    fn each_reason_has_its_row() {
        let rows = by_reason("answered by a fallback", &[(301, 3), (302, 20)].into());
        assert_eq!(rows[0].value, "23");
        assert_eq!((rows[1].what.as_str(), rows[1].value.as_str()), ("  E-301 late", "3"));
        assert!(rows[2].note.contains("No worker became free"));
    }
}
