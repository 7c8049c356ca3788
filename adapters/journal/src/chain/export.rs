//! The chain for other programs: as it is, or as a table.

use std::io::{self, Write};

use super::{
    line::Line,
    reader::{Piece, Reader},
    record::{Peer, PolicyChange, Record, Recovered},
    stamp::{Month, rfc3339},
};

/// The columns of the table. A cell that a record has nothing for is empty.
const COLUMNS: [&str; 33] = [
    "n",
    "wall",
    "wall_ns",
    "monotonic_ns",
    "synchronised",
    "error_us",
    "kind",
    "hand_off",
    "attempt",
    "parent",
    "task",
    "model",
    "version",
    "data",
    "rule",
    "policy",
    "dropped",
    "payload_sha256",
    "payload_bytes",
    "endpoint",
    "cluster",
    "jurisdiction",
    "certificate_sha256",
    "spiffe_id",
    "insecure",
    "intent",
    "outcome",
    "answer_bytes",
    "durable_us",
    "round_trip_us",
    "reason",
    "detail",
    "hash",
];

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file cannot be read, or the output cannot be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The chain is damaged from here on: verify it.
    #[error("there is no record after record {after}: the chain is damaged or torn there; verify it")]
    Damaged {
        /// The last record before.
        after: u64,
    },
}

/// Writes the lines of a month, or all, as they are: each still has its own hash.
///
/// # Errors
///
/// Every [`ExportError`]; what came before it was written.
pub fn export_lines(mut from: Reader, month: Option<Month>, mut to: impl Write) -> Result<(), ExportError> {
    each(&mut from, month, |_, text| {
        to.write_all(text)?;
        to.write_all(b"\n")
    })?;
    Ok(to.flush()?)
}

/// Writes the records of a month, or all, as comma-separated values; with a byte order mark, by which a spreadsheet
/// program reads it as UTF-8. A text that such a program would take for a formula gets an apostrophe before it.
///
/// # Errors
///
/// Every [`ExportError`]; what came before it was written.
pub fn export_table(mut from: Reader, month: Option<Month>, bom: bool, mut to: impl Write) -> Result<(), ExportError> {
    if bom {
        to.write_all("\u{feff}".as_bytes())?;
    }
    let mut table = csv::Writer::from_writer(to);
    table.write_record(COLUMNS).map_err(io::Error::from)?;
    each(&mut from, month, |line, _| table.write_record(row(line)).map_err(io::Error::from))?;
    Ok(table.flush()?)
}

