//! A month for an auditor: what left, to whom, under which rule; what was refused; what nobody knows the end of.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    export::{ExportError, each, word},
    line::Line,
    reader::Reader,
    record::{Intent, Outcome, Peer, PolicyChange, Record, Refused},
    stamp::{Month, Stamp, rfc3339},
};

/// A month's report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The month, in UTC.
    pub month: String,
    /// The box's name.
    #[serde(rename = "box")]
    pub box_id: String,
    /// Attempts that left, by where from, where to, what and under which rule.
    pub left: Vec<Left>,
    /// What was refused before anything left.
    pub refused: Vec<RefusedSum>,
    /// Refusals of which only the number is known.
    pub unrecorded: u64,
    /// Attempts of which nobody knows whether they arrived.
    pub in_doubt: u64,
    /// Attempts that had no outcome yet when the chain ended.
    pub open: u64,
    /// Changes of the policy, in order.
    pub policies: Vec<String>,
    /// Starts of the box, those that followed no orderly close, and cuts that the box signed.
    pub starts: u64,
    /// Starts that followed no orderly close.
    pub unclean: u64,
    /// Each cut, in words.
    pub cuts: Vec<String>,
    /// How good the wall clock was.
    pub clock: ClockSum,
}

/// Attempts of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// The task.
    pub task: String,
    /// The cluster.
    pub cluster: String,
    /// Its jurisdiction.
    pub jurisdiction: String,
    /// Address and port.
    pub endpoint: String,
    /// Who proved to be there; none where nobody was asked.
    pub spiffe_id: Option<String>,
    /// The data classes, each once.
    pub classes: String,
    /// The rule.
    pub rule: String,
    /// Attempts whose intent is in the chain.
    pub attempts: u64,
    /// The bytes of their payloads.
    pub payload_bytes: u64,
    /// Of them, attempts of which it is known that nothing left.
    pub not_sent: u64,
    /// Of them, attempts whose answer came and was right.
    pub delivered: u64,
    /// The bytes of all answers.
    pub answer_bytes: u64,
}

/// Refusals of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedSum {
    /// The task.
    pub task: String,
    /// The cluster.
    pub cluster: String,
    /// Why.
    pub reason: String,
    /// The data class.
    pub class: String,
    /// The rule.
    pub rule: String,
    /// How many.
    pub count: u64,
}

/// How good the wall clock was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClockSum {
    /// Records of the month.
    pub records: u64,
    /// Of them, by a clock that nothing disciplined.
    pub unsynchronised: u64,
    /// The largest bound of error of the others, in microseconds.
    pub worst_error_us: Option<u64>,
    /// How often the wall clock stood earlier than at the record before.
    pub went_back: u64,
    /// The longest time without a record, in seconds, and when it began.
    pub longest_gap: Option<(u64, String)>,
}

/// Task, cluster, jurisdiction, endpoint, identity, classes, rule.
type LeftKey = (String, String, String, String, Option<String>, String, String);

#[derive(Default)]
struct Sums {
    left: BTreeMap<LeftKey, [u64; 5]>,
    refused: BTreeMap<[String; 5], u64>,
    open: BTreeMap<u64, LeftKey>,
    closed: bool,
    before: Option<Stamp>,
}

/// Reads a whole chain and sums up one month. An outcome counts in the month of its intent.
///
/// # Errors
///
/// Every [`ExportError`]: a report of a damaged chain would be none.
pub fn report(mut from: Reader, month: Month) -> Result<Report, ExportError> {
    let mut report = Report { month: month.to_string(), ..Report::default() };
    let mut sums = Sums::default();
    each(&mut from, None, |line, _| {
        let inside = Month::of(line.at.wall_ns) == month;
        if inside {
            clock(&mut report.clock, line, sums.before);
        }
        sums.before = Some(line.at);
        take(&mut report, &mut sums, line, inside);
        Ok(())
    })?;
    report.open = sums.open.len() as u64;
    report.left = sums.left.into_iter().map(left).collect();
    report.refused = sums.refused.into_iter().map(refused).collect();
    Ok(report)
}

