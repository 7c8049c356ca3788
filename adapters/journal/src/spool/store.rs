//! The rows on disk, sealed as they are, and one transaction for each change.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::error::SpoolError;
use super::request::Position;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const STATES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("states");
const BODIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("bodies");
const RESULTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("results");

const FORMAT_ROW: &str = "format";
const PROOF_ROW: &str = "proof";
const COUNTERS_ROW: &str = "counters";

/// A changed row means a new name.
const FORMAT: &str = "genba spool 1";

/// What is to be changed together. `None` removes a row.
#[derive(Default)]
pub(super) struct Sealed {
    pub(super) counters: Vec<u8>,
    pub(super) states: Vec<(Position, Option<Vec<u8>>)>,
    pub(super) bodies: Vec<(Position, Option<Vec<u8>>)>,
    pub(super) results: Vec<(Position, Option<Vec<u8>>)>,
}

/// Everything but payloads and results.
pub(super) struct Rows {
    pub(super) counters: Option<Vec<u8>>,
    pub(super) states: Vec<(Position, Vec<u8>)>,
    /// Where a body is, and its sealed bytes.
    pub(super) bodies: Vec<(Position, u64)>,
    pub(super) results: Vec<Position>,
}

pub(super) struct Store {
    database: Database,
}

impl Store {
    pub(super) fn new(database: Database) -> Store {
        Store { database }
    }

    /// The proof of the key; none in a new spool.
    pub(super) fn proof(&self) -> Result<Option<Vec<u8>>, SpoolError> {
        wrong(|| {
            let transaction = self.database.begin_read()?;
            let meta = match transaction.open_table(META) {
                Ok(meta) => meta,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Ok(None)),
                Err(error) => return Err(error.into()),
            };
            let format = meta.get(FORMAT_ROW)?.map(|format| String::from_utf8_lossy(format.value()).into_owned());
            match format {
                Some(format) if format == FORMAT => Ok(Ok(meta.get(PROOF_ROW)?.map(|proof| proof.value().to_vec()))),
                Some(format) => Ok(Err(SpoolError::Format(format))),
                None => Ok(Err(SpoolError::Damaged("it has no format".into()))),
            }
        })?
    }

    /// Makes the tables of a new spool.
    pub(super) fn create(&self, proof: &[u8]) -> Result<(), SpoolError> {
        wrong(|| {
            let transaction = self.begin()?;
            {
                let mut meta = transaction.open_table(META)?;
                meta.insert(FORMAT_ROW, FORMAT.as_bytes())?;
                meta.insert(PROOF_ROW, proof)?;
                for table in [STATES, BODIES, RESULTS] {
                    transaction.open_table(table)?;
                }
            }
            Ok(transaction.commit()?)
        })
    }

    pub(super) fn load(&self) -> Result<Rows, SpoolError> {
        wrong(|| {
            let transaction = self.database.begin_read()?;
            let mut rows = Rows { counters: None, states: Vec::new(), bodies: Vec::new(), results: Vec::new() };
            rows.counters = transaction.open_table(META)?.get(COUNTERS_ROW)?.map(|row| row.value().to_vec());
            for row in transaction.open_table(STATES)?.iter()? {
                let (position, state) = row?;
                rows.states.push((Position(position.value()), state.value().to_vec()));
            }
            for row in transaction.open_table(BODIES)?.iter()? {
                let (position, body) = row?;
                rows.bodies.push((Position(position.value()), body.value().len() as u64));
            }
            for row in transaction.open_table(RESULTS)?.iter()? {
                rows.results.push(Position(row?.0.value()));
            }
            Ok(rows)
        })
    }

    pub(super) fn body(&self, position: Position) -> Result<Option<Vec<u8>>, SpoolError> {
        self.value(BODIES, position)
    }

    pub(super) fn result(&self, position: Position) -> Result<Option<Vec<u8>>, SpoolError> {
        self.value(RESULTS, position)
    }

    /// On disk when it returns.
    pub(super) fn commit(&self, sealed: &Sealed) -> Result<(), SpoolError> {
        wrong(|| {
            let transaction = self.begin()?;
            transaction.open_table(META)?.insert(COUNTERS_ROW, sealed.counters.as_slice())?;
            for (definition, rows) in [(STATES, &sealed.states), (BODIES, &sealed.bodies), (RESULTS, &sealed.results)] {
                if rows.is_empty() {
                    continue;
                }
                let mut table = transaction.open_table(definition)?;
                for (position, row) in rows {
                    match row {
                        Some(row) => table.insert(position.0, row.as_slice())?,
                        None => table.remove(position.0)?,
                    };
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Gives room that is free inside the file back to the file system. `true` where something moved.
    pub(super) fn compact(&mut self) -> Result<bool, SpoolError> {
        Ok(self.database.compact().map_err(redb::Error::from)?)
    }

    /// One sync for each commit: without two phases redb tells a torn commit by its pages' checksums, which somebody who
    /// chooses a page's bytes could forge. Here nobody does: they are encrypted.
    fn begin(&self) -> Result<redb::WriteTransaction, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        Ok(transaction)
    }

    fn value(
        &self,
        table: TableDefinition<'_, u64, &'static [u8]>,
        position: Position,
    ) -> Result<Option<Vec<u8>>, SpoolError> {
        wrong(|| {
            let table = self.database.begin_read()?.open_table(table)?;
            Ok(table.get(position.0)?.map(|value| value.value().to_vec()))
        })
    }
}

/// redb has an error type for each kind of call; here they are one.
fn wrong<T>(call: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, SpoolError> {
    Ok(call()?)
}