/// Reads records one after another, and says where it had to end.
pub(super) fn each(
    from: &mut Reader,
    month: Option<Month>,
    mut then: impl FnMut(&Line, &[u8]) -> io::Result<()>,
) -> Result<(), ExportError> {
    let mut after = 0;
    while let Some(piece) = from.next_piece()? {
        match piece {
            Piece::Record { line, .. } if line.n != after + 1 => return Err(ExportError::Damaged { after }),
            Piece::Record { line, text } => {
                after = line.n;
                if month.is_none_or(|month| Month::of(line.at.wall_ns) == month) {
                    then(&line, text)?;
                }
            }
            Piece::Fault { .. } => return Err(ExportError::Damaged { after }),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Row {
    kind: &'static str,
    hand_off: String,
    attempt: String,
    parent: String,
    task: String,
    model: [String; 2],
    data: String,
    rule: String,
    policy: String,
    dropped: String,
    payload: [String; 2],
    place: [String; 3],
    peer: [String; 3],
    outcome: [String; 5],
    reason: String,
    detail: String,
}

fn row(line: &Line) -> Vec<String> {
    let Row {
        kind,
        hand_off,
        attempt,
        parent,
        task,
        model,
        data,
        rule,
        policy,
        dropped,
        payload,
        place,
        peer,
        outcome,
        reason,
        detail,
    } = cells(&line.record);
    let mut row = vec![
        line.n.to_string(),
        rfc3339(line.at.wall_ns),
        line.at.wall_ns.to_string(),
        line.at.monotonic_ns.to_string(),
        line.at.clock.synchronised.to_string(),
        text(line.at.clock.error_us),
        kind.to_owned(),
        hand_off,
        attempt,
        parent,
        task,
    ];
    row.extend(model);
    row.extend([data, rule, policy, dropped]);
    row.extend(payload);
    row.extend(place);
    row.extend(peer);
    row.extend(outcome);
    row.extend([reason, detail, line.hash.to_string()]);
    row.iter_mut().for_each(harmless);
    row
}

fn cells(record: &Record) -> Row {
    let row = |kind, detail| Row { kind, detail, ..Row::default() };
    match record {
        Record::Opened(opened) => row("opened", format!("box {} boot {}", opened.box_id, opened.boot)),
        Record::Policy(PolicyChange::Committed { version, digest }) => {
            Row { policy: version.to_string(), ..row("policy", digest.to_string()) }
        }
        Record::Policy(PolicyChange::Withdrawn { why }) => row("policy-withdrawn", why.clone()),
        Record::Intent(intent) => {
            let (certificate, spiffe_id, insecure) = match &intent.peer {
                Peer::Proven { certificate_sha256, spiffe_id } => {
                    (certificate_sha256.to_string(), spiffe_id.clone(), "false")
                }
                Peer::Insecure {} => (String::new(), String::new(), "true"),
            };
            let data = intent.data.iter().map(|field| format!("{}={}", field.field, field.class)).collect::<Vec<_>>();
            Row {
                hand_off: intent.hand_off.clone(),
                attempt: intent.attempt.to_string(),
                parent: text(intent.parent),
                task: intent.task.clone(),
                model: [intent.model.clone(), intent.version.clone()],
                data: data.join(" "),
                rule: intent.rule.clone(),
                policy: intent.policy.to_string(),
                dropped: intent.dropped.join(" "),
                payload: [intent.payload_sha256.to_string(), intent.payload_bytes.to_string()],
                place: [intent.endpoint.clone(), intent.cluster.clone(), intent.jurisdiction.clone()],
                peer: [certificate, spiffe_id, insecure.to_owned()],
                ..row("intent", String::new())
            }
        }
        Record::Outcome(ended) => Row {
            outcome: [
                ended.intent.to_string(),
                word(&ended.outcome),
                ended.answer_bytes.to_string(),
                text(ended.latency.durable_us),
                text(ended.latency.round_trip_us),
            ],
            ..row("outcome", String::new())
        },
        Record::Refused(refused) => Row {
            hand_off: refused.hand_off.clone(),
            attempt: refused.attempt.to_string(),
            parent: text(refused.parent),
            task: refused.task.clone(),
            data: refused.class.clone().unwrap_or_default(),
            rule: refused.rule.clone().unwrap_or_default(),
            policy: text(refused.policy),
            place: [refused.endpoint.clone().unwrap_or_default(), refused.cluster.clone(), String::new()],
            reason: word(&refused.reason),
            ..row("refused", refused.number.map_or(String::new(), |number| format!("E-{number}")))
        },
        Record::Unrecorded(unrecorded) => row("unrecorded", unrecorded.refusals.to_string()),
        Record::Recovered(recovered) => {
            let bytes = recovered.bytes.map_or("unknown".to_owned(), |bytes| bytes.to_string());
            let Recovered { file, after, .. } = recovered;
            Row { reason: word(&recovered.why), ..row("recovered", format!("{file} after {after}: {bytes} bytes")) }
        }
        Record::Head(head) => row("head", head.signature.to_string()),
        Record::Rotated(rotated) => row("rotated", rotated.next.clone()),
        Record::Continued(continued) => row("continued", continued.file.clone()),
        Record::Closed(_) => row("closed", String::new()),
    }
}

fn text(number: Option<u64>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

/// The word that the chain itself has for a value.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).expect("it is written to the chain as well");
    value.as_str().expect("a value without fields is a word").to_owned()
}

fn harmless(cell: &mut String) {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        cell.insert(0, '\'');
    }
}
