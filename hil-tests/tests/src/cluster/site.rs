//! A box whose own worker answers a robot, and whose clients' model is on a cluster: two Tritons with mutual TLS, or one
//! server in plain text, each behind a wire.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use engine::HandOffFailure;
use serde_json::Value;

use super::{Authority, Dialect, Server, TRITON, Wire, cluster_section, home_policy, insecure_section};
use crate::{
    asker::{Asker, Question},
    config::{BoxConfig, INSPECT},
    genba::{Genba, eventually, repository},
};

/// The cluster's model, as box and servers call it.
const MODEL: &str = "double";
/// How many values its observation has.
const OBSERVED: usize = 21;
/// Its client.
const CLIENT: &str = "reader";
/// A client's deadline: longer than a probe takes to find out, shorter than the longest delay of a server.
const DEADLINE_US: u64 = 4_000_000;

/// Box, servers and wires.
pub struct ClusterSite {
    /// The box. Its robot is called `steady`.
    pub genba: Genba,
    /// The cluster's client.
    pub asker: Asker,
    /// The servers, the preferred one first.
    pub servers: Vec<Server>,
    /// The way to each.
    pub wires: Vec<Wire>,
    /// Whose certificates they have; `None`: they have none.
    pub jurisdiction: Option<Authority>,
}

/// How often an endpoint that answers nobody is probed.
const PROBE_EVERY_MS: u64 = 1_000;
/// How long a probe waits: a machine that tests on all cores is slow.
const PROBE_TIMEOUT_MS: u64 = 2_000;
/// After that a probe has found out that an endpoint does not answer.
pub const FOUND_OUT: Duration = Duration::from_millis(PROBE_EVERY_MS + PROBE_TIMEOUT_MS);

/// What the journal says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The hand-off's id, as the server hears it.
    pub hand_off: String,
    /// The task; a probe's is the cluster's name.
    pub task: String,
    /// Who it was sent to.
    pub endpoint: String,
    /// `None`: it has none.
    pub outcome: Option<String>,
}

impl ClusterSite {
    /// Starts two Tritons and the rest, and waits until both servers answer.
    ///
    /// # Panics
    /// If they do not.
    #[must_use]
    pub fn start(python: &Path) -> Self {
        Self::probed(python, &BoxConfig::default(), PROBE_EVERY_MS)
    }

    /// The same with another box, which probes a server only when it has answered nothing for so long.
    ///
    /// # Panics
    /// If they do not answer.
    #[must_use]
    pub fn probed(python: &Path, config: &BoxConfig, every_ms: u64) -> Self {
        let jurisdiction = Authority::new("jp");
        let identity = jurisdiction.addressed_server(TRITON);
        let client = jurisdiction.client("spiffe://factory.jp/box/1");
        let model = served();
        let start = || Server::triton(python, &identity, &jurisdiction, &[(MODEL, &model)]);
        let mut servers = vec![start(), start()];
        for server in &mut servers {
            server.await_ready(python, Some(&client));
        }
        let wires = wired(&servers);
        let section =
            cluster_section(&addresses(&wires), &[MODEL], (&jurisdiction, &client), (every_ms, PROBE_TIMEOUT_MS));
        Self { jurisdiction: Some(jurisdiction), ..Self::serve(config, servers, wires, &section) }
    }

