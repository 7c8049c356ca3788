//! Copies of signed heads outside the journal: what makes a cut or a rewritten chain provable.
//!
//! An anchor is a file of JSON lines that only grows, best on another mount or another machine's share. Whoever can write
//! journal, key and anchor can rewrite all three: an anchor is worth what its place is worth.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    files,
    hex::{Hash, Signature},
    key::{PublicKey, head_text},
    line::{self, Next},
    record::Head,
    stamp::{Stamp, rfc3339},
};

/// A signed head, as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchoredHead {
    /// The box's name.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The number of the record.
    pub of: u64,
    /// Its hash.
    pub hash: Hash,
    /// By the box's key, over box, number and hash.
    pub signature: Signature,
    /// When it was signed, RFC 3339.
    pub wall: String,
}

/// How one anchor fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorStatus {
    /// The file.
    pub path: PathBuf,
    /// The last record that is anchored there.
    pub anchored: Option<u64>,
    /// It is on another mount than the journal.
    pub outside: bool,
    /// Why the last head could not be written, and since when: an alarm.
    pub failing: Option<(Stamp, String)>,
}

pub(super) struct Anchors {
    list: Vec<AnchorStatus>,
}

impl AnchoredHead {
    pub(super) fn of(box_id: &str, head: &Head, at: Stamp) -> Self {
        let wall = rfc3339(at.wall_ns);
        Self { box_id: box_id.to_owned(), of: head.of, hash: head.hash, signature: head.signature, wall }
    }

    /// Whether that key signed it.
    #[must_use]
    pub fn signed_by(&self, key: PublicKey) -> bool {
        key.signed(&head_text(&self.box_id, self.of, self.hash), &self.signature)
    }
}

impl Anchors {
    pub(super) fn new(paths: &[PathBuf], journal: &Path) -> Self {
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        let list = paths.iter().map(|path| AnchorStatus {
            path: path.clone(),
            anchored: None,
            outside: path.parent().and_then(device).is_some_and(|there| Some(there) != device(journal)),
            failing: None,
        });
        Self { list: list.collect() }
    }

    /// Writes a head to each anchor. One that fails is alarmed, and written again with the next head.
    pub(super) fn publish(&mut self, head: &AnchoredHead, at: Stamp) {
        for anchor in &mut self.list {
            match append(&anchor.path, head) {
                Ok(()) => (anchor.anchored, anchor.failing) = (Some(head.of), None),
                Err(error) => {
                    let since = anchor.failing.take().map_or(at, |(since, _)| since);
                    anchor.failing = Some((since, error.to_string()));
                }
            }
        }
    }

    pub(super) fn status(&self) -> &[AnchorStatus] {
        &self.list
    }
}

fn append(path: &Path, head: &AnchoredHead) -> io::Result<()> {
    let new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut text = serde_json::to_vec(head).expect("numbers and texts can be written to memory");
    text.push(b'\n');
    if ends_torn(&mut file)? {
        text.insert(0, b'\n');
    }
    file.write_all(&text)?;
    file.sync_data()?;
    if new { files::sync_folder(path) } else { Ok(()) }
}

/// The last head was cut short: by a full disk, or with the power.
fn ends_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Reads an anchor's heads, one after another.
pub(super) struct AnchorReader {
    file: BufReader<File>,
    buffer: Vec<u8>,
    line: u64,
    /// Lines that are no heads: cut short when they were written.
    pub(super) unreadable: u64,
}

impl AnchorReader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?), buffer: Vec::new(), line: 0, unreadable: 0 })
    }

    /// The next head and its line.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, AnchoredHead)>> {
        loop {
            let text = match line::next(&mut self.file, &mut self.buffer)? {
                Next::End => return Ok(None),
                Next::Whole(text) | Next::Torn(text) => text,
            };
            self.line += 1;
            match serde_json::from_slice(text) {
                Ok(head) => return Ok(Some((self.line, head))),
                Err(_) if text.is_empty() => {}
                Err(_) => self.unreadable += 1,
            }
        }
    }
}

/// The newest head in an anchor that the key signed for the box; none if there is no such file.
pub(super) fn newest(path: &Path, box_id: &str, key: PublicKey) -> io::Result<Option<AnchoredHead>> {
    let mut reader = match AnchorReader::open(path) {
        Ok(reader) => reader,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut newest: Option<AnchoredHead> = None;
    while let Some((_, head)) = reader.next()? {
        if head.box_id == box_id && newest.as_ref().is_none_or(|newest| newest.of < head.of) && head.signed_by(key) {
            newest = Some(head);
        }
    }
    Ok(newest)
}
