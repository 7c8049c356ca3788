//! The durable spool: requests that are kept until they are delivered, through outages, kill -9 and power cuts.
//!
//! **Promise.** What was [`Put::Stored`] is on disk and is delivered at least once under its id, in the order of its
//! task, or ends as what the client and the ledger can see: expired, or a dead letter. Nothing is sent before its
//! attempt is on disk ([`Spool::begin`]); an attempt without outcome is in doubt at the next start and comes again
//! first, under the same id. An answer is kept until it was read and acknowledged, or its time is over.
//!
//! **How.** One redb file with four tables: states (one small row a request), bodies, results, and counters. Each call
//! that changes something is one transaction with one sync, and changes the memory only after it returned; memory is
//! made of the rows alone, so sizes, order and counts after a crash are those of the last commit. Where a commit fails
//! nobody knows what is on disk: the file is opened anew before anything else is done, at most once a second.
//! Every value is encrypted, see `vault.rs`; positions, sizes and the number of requests are not hidden.
//!
//! **Bounds.** A request reserves room to wait, to become a dead letter, and for its answer (`bounds.rs`). Time is an
//! argument; how a clock that jumps is taken stands in `clock.rs`. The file: redb rounds values up to powers of two and
//! doubles the file as it grows, and gives the end of the file back when it is free; [`Spool::compact`] gives back the rest.
//!
//! **Damage.** A file whose pages do not match their checksums is an error at open, a wrong key likewise: both change
//! nothing, since each is more often a mistake of an operator than a loss. A value that does not open (damaged, or moved
//! to another place) is a dead letter of its own, [`Why::Damaged`]; all others go on.
//!
//! It blocks on the disk: it belongs to a thread of the default class, and must never be called by one that controls.

mod bounds;
mod clock;
mod error;
mod ledger;
mod request;

mod answers;
mod delivery;
mod opening;

mod change;
mod index;
mod record;

mod disk;
mod key;
mod store;
mod vault;

#[cfg(test)]
mod tests;

pub use bounds::{Bounds, Load, Settings, Usage};
pub use error::SpoolError;
pub use key::has_key;
pub use ledger::Ledger;
pub use opening::Opening;
pub use request::{
    Acknowledged, Answer, Attempt, Begin, DeadLetter, Failure, Id, Item, MAX_ID_BYTES, MAX_TASK_BYTES, Outcome,
    Position, Put, PutRefusal, ReasonNumber, Request, Retry, Status, Task, Wall, Why,
};

use clock::Moment;
use index::Index;
use ledger::Counters;
use store::Store;
use vault::Vault;

/// Requests on disk. One process and one thread has it.
pub struct Spool {
    settings: Settings,
    vault: Vault,
    opener: Opener,
    /// None after a failure, until the file is open again.
    store: Option<Store>,
    /// When opening the file anew failed last.
    failed_at: Option<Moment>,
    opening: Opening,
    index: Index,
    counters: Counters,
    /// The counters when this process opened the spool.
    base: Counters,
    refused: u64,
    duplicates: u64,
}

/// Opens the file; called again after each failure.
type Opener = Box<dyn Fn() -> Result<redb::Database, SpoolError> + Send>;

impl Spool {
    /// Where a request is; none where its id is unknown, or forgotten by now.
    #[must_use]
    pub fn status(&self, id: &Id) -> Option<Status> {
        self.index.find(id).map(|(_, record)| record.status())
    }

    /// Where a request stands in the order of arrival.
    #[must_use]
    pub fn position(&self, id: &Id) -> Option<Position> {
        self.index.find(id).map(|(position, _)| position)
    }

    /// Tasks that have something to deliver and nothing out.
    pub fn ready(&self) -> impl Iterator<Item = &Task> {
        self.index.ready()
    }

    /// How much it holds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.index.usage()
    }

    /// What was found when it was opened last.
    #[must_use]
    pub fn opening(&self) -> Opening {
        self.opening
    }

    /// Whether its disk failed and the file is not open again yet. The next call tries.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.store.is_none()
    }

    /// What came of the requests since this process opened it.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        let (now, base) = (&self.counters, &self.base);
        let requested = now.accepted - base.accepted;
        Ledger {
            carried_over: self.opening.carried_over,
            requested: requested + self.refused,
            delivered: now.delivered - base.delivered,
            refused: self.refused,
            expired: now.expired - base.expired,
            failed: now.failed - base.failed,
            in_flight: self.index.in_flight(),
            duplicates: self.duplicates,
            attempts: now.attempts - base.attempts,
        }
    }

    /// Gives room that is free inside the file back to the file system; `true` where some was. It copies what the file
    /// holds, so it is for quiet times.
    ///
    /// # Errors
    /// The disk's.
    pub fn compact(&mut self, now: Wall) -> Result<bool, SpoolError> {
        self.catch_up(now)?;
        let compacted = self.open_store()?.compact();
        self.note_failure(compacted)
    }
}