fn take(report: &mut Report, sums: &mut Sums, line: &Line, inside: bool) {
    let closed_before = sums.closed || line.n == 1;
    // A close is followed by its own signature, and by nothing else.
    sums.closed = match &line.record {
        Record::Closed(_) => true,
        Record::Head(_) => sums.closed,
        Record::Opened(_)
        | Record::Policy(_)
        | Record::Intent(_)
        | Record::Outcome(_)
        | Record::Refused(_)
        | Record::Unrecorded(_)
        | Record::Recovered(_)
        | Record::Rotated(_)
        | Record::Continued(_) => false,
    };
    match &line.record {
        Record::Intent(intent) if inside => {
            let key = left_key(intent);
            let sum = sums.left.entry(key.clone()).or_default();
            sum[0] += 1;
            sum[1] += intent.payload_bytes;
            sums.open.insert(line.n, key);
        }
        Record::Outcome(ended) => {
            if let Some(sum) = sums.open.remove(&ended.intent).and_then(|key| sums.left.get_mut(&key)) {
                sum[2] += u64::from(ended.outcome == Outcome::NotSent);
                sum[3] += u64::from(ended.outcome == Outcome::Delivered);
                sum[4] += ended.answer_bytes;
                report.in_doubt += u64::from(ended.outcome == Outcome::Abandoned);
            }
        }
        Record::Opened(opened) => {
            report.box_id.clone_from(&opened.box_id);
            for open in &opened.in_doubt {
                report.in_doubt += u64::from(sums.open.remove(&open.intent).is_some());
            }
            if inside {
                report.starts += 1;
                report.unclean += u64::from(!closed_before);
            }
        }
        Record::Policy(change) if inside => report.policies.push(policy(line, change)),
        Record::Refused(refused) if inside => *sums.refused.entry(refused_key(refused)).or_default() += 1,
        Record::Unrecorded(unrecorded) if inside => report.unrecorded += unrecorded.refusals,
        Record::Recovered(recovered) if inside => {
            let bytes = recovered.bytes.map_or("an unknown number of".to_owned(), |bytes| bytes.to_string());
            let why = word(&recovered.why);
            let at = rfc3339(line.at.wall_ns);
            report.cuts.push(format!("{at} {} after record {}: {bytes} bytes, {why}", recovered.file, recovered.after));
        }
        Record::Intent(_)
        | Record::Policy(_)
        | Record::Refused(_)
        | Record::Unrecorded(_)
        | Record::Recovered(_)
        | Record::Head(_)
        | Record::Rotated(_)
        | Record::Continued(_)
        | Record::Closed(_) => {}
    }
}

fn clock(sum: &mut ClockSum, line: &Line, before: Option<Stamp>) {
    sum.records += 1;
    if line.at.clock.synchronised {
        sum.worst_error_us = sum.worst_error_us.max(line.at.clock.error_us);
    } else {
        sum.unsynchronised += 1;
    }
    let Some(before) = before else { return };
    // A record has the time at which it was asked for, and may be written after one that was asked for later: then both clocks
    // say so. The monotonic one begins anew at a start.
    let later = line.at.monotonic_ns >= before.monotonic_ns || matches!(line.record, Record::Opened(_));
    sum.went_back += u64::from(later && line.at.wall_ns < before.wall_ns);
    let gap = line.at.wall_ns.saturating_sub(before.wall_ns) / 1_000_000_000;
    if gap > sum.longest_gap.as_ref().map_or(0, |(seconds, _)| *seconds) {
        sum.longest_gap = Some((gap, rfc3339(before.wall_ns)));
    }
}

fn left_key(intent: &Intent) -> LeftKey {
    let mut classes: Vec<_> = intent.data.iter().map(|field| field.class.as_str()).collect();
    classes.sort_unstable();
    classes.dedup();
    let spiffe_id = match &intent.peer {
        Peer::Proven { spiffe_id, .. } => Some(spiffe_id.clone()),
        Peer::Insecure {} => None,
    };
    let Intent { task, cluster, jurisdiction, endpoint, rule, .. } = intent.clone();
    (task, cluster, jurisdiction, endpoint, spiffe_id, classes.join(" "), rule)
}

