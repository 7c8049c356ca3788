//! What a start finds at the end of the chain: the last good record, and what must be cut beyond it.
//!
//! Only the last file is read. Whether all the others are what they were is `verify`'s question, not a start's.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use super::{
    anchor::AnchoredHead,
    error::OpenError,
    files,
    hex::Hash,
    key::{BoxKey, head_text},
    line::{self, Line, Next},
    record::{OpenIntent, Record},
};

/// The chain's end.
pub(super) struct Found {
    /// The last good record's number; 0 if there is none.
    pub(super) n: u64,
    /// Its hash.
    pub(super) hash: Hash,
    /// Attempts without an outcome up to there.
    pub(super) open: BTreeMap<u64, OpenIntent>,
    /// Where to go on.
    pub(super) then: Then,
}

pub(super) enum Then {
    /// In a first file of that number.
    Begin(u64),
    /// At the end of that file, which has so many bytes.
    Append { path: PathBuf, index: u64, bytes: u64 },
    /// In the next file: that one ended in order.
    Continue { path: PathBuf, index: u64 },
    /// In a new file of that number, after a cut.
    Cut { index: u64, cut: Cut },
}

/// What is to be cut.
pub(super) struct Cut {
    /// The file.
    pub(super) path: PathBuf,
    /// So many bytes of it stay.
    pub(super) keep: u64,
    /// So many go.
    pub(super) bytes: u64,
    /// Whole records among them.
    pub(super) records: u64,
    /// Their digest.
    pub(super) hash: Hash,
}

/// Looks at the end of the chain. `anchored` is what this box anchored last.
pub(super) fn scan(
    paths: &[PathBuf],
    box_id: &str,
    key: &BoxKey,
    anchored: &[AnchoredHead],
) -> Result<Found, OpenError> {
    let Some((path, before)) = paths.split_last() else {
        let found = Found { n: 0, hash: Hash::ZERO, open: BTreeMap::new(), then: Then::Begin(1) };
        return behind(found, Path::new("the journal"), anchored);
    };
    let index = files::index(&files::file_name(path)).unwrap_or_default();
    let end = read(path, box_id, key, anchored)?;
    let Some((n, hash)) = end.n else {
        return nothing_in(path, before, index, &end, box_id, key, anchored);
    };
    let then = if end.torn > 0 {
        let cut = cut_of(path, &end)?;
        Then::Cut { index: index + 1, cut }
    } else if end.rotated {
        Then::Continue { path: path.clone(), index }
    } else {
        Then::Append { path: path.clone(), index, bytes: end.good }
    };
    behind(Found { n, hash, open: end.open, then }, path, anchored)
}

