//! What the engine's thread lets the main thread log. What may repeat at the rate of the observations is said at
//! most once a second, with its count.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use engine::{ConnectionId, ModelId, Reason, WorkerId};

use crate::{logging::Logs, plan::Plan};

/// What the main thread should log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    Quarantine {
        worker: WorkerId,
        reason: Reason,
        spare: Option<WorkerId>,
    },
    RecordVoid {
        worker: WorkerId,
        model: ModelId,
        reason: Reason,
    },
    Missed {
        connection: Option<ConnectionId>,
        reason: Reason,
    },
    /// The link took a refusal or notice not.
    NotSent,
}

/// How many reports wait for the main thread; those beyond are counted in the ledgers all the same.
pub(crate) const REPORTS: usize = 64;

/// The main thread's log of reports.
pub(crate) struct Reporter<'r> {
    plan: &'r Plan,
    logs: &'r Logs,
    lost: usize,
    repeated: Repeated,
}

impl<'r> Reporter<'r> {
    pub(crate) fn new(plan: &'r Plan, logs: &'r Logs) -> Self {
        Self { plan, logs, lost: 0, repeated: Repeated::default() }
    }

    /// Logs a report, or counts it until [`say`](Self::say).
    pub(crate) fn take(&mut self, report: Report) {
        match report {
            Report::Quarantine { worker, reason, spare } => self.quarantine(worker, reason, spare),
            Report::RecordVoid { worker, model, reason } => self.record_void(worker, model, reason),
            Report::Missed { connection, reason } => self.repeated.count(Kind::Missed { connection, reason }, 1),
            Report::NotSent => self.repeated.count(Kind::NotSent, 1),
        }
    }

    /// Logs what was counted, each kind at most once a second.
    pub(crate) fn say(&mut self) {
        let lost = self.logs.lost();
        self.repeated.count(Kind::LinesLost, u64::try_from(lost - self.lost).expect("a usize fits"));
        self.lost = lost;
        for (kind, count) in self.repeated.due(Instant::now()) {
            match kind {
                Kind::Missed { connection, reason } => {
                    let served = connection.and_then(|id| self.plan.served().nth(usize::from(id.0)));
                    let who = served.map_or_else(|| "?".to_owned(), |served| served.robot.observation_key.clone());
                    let row = reason.row();
                    tracing::warn!("{reason}: {who}, {count} times. {} {}", row.what, row.action);
                }
                Kind::NotSent => tracing::warn!("{count} refusals, notices or replies were not taken by the link"),
                Kind::LinesLost => tracing::warn!("{count} log lines were dropped: nobody reads them fast enough"),
            }
        }
    }

    fn quarantine(&self, worker: WorkerId, reason: Reason, spare: Option<WorkerId>) {
        let successor = spare.map_or("no spare takes over", |spare| self.worker(spare));
        let row = reason.row();
        tracing::error!(
            "{reason}: worker {}; successor: {successor}. {} {}",
            self.worker(worker),
            row.what,
            row.action
        );
    }

    fn record_void(&self, worker: WorkerId, model: ModelId, reason: Reason) {
        let model = self.plan.config.models.get(usize::from(model.0)).map_or("?", |model| &model.name);
        let row = reason.row();
        tracing::error!("{reason}: model {model} on worker {}. {} {}", self.worker(worker), row.what, row.action);
    }

    fn worker(&self, id: WorkerId) -> &str {
        self.plan.config.worker_name(usize::from(id.0)).unwrap_or("?")
    }
}

/// What repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Missed { connection: Option<ConnectionId>, reason: Reason },
    NotSent,
    LinesLost,
}

/// The least time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(1);

/// Counts of what was not said yet.
#[derive(Default)]
struct Repeated(HashMap<Kind, Counted>);

#[derive(Default)]
struct Counted {
    unsaid: u64,
    said: Option<Instant>,
}

impl Repeated {
    fn count(&mut self, kind: Kind, count: u64) {
        if count > 0 {
            self.0.entry(kind).or_default().unsaid += count;
        }
    }

    /// What may be said at `now`. Its counts begin anew.
    fn due(&mut self, now: Instant) -> Vec<(Kind, u64)> {
        let mut due = Vec::new();
        for (kind, counted) in &mut self.0 {
            let rested = counted.said.is_none_or(|said| now.saturating_duration_since(said) >= PAUSE);
            if counted.unsaid > 0 && rested {
                due.push((*kind, std::mem::take(&mut counted.unsaid)));
                counted.said = Some(now);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_at_once_and_then_once_a_second_with_its_count() {
        let missed = Kind::Missed { connection: Some(ConnectionId(3)), reason: Reason::EngineStalled };
        let (mut repeated, start) = (Repeated::default(), Instant::now());
        repeated.count(missed, 1);
        assert_eq!(repeated.due(start), [(missed, 1)]);
        for _ in 0..5 {
            repeated.count(missed, 1);
        }
        repeated.count(Kind::NotSent, 2);
        assert_eq!(repeated.due(start + PAUSE / 2), [(Kind::NotSent, 2)], "another kind has its own second");
        assert_eq!(repeated.due(start + PAUSE), [(missed, 5)]);
        assert_eq!(repeated.due(start + PAUSE * 5), [], "nothing is left to say");
    }
}
