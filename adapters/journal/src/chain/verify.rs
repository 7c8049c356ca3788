//! Is the chain what the box wrote? Said from outside: with the files, a public key and copies of heads.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    anchor::{AnchorReader, AnchoredHead},
    hex::Hash,
    key::{PublicKey, head_text, recovered_text},
    line::{Line, LineFault},
    reader::{Piece, Reader},
    record::Record,
};

/// Records that may go by without a head beyond what the box declares: a group that shares a sync, and what a recovery
/// writes again.
const HEAD_SLACK: u64 = 2048;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the chain is what the box wrote.
    pub finding: Finding,
    /// The last record up to which everything holds.
    pub last: u64,
    /// The last of them that the box's signature covers.
    pub signed: u64,
    /// The last of them that a head outside vouches for; none without any.
    pub anchored: Option<u64>,
    /// Heads outside that agree.
    pub anchors: u64,
    /// Lines in anchors that are no heads: cut short as they were written.
    pub unreadable_anchor_lines: u64,
    /// How often the box cut something that was torn or that its disk had lost, and said so with its signature.
    pub recoveries: u64,
    /// Attempts that later starts called in doubt: the box stopped before it heard how they ended.
    pub in_doubt: u64,
    /// The box's name, as its first record has it.
    #[serde(rename = "box")]
    pub box_id: Option<String>,
}

/// Whether a chain is what the box wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "finding")]
pub enum Finding {
    /// Nothing was found.
    Intact,
    /// There is no record at all, and no head outside says that there was one.
    Empty,
    /// Record `n` is not what it was.
    Altered {
        /// The record's number.
        n: u64,
        /// What shows it.
        how: How,
    },
    /// The chain ends too soon.
    Cut {
        /// Its last record.
        after: u64,
        /// What shows it.
        how: CutHow,
    },
    /// A signature at record `n` is not this box's.
    BadSignature {
        /// The record's number.
        n: u64,
    },
    /// Record `n` says that another key signs.
    UnknownKey {
        /// The record's number.
        n: u64,
    },
    /// A head outside was not signed by this box, or does not come after the one before it.
    BadAnchor {
        /// The file.
        file: PathBuf,
        /// Its line.
        line: u64,
    },
}

/// What shows that a record is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Its bytes do not have its hash.
    Hash,
    /// In its place stands what is no record.
    Form,
    /// It does not carry the hash of the one before it: one of the two was written anew.
    Link,
    /// It and all up to the given one are not there.
    Removed {
        /// The last that is missing.
        to: u64,
    },
    /// It stands later than its number.
    Reordered,
    /// It stands there once more.
    Duplicated,
    /// A head outside has another hash for it.
    Anchor,
    /// So many records went by without the signature that was due.
    Unsigned,
    /// It says what cannot be, such as a rotation in the middle of a file.
    Impossible,
}

/// What shows that a chain ends too soon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutHow {
    /// A head outside vouches for this later record.
    Anchor(u64),
    /// The last line is not whole: a crash that no start has followed yet, a line that is being written, or a cut.
    Torn {
        /// Its length.
        bytes: u64,
    },
    /// The file that goes on is not there.
    NextFile(String),
}

impl Verdict {
    /// Records that hold, and that no head outside vouches for.
    #[must_use]
    pub fn not_anchored(&self) -> u64 {
        self.last - self.anchored.unwrap_or(0)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact => write!(out, "intact"),
            Self::Empty => write!(out, "empty: there is no record"),
            Self::Altered { n, how } => write!(out, "altered at record {n}: {how}"),
            Self::Cut { after, how } => write!(out, "cut after record {after}: {how}"),
            Self::BadSignature { n } => write!(out, "altered at record {n}: its signature is not this box's"),
            Self::UnknownKey { n } => write!(out, "unknown key: record {n} names another key than the one given"),
            Self::BadAnchor { file, line } => {
                write!(out, "{}:{line}: a head that this box did not sign, or that is out of order", file.display())
            }
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash => write!(out, "its bytes do not have its hash"),
            Self::Form => write!(out, "what stands there is no record"),
            Self::Link => write!(out, "it does not carry the hash of the record before it"),
            Self::Removed { to } => write!(out, "it and all up to record {to} were removed"),
            Self::Reordered => write!(out, "it stands later than its number"),
            Self::Duplicated => write!(out, "it stands there once more"),
            Self::Anchor => write!(out, "a head outside has another hash for it"),
            Self::Unsigned => write!(out, "the signature that was due by then is missing"),
            Self::Impossible => write!(out, "it says what cannot be at its place"),
        }
    }
}

