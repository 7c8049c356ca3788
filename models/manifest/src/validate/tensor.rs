//! What every tensor must be, whichever way it goes.

use toml::Spanned;

use super::text::label;
use super::{Flaw, flaw};
use crate::elements::Dtype;
use crate::tensors::Tensor;

/// The largest tensor: a 1024 × 1024 picture of four channels.
pub const MAX_INPUT_ELEMENTS: usize = 4_194_304;
/// The most inputs, and the most outputs.
pub const MAX_TENSORS: usize = 16;

/// A tensor as it is written, with the place of its shape for errors about its size.
pub(super) struct RawTensor {
    pub(super) name: Spanned<String>,
    pub(super) dtype: Spanned<String>,
    pub(super) shape: Spanned<Vec<Spanned<u64>>>,
}

/// A checked tensor of at most `max_elements`.
pub(super) fn tensor(raw: RawTensor, max_elements: usize) -> Result<Tensor, Flaw> {
    let dtype = dtype(&raw.dtype)?;
    let shape = shape(&raw.shape)?;
    let elements = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    if elements.is_none_or(|elements| elements > max_elements) {
        return flaw(&raw.shape, format!("this shape has more than the {max_elements} elements that are supported"));
    }
    Ok(Tensor { name: label(raw.name, "tensor name")?, dtype, shape })
}

/// Whether as many elements are named as the tensor has.
pub(super) fn all_named<Element>(named: &Spanned<Vec<Element>>, tensor: &Tensor) -> Result<(), Flaw> {
    let (count, declared, shape) = (named.get_ref().len(), tensor.elements(), &tensor.shape);
    if count == declared {
        return Ok(());
    }
    flaw(
        named,
        format!("{count} elements, but the shape {shape:?} has {declared}; name every element, or correct the shape"),
    )
}

fn dtype(raw: &Spanned<String>) -> Result<Dtype, Flaw> {
    match Dtype::ALL.iter().find(|dtype| dtype.name() == raw.get_ref()) {
        Some(dtype) => Ok(*dtype),
        None => flaw(
            raw,
            format!(
                "dtype {:?} is not supported; export the model with one of {}",
                raw.get_ref(),
                Dtype::ALL.map(Dtype::name).join(", ")
            ),
        ),
    }
}

fn shape(raw: &Spanned<Vec<Spanned<u64>>>) -> Result<Vec<usize>, Flaw> {
    if raw.get_ref().is_empty() {
        return flaw(raw, "the shape is empty; a single number has the shape [1]");
    }
    raw.get_ref()
        .iter()
        .map(|dimension| match usize::try_from(*dimension.get_ref()) {
            Ok(size) if size > 0 => Ok(size),
            Ok(_) | Err(_) => {
                flaw(dimension, "a dimension must be at least 1; write the fixed size the model runs with")
            }
        })
        .collect()
}
