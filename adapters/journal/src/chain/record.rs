//! What a journal's lines say. Closed: a field or a kind that is not known here is an error, never skipped.
//!
//! The payload itself is never in a record: its digest and its size are.

use serde::{Deserialize, Serialize};

use super::hex::{Hash, Signature};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// A box opened its journal.
    Opened(Opened),
    /// A policy is in force, or none is, from here on.
    Policy(PolicyChange),
    /// An attempt is about to send. Nothing is sent before this is on the disk.
    Intent(Box<Intent>),
    /// How an attempt ended.
    Outcome(Ended),
    /// Nothing was sent, and why.
    Refused(Box<Refused>),
    /// Refusals that could not be recorded one by one: the journal was full, or failing.
    Unrecorded(Unrecorded),
    /// Something was cut from the end of the files before this one, which this is the first record of.
    Recovered(Recovered),
    /// A signature over the record before this one, which was on the disk by then.
    Head(Head),
    /// This file's last record.
    Rotated(Rotated),
    /// A file's first record, after one that ended in order.
    Continued(Continued),
    /// The box closed its journal in order.
    Closed(Closed),
}

/// A box opened its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The box's name.
    #[serde(rename = "box")]
    pub box_id: String,
    /// This start of the box.
    pub boot: String,
    /// The Ed25519 key that signs this chain's heads.
    pub public_key: Hash,
    /// So many records at most go by without a signed head, a group of them at most beyond.
    pub heads_every: u32,
    /// Attempts that an earlier start began and never saw the end of: they may or may not have arrived.
    pub in_doubt: Vec<OpenIntent>,
}

/// An attempt without an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenIntent {
    /// The number of its record.
    pub intent: u64,
    /// The hand-off's id.
    pub hand_off: String,
    /// Which attempt of it.
    pub attempt: u32,
}

/// A change of what may leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PolicyChange {
    /// This one is in force.
    Committed {
        /// Its version.
        version: u64,
        /// The SHA-256 of its file.
        digest: Hash,
    },
    /// None is in force: nothing may leave.
    Withdrawn {
        /// Why, for a person.
        why: String,
    },
}

/// One attempt to hand something off, as it is known just before it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The hand-off's own id: printable ASCII, at most 128 bytes.
    pub hand_off: String,
    /// Counted from 1.
    pub attempt: u32,
    /// The sequence of the observation that it was asked for with, if there was one.
    pub parent: Option<u64>,
    /// The task's name.
    pub task: String,
    /// The model, as the cluster calls it.
    pub model: String,
    /// Its version.
    pub version: String,
    /// The data class of each field that is sent.
    pub data: Vec<FieldClass>,
    /// The rule that allows it.
    pub rule: String,
    /// The version of the policy that holds the rule.
    pub policy: u64,
    /// The fields that were left out, by the rule.
    pub dropped: Vec<String>,
    /// The SHA-256 of exactly what will be sent.
    pub payload_sha256: Hash,
    /// How many bytes that is.
    pub payload_bytes: u64,
    /// Address and port.
    pub endpoint: String,
    /// The cluster's name.
    pub cluster: String,
    /// Where the operator says that the cluster is.
    pub jurisdiction: String,
    /// Who is at the other end of this very connection.
    pub peer: Peer,
}

/// One field of a request and its data class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldClass {
    /// The field's name.
    pub field: String,
    /// `kind/sensitivity`, such as `image/trade-secret`.
    pub class: String,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Peer {
    /// It proved who it is.
    Proven {
        /// The SHA-256 of its certificate.
        certificate_sha256: Hash,
        /// The SPIFFE id in it.
        spiffe_id: String,
    },
    /// Nobody was asked: `insecure = true`, on this machine only.
    Insecure {},
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    /// The number of the intent's record.
    pub intent: u64,
    /// How.
    pub outcome: Outcome,
    /// What was heard in return, in bytes.
    pub answer_bytes: u64,
    /// How long it took.
    pub latency: Latency,
}