impl fmt::Display for CutHow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anchor(n) => write!(out, "a head outside vouches for record {n}, which is missing"),
            Self::Torn { bytes } => write!(
                out,
                "{bytes} bytes of an unfinished line follow: a crash, a line that is being written, or a cut"
            ),
            Self::NextFile(name) => write!(out, "{name}, which goes on, is missing"),
        }
    }
}

/// Reads a whole chain and says what it finds first. `files` in the order of their numbers; `anchors` are files of heads
/// from elsewhere.
///
/// # Errors
///
/// If a file cannot be read.
pub fn verify(files: Vec<PathBuf>, key: PublicKey, anchors: &[PathBuf]) -> io::Result<Verdict> {
    let mut anchors = anchors.iter().map(|path| Anchor::open(path)).collect::<io::Result<Vec<_>>>()?;
    let mut check = Check::new(key);
    let mut finding = check.read(files.clone(), &mut anchors)?;
    if let Some(Finding::Altered { n, how: How::Removed { .. } }) = finding
        && stands_later(files, n)?
    {
        finding = Some(Finding::Altered { n, how: How::Reordered });
    }
    let finding = finding.unwrap_or(if check.last == 0 { Finding::Empty } else { Finding::Intact });
    Ok(Verdict {
        finding,
        last: check.last,
        signed: check.signed,
        anchored: check.anchored,
        anchors: check.anchors,
        unreadable_anchor_lines: anchors.iter().map(|anchor| anchor.reader.unreadable).sum(),
        recoveries: check.recoveries,
        in_doubt: check.in_doubt,
        box_id: check.box_id,
    })
}

struct Check {
    key: PublicKey,
    box_id: Option<String>,
    heads_every: u64,
    last: u64,
    hash: Hash,
    signed: u64,
    anchored: Option<u64>,
    anchors: u64,
    recoveries: u64,
    in_doubt: u64,
    /// The last record was a rotation to this file.
    next_file: Option<String>,
}

impl Check {
    fn new(key: PublicKey) -> Self {
        Self {
            key,
            box_id: None,
            heads_every: 0,
            last: 0,
            hash: Hash::ZERO,
            signed: 0,
            anchored: None,
            anchors: 0,
            recoveries: 0,
            in_doubt: 0,
            next_file: None,
        }
    }

