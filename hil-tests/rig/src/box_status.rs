//! What the box says of itself, as `genba status --json` prints it: to be compared with the robot's books.

use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
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

impl BoxStatus {
    /// Asks the running box of this config.
    ///
    /// # Errors
    /// What the system said, or that the answer is none.
    pub fn ask(genba: &Path, config: &Path, site: &Site) -> io::Result<Self> {
        let output = Command::new(genba).args(["status", "--json", "--config"]).arg(config).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let status: Status = serde_json::from_slice(&output.stdout)?;
        let ours = status.connections.into_iter().find(|line| line.robot == site.robot && line.task == site.task);
        let ledger = ours.map(|line| line.counts).ok_or_else(|| io::Error::other("the box does not know this robot"))?;
        Ok(Self { margin: Duration::from_micros(status.margin_us), ledger })
    }
}

impl BoxLedger {
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

    /// Whether it says the same as the robot's: each observation arrived and ended alike.
    #[must_use]
    pub fn agrees_with(self, totals: &Totals) -> bool {
        let robot = Self {
            received: totals.sent,
            model: totals.model,
            fallback: totals.fallback(),
            superseded: totals.superseded,
            refused: totals.refusals(),
            missed: totals.misses(),
            in_flight: totals.open(),
        };
        self == robot
    }
}

#[derive(Deserialize)]
struct Status {
    margin_us: u64,
    connections: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    robot: String,
    task: String,
    counts: BoxLedger,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_observation_that_ended_otherwise_is_a_difference() {
        let totals = Totals {
            sent: 10,
            model: 6,
            fallbacks: [(301, 1), (302, 1)].into(),
            superseded: 2,
            ..Totals::default()
        };
        let same = BoxLedger { received: 10, model: 6, fallback: 2, superseded: 2, ..BoxLedger::default() };
        assert!(same.agrees_with(&totals));
        let lost = BoxLedger { model: 7, superseded: 1, ..same };
        assert!(!lost.agrees_with(&totals), "a response was lost on its way");
        let before = BoxLedger { received: 5, model: 5, ..BoxLedger::default() };
        let after = BoxLedger { received: 15, model: 11, ..same };
        assert!(after.since(before).agrees_with(&totals));
    }
}
