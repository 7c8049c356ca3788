//! Why a config is refused: what is wrong, in which line, and what to do.

use std::{
    collections::HashSet,
    ops::Range,
    path::{Path, PathBuf},
};

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;
use toml::Spanned;

/// Why a config was refused, and where.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum ConfigError {
    #[error("cannot read the config {}", path.display())]
    #[diagnostic(help("name an existing, readable file of at most 1 MiB with --config"))]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<Invalid>),
}

/// What is wrong, and where.
#[derive(Debug, Error, Diagnostic)]
#[error("{file}:{line}: {what}")]
pub(crate) struct Invalid {
    file: String,
    line: usize,
    what: String,
    #[source_code]
    text: NamedSource<String>,
    #[label("here")]
    place: SourceSpan,
    #[help]
    help: Option<String>,
}

/// The text of a config or policy, while it is checked.
pub(crate) struct File<'f> {
    pub(crate) path: &'f Path,
    pub(crate) text: &'f str,
}

impl File<'_> {
    pub(crate) fn error(&self, span: Range<usize>, what: String, help: Option<&str>) -> ConfigError {
        let line = self.line_at(span.start);
        ConfigError::Invalid(Box::new(Invalid {
            file: self.path.display().to_string(),
            line,
            what,
            text: NamedSource::new(self.path.display().to_string(), self.text.to_owned()).with_language("toml"),
            place: span.into(),
            help: help.map(str::to_owned),
        }))
    }

    pub(crate) fn at<T>(&self, place: &Spanned<T>, what: String, help: &str) -> ConfigError {
        self.error(place.span(), what, Some(help))
    }

    /// The line that something begins in.
    pub(super) fn line<T>(&self, place: &Spanned<T>) -> usize {
        self.line_at(place.span().start)
    }

    fn line_at(&self, start: usize) -> usize {
        self.text.get(..start).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// A chunk of a key: what zenoh takes as one level, without a wildcard.
    pub(super) fn chunk(&self, name: &Spanned<String>) -> Result<String, ConfigError> {
        let text = name.get_ref();
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || !text.bytes().all(fine) {
            let what = format!("{text:?} cannot stand in a key");
            return Err(self.at(name, what, "use ASCII letters, digits, '-', '_' and '.'"));
        }
        Ok(text.clone())
    }

    pub(super) fn in_folder(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    pub(crate) fn unique<'n>(
        &self,
        what: &str,
        names: impl Iterator<Item = &'n Spanned<String>>,
    ) -> Result<(), ConfigError> {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(name.get_ref()) {
                let text = format!("the {what} {:?} is declared twice", name.get_ref());
                return Err(self.at(name, text, "give each its own name"));
            }
        }
        Ok(())
    }
}