    /// Starts one server of this dialect, which is asked in plain text, and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn insecure(python: &Path, dialect: Dialect) -> Self {
        let mut server = Server::plain(python, dialect, &[(MODEL, &served())]);
        server.await_ready(python, None);
        let servers = vec![server];
        let wires = wired(&servers);
        let section = insecure_section(&addresses(&wires), &[MODEL], (PROBE_EVERY_MS, PROBE_TIMEOUT_MS));
        Self::serve(&BoxConfig::default(), servers, wires, &section)
    }

    /// Starts a box for servers that answer.
    fn serve(config: &BoxConfig, servers: Vec<Server>, wires: Vec<Wire>, section: &str) -> Self {
        let text = cluster_text(section, &folder());
        let prepare = |config: &Path| {
            let written = fs::read_to_string(config).expect("the config is there");
            fs::write(config, written + &text).expect("the folder can be written");
            let policy = config.parent().expect("it is in a folder").join("policy.toml");
            fs::write(policy, home_policy(&[("synthetic", "public"), ("joint-state", "internal")]))
                .expect("the folder can be written");
            true
        };
        let genba = Genba::start_if(config, prepare).expect("nothing speaks against it");
        // The policy is in force by then: probes go by a rule as well.
        eventually("all endpoints answered a probe", || {
            let status = genba.status();
            let endpoints = status.cluster()["endpoints"].as_array().expect("a cluster has endpoints");
            endpoints.iter().all(|endpoint| endpoint["answered"].as_u64() > Some(0)).then_some(())
        });
        // As the asker finds models: below `models`.
        let of_cluster = BoxConfig { model: "../hil-tests/tests/models/double", ..BoxConfig::default() };
        let asker = Asker::connect(&genba, &of_cluster, CLIENT);
        Self { genba, asker, servers, wires, jurisdiction: None }
    }

    /// The client's next valid request: the joints alone, without the hang that the asker's usual model has.
    #[must_use]
    pub fn question(&self) -> Question {
        let mut question = self.asker.question();
        question.values.truncate(OBSERVED);
        question
    }

    /// The client's ledger of the box, which must agree with the journal and with what the servers wrote down: nothing
    /// arrived that was not recorded before, and every record has its outcome.
    ///
    /// # Panics
    /// If they do not agree.
    pub fn assert_ledgers(&self, asked: u64, answered: u64) {
        let _ = self.genba.settled();
        // In the other order of how they come about: probes go on.
        let received: Vec<_> = self.servers.iter().flat_map(|server| server.received(MODEL)).collect();
        let attempts: Vec<Attempt> = journalled(self.genba.folder());
        let status = self.genba.settled();
        let line = status.cluster();
        let at = |name: &str| line[name].as_u64().expect("a count is a number");
        assert_eq!(line["balances"], true, "{line}");
        assert_eq!((at("requested"), at("in_flight")), (asked, 0), "{line}");
        let tasks: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.task == INSPECT).collect();
        assert!(tasks.iter().all(|attempt| attempt.outcome.is_some()), "an attempt without outcome: {tasks:?}");
        let delivered = |attempt: &&&Attempt| attempt.outcome.as_deref() == Some("delivered");
        assert_eq!(tasks.iter().filter(delivered).count() as u64, at("delivered"), "{line}: {tasks:?}");
        // What came just after its deadline was delivered, and nobody was answered with it.
        assert!(at("delivered") >= answered, "{line}");
        // An attempt that found nobody has no intent; those of probes made since are in neither.
        let endpoints = line["endpoints"].as_array().expect("a cluster has endpoints");
        let tried: u64 = endpoints.iter().filter_map(|endpoint| endpoint["attempts"].as_u64()).sum();
        assert!(attempts.len() as u64 <= tried, "more intents than attempts: {line}");
        let recorded: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.hand_off.as_str()).collect();
        assert!(received.len() as u64 >= answered, "each answer was computed: {received:?}");
        let unrecorded: Vec<_> = received.iter().filter(|request| !recorded.contains(request.id.as_str())).collect();
        assert!(unrecorded.is_empty(), "it arrived, and no record says so: {unrecorded:?}");
    }

    /// The same where nothing was lost on the way: each answer is one delivery, and what the journal says of the client's
    /// requests, attempt by attempt, is the servers' own list without the probes. How many attempts that were.
    ///
    /// # Panics
    /// If they do not agree.
    #[must_use]
    pub fn assert_equal_lists(&self, asked: u64, answered: u64) -> usize {
        self.assert_ledgers(asked, answered);
        let status = self.genba.settled();
        assert_eq!(status.cluster()["delivered"].as_u64(), Some(answered), "{}", status.cluster());
        // Probes go on: each that has arrived by now is in the journal that is read after it.
        let received: Vec<_> = self.servers.iter().flat_map(|server| server.received(MODEL)).collect();
        let (tasks, probes): (Vec<_>, Vec<_>) =
            journalled(self.genba.folder()).into_iter().partition(|attempt| attempt.task == INSPECT);
        let probes: BTreeSet<String> = probes.into_iter().map(|attempt| attempt.hand_off).collect();
        let mut arrived: Vec<String> = received.into_iter().map(|request| request.id).collect();
        arrived.retain(|id| !probes.contains(id));
        let mut recorded: Vec<String> = tasks.into_iter().map(|attempt| attempt.hand_off).collect();
        arrived.sort_unstable();
        recorded.sort_unstable();
        assert_eq!(recorded, arrived, "the journal's list, and the servers' own");
        recorded.len()
    }
}

fn wired(servers: &[Server]) -> Vec<Wire> {
    servers.iter().map(|server| Wire::to(server.address())).collect()
}

fn addresses(wires: &[Wire]) -> Vec<String> {
    wires.iter().map(|wire| wire.address().to_string()).collect()
}

/// The model's folder.
fn folder() -> PathBuf {
    repository().join("hil-tests/tests/models").join(MODEL)
}

/// The same, as the servers take it.
fn served() -> String {
    folder().join("model.onnx").display().to_string()
}

/// The attempts of a box's journal, in its order.
///
/// # Panics
/// If it is no journal.
#[must_use]
pub fn journalled(of_box: &Path) -> Vec<Attempt> {
    let mut files: Vec<PathBuf> = fs::read_dir(of_box.join("journal"))
        .expect("there is a journal")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    let mut attempts: Vec<(u64, Attempt)> = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).expect("the journal is text");
        for line in text.lines() {
            // The last line may be on its way to the disk.
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let record = &line["record"];
            if let Some(intent) = record.get("intent") {
                let text = |field: &str| intent[field].as_str().expect("a text").to_owned();
                let (hand_off, task, endpoint) = (text("hand_off"), text("task"), text("endpoint"));
                attempts
                    .push((line["n"].as_u64().expect("a number"), Attempt { hand_off, task, endpoint, outcome: None }));
            } else if let Some(ended) = record.get("outcome") {
                let of = ended["intent"].as_u64().expect("a number");
                let (_, attempt) = attempts.iter_mut().find(|(n, _)| *n == of).expect("an outcome follows its intent");
                attempt.outcome = ended["outcome"].as_str().map(str::to_owned);
            }
        }
    }
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

/// The journal, the policy, the cluster and its clients, behind a config that has robots only.
fn cluster_text(cluster: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
[[model]]
name = "{MODEL}"
folder = "{folder}"
{cluster}
[[task]]
name = "{INSPECT}"
model = "{MODEL}"
deadline_us = {DEADLINE_US}
clients = [{{ name = "{CLIENT}", min_period_us = 1, arrival_jitter_us = 1000000, queue = 4 }}]
data = {{ observation = "joint-state/internal" }}
"#
    )
}

/// A failure's number, as a client hears it.
#[must_use]
pub fn number(failure: HandOffFailure) -> u16 {
    failure.reason().row().number
}
