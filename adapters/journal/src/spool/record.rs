//! What is known of one request beside its bytes.

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::request::{Id, Status, Task, Why};

/// One request's row, as it is sealed. Whatever is in memory is made of these rows, so a crash cannot part the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub(super) id: Id,
    pub(super) task: Task,
    /// SHA-256 of task, context and payload, each with its length before it.
    pub(super) digest: [u8; 32],
    /// Wall time, nanoseconds, for people; nothing is decided by it.
    pub(super) stored_at: u64,
    /// The time to live as it was given, nanoseconds: a retry gives it once more.
    pub(super) time_to_live: u64,
    pub(super) expires: Moment,
    /// Bytes of context and payload.
    pub(super) body: u64,
    /// Bytes that are set aside for the result.
    pub(super) result: u64,
    pub(super) attempts: u32,
    /// How many of them do not count against the most that are allowed: those before the last retry, and those that sent
    /// nothing.
    pub(super) forgiven: u32,
    pub(super) phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Phase {
    Waiting { in_doubt: bool },
    Out { in_doubt: bool },
    Dead { why: Why, in_doubt: bool },
    Ended { end: End, keep: Moment },
    Read { keep: Moment },
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum End {
    /// With a result of so many bytes; none where it was too large to keep.
    Delivered {
        result: Option<u64>,
    },
    Expired {
        in_doubt: bool,
    },
    Failed(Why),
}

impl Record {
    pub(super) fn status(&self) -> Status {
        match self.phase {
            Phase::Waiting { in_doubt } => Status::Waiting { in_doubt },
            Phase::Out { .. } => Status::Out,
            Phase::Dead { why, .. } => Status::Dead(why),
            Phase::Ended { end: End::Delivered { .. }, .. } => Status::Delivered,
            Phase::Ended { end: End::Expired { in_doubt }, .. } => Status::Expired { in_doubt },
            Phase::Ended { end: End::Failed(why), .. } => Status::Failed(why),
            Phase::Read { .. } => Status::Read,
        }
    }

    /// When time alone changes this record. What is out ends with its attempt, a dead letter when somebody looks at it.
    pub(super) fn timer(&self) -> Option<Moment> {
        match self.phase {
            Phase::Waiting { .. } => Some(self.expires),
            Phase::Out { .. } | Phase::Dead { .. } => None,
            Phase::Ended { keep, .. } | Phase::Read { keep } => Some(keep),
        }
    }

    pub(super) fn with(&self, phase: Phase) -> Record {
        Record { phase, ..self.clone() }
    }
}
