//! Opening a spool: after a stop, a crash, or a failure of its disk.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use super::bounds::Settings;
use super::change::Change;
use super::clock::Clock;
use super::delivery::bury;
use super::index::Index;
use super::ledger::Counters;
use super::record::{End, Phase, Record};
use super::request::{Position, Wall, Why};
use super::store::{Rows, Store};
use super::vault::{KEY_BYTES, Place, Vault};
use super::{Opener, Spool, SpoolError, disk, key};

/// After opening failed, so long until it is tried again: it reads the whole file.
const PAUSE: Duration = Duration::from_secs(1);

/// More requests than any spool will see.
const NEVER_GIVEN: u64 = 1 << 62;

/// What was found at open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// In flight when the process opened it.
    pub carried_over: u64,
    /// Of these, attempts without an outcome: in doubt, or dead letters where it was their last attempt.
    pub in_doubt: u64,
    /// Rows that cannot be read. They are dead letters now.
    pub unreadable: u64,
    /// Of what was in flight by the counts, how many have no readable row. They count as failed.
    pub lost: u64,
    /// The counts could not be read, or were behind the rows, and were made anew from these.
    pub recounted: bool,
}

impl Spool {
    /// Opens the spool, or makes a new one with a new key where neither is there.
    ///
    /// # Errors
    /// The key is missing, exposed or the wrong one; the file is damaged, of another version, or in use; the disk fails.
    pub fn open(spool: &Path, key: &Path, settings: Settings, now: Wall) -> Result<Spool, SpoolError> {
        let secret = key::load_or_create(key, spool)?;
        let path = spool.to_owned();
        Spool::open_by(Box::new(move || disk::open(&path)), secret, settings, now)
    }

    pub(super) fn open_by(
        opener: Opener,
        key: [u8; KEY_BYTES],
        settings: Settings,
        now: Wall,
    ) -> Result<Spool, SpoolError> {
        let store = Store::new(opener()?);
        let vault = if let Some(proof) = store.proof()? {
            Vault::open(key, &proof)?
        } else {
            let (vault, proof) = Vault::create(key)?;
            store.create(&proof)?;
            vault
        };
        let rows = store.load()?;
        let stored = rows.counters.as_deref().and_then(|sealed| counters(&vault, sealed));
        let is_new = rows.counters.is_none() && rows.states.is_empty();
        let (index, leftovers) = index(&vault, rows)?;

        let mut base = stored.unwrap_or(Counters::new(Clock::new(now)));
        let mut opening = Opening { unreadable: index.unreadable_count(), ..Opening::default() };
        if base.in_flight().is_none_or(|counted| counted < index.in_flight()) || (stored.is_none() && !is_new) {
            opening.recounted = true;
            base = Counters { accepted: index.in_flight(), delivered: 0, expired: 0, failed: 0, ..base };
        }
        opening.carried_over = base.in_flight().expect("made anew where it was none");
        let mut spool = Spool {
            settings,
            vault,
            opener,
            store: Some(store),
            failed_at: None,
            opening,
            index,
            counters: base,
            base,
            refused: 0,
            duplicates: 0,
        };
        spool.settle(&HashMap::new(), leftovers)?;
        spool.catch_up(now)?;
        Ok(spool)
    }

    /// After a failure: the rows are read anew, since nobody knows whether the last change is among them.
    pub(super) fn reopen(&mut self) -> Result<(), SpoolError> {
        if self.failed_at.is_some_and(|at| self.now().since(at) < PAUSE) {
            return Err(SpoolError::Failing);
        }
        let reopened = self.try_reopen();
        self.failed_at = reopened.is_err().then(|| self.now());
        self.note_failure(reopened)
    }

