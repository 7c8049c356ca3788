//! What is printed and what is kept.

use std::fmt::Write as _;

use serde::Serialize;

use crate::findings::{Found, Outcome, SubjectFound};
use crate::machine::Machine;
use crate::scheduling::Mode;
use crate::statistics::Spread;

/// `bench.json`. Times in microseconds or as the name says, ratios without a unit.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) date: String,
    pub(crate) commit: Option<String>,
    pub(crate) machine: Machine,
    /// How the same is measured again.
    pub(crate) command: String,
    /// The model that ran.
    pub(crate) model: String,
    pub(crate) request_bytes: usize,
    pub(crate) response_bytes: usize,
    pub(crate) modes: Vec<ModeReport>,
}

/// One mode.
#[derive(Debug, Serialize)]
pub(crate) struct ModeReport {
    pub(crate) mode: Mode,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

impl Report {
    /// What must not be, with its mode.
    pub(crate) fn bad(&self) -> Vec<String> {
        self.each(|found| &found.bad)
    }

    /// Why figures compare nothing, with their mode.
    pub(crate) fn inconclusive(&self) -> Vec<String> {
        let nothing = self.modes.iter().all(|mode| matches!(mode.outcome, Outcome::Skipped { .. }));
        let nothing = nothing.then(|| "no mode could be measured".to_owned());
        self.each(|found| &found.inconclusive).into_iter().chain(nothing).collect()
    }

    fn each(&self, lines: impl Fn(&Found) -> &Vec<String>) -> Vec<String> {
        let of = |mode: &ModeReport| match &mode.outcome {
            Outcome::Measured(found) => lines(found).iter().map(|line| format!("{}: {line}", mode.mode)).collect(),
            Outcome::Skipped { .. } => Vec::new(),
        };
        self.modes.iter().flat_map(of).collect()
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let Self { date, commit, machine, command, model, request_bytes, response_bytes, .. } = self;
        let Machine { cpu, cores, kernel, load } = machine;
        let commit = commit.as_deref().unwrap_or("no commit");
        let _ = writeln!(text, "{command}  {date}  {commit}");
        let _ = writeln!(text, "{cpu}, {cores} cores, Linux {kernel}, load {load}");
        let _ =
            writeln!(text, "{model}, {request_bytes} bytes there, {response_bytes} back, tcp on loopback, closed loop");
        for ModeReport { mode, outcome } in &self.modes {
            match outcome {
                Outcome::Skipped { reason } => {
                    let _ = writeln!(text, "\n== {mode}: skipped: {reason}");
                }
                Outcome::Measured(found) => {
                    let _ = writeln!(text, "\n== {mode}: {}", found.scheduling);
                    write_found(&mut text, found);
                }
            }
        }
        text
    }
}

fn write_found(text: &mut String, found: &Found) {
    let Found { rounds, round_trips_a_round, box_scheduling, .. } = found;
    let _ = writeln!(
        text,
        "   medians of {rounds} rounds of {round_trips_a_round} (lowest - highest round); the box says: {box_scheduling}\n"
    );
    let _ = writeln!(text, "{:<14}{:>26}{:>26}{:>24}{:>24}{:>9}", "us", "p50", "p99", "p99.9", "max", "CPU");
    for subject in &found.subjects {
        let SubjectFound { name, what, p50_us, p99_us, p999_us, max_us, cpu_s_an_answer, .. } = subject;
        let _ = writeln!(
            text,
            "{name:<14}{:>26}{:>26}{:>24}{:>24}{:>9.1}  {what}",
            spread(p50_us, 1),
            spread(p99_us, 1),
            spread(p999_us, 0),
            spread(max_us, 0),
            cpu_s_an_answer.median * 1e6,
        );
    }
    let _ = writeln!(text, "CPU: the server's, of all its threads, in us an answer\n");
    for (name, ratio) in found.ratios.named() {
        let _ = writeln!(text, "{name:<22}{:>20}", spread(&ratio, 2));
    }
    let _ = writeln!(text, "\nwhere the box's median round trip goes, us");
    for part in &found.where_the_time_goes {
        let _ = writeln!(text, "  {:<54}{:>23}", part.what, spread(&part.p50_us, 1));
    }
    let _ = writeln!(text, "\nthe box's own code on one thread in this process, median ns an observation");
    for step in &found.way.steps {
        let _ = writeln!(text, "  {:<54}{:>8}", step.step, step.median_ns);
    }
    let allocations = &found.way.allocations;
    let _ = writeln!(
        text,
        "\nour allocations on the way of {} observations: {} (negative control, one each: {})",
        allocations.observations, allocations.ours, allocations.negative_control
    );
    if let Some(counted) = found.own_allocations_of_the_box {
        let _ = writeln!(text, "allocations that the box itself counted as its own meanwhile: {counted}");
    }
    let beside = found.subjects.iter().filter(|subject| subject.fallbacks + subject.refusals + subject.unanswered > 0);
    for SubjectFound { name, answers, fallbacks, refusals, unanswered, .. } in beside {
        let _ = writeln!(
            text,
            "{name}: {answers} answers, {fallbacks} of them fallbacks, {refusals} refusals; {unanswered} unanswered"
        );
    }
}

fn spread(spread: &Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$} ({min:.digits$} - {max:.digits$})")
}
