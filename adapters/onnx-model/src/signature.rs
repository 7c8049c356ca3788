//! What the graph takes and gives, compared with what the manifest says.

use std::fmt;

use manifest::{Dtype, Manifest};
use ort::session::Session;
use ort::value::{Outlet, TensorElementType, ValueType};
use thiserror::Error;

/// One of the two ends of a graph, named as in `model.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `[[input]]`.
    Input,
    /// `[[output]]`.
    Output,
}

/// How the graph differs from its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// The graph does not have exactly one tensor on this side.
    #[error("the graph has {} {side}s ({}), but models with exactly one are supported; export it with one", found.len(), found.join(", "))]
    Count {
        /// Which end.
        side: Side,
        /// The names of the graph's tensors.
        found: Vec<String>,
    },
    /// The tensor has another name.
    #[error("[[{side}]] is named {declared:?}, but the graph's {side} is {found:?}; correct the name")]
    Name {
        /// Which end.
        side: Side,
        /// The name in the manifest.
        declared: String,
        /// The name in the graph.
        found: String,
    },
    /// The tensor holds other elements.
    #[error("[[{side}]] has dtype f32, but the graph's {side} is {found}; export it with f32")]
    Dtype {
        /// Which end.
        side: Side,
        /// The type in the graph, in ONNX Runtime's words.
        found: String,
    },
    /// The tensor has another shape.
    #[error(
        "[[{side}]] has the shape {declared:?}, but the graph's {side} has {found:?}; correct the shape and the elements (-1: the graph takes any size)"
    )]
    Shape {
        /// Which end.
        side: Side,
        /// The shape in the manifest.
        declared: Vec<usize>,
        /// The shape in the graph, or of the first run where the graph leaves it open.
        found: Vec<i64>,
    },
}

/// Names, types and shapes; a dimension that the graph leaves open takes the manifest's size.
pub(crate) fn compare(manifest: &Manifest, session: &Session) -> Result<(), Mismatch> {
    let input = only(Side::Input, session.inputs())?;
    tensor(Side::Input, input, manifest.input_name(), manifest.input_dtype(), manifest.input_shape())?;
    let output = only(Side::Output, session.outputs())?;
    tensor(Side::Output, output, manifest.output_name(), manifest.output_dtype(), manifest.output_shape())
}

/// Whether a tensor of the graph, or one that came out of it, has the declared shape.
pub(crate) fn same_shape(side: Side, declared: &[usize], found: &[i64]) -> Result<(), Mismatch> {
    let fits = |(&declared, &found): (&usize, &i64)| found == -1 || usize::try_from(found) == Ok(declared);
    if declared.len() == found.len() && declared.iter().zip(found).all(fits) {
        return Ok(());
    }
    Err(Mismatch::Shape { side, declared: declared.to_vec(), found: found.to_vec() })
}

/// Whether the graph takes and gives any number of what the manifest declares one of.
pub(crate) fn open_batch(manifest: &Manifest, session: &Session) -> bool {
    let one = manifest.input_shape().first() == Some(&1) && manifest.output_shape().first() == Some(&1);
    let open = |outlets: &[Outlet]| {
        outlets.iter().all(|outlet| outlet.dtype().tensor_shape().is_some_and(|shape| shape.first() == Some(&-1)))
    };
    one && open(session.inputs()) && open(session.outputs())
}

fn only(side: Side, outlets: &[Outlet]) -> Result<&Outlet, Mismatch> {
    match outlets {
        [outlet] => Ok(outlet),
        several => {
            Err(Mismatch::Count { side, found: several.iter().map(|outlet| outlet.name().to_owned()).collect() })
        }
    }
}

fn tensor(side: Side, outlet: &Outlet, name: &str, dtype: Dtype, shape: &[usize]) -> Result<(), Mismatch> {
    if outlet.name() != name {
        return Err(Mismatch::Name { side, declared: name.to_owned(), found: outlet.name().to_owned() });
    }
    let wanted = match dtype {
        Dtype::F32 => TensorElementType::Float32,
    };
    match outlet.dtype() {
        ValueType::Tensor { ty, shape: found, .. } if *ty == wanted => same_shape(side, shape, found),
        other
        @ (ValueType::Tensor { .. } | ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_)) => {
            Err(Mismatch::Dtype { side, found: other.to_string() })
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}
