//! How much a spool may hold.
//!
//! A request reserves everywhere it may go: room to wait, to become a dead letter, and for its answer. So what was
//! accepted always has a place, and only who puts something new is ever told that there is none.

use std::num::NonZeroU32;
use std::time::Duration;

use super::request::PutRefusal;

/// More than any disk has; two of them can be added.
const MOST_BYTES: u64 = 1 << 62;

/// Items and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How many.
    pub items: u64,
    /// Their bytes: of context and payload together, or of results. What encryption and the database add is not counted.
    pub bytes: u64,
}

impl Load {
    pub(super) fn one(bytes: u64) -> Load {
        Load { items: 1, bytes }
    }

    pub(super) fn plus(self, other: Load) -> Load {
        Load { items: self.items.saturating_add(other.items), bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub(super) fn minus(self, other: Load) -> Load {
        let items = self.items.checked_sub(other.items).expect("what is taken away was added before");
        let bytes = self.bytes.checked_sub(other.bytes).expect("what is taken away was added before");
        Load { items, bytes }
    }

    fn within(self, bound: Load) -> bool {
        self.items <= bound.items && self.bytes <= bound.bytes.min(MOST_BYTES)
    }
}

/// How much a spool may hold. A spool that holds more already, since its bounds were larger once, takes nothing new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What waits or is out.
    pub waiting: Load,
    /// Dead letters, together with what waits or is out and may become one.
    pub dead: Load,
    /// Answers. Its items are all requests whose answer nobody read yet: those that wait, dead letters, and those that
    /// ended. Its bytes are those of results, and those that what waits has set aside for its result.
    pub answers: Load,
    /// Ids that are remembered after their answer was read, so that a late copy of a request is known. The oldest go first.
    pub read: u64,
}

/// What an operator decides about a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How much it may hold.
    pub bounds: Bounds,
    /// After so many attempts without success a request is a dead letter.
    pub max_attempts: NonZeroU32,
    /// How long an answer is kept for a client that does not read it. Its id is remembered for as long.
    pub keep_answers: Duration,
}

/// How much a spool holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What waits or is out.
    pub waiting: Load,
    /// What it has set aside for results.
    pub reserved: u64,
    /// Dead letters, damaged ones included.
    pub dead: Load,
    /// Answers of what ended, that nobody read yet.
    pub ended: Load,
    /// Ids that are remembered after their answer was read.
    pub read: u64,
}

impl Usage {
    /// Whether a new request of so many bytes fits, with its result.
    pub(super) fn room(&self, bounds: &Bounds, body: u64, result: u64) -> Result<(), PutRefusal> {
        let alone = Usage::default().fits(bounds, body, result);
        let here = self.fits(bounds, body, result);
        if alone.is_err() { Err(PutRefusal::TooLarge) } else { here }
    }

    /// Whether a dead letter of so many bytes may wait again, with so much set aside for its result.
    pub(super) fn room_again(&self, bounds: &Bounds, body: u64, result: u64) -> bool {
        let waiting = self.waiting.plus(Load::one(body));
        let results = self.ended.bytes.saturating_add(self.reserved).saturating_add(result);
        waiting.within(bounds.waiting) && results <= bounds.answers.bytes.min(MOST_BYTES)
    }

    fn fits(&self, bounds: &Bounds, body: u64, result: u64) -> Result<(), PutRefusal> {
        let waiting = self.waiting.plus(Load::one(body));
        let dead = self.dead.plus(waiting);
        let answers = Load {
            items: dead.items.saturating_add(self.ended.items),
            bytes: self.ended.bytes.saturating_add(self.reserved).saturating_add(result),
        };
        match () {
            () if !waiting.within(bounds.waiting) => Err(PutRefusal::WaitingFull),
            () if !dead.within(bounds.dead) => Err(PutRefusal::DeadLettersFull),
            () if !answers.within(bounds.answers) => Err(PutRefusal::AnswersFull),
            () => Ok(()),
        }
    }
}
