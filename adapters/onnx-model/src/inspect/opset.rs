//! Which version of ONNX's operators a file is written for.

use super::wire::{Value, take_field};
use super::{Unfit, children};

/// What is older is not told apart by every library from what came after it.
const OLDEST: u64 = 7;

/// The version of ONNX's own operators, if the file says one.
pub(crate) fn opset(model: &[u8]) -> Option<u64> {
    versions(model).max()
}

/// Whether it is not older than what is run.
pub(super) fn is_new_enough(model: &[u8]) -> Result<(), Unfit> {
    match versions(model).min() {
        Some(version) if version < OLDEST => Err(Unfit::OldOpset(version)),
        Some(_) | None => Ok(()),
    }
}

/// Of every mention, under either of the names of ONNX's own domain.
fn versions(model: &[u8]) -> impl Iterator<Item = u64> {
    children(model, 8).flatten().filter_map(|mention| {
        let (mut domain, mut version, mut rest) = (&[][..], 0, mention);
        while !rest.is_empty() {
            match take_field(&mut rest)? {
                (1, Value::Bytes(text)) => domain = text,
                (2, Value::Number(number)) => version = number,
                (_, _) => {}
            }
        }
        (domain.is_empty() || domain == b"ai.onnx").then_some(version)
    })
}