    fn read(&mut self, files: Vec<PathBuf>, anchors: &mut [Anchor]) -> io::Result<Option<Finding>> {
        let mut reader = Reader::open(files)?;
        while let Some(piece) = reader.next_piece()? {
            let found = match piece {
                Piece::Record { line, .. } => match self.record(&line) {
                    Some(finding) => Some(finding),
                    None => self.anchored(&line, anchors)?,
                },
                Piece::Fault { torn: true, bytes, .. } => {
                    // What an anchor knows to be missing says more than that a line is torn.
                    let torn = Finding::Cut { after: self.last, how: CutHow::Torn { bytes } };
                    return Ok(Some(self.missing(anchors)?.unwrap_or(torn)));
                }
                Piece::Fault { fault, .. } => {
                    let how = match fault {
                        LineFault::Hash => How::Hash,
                        LineFault::Form => How::Form,
                    };
                    Some(Finding::Altered { n: self.last + 1, how })
                }
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        if let Some(finding) = self.missing(anchors)? {
            return Ok(Some(finding));
        }
        Ok(self.next_file.take().map(|file| Finding::Cut { after: self.last, how: CutHow::NextFile(file) }))
    }

    /// A record in its place.
    fn record(&mut self, line: &Line) -> Option<Finding> {
        let n = self.last + 1;
        let altered = |how| Some(Finding::Altered { n, how });
        if line.n > n {
            return altered(How::Removed { to: line.n - 1 });
        }
        if line.n < n {
            return Some(Finding::Altered { n: line.n, how: How::Duplicated });
        }
        if line.prev != self.hash {
            return altered(How::Link);
        }
        if self.box_id.is_none() && !matches!(line.record, Record::Opened(_) | Record::Recovered(_)) {
            return altered(How::Impossible);
        }
        if self.next_file.is_some() && !matches!(line.record, Record::Continued(_) | Record::Recovered(_)) {
            return altered(How::Impossible);
        }
        self.next_file = None;
        if let Some(finding) = self.content(line) {
            return Some(finding);
        }
        (self.last, self.hash) = (line.n, line.hash);
        let due = self.heads_every.saturating_add(HEAD_SLACK);
        (self.last - self.signed > due).then_some(Finding::Altered { n: self.signed + due, how: How::Unsigned })
    }

    fn content(&mut self, line: &Line) -> Option<Finding> {
        let n = line.n;
        let impossible = Some(Finding::Altered { n, how: How::Impossible });
        match &line.record {
            Record::Opened(opened) => {
                if opened.public_key != self.key.0 {
                    return Some(Finding::UnknownKey { n });
                }
                if self.box_id.get_or_insert_with(|| opened.box_id.clone()) != &opened.box_id {
                    return impossible;
                }
                self.heads_every = u64::from(opened.heads_every);
                self.in_doubt += opened.in_doubt.len() as u64;
            }
            Record::Head(head) => {
                let box_id = self.box_id.as_deref().unwrap_or_default();
                if (head.of, head.hash) != (self.last, self.hash) {
                    return impossible;
                }
                if !self.key.signed(&head_text(box_id, head.of, head.hash), &head.signature) {
                    return Some(Finding::BadSignature { n });
                }
                self.signed = head.of;
            }
            Record::Recovered(recovered) => {
                if (recovered.after, recovered.hash) != (self.last, self.hash) {
                    return impossible;
                }
                if self.box_id.get_or_insert_with(|| recovered.box_id.clone()) != &recovered.box_id {
                    return impossible;
                }
                if !self.key.signed(&recovered_text(recovered), &recovered.signature) {
                    return Some(Finding::BadSignature { n });
                }
                self.recoveries += 1;
            }
            Record::Rotated(rotated) => self.next_file = Some(rotated.next.clone()),
            Record::Continued(continued) if continued.hash != self.hash => return impossible,
            Record::Continued(_)
            | Record::Policy(_)
            | Record::Intent(_)
            | Record::Outcome(_)
            | Record::Refused(_)
            | Record::Unrecorded(_)
            | Record::Closed(_) => {}
        }
        None
    }

    /// What heads outside say of a record.
    fn anchored(&mut self, line: &Line, anchors: &mut [Anchor]) -> io::Result<Option<Finding>> {
        for anchor in anchors {
            while let Some((_, head)) = &anchor.next
                && head.of <= line.n
            {
                if let Some(finding) = anchor.fault(self.key, self.box_id.as_deref()) {
                    return Ok(Some(finding));
                }
                let Some((_, head)) = anchor.take()? else { break };
                if head.of == line.n && head.hash != line.hash {
                    return Ok(Some(Finding::Altered { n: line.n, how: How::Anchor }));
                }
                self.anchors += 1;
                self.anchored = Some(line.n);
            }
        }
        Ok(None)
    }

    /// What heads outside say of records that are not there.
    fn missing(&self, anchors: &mut [Anchor]) -> io::Result<Option<Finding>> {
        let mut most = None;
        for anchor in anchors {
            while anchor.next.is_some() {
                if let Some(finding) = anchor.fault(self.key, self.box_id.as_deref()) {
                    return Ok(Some(finding));
                }
                most = most.max(anchor.take()?.map(|(_, head)| head.of));
            }
        }
        Ok(most.map(|n| Finding::Cut { after: self.last, how: CutHow::Anchor(n) }))
    }
}

struct Anchor {
    path: PathBuf,
    reader: AnchorReader,
    next: Option<(u64, AnchoredHead)>,
    last: u64,
}

impl Anchor {
    fn open(path: &Path) -> io::Result<Self> {
        let mut reader = AnchorReader::open(path)?;
        let next = reader.next()?;
        Ok(Self { path: path.to_owned(), reader, next, last: 0 })
    }

    /// Takes the next head, and reads the one after it.
    fn take(&mut self) -> io::Result<Option<(u64, AnchoredHead)>> {
        let after = self.reader.next()?;
        let taken = std::mem::replace(&mut self.next, after);
        self.last = taken.as_ref().map_or(self.last, |(_, head)| head.of);
        Ok(taken)
    }

    /// What is wrong with the next head. Before the box has said its name, the head's own is taken.
    fn fault(&self, key: PublicKey, box_id: Option<&str>) -> Option<Finding> {
        let (line, head) = self.next.as_ref()?;
        let right = head.of > self.last && box_id.is_none_or(|name| name == head.box_id) && head.signed_by(key);
        (!right).then(|| Finding::BadAnchor { file: self.path.clone(), line: *line })
    }
}

/// Whether a record of that number stands somewhere after all.
fn stands_later(files: Vec<PathBuf>, n: u64) -> io::Result<bool> {
    let mut reader = Reader::open(files)?;
    while let Some(piece) = reader.next_piece()? {
        if let Piece::Record { line, .. } = piece
            && line.n == n
        {
            return Ok(true);
        }
    }
    Ok(false)
}
