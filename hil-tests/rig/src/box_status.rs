//! What the box says of itself, as `genba status --json` prints it: to be compared with the robot's books.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::Totals;
use crate::site::Site;

/// What a running box says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxStatus {
    /// So long before a deadline its fallback falls due.
    pub margin: Duration,
    /// Its ledger of this robot.
    pub ledger: BoxLedger,
}

/// One connection's counts since the box started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the robot's ledger")]
pub struct BoxLedger {
    pub received: u64,
    pub model: u64,
    pub fallback: u64,
    pub superseded: u64,
    pub refused: u64,
    pub missed: u64,
    pub in_flight: u64,
}

/// Everything that a running box says of itself at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// Which start of the box.
    pub boot: String,
    /// So long before a deadline its fallback falls due.
    pub margin_us: u64,
    /// One for each robot and task.
    pub connections: Vec<Line>,
    /// All of it, strays included.
    pub total: BoxLedger,
}

/// One robot's line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the config")]
pub struct Line {
    pub robot: String,
    pub task: String,
    #[serde(rename = "counts")]
    pub ledger: BoxLedger,
}

impl Snapshot {
    /// Asks the running box of this config.
    ///
    /// # Errors
    /// What the system said, or that the answer is none.
    pub fn ask(genba: &Path, config: &Path) -> io::Result<Self> {
        let output = Command::new(genba).args(["status", "--json", "--config"]).arg(config).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// The ledger of this robot.
    #[must_use]
    pub fn of(&self, site: &Site) -> Option<BoxLedger> {
        let mut lines = self.connections.iter();
        lines.find(|line| line.robot == site.robot && line.task == site.task).map(|line| line.ledger)
    }

    /// Whose ledger does not account for everything that it received (P6).
    #[must_use]
    pub fn unbalanced(&self) -> Vec<String> {
        let lines = self.connections.iter().map(|line| (format!("{}/{}", line.robot, line.task), line.ledger));
        let all = lines.chain([("the total".to_owned(), self.total)]);
        all.filter(|(_, ledger)| !ledger.balances()).map(|(who, ledger)| format!("{who}: {ledger:?}")).collect()
    }
}

impl BoxStatus {
    /// Asks the running box of this config.
    ///
    /// # Errors
    /// What the system said, or that the answer is none.
    pub fn ask(genba: &Path, config: &Path, site: &Site) -> io::Result<Self> {
        let snapshot = Snapshot::ask(genba, config)?;
        let ledger = snapshot.of(site).ok_or_else(|| io::Error::other("the box does not know this robot"))?;
        Ok(Self { margin: Duration::from_micros(snapshot.margin_us), ledger })
    }
}

impl BoxLedger {
    /// received = answered + superseded + refused + missed + in flight.
    #[must_use]
    pub fn balances(&self) -> bool {
        let Self { received, model, fallback, superseded, refused, missed, in_flight } = *self;
        received == model + fallback + superseded + refused + missed + in_flight
    }

    /// What was counted since an earlier look.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            received: self.received.saturating_sub(earlier.received),
            model: self.model.saturating_sub(earlier.model),
            fallback: self.fallback.saturating_sub(earlier.fallback),
            superseded: self.superseded.saturating_sub(earlier.superseded),
            refused: self.refused.saturating_sub(earlier.refused),
            missed: self.missed.saturating_sub(earlier.missed),
            in_flight: self.in_flight,
        }
    }

    /// What it says beside the robot's own books.
    #[must_use]
    pub fn compared_with(self, totals: &Totals) -> Comparison {
        let robot = [totals.model, totals.fallback(), totals.refusals(), totals.misses()];
        let ours = [self.model, self.fallback, self.refused, self.missed];
        let responses = ours.iter().zip(robot).map(|(sent, arrived)| sent.checked_sub(arrived)).sum::<Option<u64>>();
        match (totals.sent.checked_sub(self.received), responses, self.in_flight) {
            (Some(0), Some(0), 0) => Comparison::Agree,
            (Some(observations), Some(responses), 0) => Comparison::LostOnTheLink { observations, responses },
            _ => Comparison::Differ,
        }
    }
}

/// The box's ledger beside the robot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Each observation arrived and ended alike in both.
    Agree,
    /// The rest agrees.
    LostOnTheLink {
        /// Sent by the robot, never received by the box.
        observations: u64,
        /// Sent by the box, never received by the robot.
        responses: u64,
    },
    /// The box denies what the robot saw.
    Differ,
}

impl Comparison {
    pub(crate) fn words(self) -> (&'static str, String) {
        match self {
            Self::Agree => ("agree", String::new()),
            Self::LostOnTheLink { observations, responses } => {
                ("agree", format!("but for {observations} observations and {responses} responses lost on the link"))
            }
            Self::Differ => ("differ", "The box denies what the robot saw.".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_lacks_one_is_named() {
        let good = BoxLedger { received: 9, model: 3, fallback: 2, superseded: 1, refused: 1, missed: 1, in_flight: 1 };
        let line = |robot: &str, ledger| Line { robot: robot.into(), task: "track".into(), ledger };
        let snapshot = |ledger| Snapshot {
            boot: "1".into(),
            margin_us: 1,
            connections: vec![line("left", ledger), line("right", good)],
            total: good,
        };
        assert_eq!(snapshot(good).unbalanced(), [""; 0]);
        let unbalanced = snapshot(BoxLedger { received: 10, ..good }).unbalanced();
        assert!(unbalanced.len() == 1 && unbalanced[0].starts_with("left/track: "), "{unbalanced:?}");
    }

    #[test]
    fn what_the_link_lost_is_told_from_what_the_box_denies() {
        let totals =
            Totals { sent: 10, model: 6, fallbacks: [(301, 1), (302, 1)].into(), superseded: 2, ..Totals::default() };
        let same = BoxLedger { received: 10, model: 6, fallback: 2, superseded: 2, ..BoxLedger::default() };
        assert_eq!(same.compared_with(&totals), Comparison::Agree);
        let on_the_way = BoxLedger { received: 9, model: 7, superseded: 0, ..same };
        let lost = Comparison::LostOnTheLink { observations: 1, responses: 1 };
        assert_eq!(on_the_way.compared_with(&totals), lost);
        let denied = BoxLedger { model: 5, superseded: 3, ..same };
        assert_eq!(denied.compared_with(&totals), Comparison::Differ);
        let before = BoxLedger { received: 5, model: 5, ..BoxLedger::default() };
        let after = BoxLedger { received: 15, model: 11, ..same };
        assert_eq!(after.since(before).compared_with(&totals), Comparison::Agree);
    }
}
