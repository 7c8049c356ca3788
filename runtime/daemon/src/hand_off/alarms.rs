//! What is wrong with hand-offs, said once when it begins and once when it ends.

use std::collections::BTreeMap;

use cluster_link::{Breaker, EndpointStatus};
use engine::Reason;
use journal::chain;

/// One thing that is wrong: which alarm, and of what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wrong {
    number: u16,
    /// The endpoint, the file: what an operator goes to.
    what: String,
}

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Begins(String),
    Ends(String),
}

/// What was wrong at the last look, each with its reason.
#[derive(Debug, Default)]
pub(super) struct Alarms(BTreeMap<Wrong, Reason>);

impl Alarms {
    /// What is to be said now that this is wrong, each with why.
    pub(super) fn changes(&mut self, now: Vec<(Reason, String, String)>) -> Vec<Said> {
        let mut said = Vec::new();
        let mut wrong = BTreeMap::new();
        for (reason, what, why) in now {
            let row = reason.row();
            let key = Wrong { number: row.number, what };
            if !self.0.contains_key(&key) {
                said.push(Said::Begins(format!("{reason}: {}: {why}. {} {}", key.what, row.what, row.action)));
            }
            wrong.insert(key, reason);
        }
        let ended = self.0.iter().filter(|(key, _)| !wrong.contains_key(key));
        said.extend(ended.map(|(key, reason)| Said::Ends(format!("{reason}: {}: no longer", key.what))));
        self.0 = wrong;
        said
    }
}

/// What is wrong with the journal and its anchors.
pub(super) fn of_journal(status: &chain::Status) -> impl Iterator<Item = (Reason, String, String)> + '_ {
    let failing = status.failing.iter().map(|(since, fault)| {
        let why = format!("since {}: {fault}", chain::rfc3339(since.wall_ns));
        (Reason::JournalFailing, "the journal".to_owned(), why)
    });
    let anchors = status.anchors.iter().filter_map(|anchor| {
        let (_, why) = anchor.failing.as_ref()?;
        Some((Reason::AnchorFailing, anchor.path.display().to_string(), why.clone()))
    });
    failing.chain(anchors)
}

/// What is wrong with a cluster's endpoints: those that are not asked.
pub(super) fn of_endpoints(
    cluster: &str,
    endpoints: Vec<EndpointStatus>,
) -> impl Iterator<Item = (Reason, String, String)> {
    let down = endpoints.into_iter().filter(|endpoint| endpoint.breaker != Breaker::Closed);
    down.map(move |endpoint| {
        let why = endpoint.last_failure.as_ref().map_or("no answer".to_owned(), ToString::to_string);
        (Reason::EndpointDown, format!("{} of {cluster}", endpoint.endpoint), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(endpoint: &str, why: &str) -> (Reason, String, String) {
        (Reason::EndpointDown, endpoint.to_owned(), why.to_owned())
    }

    fn begun(said: &[Said]) -> Vec<bool> {
        said.iter().map(|one| matches!(one, Said::Begins(_))).collect()
    }

    #[test]
    fn each_alarm_is_said_when_it_begins_and_when_it_ends() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.changes(Vec::new()), []);
        let said = alarms.changes(vec![down("10.0.0.1:8001", "refused")]);
        let [Said::Begins(line)] = &said[..] else { panic!("{said:?}") };
        assert!(line.starts_with("E-511 endpoint-down: 10.0.0.1:8001: refused. "), "{line}");
        assert_eq!(alarms.changes(vec![down("10.0.0.1:8001", "timed out")]), [], "it is the same one");
        let said = alarms.changes(vec![down("10.0.0.1:8001", ""), down("10.0.0.2:8001", "")]);
        assert_eq!(begun(&said), [true], "another endpoint is another alarm");
        let said = alarms.changes(vec![down("10.0.0.2:8001", "")]);
        assert_eq!(said, [Said::Ends("E-511 endpoint-down: 10.0.0.1:8001: no longer".to_owned())]);
        assert_eq!(begun(&alarms.changes(vec![down("10.0.0.1:8001", "")])), [true, false], "again, and the other ends");
    }

    #[test]
    fn the_same_thing_may_be_wrong_in_two_ways() {
        let mut alarms = Alarms::default();
        let anchor = |reason| (reason, "the journal".to_owned(), String::new());
        let both = vec![anchor(Reason::JournalFailing), anchor(Reason::AnchorFailing)];
        assert_eq!(begun(&alarms.changes(both)), [true, true]);
        assert_eq!(begun(&alarms.changes(vec![anchor(Reason::AnchorFailing)])), [false]);
    }
}
