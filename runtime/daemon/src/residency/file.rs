//! The policy file: TOML, parsed once into the engine's rules; each error names file, line and what to do.

mod raw;

use std::{
    fs::File as Opened,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use engine::residency::{self, Destination, Field, FieldId, Jurisdiction, Permit, PolicyVersion, Rule, RuleId};
use miette::Diagnostic;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::data::Datum;
use crate::config::{ConfigError, File};

/// The longest policy that is read.
const MAX_BYTES: u64 = 1 << 20;
/// What no rule drops.
const UNNAMED: FieldId = FieldId(u16::MAX);

/// A policy, checked.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) version: u64,
    /// SHA-256 of the file.
    pub(crate) digest: [u8; 32],
    home: String,
    jurisdictions: Vec<Listed>,
    rules: Vec<Rule>,
    names: Vec<Arc<str>>,
    /// What some rule drops; a name's place is its number.
    dropped: Vec<Arc<str>>,
}

/// A jurisdiction and the clusters that are in it, by the word of whoever wrote the policy.
#[derive(Debug)]
struct Listed {
    id: String,
    /// For people, in any language.
    name: String,
    clusters: Vec<String>,
}

/// Why there is no policy.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum PolicyError {
    #[error("cannot read the policy {}: {why}", path.display())]
    #[diagnostic(help("name an existing, readable file of at most 1 MiB: `genba policy template jp` writes one"))]
    Unreadable {
        path: PathBuf,
        /// Not a source: it is told in the same line, which the journal holds.
        why: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(#[from] ConfigError),
}

impl Policy {
    /// Reads and checks a policy.
    pub(crate) fn load(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(path, &read(path)?)
    }

    /// Checks what was read.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, PolicyError> {
        Ok(raw::parse(&File { path, text })?)
    }

    /// Whether data may go to a destination; `Err` names what must not.
    pub(super) fn ask(&self, data: &[Datum], to: Destination) -> Result<Permit<'_>, residency::Denied> {
        let fields: Vec<_> =
            data.iter().map(|datum| Field { id: self.number(&datum.name), class: datum.class }).collect();
        residency::Policy { version: PolicyVersion(self.version), rules: &self.rules }.evaluate(&fields, to)
    }

    /// The home jurisdiction's id, and its name for people.
    pub(crate) fn home(&self) -> (&str, &str) {
        let home = self.jurisdictions.iter().find(|listed| listed.id == self.home);
        (&self.home, home.map_or("", |listed| listed.name.as_str()))
    }

    /// A rule's id.
    pub(super) fn rule(&self, rule: RuleId) -> &Arc<str> {
        &self.names[usize::from(rule.0)]
    }

    /// Whether a field goes along under a permit of this policy.
    pub(super) fn sends(&self, permit: &Permit<'_>, datum: &Datum) -> bool {
        permit.sends(self.number(&datum.name))
    }

    /// The datum that a refusal of this policy names.
    pub(super) fn datum<'d>(&self, field: Field, data: &'d [Datum]) -> Option<&'d Datum> {
        data.iter().find(|datum| datum.class == field.class && self.number(&datum.name) == field.id)
    }

    /// Where a cluster is, if the policy lists it there too: a config alone moves no cluster.
    pub(crate) fn cluster(&self, name: &str, jurisdiction: &str) -> Option<Destination> {
        let place = self.jurisdictions.iter().position(|listed| listed.id == jurisdiction)?;
        let lists = self.jurisdictions[place].clusters.iter().any(|cluster| cluster == name);
        lists.then(|| Destination::Cluster(at(place)))
    }

    fn number(&self, name: &str) -> FieldId {
        let place = self.dropped.iter().position(|dropped| **dropped == *name);
        place.map_or(UNNAMED, |place| FieldId(u16::try_from(place).expect("raw.rs bounds the rules")))
    }
}

/// The text of a policy, which may be anything.
pub(super) fn read(path: &Path) -> Result<String, PolicyError> {
    let unreadable = |why: String| PolicyError::Unreadable { path: path.to_owned(), why };
    let mut text = String::new();
    let file = Opened::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unreadable("it has more than 1 MiB".to_owned()));
    }
    Ok(text)
}

/// A text's digest.
pub(super) fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn at(place: usize) -> Jurisdiction {
    u8::try_from(place).ok().and_then(Jurisdiction::new).expect("raw.rs bounds the jurisdictions")
}