fn left((key, sum): (LeftKey, [u64; 5])) -> Left {
    let (task, cluster, jurisdiction, endpoint, spiffe_id, classes, rule) = key;
    let [attempts, payload_bytes, not_sent, delivered, answer_bytes] = sum;
    Left {
        task,
        cluster,
        jurisdiction,
        endpoint,
        spiffe_id,
        classes,
        rule,
        attempts,
        payload_bytes,
        not_sent,
        delivered,
        answer_bytes,
    }
}

fn refused_key(refused: &Refused) -> [String; 5] {
    let Refused { task, cluster, class, rule, .. } = refused.clone();
    [task, cluster, word(&refused.reason), class.unwrap_or_default(), rule.unwrap_or_default()]
}

fn refused(([task, cluster, reason, class, rule], count): ([String; 5], u64)) -> RefusedSum {
    RefusedSum { task, cluster, reason, class, rule, count }
}

fn policy(line: &Line, change: &PolicyChange) -> String {
    let at = rfc3339(line.at.wall_ns);
    match change {
        PolicyChange::Committed { version, digest } => format!("{at} policy {version} in force, sha256 {digest}"),
        PolicyChange::Withdrawn { why } => format!("{at} no policy in force: {why}"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Hand-offs of box {} in {} (UTC)  /  データ提供の記録", self.box_id, self.month)?;
        writeln!(out, "\nWhat left the box  /  外部に送信したデータ")?;
        for left in &self.left {
            let who = left.spiffe_id.as_deref().unwrap_or("NOBODY WAS ASKED WHO IT IS (insecure)");
            writeln!(out, "  task {}, {}", left.task, left.classes)?;
            writeln!(out, "    to {} in {}, {} as {who}", left.cluster, left.jurisdiction, left.endpoint)?;
            writeln!(
                out,
                "    under rule {}: {} attempts, {} bytes; {} answered right, {} not sent; {} bytes came back",
                left.rule, left.attempts, left.payload_bytes, left.delivered, left.not_sent, left.answer_bytes
            )?;
        }
        none(out, self.left.is_empty())?;
        writeln!(out, "\nWhat was refused  /  拒否した送信")?;
        for refused in &self.refused {
            let RefusedSum { task, cluster, reason, class, rule, count } = refused;
            let rule = if rule.is_empty() { "no rule" } else { rule };
            let class = if class.is_empty() { "no class" } else { class };
            writeln!(out, "  task {task} to {cluster}: {count} times {reason}, {class}, {rule}")?;
        }
        if self.unrecorded > 0 {
            writeln!(out, "  {} more that could not be recorded one by one", self.unrecorded)?;
        }
        none(out, self.refused.is_empty() && self.unrecorded == 0)?;
        writeln!(out, "\nIn doubt  /  結果不明")?;
        writeln!(out, "  {} attempts may or may not have arrived; {} have no outcome yet", self.in_doubt, self.open)?;
        writeln!(out, "\nPolicies  /  適用した方針")?;
        self.policies.iter().try_for_each(|policy| writeln!(out, "  {policy}"))?;
        none(out, self.policies.is_empty())?;
        writeln!(out, "\nGaps  /  記録の中断")?;
        writeln!(out, "  {} starts, {} of them after no orderly close", self.starts, self.unclean)?;
        self.cuts.iter().try_for_each(|cut| writeln!(out, "  cut: {cut}"))?;
        if let Some((seconds, from)) = &self.clock.longest_gap {
            writeln!(out, "  the longest time without a record: {seconds} s from {from}")?;
        }
        writeln!(out, "\nClock  /  時計の精度")?;
        let ClockSum { records, unsynchronised, worst_error_us, went_back, .. } = &self.clock;
        let worst = worst_error_us.map_or("told none".to_owned(), |worst| format!("{worst} µs at worst"));
        writeln!(out, "  {records} records, {unsynchronised} by a clock that nothing disciplined")?;
        writeln!(out, "  the kernel's bound of error of the others: {worst}; it went back {went_back} times")
    }
}

fn none(out: &mut fmt::Formatter<'_>, empty: bool) -> fmt::Result {
    if empty { writeln!(out, "  nothing") } else { Ok(()) }
}
