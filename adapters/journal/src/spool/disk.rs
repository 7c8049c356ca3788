//! The spool's file, grown with zeros that are written.
//!
//! redb grows a file by its length alone. The hole would be filled later, in the middle of any commit, where a disk that
//! is full by then fails the record of a delivery. Written zeros fail where they belong: at the request that needs the room.
//! (A file system that never overwrites in place, such as btrfs or ZFS, can still run out later; the commit fails then, typed.)

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{BackendError, Database, StorageBackend};

use super::error::SpoolError;
use super::key::sync_folder;

const ZEROS: &[u8] = &[0; 64 << 10];

/// More than the index of any sensible spool; its payloads are read once and need no cache.
const CACHE_BYTES: usize = 16 << 20;

/// Opens the spool's database, or makes it. Every page's checksum is checked, so a damaged file is an error here.
pub(super) fn open(path: &Path) -> Result<Database, SpoolError> {
    let wrong = |source| SpoolError::File { path: path.to_owned(), source };
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(wrong)?;
    sync_folder(path).map_err(wrong)?;
    let file = FileBackend::new(file).map_err(redb::Error::from)?;
    open_on(ZeroFilled(file))
}

/// The same on any storage.
pub(super) fn open_on(storage: impl StorageBackend) -> Result<Database, SpoolError> {
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create_with_backend(storage)
        .map_err(redb::Error::from)?;
    Ok(database)
}

#[derive(Debug)]
struct ZeroFilled<S>(S);

impl<S: StorageBackend> StorageBackend for ZeroFilled<S> {
    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.0.len()?;
        self.0.set_len(len)?;
        let filled = fill(&self.0, before, len);
        if filled.is_err() {
            // What was taken is given back, so that a disk which is full for this request is not full for all others.
            self.0.set_len(before)?;
        }
        filled
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

fn fill(storage: &impl StorageBackend, from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let piece = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS.len());
        storage.write(at, &ZEROS[..piece])?;
        at += piece as u64;
    }
    Ok(())
}
