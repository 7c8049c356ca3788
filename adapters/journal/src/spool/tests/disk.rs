//! A disk in memory that can fail at any call, and lose what was not synced.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct TestDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What is read.
    seen: Vec<u8>,
    /// What a power cut leaves for certain.
    synced: Vec<u8>,
    /// What was written since, in order. A power cut leaves any of it.
    pending: Vec<Written>,
    /// So many more writes, lengths and syncs succeed; none: all.
    left: Option<u64>,
    /// Whether a sync says that it is done and does nothing.
    lies: bool,
}

#[derive(Clone, Debug)]
enum Written {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl TestDisk {
    /// After so many more changes each one fails, until it is repaired.
    pub(super) fn fail_after(&self, changes: u64) {
        self.state().left = Some(changes);
    }

    pub(super) fn repair(&self) {
        self.state().left = None;
    }

    /// From now on a sync says that it is done and does nothing.
    pub(super) fn lie(&self, lies: bool) {
        self.state().lies = lies;
    }

    /// The disk after a power cut: of what was not synced `keep` says what is left, whole, in part, or not at all.
    pub(super) fn power_cut(&self, mut keep: impl FnMut() -> Keep) -> TestDisk {
        let state = self.state();
        let mut seen = state.synced.clone();
        for written in &state.pending {
            match (keep(), written) {
                (Keep::Whole, written) => apply(&mut seen, written),
                (Keep::Half, Written::Bytes(at, bytes)) => {
                    apply(&mut seen, &Written::Bytes(*at, bytes[..bytes.len() / 2].to_vec()));
                }
                (Keep::Half | Keep::Nothing, _) => {}
            }
        }
        let state = State { synced: seen.clone(), seen, ..State::default() };
        TestDisk(Arc::new(Mutex::new(state)))
    }

    /// Changes bytes behind everybody's back.
    pub(super) fn alter(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        change(&mut state.seen);
        state.synced = state.seen.clone();
    }

    pub(super) fn len(&self) -> u64 {
        self.state().seen.len() as u64
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        match &mut state.left {
            Some(0) => Err(io::Error::other("the test's disk fails")),
            Some(left) => {
                *left -= 1;
                Ok(state)
            }
            None => Ok(state),
        }
    }
}

/// What a power cut leaves of one write.
#[derive(Clone, Copy)]
pub(super) enum Keep {
    Whole,
    Half,
    Nothing,
}

impl StorageBackend for TestDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.state();
        let bytes = state.seen.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.change()?;
        let written = Written::Length(usize::try_from(len).map_err(io::Error::other)?);
        apply(&mut state.seen, &written);
        state.pending.push(written);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        let written = Written::Bytes(usize::try_from(offset).map_err(io::Error::other)?, data.to_vec());
        apply(&mut state.seen, &written);
        state.pending.push(written);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.change()?;
        let State { synced, pending, lies, .. } = &mut *state;
        if *lies {
            return Ok(());
        }
        pending.drain(..).for_each(|written| apply(synced, &written));
        Ok(())
    }
}

fn apply(image: &mut Vec<u8>, written: &Written) {
    match written {
        Written::Length(len) => image.resize(*len, 0),
        Written::Bytes(at, bytes) => {
            // A write may outlive the growth that it needed; the file then ends before it.
            let end = image.len().min(at + bytes.len());
            if let Some(place) = image.get_mut(*at..end) {
                place.copy_from_slice(&bytes[..place.len()]);
            }
        }
    }
}
