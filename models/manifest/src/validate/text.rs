//! Names, units and sentences: what may stand in keys, reports and the contract.

use std::collections::HashSet;

use toml::Spanned;

use super::{Flaw, flaw};

/// The longest name or unit, so that a line of a report or of the contract stays a line.
pub const MAX_NAME_BYTES: usize = 128;

/// A name that `names` does not hold yet; `within` says among what it is unique.
pub(super) fn unique(name: Spanned<String>, names: &mut HashSet<String>, within: &str) -> Result<String, Flaw> {
    let offset = name.span().start;
    let name = label(name, "name")?;
    if !names.insert(name.clone()) {
        return Err(Flaw { offset, message: format!("the name {name:?} is used twice; names are unique {within}") });
    }
    Ok(name)
}

/// A name that stands in keys, reports and the contract: printable ASCII.
pub(super) fn label(text: Spanned<String>, field: &str) -> Result<String, Flaw> {
    let printable = text.get_ref().bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !printable {
        return flaw(
            &text,
            format!("the {field} holds a character that is not printable ASCII; use letters, digits and signs"),
        );
    }
    short(text, field)
}

/// Any language and sign (°, µ), but no control character: tabs and line ends part the contract's fields.
pub(super) fn unit(text: Spanned<String>) -> Result<String, Flaw> {
    if text.get_ref().chars().any(char::is_control) {
        return flaw(&text, "the unit holds a control character; remove it");
    }
    if text.get_ref().is_empty() {
        return flaw(&text, "the unit is empty; write \"1\" where a number has no unit");
    }
    short(text, "unit")
}

pub(super) fn filled(text: Spanned<String>, field: &str) -> Result<String, Flaw> {
    if text.get_ref().trim().is_empty() {
        return flaw(&text, format!("the {field} is empty; fill it in"));
    }
    Ok(text.into_inner())
}

fn short(text: Spanned<String>, field: &str) -> Result<String, Flaw> {
    let bytes = text.get_ref().len();
    if bytes > MAX_NAME_BYTES {
        return flaw(&text, format!("the {field} has {bytes} bytes; shorten it to at most {MAX_NAME_BYTES}"));
    }
    filled(text, field)
}
