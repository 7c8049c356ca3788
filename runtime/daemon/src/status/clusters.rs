//! What `genba status` says of clusters, hand-offs and the journal.

use std::{fmt::Write as _, time::Duration};

use cluster_link::{Breaker, EndpointStatus, Peer};
use engine::HandOffFailure;
use serde::{Deserialize, Serialize};

use super::{ReasonCount, reason_count};
use crate::hand_off::{Cluster, HandOffs};

/// All clusters, and what nothing leaves without.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClustersLine {
    clusters: Vec<ClusterLine>,
    /// The version of the residency policy in force; none: nothing may leave.
    policy: Option<u64>,
    journal: JournalLine,
}

/// Requested = delivered + refused + expired + failed + in flight.
#[derive(Debug, Serialize, Deserialize)]
struct ClusterLine {
    name: String,
    jurisdiction: String,
    /// In plain text, to this machine.
    insecure: bool,
    requested: u64,
    delivered: u64,
    refused: u64,
    expired: u64,
    failed: u64,
    in_flight: u64,
    attempts: u64,
    balances: bool,
    reasons: Vec<ReasonCount>,
    endpoints: Vec<EndpointLine>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EndpointLine {
    endpoint: String,
    /// `closed`: it is asked. `open`: it is not, until a probe is answered.
    breaker: String,
    /// Who is there; none without a connection.
    peer: Option<String>,
    in_flight: usize,
    attempts: u64,
    answered: u64,
    failures: Vec<(String, u64)>,
    last_failure: Option<String>,
    /// Of those that were answered; a quantile needs ten samples beyond it.
    round_trips: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    p999_us: Option<u64>,
    payload_bytes: u64,
    socket_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct JournalLine {
    /// It takes records. Where it does not, nothing leaves.
    takes_records: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<String>,
    file: String,
    /// The last record that is on the disk.
    last: u64,
    not_anchored: u64,
    /// The newest signed head's record and hash, to be kept elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<serde_json::Value>,
}

pub(super) fn clusters_line(hand_offs: &HandOffs) -> ClustersLine {
    let status = hand_offs.journal();
    ClustersLine {
        clusters: hand_offs.clusters.iter().map(|cluster| cluster_line(cluster)).collect(),
        policy: hand_offs.policy(),
        journal: JournalLine {
            takes_records: status.failing.is_none(),
            failing: status
                .failing
                .as_ref()
                .map(|(since, fault)| format!("since {}: {fault}", journal::chain::rfc3339(since.wall_ns))),
            file: status.file.display().to_string(),
            last: status.last,
            not_anchored: status.not_anchored(),
            head: status.head.as_ref().and_then(|head| serde_json::to_value(head).ok()),
        },
    }
}

fn cluster_line(cluster: &Cluster) -> ClusterLine {
    let counts = cluster.counts();
    let reasons = HandOffFailure::ALL.map(|failure| (failure, counts.by_failure(failure)));
    let reasons = reasons.into_iter().filter(|(_, count)| *count > 0);
    ClusterLine {
        name: cluster.config.name.clone(),
        jurisdiction: cluster.config.jurisdiction.clone(),
        insecure: cluster.config.identity.is_none(),
        requested: counts.requested(),
        delivered: counts.delivered(),
        refused: counts.refused(),
        expired: counts.expired(),
        failed: counts.failed(),
        in_flight: counts.in_flight(),
        attempts: cluster.attempts(),
        balances: counts.balances(),
        reasons: reasons.map(|(failure, count)| reason_count(failure.reason().row(), count)).collect(),
        endpoints: cluster.endpoints().iter().map(endpoint_line).collect(),
    }
}

fn endpoint_line(status: &EndpointStatus) -> EndpointLine {
    let micros = |time: Option<Duration>| time.and_then(|time| u64::try_from(time.as_micros()).ok());
    EndpointLine {
        endpoint: status.endpoint.to_string(),
        breaker: match status.breaker {
            Breaker::Closed => "closed",
            Breaker::Open => "open",
            Breaker::HalfOpen => "half-open",
        }
        .to_owned(),
        peer: status.peer.as_ref().map(|peer| match peer {
            Peer::Proven { spiffe_id, .. } => spiffe_id.to_string(),
            Peer::Insecure => "nobody proved anything".to_owned(),
        }),
        in_flight: status.in_flight,
        attempts: status.attempts,
        answered: status.answered,
        failures: status
            .failures
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| (kind.name().to_owned(), *count))
            .collect(),
        last_failure: status.last_failure.as_ref().map(ToString::to_string),
        round_trips: status.round_trip.count,
        p50_us: micros(status.round_trip.p50),
        p99_us: micros(status.round_trip.p99),
        p999_us: micros(status.round_trip.p999),
        payload_bytes: status.payload_bytes,
        socket_bytes: status.socket_bytes,
    }
}

/// The same for people.
pub(super) fn write_clusters(text: &mut String, line: &ClustersLine) {
    for cluster in &line.clusters {
        let ClusterLine { name, jurisdiction, requested, delivered, refused, expired, failed, in_flight, .. } = cluster;
        let insecure = if cluster.insecure { ", INSECURE: in plain text to this machine" } else { "" };
        let _ = writeln!(
            text,
            "\ncluster {name} in {jurisdiction}{insecure}: {requested} hand-offs, {delivered} delivered, {refused} refused, \
             {expired} expired, {failed} failed, {in_flight} in flight, {} attempts",
            cluster.attempts
        );
        super::write_reasons(text, &cluster.reasons);
        for endpoint in &cluster.endpoints {
            write_endpoint(text, endpoint);
        }
    }
    let policy =
        line.policy.map_or("no policy in force: nothing leaves".to_owned(), |version| format!("policy {version}"));
    let JournalLine { failing, file, last, not_anchored, .. } = &line.journal;
    let journal = failing.as_ref().map_or_else(
        || format!("{last} records, {not_anchored} of them not anchored, in {file}"),
        |failing| format!("TAKES NO RECORDS, so nothing leaves: {failing}"),
    );
    let _ = writeln!(text, "{policy}; journal: {journal}");
}

fn write_endpoint(text: &mut String, endpoint: &EndpointLine) {
    let EndpointLine { endpoint: address, breaker, peer, attempts, answered, round_trips, .. } = endpoint;
    let peer = peer.as_deref().unwrap_or("no connection");
    let millis = |micros: Option<u64>| {
        micros.map_or("too few".to_owned(), |micros| format!("{}.{:03} ms", micros / 1_000, micros % 1_000))
    };
    let _ = writeln!(
        text,
        "  {address}: breaker {breaker}, {peer}, {answered} of {attempts} attempts answered; round trip of {round_trips}: \
         p50 {}, p99 {}, p99.9 {}",
        millis(endpoint.p50_us),
        millis(endpoint.p99_us),
        millis(endpoint.p999_us)
    );
    for (kind, count) in &endpoint.failures {
        let _ = writeln!(text, "    {count:>8} x {kind}");
    }
    if let Some(last) = &endpoint.last_failure {
        let _ = writeln!(text, "    the last: {last}");
    }
}

impl ClustersLine {
    pub(super) fn balances(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.balances)
    }
}
