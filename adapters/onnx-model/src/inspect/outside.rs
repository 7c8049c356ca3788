//! Tensors whose data lies in other files: where, and whether it may.
//!
//! Only an initializer of the graph itself may, in a file that is allowed, with exactly the bytes that its type and
//! shape take, which no other tensor claims: so a file of weights never makes more memory than it takes itself.

use std::ops::Range;

use thiserror::Error;

use super::wire::{Value, take_field};
use super::{Unfit, children, text};

/// What is wrong with where a tensor's data lies.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Outside {
    /// In a file that the manifest does not name, whatever its path.
    #[error(
        "keeps its data in {0:?}, which is no [[weights]] of model.toml, so no digest covers it; declare the file, or save the model as one file"
    )]
    Undeclared(String),
    /// It is not an initializer of the graph itself.
    #[error(
        "keeps its data in another file, which only an initializer of the graph itself may; save the model as one file"
    )]
    Elsewhere,
    /// What says so cannot be understood, or contradicts itself.
    #[error("does not say clearly where in which file its data is; save the model again")]
    Unclear,
    /// Beyond the end of the file.
    #[error("claims the bytes from {from} to {to} of {file:?}, which has {holds}; the file is damaged or another one")]
    Beyond {
        /// The file.
        file: String,
        /// The first byte.
        from: u64,
        /// The one after the last.
        to: u64,
        /// What the file has.
        holds: u64,
    },
    /// Not the bytes that its type and shape take.
    #[error("claims {claimed} bytes of {file:?}, but its type and shape take {taken}; the file is damaged or hostile")]
    Length {
        /// The file.
        file: String,
        /// How many it claims.
        claimed: u64,
        /// How many it needs.
        taken: u64,
    },
    /// Another tensor lies there too.
    #[error("shares bytes of {file:?} with the tensor {other:?}; save the model again")]
    Shared {
        /// The file.
        file: String,
        /// The name of the other tensor.
        other: String,
    },
}

/// Which bytes of which file the tensors claim.
pub(super) struct Sections<'m> {
    files: &'m [(&'m str, &'m [u8])],
    /// The file's place, the bytes, and the tensor's name.
    claimed: Vec<(usize, Range<u64>, &'m [u8])>,
}

impl<'m> Sections<'m> {
    pub(super) fn of(files: &'m [(&'m str, &'m [u8])]) -> Self {
        Self { files, claimed: Vec::new() }
    }

    /// The bytes of this tensor, which says that they lie in another file.
    pub(super) fn take(
        &mut self,
        tensor: &'m [u8],
        name: &'m [u8],
        elements: Option<u64>,
        is_initializer: bool,
    ) -> Result<&'m [u8], Unfit> {
        let unfit = |why| Unfit::Outside { tensor: text(name), why };
        let Place { location, from, length } = place(tensor).ok_or_else(|| unfit(Outside::Unclear))?;
        let declared = self.files.iter().position(|(file, _)| file.as_bytes() == location);
        let Some(at) = declared else { return Err(unfit(Outside::Undeclared(text(location)))) };
        if !is_initializer {
            return Err(unfit(Outside::Elsewhere));
        }
        let (file, bytes) = self.files[at];
        let file = || file.to_owned();
        let taken = width(tensor).zip(elements).and_then(|(width, elements)| elements.checked_mul(width));
        let taken = taken.ok_or_else(|| unfit(Outside::Unclear))?;
        if length.is_some_and(|length| length != taken) {
            let claimed = length.unwrap_or_default();
            return Err(unfit(Outside::Length { file: file(), claimed, taken }));
        }
        let to = from.saturating_add(taken);
        let section =
            usize::try_from(from).ok().zip(usize::try_from(to).ok()).and_then(|(from, to)| bytes.get(from..to));
        let section = section.ok_or_else(|| {
            unfit(Outside::Beyond { file: file(), from, to, holds: u64::try_from(bytes.len()).unwrap_or(u64::MAX) })
        })?;
        self.claimed.push((at, from..to, name));
        Ok(section)
    }

    /// Whether no byte is claimed twice.
    pub(super) fn are_disjoint(&mut self) -> Result<(), Unfit> {
        self.claimed.retain(|(_, section, _)| !section.is_empty());
        self.claimed.sort_unstable_by_key(|(file, section, _)| (*file, section.start));
        let pairs = self.claimed.iter().zip(self.claimed.iter().skip(1));
        let mut shared = pairs.filter(|((one, first, _), (other, second, _))| one == other && second.start < first.end);
        match shared.next() {
            Some(((at, _, other), (_, _, name))) => Err(Unfit::Outside {
                tensor: text(name),
                why: Outside::Shared { file: self.files[*at].0.to_owned(), other: text(other) },
            }),
            None => Ok(()),
        }
    }
}

/// What `external_data` says.
struct Place<'m> {
    location: &'m [u8],
    from: u64,
    length: Option<u64>,
}

/// `None` where something is said twice, or is not understood, or the tensor holds data besides.
fn place(tensor: &[u8]) -> Option<Place<'_>> {
    let (mut location, mut from, mut length, mut is_external) = (None, None, None, false);
    let mut rest = tensor;
    while !rest.is_empty() {
        match take_field(&mut rest)? {
            (13, Value::Bytes(entry)) => {
                let key = children(entry, 1).next()?.ok()?;
                let value = children(entry, 2).next()?.ok()?;
                let is_new = match key {
                    b"location" => location.replace(value).is_none(),
                    b"offset" => from.replace(number(value)?).is_none(),
                    b"length" => length.replace(number(value)?).is_none(),
                    b"checksum" => true,
                    _ => false,
                };
                if !is_new {
                    return None;
                }
            }
            (14, Value::Number(location)) => is_external = location == 1,
            // Numbers or texts of its own.
            (4..=7 | 9..=11, _) => return None,
            (_, _) => {}
        }
    }
    if is_external { Some(Place { location: location?, from: from.unwrap_or(0), length }) } else { None }
}

/// Digits alone.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// The bytes of one element, by the number of its type; `None` for those that no file of weights holds.
fn width(tensor: &[u8]) -> Option<u64> {
    let (mut dtype, mut rest) = (0, tensor);
    while !rest.is_empty() {
        if let (2, Value::Number(number)) = take_field(&mut rest)? {
            dtype = number;
        }
    }
    match dtype {
        2 | 3 | 9 | 17..=20 => Some(1),
        4 | 5 | 10 | 16 => Some(2),
        1 | 6 | 12 => Some(4),
        7 | 11 | 13 => Some(8),
        _ => None,
    }
}
