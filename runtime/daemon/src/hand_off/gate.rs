//! What stands between a request and the wire: residency policy and journal, in the order that the link asks them in.
//!
//! Rule, then intent on the disk, then the send. A refusal is a record as well, as far as the journal takes records.

use std::{
    collections::HashMap,
    error, fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cluster_link::{Attempt, Destination, Ended, Failure, Gate, IntentId, NotSent, Outcome, Permit, Purpose, Request};
use engine::HandOffFailure;
use journal::chain::{self, FieldClass, Hex, Intent, Journal, Latency, Peer, Receipt, RefusedReason};

use crate::{
    plan::Plan,
    residency::{Change, Commits, Current, Denied, Looked, Refusal, Ruled},
};

/// The box's policy and journal.
pub(super) struct BoxGate {
    /// Names of tasks and clusters, by their places in the config.
    tasks: HashMap<String, usize>,
    clusters: HashMap<String, usize>,
    journal: Journal,
    policy: Arc<Current>,
    /// Attempts that have begun: each ends once.
    open: Mutex<HashMap<u64, Receipt>>,
    /// By cluster: attempts of tasks that were recorded.
    attempts: Vec<AtomicU64>,
    /// By cluster: what its last probe was refused for. A probe that is refused each second is one record, not a million.
    refused_probes: Vec<Mutex<Option<Verdict>>>,
}

/// Why something is refused, and by which version of the policy.
type Verdict = (Refusal, Option<u64>);

/// Why nothing leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) failure: HandOffFailure,
    says: Arc<str>,
}

impl fmt::Display for Refused {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.failure.reason(), self.says)
    }
}

impl error::Error for Refused {}

impl BoxGate {
    pub(super) fn new(plan: &Plan, journal: Journal, policy: Arc<Current>) -> Self {
        let tasks = plan.config.tasks.iter().enumerate().map(|(place, task)| (task.name.clone(), place));
        let clusters = plan.config.clusters.iter().enumerate().map(|(place, cluster)| (cluster.name.clone(), place));
        let open = Mutex::new(HashMap::new());
        let attempts = plan.config.clusters.iter().map(|_| AtomicU64::new(0)).collect();
        let refused_probes = plan.config.clusters.iter().map(|_| Mutex::new(None)).collect();
        Self { refused_probes, tasks: tasks.collect(), clusters: clusters.collect(), journal, policy, open, attempts }
    }

    pub(super) fn attempts(&self, cluster: &str) -> u64 {
        self.attempts[self.clusters[cluster]].load(Ordering::Relaxed)
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn policy(&self) -> &Current {
        &self.policy
    }

    /// Commits a change of the policy, if there is one: what is on its way and may not be any more is reset by `revoke`
    /// before the change is recorded.
    pub(super) fn look(&self, revoke: &dyn Fn()) -> Looked {
        self.policy.look(&Committing { journal: &self.journal, revoke })
    }

    fn ruled(&self, purpose: Purpose, task: &str, cluster: &str) -> Result<Ruled, Denied> {
        let cluster = self.clusters[cluster];
        match purpose {
            Purpose::Task { .. } => self.policy.rule(self.tasks[task], cluster),
            Purpose::Probe => self.policy.probe(cluster),
        }
    }

    /// Whether a cluster's probe got another verdict than the one before.
    fn is_news(&self, cluster: &str, verdict: Option<Verdict>) -> bool {
        let mut last = self.refused_probes[self.clusters[cluster]].lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *last, verdict) != verdict
    }

    fn record_refusal(&self, request: &Request, to: &Destination, denied: &Denied) -> Refused {
        let failure = failure(denied.refusal);
        if request.purpose == Purpose::Probe && !self.is_news(&to.cluster, Some((denied.refusal, denied.policy))) {
            return Refused { failure, says: says(denied).into() };
        }
        let refused = chain::Refused {
            hand_off: request.id.to_string(),
            attempt: 1,
            parent: parent(request.purpose),
            task: request.task.to_string(),
            cluster: to.cluster.to_string(),
            endpoint: Some(to.endpoint.to_string()),
            reason: refused_reason(denied.refusal),
            number: Some(failure.reason().row().number),
            rule: denied.rule.as_deref().map(str::to_owned),
            class: denied.class.map(|class| class.to_string()),
            policy: denied.policy,
        };
        // Nothing was sent: a journal that cannot take it counts it, and says so when it is mended.
        let _ = self.journal.refused(refused);
        Refused { failure, says: says(denied).into() }
    }
}

impl Gate for BoxGate {
    type Refusal = Refused;

    fn rule(&self, request: &Request, to: &Destination) -> Result<Permit, Refused> {
        let ruled = self.ruled(request.purpose, &request.task, &to.cluster);
        let Ruled { rule, policy, dropped, .. } = ruled.map_err(|denied| self.record_refusal(request, to, &denied))?;
        if request.purpose == Purpose::Probe {
            self.is_news(&to.cluster, None);
        }
        Ok(Permit { rule, policy: policy.to_string().into(), dropped })
    }

