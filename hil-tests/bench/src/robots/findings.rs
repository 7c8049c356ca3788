//! What a run found: figures, goals, and what must not be.

use miette::Result;
use serde::Serialize;

use super::turn::{Figures, Phase, RATE_HZ};
use crate::machine::Machine;
use crate::peers::{Counts, Goal, Seats};
use crate::statistics::{Spread, paired_ratio};

/// `robots.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    #[serde(flatten)]
    pub(crate) conditions: Conditions,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
    /// Counts that are wrong.
    pub(crate) bad: Vec<String>,
    /// What the machine may have spoiled.
    pub(crate) inconclusive: Vec<String>,
}

/// Under which everything was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    pub(crate) date: String,
    pub(crate) commit: Option<String>,
    pub(crate) machine: Machine,
    pub(crate) command: String,
    /// That are in.
    pub(crate) rounds: u16,
    pub(crate) seconds: f64,
    /// Not in the short form, which is there for the counts.
    pub(crate) times_count: bool,
    pub(crate) seats: Seats,
    /// The kernel's setting, in microseconds of each second, and whether it was lifted.
    pub(crate) throttling: String,
    pub(crate) unthrottled: bool,
    /// What `genba check` says of 64 robots, or fewer, with the record that was measured first.
    pub(crate) record: String,
}

/// So many robots, who ask like that.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) robots: u16,
    pub(crate) phase: Phase,
    pub(crate) rounds: Vec<Figures>,
}

/// For so many the box is built.
pub(crate) const MANY: u16 = 64;
/// Of what robots should ask.
const LEAST_LOAD: f64 = 0.9;
/// More than one in so many requests that a standstill excuses, and the turn says nothing.
const MOST_EXCUSED: u64 = 50;

impl Found {
    pub(crate) fn new(conditions: Conditions) -> Self {
        let (rows, goals, bad) = Default::default();
        let mut inconclusive = Vec::new();
        if !conditions.seats.fifo {
            inconclusive.push("no real-time rights: everything ran in the default class".to_owned());
        }
        if conditions.seats.servers == conditions.seats.load {
            inconclusive.push("one core: box and robots shared it".to_owned());
        }
        Self { conditions, rows, goals, bad, inconclusive }
    }

    pub(crate) fn add(&mut self, robots: u16, phase: Phase, turn: Result<Figures>) {
        let figures = match turn {
            Ok(figures) => figures,
            Err(error) => return self.inconclusive.push(in_short(&error)),
        };
        let name = format!("{robots} robots, {phase}");
        self.bad.extend(figures.wrong.iter().map(|line| format!("{name}: {line}")));
        if self.conditions.times_count {
            self.excuse(&name, robots, &figures);
        }
        match self.rows.iter_mut().find(|row| row.robots == robots && row.phase == phase) {
            Some(row) => row.rounds.push(figures),
            None => self.rows.push(Row { robots, phase, rounds: vec![figures] }),
        }
    }

    /// What the machine may have spoiled.
    fn excuse(&mut self, name: &str, robots: u16, figures: &Figures) {
        let asked = f64::from(robots) * f64::from(RATE_HZ);
        if figures.robots.offered_hz < asked * LEAST_LOAD {
            let offered = figures.robots.offered_hz;
            self.inconclusive.push(format!("{name}: asked {offered:.0} times a second instead of {asked:.0}"));
        }
        let Counts { sent, .. } = figures.robots.counts;
        let (late, excused) = (sent - figures.robots.counts.on_time(), figures.robots.excused.not_on_time);
        if late > excused {
            let reasons = figures.of_the_box.reasons.iter().map(|(reason, count)| format!("{count} x {reason}"));
            self.inconclusive.push(format!(
                "{name}: {} of {sent} requests were not answered in time while no core stood still ({} missed by the \
                 box, which said so; {})",
                late - excused,
                figures.of_the_box.missed,
                reasons.collect::<Vec<_>>().join(", ")
            ));
        }
        if figures.robots.excused.not_on_time * MOST_EXCUSED > figures.robots.counts.sent {
            let longest = figures.standstills.longest_ms;
            self.inconclusive.push(format!(
                "{name}: {} of {} requests met a standstill of this machine (the longest {longest:.0} ms)",
                figures.robots.excused.not_on_time, figures.robots.counts.sent
            ));
        }
    }

    /// After each round.
    pub(crate) fn sum_up(&mut self, rounds: u16) {
        self.conditions.rounds = rounds;
        self.rows.sort_by_key(|row| (row.phase == Phase::InStep, row.robots));
        if self.conditions.times_count {
            self.goals = Phase::ALL.into_iter().flat_map(|phase| self.goals_of(phase)).collect();
        }
    }

    pub(crate) fn row(&self, robots: u16, phase: Phase) -> Option<&Row> {
        self.rows.iter().find(|row| row.robots == robots && row.phase == phase)
    }

    fn goals_of(&self, phase: Phase) -> Vec<Goal> {
        let mut goals = Vec::new();
        let Some(many) = self.row(MANY, phase) else { return goals };
        let mut least = |what: &str, least, figure: fn(&Figures) -> f64| {
            goals.push(Goal::least(format!("{MANY} robots, {phase}: {what}"), least, many.spread(figure)));
        };
        least("answered on time", 1.0, |round| round.robots.on_time_share);
        least("... requests that met a standstill aside", 1.0, |round| round.robots.judged_on_time);
        if let Some(one) = self.row(1, phase).filter(|one| one.rounds.len() == many.rounds.len()) {
            let ratio = paired_ratio(&many.each(|round| round.worker_us), &one.each(|round| round.worker_us));
            goals.push(Goal::most(format!("worker time an answer, {phase}: {MANY} robots / 1"), 0.5, ratio));
        }
        goals
    }
}

/// A box that does not serve so many says why, among all else in its log.
fn in_short(error: &miette::Report) -> String {
    let said: Vec<String> = error.chain().map(ToString::to_string).collect();
    let lines = said.iter().flat_map(|text| text.lines()).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('{')).collect::<Vec<_>>().join("; ")
}

impl Row {
    pub(crate) fn each(&self, figure: fn(&Figures) -> f64) -> Vec<f64> {
        self.rounds.iter().map(figure).collect()
    }

    pub(crate) fn spread(&self, figure: fn(&Figures) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(figure))
    }

    /// `None` where a round has too few samples.
    pub(crate) fn quantile(&self, figure: fn(&Figures) -> Option<f64>) -> Option<f64> {
        let figures: Option<Vec<f64>> = self.rounds.iter().map(figure).collect();
        figures.map(|figures| Spread::of(figures).median)
    }
}