    fn try_reopen(&mut self) -> Result<(), SpoolError> {
        let store = Store::new((self.opener)()?);
        // The rows are this spool's only if the proof still opens; somebody may have put another file there.
        let proof = store.proof()?.ok_or(SpoolError::WrongKey)?;
        self.vault.is_of(&proof)?;
        let rows = store.load()?;
        let stored = rows.counters.as_deref().and_then(|sealed| counters(&self.vault, sealed));
        let live = self.index.out().map(|(position, record)| (position, record.attempts)).collect();
        let (index, leftovers) = index(&self.vault, rows)?;
        let clock = self.counters.clock;
        let stored = stored.filter(|counters| counters.in_flight().is_some());
        let mut counters = Counters { clock, ..stored.unwrap_or(self.counters) };
        let counted = counters.in_flight().expect("others were left out, and these in memory add up");
        counters.accepted += index.in_flight().saturating_sub(counted);
        self.opening.unreadable = index.unreadable_count();
        self.index = index;
        self.counters = counters;
        self.store = Some(store);
        self.settle(&live, leftovers)
    }

    /// Ends what the process before left open. `live` are attempts that this process has out itself.
    fn settle(&mut self, live: &HashMap<Position, u32>, leftovers: Leftovers) -> Result<(), SpoolError> {
        let mut change = self.change();
        change.counters.next_position = change.counters.next_position.max(self.index.last_position().0 + 1);
        let counted = change.counters.in_flight().expect("checked when it was read");
        let lost = counted.saturating_sub(self.index.in_flight());
        change.counters.failed += lost;
        self.opening.lost += lost;
        for (position, record) in self.index.out() {
            if live.get(&position) != Some(&record.attempts) {
                self.opening.in_doubt += 1;
                doubt(&mut change, position, record, self.spent(record));
            }
        }
        leftovers.bodies.into_iter().for_each(|position| change.remove_body(position));
        leftovers.results.into_iter().for_each(|position| change.remove_result(position));
        self.write(change)
    }
}

fn doubt(change: &mut Change, position: Position, record: &Record, spent: bool) {
    if spent {
        bury(change, position, record, Why::Attempts(None), true);
    } else {
        change.state(position, record.with(Phase::Waiting { in_doubt: true }));
    }
}

/// Bytes of requests that are not there (any more).
struct Leftovers {
    bodies: Vec<Position>,
    results: Vec<Position>,
}

fn index(vault: &Vault, rows: Rows) -> Result<(Index, Leftovers), SpoolError> {
    if rows.states.last().is_some_and(|(position, _)| position.0 >= NEVER_GIVEN) {
        return Err(SpoolError::Damaged("it has a row at a position that was never given".into()));
    }
    let mut index = Index::default();
    let sealed: HashMap<Position, u64> = rows.bodies.iter().copied().collect();
    let (mut has_body, mut has_result) = (HashSet::new(), HashSet::new());
    for (position, row) in rows.states {
        let record = vault.unseal(Place::State(position), &row).and_then(|plain| parse(&plain));
        // No two rows have one id; a second one was not written by this spool.
        let Some(record) = record.filter(|record: &Record| index.find(&record.id).is_none()) else {
            has_body.insert(position);
            has_result.insert(position);
            index.set_unreadable(position, sealed.get(&position).map_or(0, |sealed| Vault::plain_len(*sealed)));
            continue;
        };
        match record.phase {
            Phase::Waiting { .. } | Phase::Out { .. } | Phase::Dead { .. } => has_body.insert(position),
            Phase::Ended { end: End::Delivered { result: Some(_) }, .. } => has_result.insert(position),
            Phase::Ended { .. } | Phase::Read { .. } => false,
        };
        index.set(position, Some(record));
    }
    let bodies = rows.bodies.into_iter().map(|(position, _)| position).filter(|it| !has_body.contains(it)).collect();
    let results = rows.results.into_iter().filter(|position| !has_result.contains(position)).collect();
    Ok((index, Leftovers { bodies, results }))
}

fn parse(plain: &[u8]) -> Option<Record> {
    serde_json::from_slice(plain).ok()
}

fn counters(vault: &Vault, sealed: &[u8]) -> Option<Counters> {
    serde_json::from_slice(&vault.unseal(Place::Counters, sealed)?).ok()
}