    async fn intent(&self, attempt: Attempt) -> Result<IntentId, Refused> {
        let Attempt { request, number, to, permit, digest, bytes, peer, .. } = attempt;
        let ruled = self.ruled(request.purpose, &request.task, &to.cluster).ok();
        // What was allowed a moment ago must be allowed by the same policy, else it begins anew.
        let ruled = ruled.filter(|ruled| ruled.policy.to_string() == *permit.policy).ok_or_else(|| Refused {
            failure: HandOffFailure::Revoked,
            says: "the policy changed after it was allowed".into(),
        })?;
        let data =
            ruled.sent.iter().map(|(field, class)| FieldClass { field: field.to_string(), class: class.to_string() });
        let intent = Intent {
            hand_off: request.id.to_string(),
            attempt: number,
            parent: parent(request.purpose),
            task: request.task.to_string(),
            model: request.model.to_string(),
            version: request.version.to_string(),
            data: data.collect(),
            rule: permit.rule.to_string(),
            policy: ruled.policy,
            dropped: permit.dropped.iter().map(ToString::to_string).collect(),
            payload_sha256: Hex(digest),
            payload_bytes: bytes,
            endpoint: to.endpoint.to_string(),
            cluster: to.cluster.to_string(),
            jurisdiction: to.jurisdiction.to_string(),
            peer: shown(&peer),
        };
        let receipt = self.journal.intent(intent).map_err(unrecorded)?.await.map_err(unrecorded)?;
        if matches!(request.purpose, Purpose::Task { .. }) {
            self.attempts[self.clusters[&*to.cluster]].fetch_add(1, Ordering::Relaxed);
        }
        let id = receipt.intent();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(id, receipt);
        Ok(IntentId(id))
    }

    fn outcome(&self, IntentId(intent): IntentId, ended: Ended) {
        let receipt = self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&intent);
        let receipt = receipt.expect("the link ends each intent once");
        let (how, bytes) = outcome(&ended.outcome);
        let micros = |time: Duration| u64::try_from(time.as_micros()).ok();
        let latency = Latency {
            connect_us: None,
            durable_us: micros(ended.recording),
            round_trip_us: micros(ended.round_trip).filter(|micros| *micros > 0),
        };
        receipt.end(how, bytes, latency);
    }
}

/// The commit of a change: revoke first, then the record.
struct Committing<'c> {
    journal: &'c Journal,
    revoke: &'c dyn Fn(),
}

impl Commits for Committing<'_> {
    fn revoke(&self) {
        (self.revoke)();
    }

    fn record(&self, change: &Change) -> Result<(), String> {
        let change = match change {
            Change::Committed { version, digest } => {
                chain::PolicyChange::Committed { version: *version, digest: Hex(*digest) }
            }
            Change::Withdrawn { why } => chain::PolicyChange::Withdrawn { why: why.clone() },
        };
        self.journal.commit_policy(change).map(|_| ()).map_err(|refusal| refusal.to_string())
    }
}

const fn parent(purpose: Purpose) -> Option<u64> {
    match purpose {
        Purpose::Task { parent: 0 } | Purpose::Probe => None,
        Purpose::Task { parent } => Some(parent),
    }
}

fn shown(peer: &cluster_link::Peer) -> Peer {
    match peer {
        cluster_link::Peer::Proven { fingerprint, spiffe_id, .. } => {
            Peer::Proven { certificate_sha256: Hex(*fingerprint), spiffe_id: spiffe_id.to_string() }
        }
        cluster_link::Peer::Insecure => Peer::Insecure {},
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unrecorded(refusal: chain::Refusal) -> Refused {
    let failure = match &refusal {
        chain::Refusal::NoPolicy => HandOffFailure::NoPolicy,
        chain::Refusal::PolicyChanged { .. } => HandOffFailure::Revoked,
        chain::Refusal::Full { .. }
        | chain::Refusal::Failing { .. }
        | chain::Refusal::Form
        | chain::Refusal::Closed => HandOffFailure::Journal,
    };
    Refused { failure, says: refusal.to_string().into() }
}

const fn failure(refusal: Refusal) -> HandOffFailure {
    match refusal {
        Refusal::Denied => HandOffFailure::Denied,
        Refusal::ClassUndeclared => HandOffFailure::ClassUndeclared,
        Refusal::NoPolicy => HandOffFailure::NoPolicy,
        Refusal::Changing => HandOffFailure::Revoked,
    }
}

const fn refused_reason(refusal: Refusal) -> RefusedReason {
    match refusal {
        Refusal::Denied => RefusedReason::Denied,
        Refusal::ClassUndeclared => RefusedReason::Undeclared,
        Refusal::NoPolicy => RefusedReason::NoPolicy,
        Refusal::Changing => RefusedReason::PolicyChanged,
    }
}

/// Class and rule, for whoever reads the log.
fn says(denied: &Denied) -> String {
    let input = denied.input.as_deref().unwrap_or("the request");
    let class = denied.class.map_or("without a class".to_owned(), |class| format!("of class {class}"));
    match (&denied.rule, denied.policy) {
        (Some(rule), Some(policy)) => format!("{input} {class}: rule {rule} of policy {policy}"),
        (None, Some(policy)) => format!("{input} {class}: no rule of policy {policy} allows it"),
        (_, None) => "no policy is in force".to_owned(),
    }
}

fn outcome(outcome: &Outcome) -> (chain::Outcome, u64) {
    let how = match outcome {
        Outcome::Answered { bytes } => return (chain::Outcome::Delivered, *bytes),
        Outcome::NotSent(NotSent::Revoked) | Outcome::Failed(Failure::Revoked) => chain::Outcome::Revoked,
        Outcome::NotSent(_) => chain::Outcome::NotSent,
        Outcome::Cancelled => chain::Outcome::Cancelled,
        Outcome::Expired => chain::Outcome::Expired,
        Outcome::Failed(failure) => match failure {
            Failure::BadAnswer(_) => chain::Outcome::BadAnswer,
            Failure::Lost => chain::Outcome::ConnectionLost,
            Failure::Status { code, .. } if code.is_permanent() => chain::Outcome::Rejected,
            Failure::Status { .. } | Failure::Redirect(_) | Failure::Http(_) | Failure::NotGrpc | Failure::Revoked => {
                chain::Outcome::ServerError
            }
        },
    };
    (how, 0)
}
