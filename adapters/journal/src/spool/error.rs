//! What can be wrong with a spool as a whole.

use std::io::ErrorKind;
use std::path::PathBuf;

use thiserror::Error;

/// Why the spool did not do what it was asked. Nothing was stored, as far as anybody knows: where the disk failed in the
/// middle of a commit the next start may find it stored after all, under the same id.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The spool is there, its key is not.
    #[error("the key {} of the spool {} is missing; restore it, or move the spool away to begin a new one: without its key nothing in it can be read", key.display(), spool.display())]
    KeyMissing {
        /// Where the key was looked for.
        key: PathBuf,
        /// The spool that needs it.
        spool: PathBuf,
    },
    /// Others than its owner may read the key.
    #[error("the key {} may be read by others (mode {mode:03o}); `chmod 600` it, or replace it if somebody may have", key.display())]
    KeyExposed {
        /// The key file.
        key: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is no key.
    #[error("{} is no key of a spool: it has {bytes} bytes instead of 32; restore the right one", key.display())]
    KeyMalformed {
        /// The key file.
        key: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The key does not open this spool.
    #[error(
        "the key does not open this spool: another key, or the spool's own proof of it is damaged; nothing was changed"
    )]
    WrongKey,
    /// A file cannot be read or made.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Another process has it.
    #[error("the spool is open in another process")]
    Busy,
    /// The file as a whole cannot be read.
    #[error("the spool is damaged: {0}; move it away to begin a new one, and keep it for whoever can look into it")]
    Damaged(String),
    /// A spool of another version of genba.
    #[error("the spool has the format {0:?}, which this version does not know")]
    Format(String),
    /// The disk is full, read-only or failing.
    #[error("the spool's disk: {0}")]
    Disk(#[source] Box<redb::Error>),
    /// The disk failed before, and opening the spool anew failed a moment ago.
    #[error("the spool's disk failed a moment ago; it is tried again once a second")]
    Failing,
    /// The operating system has no random numbers.
    #[error("no random numbers from the operating system")]
    Random,
}

impl From<redb::Error> for SpoolError {
    fn from(error: redb::Error) -> SpoolError {
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            return SpoolError::Busy;
        }
        if let redb::Error::Corrupted(what) = error {
            return SpoolError::Damaged(what);
        }
        // What redb says of a file that is no database of its own, and of one that ends too early.
        if let redb::Error::Io(error) = &error
            && matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
        {
            return SpoolError::Damaged(error.to_string());
        }
        SpoolError::Disk(Box::new(error))
    }
}
