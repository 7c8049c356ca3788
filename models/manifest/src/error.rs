//! What can be wrong with a manifest, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a model was refused. Prints as `models/x/model.toml:12:3: what is wrong; what to do`.
#[derive(Debug, Error)]
#[error("{}:{} {problem}", file.display(), Place(*position))]
pub struct ManifestError {
    file: PathBuf,
    position: Option<Position>,
    problem: Problem,
}

/// A place in a text file, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in that line.
    pub column: usize,
}

/// The kinds of things that can be wrong.
#[derive(Debug, Error)]
pub enum Problem {
    /// `model.toml` or a file that it names is not there, or may not be read.
    #[error("cannot read {}: {source}; {advice}", path.display())]
    Unreadable {
        /// The file that was to be read.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
        /// What the reader can do about it.
        advice: &'static str,
    },
    /// A file is larger than is read into memory.
    #[error("{} has {bytes} bytes, more than the {limit} that are read; is it the right file?", path.display())]
    TooLarge {
        /// The file that was not read.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// Not TOML, an unknown or missing field, or a field of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// Well-formed, but it describes a model that cannot be run safely.
    #[error("{0}")]
    Invalid(String),
    /// The ONNX file, or one of weights, is not the one that the manifest was written for.
    #[error(
        "{} has the SHA-256 {found}, but the manifest says {declared}; restore the file that was signed off, or enter the new digest after a review",
        path.display()
    )]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// The digest of the file as it is, 64 hexadecimal digits.
        found: String,
        /// The digest in the manifest.
        declared: String,
    },
}

impl ManifestError {
    pub(crate) fn new(file: &Path, position: Option<Position>, problem: Problem) -> Self {
        Self { file: file.to_path_buf(), position, problem }
    }

    /// The `model.toml` this is about, as the caller's folder named it.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where in that file; `None` only where the file itself could not be read.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// What is wrong and what to do, without the place.
    #[must_use]
    pub fn message(&self) -> String {
        self.problem.to_string()
    }
}

impl Position {
    /// The place of a byte offset in `text`; an offset past the end is the end.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// `12:3:` after the file's name, or nothing.
struct Place(Option<Position>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Position { line, column }) => write!(f, "{line}:{column}:"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn a_position_counts_lines_and_characters_from_one() {
        let text = "a = 1\nµm = \"é\" x\n";
        let at = |needle| {
            let position = Position::of(text, text.find(needle).expect("the needle is in the text"));
            (position.line, position.column)
        };
        assert_eq!(at("a"), (1, 1));
        assert_eq!(at("µ"), (2, 1));
        assert_eq!(at("x"), (2, 10));
        let end = Position::of(text, 1000);
        assert_eq!((end.line, end.column), (3, 1));
    }
}
