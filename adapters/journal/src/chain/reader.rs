//! All files of a chain as one stream of lines, in bounded memory.
//!
//! A file that begins with a `recovered` record says up to which record the files before it count: what they hold beyond was
//! cut, and is passed over if it is still there. Whether that record is signed is judged when the stream reaches it.

use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use super::{
    line::{self, Line, LineFault, Next},
    record::Record,
};

/// What stands next in a chain.
#[derive(Debug)]
pub enum Piece<'a> {
    /// A line, which is a record by its form and its own hash. Whether it follows the one before is not judged here.
    Record {
        /// The record.
        line: Box<Line>,
        /// Its line, without the newline.
        text: &'a [u8],
    },
    /// A line that is no record.
    Fault {
        /// Why.
        fault: LineFault,
        /// Nothing but this stands at the end of all files, and it lacks its newline: it may be a torn write.
        torn: bool,
        /// Its length.
        bytes: u64,
    },
}

/// Reads a chain.
pub struct Reader {
    files: Vec<PathBuf>,
    /// Of each file, the last record that counts in it.
    until: Vec<u64>,
    at: usize,
    open: Option<BufReader<File>>,
    buffer: Vec<u8>,
    last: u64,
}

impl Reader {
    /// For files in the order of their numbers, as [`list`](super::list) gives them.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn open(files: Vec<PathBuf>) -> io::Result<Self> {
        let mut until = vec![u64::MAX; files.len()];
        let mut smallest = u64::MAX;
        for (file, until) in files.iter().zip(&mut until).rev() {
            *until = smallest;
            smallest = smallest.min(cut_before(file)?.unwrap_or(u64::MAX));
        }
        Ok(Self { files, until, at: 0, open: None, buffer: Vec::new(), last: 0 })
    }

    /// The file that the last piece came from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.files.get(self.at).map(PathBuf::as_path)
    }

    /// What stands next; none at the end.
    ///
    /// # Errors
    ///
    /// If a file cannot be read.
    pub fn next_piece(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            let Some(path) = self.files.get(self.at) else { return Ok(None) };
            if self.last >= self.until[self.at] {
                self.end_file();
                continue;
            }
            if self.open.is_none() {
                self.open = Some(BufReader::new(File::open(path)?));
            }
            let file = self.open.as_mut().expect("it was opened above");
            // The borrow of a returned line would hold the buffer through the loop, so its length is kept instead.
            let (length, whole) = match line::next(file, &mut self.buffer)? {
                Next::End => {
                    self.end_file();
                    continue;
                }
                Next::Whole(text) => (text.len(), true),
                Next::Torn(text) => (text.len(), false),
            };
            let torn = !whole && length < line::MAX_LINE && self.at + 1 == self.files.len();
            let fault = |fault, bytes| Ok(Some(Piece::Fault { fault, torn, bytes: bytes as u64 }));
            if !whole {
                return fault(LineFault::Form, length);
            }
            let text = &self.buffer[..length];
            return match line::decode(text) {
                Ok(line) => {
                    self.last = line.n;
                    Ok(Some(Piece::Record { line: Box::new(line), text }))
                }
                Err(found) => fault(found, length),
            };
        }
    }

    fn end_file(&mut self) {
        self.at += 1;
        self.open = None;
    }
}

/// The last record that counts before a file, if it begins by saying so.
fn cut_before(path: &Path) -> io::Result<Option<u64>> {
    let mut buffer = Vec::new();
    let first = match line::next(&mut BufReader::new(File::open(path)?), &mut buffer)? {
        Next::Whole(text) => line::decode(text).ok(),
        Next::Torn(_) | Next::End => None,
    };
    Ok(first.and_then(|line| if let Record::Recovered(recovered) = line.record { Some(recovered.after) } else { None }))
}
