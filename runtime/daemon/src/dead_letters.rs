//! Dead letters for an operator: what is asked of a spool and what it says, alike whether a running box answers over its
//! status socket or the command has opened the file itself.
//!
//! It blocks on the spool's disk, and is for threads of the default class; the engine has no part in it.

use engine::Reason;
use journal::{
    chain::rfc3339,
    spool::{DeadLetter, Position, ReasonNumber, Retry, Spool, Wall, Why},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most letters of one answer: whoever stores or delivers waits for the spool's lock no longer than that takes.
const PAGE: usize = 256;

/// What an operator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Question {
    /// A page of them, the oldest first, behind this position; 0: from the first on.
    ListBehind(u64),
    /// Deliver the one at this position after all.
    Retry(u64),
    /// Give up the one at this position.
    Purge(u64),
}

/// What the spool says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    /// Those that were asked for; none: there are no more.
    Page(Vec<Letter>),
    /// It waits again.
    Waiting,
    /// It is gone.
    Purged,
    /// Nothing was changed, for a reason of this one letter.
    Not(LetterRefusal),
    /// Nothing can be asked of this spool.
    Refused(SpoolRefusal),
}

/// Why a dead letter stays as it is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LetterRefusal {
    #[error("there is no such dead letter; `genba spool list` shows those that there are")]
    Unknown,
    #[error(
        "no room for it among what waits, or for its answer: wait until something is delivered, or raise [spool] max_requests and max_bytes"
    )]
    Full,
    #[error(
        "it is damaged, so there is nothing to send: purge it, and let its client send it again under a new number"
    )]
    Damaged,
}

/// Why nothing can be asked of a spool.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SpoolRefusal {
    #[error("the running box was started without a [spool]: restart it with this config")]
    NoSpool,
    #[error("only the user that the box runs as, and root, may ask for its dead letters")]
    NotYours,
    #[error("{0}")]
    Failing(String),
}

/// One dead letter, as `--json` prints it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Letter {
    /// By what it is retried or purged.
    pub(crate) position: u64,
    /// None of the three where it is damaged.
    pub(crate) id: Option<String>,
    pub(crate) task: Option<String>,
    /// RFC 3339, by the box's wall clock then.
    pub(crate) stored_at: Option<String>,
    /// How often its delivery was begun.
    pub(crate) attempts: u32,
    pub(crate) bytes: u64,
    /// It was sent, and nobody knows whether it arrived.
    pub(crate) in_doubt: bool,
    pub(crate) why: Cause,
}

/// Why it is one, and what to do.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cause {
    /// `attempts`: of the last of as many as are allowed. `rejected`: of one that would fail again. `not-sent`: it
    /// may not be sent any more. `damaged`.
    pub(crate) kind: String,
    /// Such as `E-701`, from the table of reasons; none where no reason is known.
    pub(crate) number: Option<String>,
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) action: String,
}

/// Does what is asked.
pub(crate) fn answer(spool: &mut Spool, question: Question, now: Wall) -> Answer {
    let answered = match question {
        Question::ListBehind(position) => {
            let letters = spool.dead_letters(Some(Position::from_number(position)), PAGE);
            return Answer::Page(letters.into_iter().map(Letter::from).collect());
        }
        Question::Retry(position) => spool.retry(Position::from_number(position), now).map(|retried| match retried {
            Retry::Waiting => Answer::Waiting,
            Retry::Full => Answer::Not(LetterRefusal::Full),
            Retry::Damaged => Answer::Not(LetterRefusal::Damaged),
            Retry::Unknown => Answer::Not(LetterRefusal::Unknown),
        }),
        Question::Purge(position) => spool
            .purge(Position::from_number(position), now)
            .map(|purged| if purged { Answer::Purged } else { Answer::Not(LetterRefusal::Unknown) }),
    };
    answered.unwrap_or_else(|error| Answer::Refused(SpoolRefusal::Failing(error.to_string())))
}

impl From<DeadLetter> for Letter {
    fn from(letter: DeadLetter) -> Self {
        let (id, task, stored_at) = match letter.known {
            Some((id, task, Wall(stored_ns))) => {
                (Some(id.to_string()), Some(task.to_string()), Some(rfc3339(stored_ns)))
            }
            None => (None, None, None),
        };
        Self {
            position: letter.position.number(),
            id,
            task,
            stored_at,
            attempts: letter.attempts,
            bytes: letter.bytes,
            in_doubt: letter.in_doubt,
            why: Cause::from(letter.why),
        }
    }
}

impl From<Why> for Cause {
    fn from(why: Why) -> Self {
        match why {
            Why::Attempts(Some(number)) => Self::by_table("attempts", number),
            Why::Rejected(number) => Self::by_table("rejected", number),
            Why::NotSent(number) => Self::by_table("not-sent", number),
            Why::Attempts(None) => Self::by_itself(
                "attempts",
                "outcome-unknown",
                "It was sent as often as is allowed, and the box ended before it knew what came of the last time.",
                "Ask the cluster's operator whether it arrived; retry it, which sends it under the same id, or purge it.",
            ),
            Why::Damaged => Self::by_itself(
                "damaged",
                "damaged",
                "What is on the disk is not what was stored.",
                "Look at the disk; purge it, and let its client send it again under a new number.",
            ),
        }
    }
}

impl Cause {
    fn by_table(kind: &str, number: ReasonNumber) -> Self {
        let Some(reason) = Reason::from_number(number.0) else {
            let what = "The reason is of another version of genba.";
            let unknown = Self::by_itself(kind, "unknown", what, "Look the number up in that version's table.");
            return Self { number: Some(format!("E-{}", number.0)), ..unknown };
        };
        let row = reason.row();
        let known = Self::by_itself(kind, row.name, row.what, row.action);
        Self { number: Some(format!("E-{}", row.number)), ..known }
    }

