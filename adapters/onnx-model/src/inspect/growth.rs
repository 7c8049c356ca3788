//! Operators that make a large tensor of a few numbers that stand in the file.
//!
//! ONNX Runtime computes at load what does not depend on an input, so these numbers decide how much memory a load takes.

use std::collections::HashMap;

use super::wire::{Value, take_field, take_number};
use super::{MAX_ELEMENTS, MAX_RANK, Unfit, children, text};

/// The data type of 64-bit integers, which every shape is.
const INT64: u64 = 7;

/// What a file holds of them, whichever graph it stands in: names that are used twice count with the larger number.
#[derive(Default)]
pub(super) struct Growth<'m> {
    /// The products of the small lists of whole numbers, by name.
    products: HashMap<&'m [u8], u64>,
    /// Operators with the name of the input that says how large their output is.
    grown: Vec<(&'m [u8], &'m [u8])>,
}

impl<'m> Growth<'m> {
    /// An initializer; its data lies in `outside` where that is given.
    pub(super) fn tensor(&mut self, tensor: &'m [u8], outside: Option<&[u8]>) {
        if let Some(name) = children(tensor, 8).next().and_then(Result::ok) {
            self.product(name, tensor, outside);
        }
    }

    /// A node: a constant, or an operator that grows by an input.
    pub(super) fn node(&mut self, operator: &'m [u8], node: &'m [u8]) {
        let sizes = match operator {
            b"Constant" => return self.constant(node),
            b"ConstantOfShape" => 0,
            b"Expand" | b"Tile" => 1,
            _ => return,
        };
        if let Some(Ok(input)) = children(node, 1).nth(sizes) {
            self.grown.push((operator, input));
        }
    }

    /// The first operator whose output is larger than any model needs.
    pub(super) fn is_bounded(&self) -> Result<(), Unfit> {
        let large = |(_, sizes): &&(&[u8], &[u8])| self.products.get(sizes).is_some_and(|&size| size > MAX_ELEMENTS);
        match self.grown.iter().find(large) {
            Some((operator, _)) => Err(Unfit::Oversized(text(operator))),
            None => Ok(()),
        }
    }

    fn constant(&mut self, node: &'m [u8]) {
        let Some(Ok(output)) = children(node, 2).next() else { return };
        for attribute in children(node, 5).flatten() {
            for tensor in children(attribute, 5).flatten() {
                self.product(output, tensor, None);
            }
        }
    }

    fn product(&mut self, name: &'m [u8], tensor: &[u8], outside: Option<&[u8]>) {
        if let Some(product) = product(tensor, outside) {
            let known = self.products.entry(name).or_insert(product);
            *known = product.max(*known);
        }
    }
}

/// The product of a tensor's few whole numbers; those that are not positive stand for "as it is".
fn product(tensor: &[u8], outside: Option<&[u8]>) -> Option<u64> {
    let raw = |bytes: &[u8]| {
        let (whole, _) = bytes.as_chunks::<8>();
        whole.iter().take(MAX_RANK + 1).map(|eight| u64::from_le_bytes(*eight)).collect::<Vec<_>>()
    };
    let (mut is_int64, mut numbers, mut rest) = (false, outside.map(raw).unwrap_or_default(), tensor);
    while !rest.is_empty() {
        match take_field(&mut rest)? {
            (2, Value::Number(number)) => is_int64 = number == INT64,
            (7, Value::Number(number)) => numbers.push(number),
            (7, Value::Bytes(mut packed)) => {
                while !packed.is_empty() && numbers.len() <= MAX_RANK {
                    numbers.push(take_number(&mut packed)?);
                }
            }
            (9, Value::Bytes(bytes)) => numbers.extend(raw(bytes)),
            (_, _) => {}
        }
        if numbers.len() > MAX_RANK {
            return None;
        }
    }
    let size = |number: u64| if number > i64::MAX.unsigned_abs() { 1 } else { number };
    is_int64.then(|| numbers.into_iter().fold(1, |product: u64, number| product.saturating_mul(size(number))))
}
