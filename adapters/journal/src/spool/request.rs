//! What is asked of the spool, and what it says: ids, requests, items, attempts, answers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The most bytes of an [`Id`].
pub const MAX_ID_BYTES: usize = 256;

/// The most bytes of a [`Task`].
pub const MAX_TASK_BYTES: usize = 128;

/// Under what a request is stored, delivered and answered, however often it is sent: by convention the client's address
/// and its request's number. 1 to [`MAX_ID_BYTES`] bytes of UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// `None` where the text is empty, too long, or holds a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Id> {
        named(text, MAX_ID_BYTES).map(Id)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What requests are ordered within: one of a task is out at a time, the oldest first. 1 to [`MAX_TASK_BYTES`] bytes of
/// UTF-8 without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Task(String);

impl Task {
    /// `None` where the text is empty, too long, or holds a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Task> {
        named(text, MAX_TASK_BYTES).map(Task)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn named(text: &str, most: usize) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= most && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
}

/// Where a request stands in the order of arrival. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub(super) u64);

impl Position {
    /// The position that was printed as this number.
    #[must_use]
    pub fn from_number(number: u64) -> Position {
        Position(number)
    }

    /// The number to print.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Nanoseconds since the Unix epoch, by the box's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall(pub u64);

/// The number of a row of the table of reasons (`E-…`); the spool keeps it and gives it no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReasonNumber(pub u16);

/// A durable request.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The same for every time that the client sends this request.
    pub id: Id,
    /// Its order.
    pub task: Task,
    /// What whoever delivers it needs beside the payload, data class included. Opaque, and encrypted as the payload is.
    pub context: Vec<u8>,
    /// What is to be delivered. Opaque.
    pub payload: Vec<u8>,
    /// From now until it is not sent any more.
    pub time_to_live: Duration,
    /// The most bytes that its result may have. So much room is set aside until the result is here.
    pub result_bytes: u64,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Payloads do not end up in a log.
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("task", &self.task)
            .field("context_bytes", &self.context.len())
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// What became of a request that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is on disk, and will be there after a crash.
    Stored(Position),
    /// A request with this id and content was stored before. Nothing was stored now.
    Duplicate(Status),
    /// It was not stored.
    Refused(PutRefusal),
}

/// Why a request was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutRefusal {
    /// The bound on what waits is reached.
    WaitingFull,
    /// Dead letters and what waits, which may become one, have reached the bound on dead letters. Retry or purge some.
    DeadLettersFull,
    /// Answers that nobody read yet, and those of what waits, have reached their bound.
    AnswersFull,
    /// It would not fit into an empty spool.
    TooLarge,
    /// Another request has this id: of another task, or with another context or payload.
    IdTaken,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// To be delivered.
    Waiting {
        /// It was sent before, and nobody knows whether it arrived.
        in_doubt: bool,
    },
    /// Being delivered.
    Out,
    /// A dead letter, until somebody retries or purges it.
    Dead(Why),
    /// Delivered. Its result can be read.
    Delivered,
    /// Its time to live ended first.
    Expired {
        /// It was sent before, and nobody knows whether it arrived.
        in_doubt: bool,
    },
    /// A dead letter that was purged.
    Failed(Why),
    /// It ended, and the client said that it has read how.
    Read,
}

/// Why a request is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It was sent as often as is allowed. The reason of the last attempt; none where nobody knows how that ended.
    Attempts(Option<ReasonNumber>),
    /// The other side will never take it.
    Rejected(ReasonNumber),
    /// It may not be sent (any more).
    NotSent(ReasonNumber),
    /// What is on disk is not what was stored.
    Damaged,
}

/// A request to deliver.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it stands.
    pub position: Position,
    /// Its id, under which it is delivered.
    pub id: Id,
    /// How often it was sent already.
    pub attempts: u32,
    /// Whether it was sent before and nobody knows whether it arrived.
    pub in_doubt: bool,
    /// When it was stored, by the box's wall clock then.
    pub stored_at: Wall,
    /// What is left of its time to live.
    pub time_left: Duration,
    /// As it was put.
    pub context: Vec<u8>,
    /// As it was put.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("position", &self.position)
            .field("id", &self.id)
            .field("attempts", &self.attempts)
            .field("in_doubt", &self.in_doubt)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// One try to deliver, recorded before anything of it is sent. Its outcome is reported with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub(super) position: Position,
    pub(super) id: Id,
    pub(super) number: u32,
}

impl Attempt {
    /// What is delivered.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// The first one is 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// Whether an attempt may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is on disk: send.
    Begun(Attempt),
    /// Send nothing: it is not its task's oldest, one of its task is out, or it is not waiting (any more).
    NotNext,
}

/// How an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent: no way there, no record, no rule. It comes again, and this does not count as an attempt, so that
    /// an outage of days makes no dead letter; its time to live ends it.
    NotSent(ReasonNumber),
    /// It was sent and not done, and another try may succeed.
    Transient(ReasonNumber),
    /// It was sent, and nobody knows whether it arrived. It is sent again under the same id.
    InDoubt(ReasonNumber),
    /// The other side will never take it.
    Permanent(ReasonNumber),
}

/// What became of a reported outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk. A report that comes twice is so answered twice.
    Recorded,
    /// Likewise, but for the result: it was larger than the room that the request set aside, so it is not kept.
    ResultTooLarge,
    /// Likewise, and the request is a dead letter now.
    DeadLetter,
    /// This attempt is not the one that is out. Nothing was recorded.
    Stale,
}

/// What a client is told of its request.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// Not ended yet.
    Pending(Status),
    /// The result.
    Delivered(Vec<u8>),
    /// Delivered, but its result was larger than the room that the request set aside.
    ResultTooLarge,
    /// Delivered, but the result on disk is not what was stored.
    ResultDamaged,
    /// Its time to live ended first.
    Expired {
        /// It was sent before, and nobody knows whether it arrived.
        in_doubt: bool,
    },
    /// It failed for good.
    Failed(Why),
    /// It ended, and the client said before that it has read how.
    Read,
    /// No such request is known (any more).
    Unknown,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Pending(status) => f.debug_tuple("Pending").field(status).finish(),
            Answer::Delivered(result) => write!(f, "Delivered({} bytes)", result.len()),
            Answer::ResultTooLarge => f.write_str("ResultTooLarge"),
            Answer::ResultDamaged => f.write_str("ResultDamaged"),
            Answer::Expired { in_doubt } => f.debug_struct("Expired").field("in_doubt", in_doubt).finish(),
            Answer::Failed(why) => f.debug_tuple("Failed").field(why).finish(),
            Answer::Read => f.write_str("Read"),
            Answer::Unknown => f.write_str("Unknown"),
        }
    }
}

/// What became of a client's word that it has read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// The result is gone; the id is remembered for a while.
    Done,
    /// There is no final answer yet, so none was read.
    Pending,
    /// No such request is known (any more).
    Unknown,
}

/// One dead letter, for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// By what it is retried or purged.
    pub position: Position,
    /// Its id, its task and when it was stored; none where that is damaged.
    pub known: Option<(Id, Task, Wall)>,
    /// How often it was sent.
    pub attempts: u32,
    /// Bytes of context and payload.
    pub bytes: u64,
    /// Whether it was sent and nobody knows whether it arrived.
    pub in_doubt: bool,
    /// Why it is one.
    pub why: Why,
}

/// What became of the wish to retry a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It waits again, at its old place, with a new time to live and as many attempts as a new one.
    Waiting,
    /// There is no room for it, or for its answer.
    Full,
    /// It is damaged: there is nothing to send.
    Damaged,
    /// There is no such dead letter.
    Unknown,
}