/// The ways in which an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The answer came and was right.
    Delivered,
    /// The connection was gone, or who asked was, before the first byte of the payload left.
    NotSent,
    /// Its time was over; it was cancelled at the transport.
    Expired,
    /// Who asked gave up; it was cancelled at the transport.
    Cancelled,
    /// The policy that allowed it was withdrawn while it was being sent; the connection was reset.
    Revoked,
    /// The connection broke: some of the payload may have arrived.
    ConnectionLost,
    /// The server's answer is not what was asked for: name, type, shape, size or a number that is none.
    BadAnswer,
    /// The server refused it for good.
    Rejected,
    /// The server failed, or was too busy.
    ServerError,
    /// The process that sent it did not say how it ended: some of the payload may have arrived.
    Abandoned,
}

/// How long the parts of an attempt took; none where the part did not come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Connection, handshake and identity, in microseconds; none on a connection that was there.
    pub connect_us: Option<u64>,
    /// Until the intent was on the disk, in microseconds.
    pub durable_us: Option<u64>,
    /// From the first byte sent to the answer or the failure, in microseconds.
    pub round_trip_us: Option<u64>,
}

/// Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The hand-off's own id.
    pub hand_off: String,
    /// Which attempt, counted from 1.
    pub attempt: u32,
    /// The sequence of the observation that it was asked for with, if there was one.
    pub parent: Option<u64>,
    /// The task's name.
    pub task: String,
    /// The cluster that it was for.
    pub cluster: String,
    /// Address and port, where one had been chosen.
    pub endpoint: Option<String>,
    /// Why.
    pub reason: RefusedReason,
    /// The number of the box's reason (`E-…`) that was answered, if it was answered.
    pub number: Option<u16>,
    /// The rule that denies it; none where no rule allows it.
    pub rule: Option<String>,
    /// The data class that is denied, `kind/sensitivity`.
    pub class: Option<String>,
    /// The policy in force, if one was.
    pub policy: Option<u64>,
}

/// Why nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusedReason {
    /// No rule allows it, or one denies it.
    Denied,
    /// A field has no declared data class.
    Undeclared,
    /// No policy is in force.
    NoPolicy,
    /// The policy changed after it was allowed.
    PolicyChanged,
    /// The peer did not prove who it is.
    Identity,
    /// No connection came about.
    Unreachable,
    /// The endpoint failed too often and is being left alone.
    BreakerOpen,
    /// As many as may be are in flight.
    TooMany,
    /// Too little time is left.
    NoTimeLeft,
    /// This journal could not take the intent.
    Journal,
}

/// Refusals of which only the number is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unrecorded {
    /// How many.
    pub refusals: u64,
}

/// Something was cut, here or by a failed disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovered {
    /// The box's name.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The file whose end was cut.
    pub file: String,
    /// The last record that stays.
    pub after: u64,
    /// Its hash.
    pub hash: Hash,
    /// Why.
    pub why: RecoveredWhy,
    /// How many bytes were cut; none where the failed disk could not be asked.
    pub bytes: Option<u64>,
    /// How many whole records there were among them: none of them was ever confirmed to anybody.
    pub records: Option<u64>,
    /// The SHA-256 of the bytes that were cut, which are kept in the file of that name with `.cut` added.
    pub cut_sha256: Option<Hash>,
    /// Attempts that were without an outcome then.
    pub open: Vec<OpenIntent>,
    /// Over box, file, `after`, `hash` and what was cut.
    pub signature: Signature,
}

/// Why something was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecoveredWhy {
    /// The last lines were incomplete at a start: the power or the process had gone.
    Torn,
    /// A write or a sync failed.
    Disk,
}

/// A signed head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The record before this one.
    pub of: u64,
    /// Its hash.
    pub hash: Hash,
    /// Over box, number and hash.
    pub signature: Signature,
}

/// A file's last record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotated {
    /// The file that goes on.
    pub next: String,
}

/// A file's first record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continued {
    /// The file before.
    pub file: String,
    /// Its last hash.
    pub hash: Hash,
    /// Attempts that were without an outcome then.
    pub open: Vec<OpenIntent>,
}

/// The journal was closed in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closed {}
