//! Why the journal does not take a record, and why it cannot be opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{key::KeyError, stamp::Stamp, stamp::rfc3339};

/// Why a record was not taken. Whoever gets this sends nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many records wait, or attempts are open, as there is room for.
    #[error("the journal has room for {capacity} records that wait and attempts that are open, and all of it is taken")]
    Full {
        /// The room.
        capacity: usize,
    },
    /// The disk does not take records.
    #[error("the journal has been failing since {}: {fault}", rfc3339(since.wall_ns))]
    Failing {
        /// Since when.
        since: Stamp,
        /// With what.
        fault: Fault,
    },
    /// No policy is in force.
    #[error("no policy is in force in the journal")]
    NoPolicy,
    /// The attempt was allowed by a policy that is not the one in force.
    #[error("the attempt was allowed by policy {named}, and policy {in_force} is in force")]
    PolicyChanged {
        /// The attempt's.
        named: u64,
        /// The journal's.
        in_force: u64,
    },
    /// The record is longer than a record may be, or names its hand-off in a way that none may be named.
    #[error("the record is too long, or its hand-off's id is not of 1 to 128 printable ASCII characters")]
    Form,
    /// The journal is being closed.
    #[error("the journal is closed")]
    Closed,
}

/// What is wrong with the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is full.
    #[error("{path}: the disk is full: free some space")]
    DiskFull {
        /// The file.
        path: String,
    },
    /// It cannot be written.
    #[error("{path}: the disk is read-only: mount it for writing")]
    ReadOnly {
        /// The file.
        path: String,
    },
    /// Anything else, in the operating system's words.
    #[error("{path}: {words}")]
    Other {
        /// The file.
        path: String,
        /// The words.
        words: String,
    },
}

impl Fault {
    pub(super) fn of(path: &Path, error: &io::Error) -> Self {
        let path = path.display().to_string();
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::DiskFull { path }
        } else if error.kind() == io::ErrorKind::ReadOnlyFilesystem {
            Self::ReadOnly { path }
        } else {
            Self::Other { path, words: error.to_string() }
        }
    }
}

/// Why the journal cannot be opened. Nothing is handed off by a box whose journal is not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the journal {} is in use by another process", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file cannot be read, or the folder cannot be made.
    #[error("the journal {}: {source}", path.display())]
    File {
        /// The file or the folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The chain was signed by another key, or is another box's.
    #[error(
        "{} is the journal of box \"{box_id}\" with the key {public_key}: put it aside and keep it, or restore its key",
        path.display()
    )]
    OtherBox {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        box_id: String,
        /// By which key.
        public_key: String,
    },
    /// What is damaged was on the disk before, so it is no torn write: it was altered, or the disk lost it.
    #[error(
        "{} is damaged after record {after}, and record {signed} beyond it was signed when all before it was on the \
         disk: this is no torn write. Keep the files for who has to look into it, put journal and anchors aside, and \
         a new chain begins",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The last good record.
        after: u64,
        /// The record whose signature is there, or in an anchor.
        signed: u64,
    },
    /// A setting cannot be used.
    #[error("the journal's {what}")]
    Setting {
        /// Which, and what it may be.
        what: &'static str,
    },
    /// The writer's thread does not start.
    #[error("the journal's thread does not start: {0}")]
    Thread(#[source] io::Error),
}