    fn by_itself(kind: &str, name: &str, what: &str, action: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            number: None,
            name: name.to_owned(),
            what: what.to_owned(),
            action: action.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use journal::spool::{Begin, Bounds, Failure, Id, Load, Put, Request, Settings, Task};
    use tempfile::TempDir;

    use super::*;

    const NOW: Wall = Wall(1_000_000_000_000_000_000);

    /// A spool with room for so many that wait.
    fn spool(folder: &TempDir, waiting: u64) -> Spool {
        let load = |items| Load { items, bytes: 1 << 20 };
        let settings = Settings {
            bounds: Bounds { waiting: load(waiting), dead: load(8), answers: load(8), read: 8 },
            max_attempts: NonZeroU32::new(1).expect("not zero"),
            keep_answers: Duration::from_mins(1),
        };
        let at = |name: &str| folder.path().join(name);
        Spool::open(&at("spool.redb"), &at("spool.key"), settings, NOW).expect("a new spool")
    }

    fn put(spool: &mut Spool, number: u64) -> Id {
        let id = Id::new(&format!("line/labels/{number}")).expect("a good id");
        let request = Request {
            id: id.clone(),
            task: Task::new("labels").expect("a good name"),
            context: vec![0; 24],
            payload: vec![0; 84],
            time_to_live: Duration::from_mins(1),
            result_bytes: 0,
        };
        assert!(matches!(spool.put(&request, NOW).expect("its disk is good"), Put::Stored(_)));
        id
    }

    fn fail(spool: &mut Spool, id: &Id, failure: Failure) {
        let Begin::Begun(attempt) = spool.begin(id, NOW).expect("its disk is good") else { panic!("it is next") };
        spool.failed(&attempt, failure, NOW).expect("its disk is good");
    }

    fn letters(spool: &mut Spool, behind: u64) -> Vec<Letter> {
        let Answer::Page(letters) = answer(spool, Question::ListBehind(behind), NOW) else { panic!("a page") };
        letters
    }

    #[test]
    fn each_letter_says_why_by_the_table_and_what_to_do() {
        let folder = TempDir::new().expect("a folder");
        let mut spool = spool(&folder, 8);
        let number = ReasonNumber;
        let (one, two, three) = (put(&mut spool, 1), put(&mut spool, 2), put(&mut spool, 3));
        fail(&mut spool, &one, Failure::Permanent(number(701)));
        fail(&mut spool, &two, Failure::InDoubt(number(708)));
        spool.reject(&three, number(9999), NOW).expect("its disk is good");

        let [first, second, third] = &letters(&mut spool, 0)[..] else { panic!("three") };
        assert_eq!((first.position, first.id.as_deref(), first.attempts), (1, Some("line/labels/1"), 1));
        assert_eq!((first.task.as_deref(), first.bytes, first.in_doubt), (Some("labels"), 108, false));
        assert_eq!(first.stored_at.as_deref(), Some("2001-09-09T01:46:40.000000000Z"));
        let row = Reason::HandOffDenied.row();
        assert_eq!((first.why.kind.as_str(), first.why.number.as_deref()), ("rejected", Some("E-701")));
        assert_eq!((first.why.name.as_str(), first.why.action.as_str()), (row.name, row.action));
        assert_eq!((second.in_doubt, second.why.kind.as_str()), (true, "attempts"));
        assert_eq!((third.why.kind.as_str(), third.why.number.as_deref()), ("not-sent", Some("E-9999")));
        assert_eq!(third.why.name, "unknown");
        assert_eq!(letters(&mut spool, 2).len(), 1, "behind the second");
        assert_eq!(letters(&mut spool, 3).len(), 0);
    }

    #[test]
    fn what_cannot_be_done_is_said_and_changes_nothing() {
        let folder = TempDir::new().expect("a folder");
        let mut spool = spool(&folder, 1);
        let dead = put(&mut spool, 1);
        fail(&mut spool, &dead, Failure::Permanent(ReasonNumber(701)));
        put(&mut spool, 2);

        let mut ask = |question| answer(&mut spool, question, NOW);
        assert_eq!(ask(Question::Retry(1)), Answer::Not(LetterRefusal::Full), "one waits, and there is room for one");
        assert_eq!(ask(Question::Retry(2)), Answer::Not(LetterRefusal::Unknown), "it waits");
        assert_eq!(ask(Question::Purge(2)), Answer::Not(LetterRefusal::Unknown), "it waits");
        assert_eq!(ask(Question::Purge(7)), Answer::Not(LetterRefusal::Unknown));
        assert_eq!(ask(Question::Purge(1)), Answer::Purged);
        assert_eq!(ask(Question::Purge(1)), Answer::Not(LetterRefusal::Unknown), "it is gone");
    }

    #[test]
    fn a_retried_letter_waits_again() {
        let folder = TempDir::new().expect("a folder");
        let mut spool = spool(&folder, 1);
        let dead = put(&mut spool, 1);
        fail(&mut spool, &dead, Failure::Permanent(ReasonNumber(701)));
        assert_eq!(answer(&mut spool, Question::Retry(1), NOW), Answer::Waiting);
        assert_eq!(letters(&mut spool, 0).len(), 0);
        assert!(matches!(spool.status(&dead), Some(journal::spool::Status::Waiting { .. })));
    }
}