/// A file without a good record: a crash came while it was being begun. The chain ends in the file before it.
fn nothing_in(
    path: &Path,
    before: &[PathBuf],
    index: u64,
    end: &End,
    box_id: &str,
    key: &BoxKey,
    anchored: &[AnchoredHead],
) -> Result<Found, OpenError> {
    let mut found = scan(before, box_id, key, anchored)?;
    if end.torn > 0 {
        found.then = Then::Cut { index: index + 1, cut: cut_of(path, end)? };
    } else {
        // It is empty, and its name is free again.
        std::fs::remove_file(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    }
    Ok(found)
}

/// The chain must reach what was anchored: an anchored record was on the disk.
fn behind(found: Found, path: &Path, anchored: &[AnchoredHead]) -> Result<Found, OpenError> {
    match anchored.iter().find(|head| head.of > found.n) {
        Some(head) => Err(OpenError::Damaged { path: path.to_owned(), after: found.n, signed: head.of }),
        None => Ok(found),
    }
}

fn cut_of(path: &Path, end: &End) -> Result<Cut, OpenError> {
    let measured = files::measure_tail(path, end.good);
    let (bytes, hash) = measured.map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    Ok(Cut { path: path.to_owned(), keep: end.good, bytes, records: end.records, hash })
}

struct End {
    /// The last good record of the file.
    n: Option<(u64, Hash)>,
    /// The bytes up to its end.
    good: u64,
    /// The bytes beyond.
    torn: u64,
    /// Whole records beyond.
    records: u64,
    open: BTreeMap<u64, OpenIntent>,
    rotated: bool,
}

fn read(path: &Path, box_id: &str, key: &BoxKey, anchored: &[AnchoredHead]) -> Result<End, OpenError> {
    let failed = |source: io::Error| OpenError::File { path: path.to_owned(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut buffer = Vec::new();
    let mut end = End { n: None, good: 0, torn: 0, records: 0, open: BTreeMap::new(), rotated: false };
    loop {
        let (whole, bytes) = match line::next(&mut file, &mut buffer).map_err(failed)? {
            Next::End => return Ok(end),
            Next::Whole(text) => (Some(text), text.len() as u64 + 1),
            Next::Torn(text) => (None, text.len() as u64),
        };
        let line = whole.and_then(|text| line::decode(text).ok());
        match line {
            Some(line) if end.torn == 0 && follows(&line, end.n) => {
                of_this_box(path, box_id, key, &line)?;
                if let Some(head) = anchored.iter().find(|head| head.of == line.n && head.hash != line.hash) {
                    let after = line.n.saturating_sub(1);
                    return Err(OpenError::Damaged { path: path.to_owned(), after, signed: head.of });
                }
                end.good += bytes;
                end.n = Some((line.n, line.hash));
                end.rotated = matches!(line.record, Record::Rotated(_));
                track(&mut end.open, line);
            }
            Some(line) => {
                end.torn += bytes;
                end.records += 1;
                signed_beyond(path, box_id, key, &line, end.n.map_or(0, |(n, _)| n))?;
            }
            None => end.torn += bytes,
        }
    }
}

fn follows(line: &Line, last: Option<(u64, Hash)>) -> bool {
    last.is_none_or(|(n, hash)| line.n == n + 1 && line.prev == hash)
}

/// A record is signed only once it is on the disk, with all before it. So behind a torn write there is no signature.
fn signed_beyond(path: &Path, box_id: &str, key: &BoxKey, line: &Line, after: u64) -> Result<(), OpenError> {
    if let Record::Head(head) = &line.record
        && head.of > after
        && key.public().signed(&head_text(box_id, head.of, head.hash), &head.signature)
    {
        return Err(OpenError::Damaged { path: path.to_owned(), after, signed: head.of });
    }
    Ok(())
}

fn of_this_box(path: &Path, box_id: &str, key: &BoxKey, line: &Line) -> Result<(), OpenError> {
    if let Record::Opened(opened) = &line.record
        && (opened.box_id != box_id || opened.public_key != key.public().0)
    {
        return Err(OpenError::OtherBox {
            path: path.to_owned(),
            box_id: opened.box_id.clone(),
            public_key: opened.public_key.to_string(),
        });
    }
    Ok(())
}

/// Which attempts are without an outcome after a record.
pub(super) fn track(open: &mut BTreeMap<u64, OpenIntent>, line: Line) {
    match line.record {
        Record::Intent(intent) => {
            let entry = OpenIntent { intent: line.n, hand_off: intent.hand_off, attempt: intent.attempt };
            open.insert(line.n, entry);
        }
        Record::Outcome(ended) => {
            open.remove(&ended.intent);
        }
        // A start has told of those before it as in doubt.
        Record::Opened(_) => open.clear(),
        Record::Recovered(recovered) => replace(open, recovered.open),
        Record::Continued(continued) => replace(open, continued.open),
        Record::Policy(_)
        | Record::Refused(_)
        | Record::Unrecorded(_)
        | Record::Head(_)
        | Record::Rotated(_)
        | Record::Closed(_) => {}
    }
}

fn replace(open: &mut BTreeMap<u64, OpenIntent>, with: Vec<OpenIntent>) {
    *open = with.into_iter().map(|entry| (entry.intent, entry)).collect();
}
