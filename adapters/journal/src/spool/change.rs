//! One change: all rows that it touches, committed together, then applied to the memory.

use super::clock::Moment;
use super::ledger::Counters;
use super::record::{End, Phase, Record};
use super::request::{Position, Wall};
use super::store::{Sealed, Store};
use super::vault::{Place, Vault};
use super::{Spool, SpoolError};

/// So many rows whose time has come are changed together.
const TOGETHER: usize = 256;

pub(super) struct Change {
    pub(super) counters: Counters,
    sealed: Sealed,
    records: Vec<(Position, Option<Record>)>,
}

impl Change {
    pub(super) fn new(counters: Counters) -> Change {
        Change { counters, sealed: Sealed::default(), records: Vec::new() }
    }

    pub(super) fn state(&mut self, position: Position, record: Record) {
        self.records.push((position, Some(record)));
    }

    /// Removes the row, and whatever else is at that position.
    pub(super) fn forget(&mut self, position: Position) {
        self.records.push((position, None));
        self.remove_body(position);
        self.remove_result(position);
    }

    pub(super) fn body(&mut self, position: Position, sealed: Vec<u8>) {
        self.sealed.bodies.push((position, Some(sealed)));
    }

    pub(super) fn remove_body(&mut self, position: Position) {
        self.sealed.bodies.push((position, None));
    }

    pub(super) fn result(&mut self, position: Position, sealed: Vec<u8>) {
        self.sealed.results.push((position, Some(sealed)));
    }

    pub(super) fn remove_result(&mut self, position: Position) {
        self.sealed.results.push((position, None));
    }

    fn seal(&mut self, vault: &Vault) -> Result<(), SpoolError> {
        let counters = serde_json::to_vec(&self.counters).expect("numbers can be written");
        self.sealed.counters = vault.seal(Place::Counters, &counters)?;
        for (position, record) in &self.records {
            let sealed = match record {
                Some(record) => {
                    let row = serde_json::to_vec(record).expect("text and numbers can be written");
                    Some(vault.seal(Place::State(*position), &row)?)
                }
                None => None,
            };
            self.sealed.states.push((*position, sealed));
        }
        Ok(())
    }
}

impl Spool {
    pub(super) fn change(&self) -> Change {
        Change::new(self.counters)
    }

    /// On disk, and in memory, when it returns.
    pub(super) fn write(&mut self, mut change: Change) -> Result<(), SpoolError> {
        change.seal(&self.vault)?;
        let committed = self.open_store()?.commit(&change.sealed);
        self.note_failure(committed)?;
        self.counters = change.counters;
        for (position, record) in change.records {
            self.index.set(position, record);
        }
        Ok(())
    }

    /// Before each call: the file is open, time has passed, and what time alone ends has ended.
    pub(super) fn catch_up(&mut self, now: Wall) -> Result<(), SpoolError> {
        self.counters.clock.advance(now);
        if self.store.is_none() {
            self.reopen()?;
        }
        loop {
            let change = self.overdue();
            if change.records.is_empty() {
                return Ok(());
            }
            self.write(change)?;
        }
    }

    pub(super) fn open_store(&mut self) -> Result<&mut Store, SpoolError> {
        self.store.as_mut().ok_or(SpoolError::Failing)
    }

    /// After a failure nobody knows what is on disk, so the file is closed.
    pub(super) fn note_failure<T>(&mut self, done: Result<T, SpoolError>) -> Result<T, SpoolError> {
        if done.is_err() {
            self.store = None;
        }
        done
    }

    pub(super) fn now(&self) -> Moment {
        self.counters.clock.now()
    }

    /// Until when the answer of what ends now is kept: at least for as long as the request could have lived, since for so
    /// long a copy of it may come.
    pub(super) fn keep(&self, record: &Record) -> Moment {
        self.now().plus(self.settings.keep_answers).max(record.expires)
    }

    fn overdue(&self) -> Change {
        let mut change = self.change();
        for (position, record) in self.index.due(self.now(), TOGETHER) {
            match record.phase {
                Phase::Waiting { in_doubt } => {
                    let end = End::Expired { in_doubt };
                    change.state(position, record.with(Phase::Ended { end, keep: self.keep(record) }));
                    change.remove_body(position);
                    change.counters.expired += 1;
                }
                Phase::Ended { .. } | Phase::Read { .. } => change.forget(position),
                Phase::Out { .. } | Phase::Dead { .. } => unreachable!("it has no timer"),
            }
        }
        change
    }
}
