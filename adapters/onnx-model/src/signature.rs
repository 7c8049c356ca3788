//! What the graph takes and gives, compared with what the manifest says.

use std::collections::HashMap;
use std::fmt;

use manifest::{Dtype, Manifest, Tensor};
use ort::session::Session;
use ort::value::{Outlet, ValueType};
use thiserror::Error;

use crate::tensor::element_type;

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
    /// The graph has no tensor of this name.
    #[error("there is an [[{side}]] {declared:?}, but the graph's {side}s are {}; correct the name", list(found))]
    Name {
        /// Which end.
        side: Side,
        /// The name in the manifest.
        declared: String,
        /// The names in the graph.
        found: Vec<String>,
    },
    /// The graph has a tensor that the manifest does not name.
    #[error("there is no [[{side}]] for the graph's {side} {found:?}; describe it, or export the graph without it")]
    Undeclared {
        /// Which end.
        side: Side,
        /// The name in the graph.
        found: String,
    },
    /// The tensor holds other elements.
    #[error(
        "[[{side}]] {name:?} has dtype {declared}, but the graph's is {found}; correct the dtype, or export it with {declared}"
    )]
    Dtype {
        /// Which end.
        side: Side,
        /// The tensor.
        name: String,
        /// The type in the manifest.
        declared: Dtype,
        /// The type in the graph, in ONNX Runtime's words.
        found: String,
    },
    /// The tensor has another shape.
    #[error(
        "[[{side}]] {name:?} has the shape {declared:?}, but the graph's has {found:?}; correct the shape (-1: the graph takes any size)"
    )]
    Shape {
        /// Which end.
        side: Side,
        /// The tensor.
        name: String,
        /// The shape in the manifest.
        declared: Vec<usize>,
        /// The shape in the graph, or of the first run where the graph leaves it open.
        found: Vec<i64>,
    },
    /// Inputs share a size that the graph leaves open, and declare different ones.
    #[error(
        "the graph's inputs share the open size {size:?}, but the manifest says {one} and {other}; correct the shapes"
    )]
    OpenSize {
        /// Its name in the graph.
        size: String,
        /// What is declared first.
        one: usize,
        /// What is declared elsewhere.
        other: usize,
    },
}

/// Names, types and shapes, in any order; a dimension that the graph leaves open takes the manifest's size.
pub(crate) fn compare(manifest: &Manifest, session: &Session) -> Result<(), Mismatch> {
    let inputs: Vec<_> = manifest.inputs().iter().map(|input| &input.tensor).collect();
    side(Side::Input, &inputs, session.inputs())?;
    let outputs: Vec<_> = manifest.outputs().iter().map(|output| &output.tensor).collect();
    side(Side::Output, &outputs, session.outputs())?;
    open_sizes(&inputs, session.inputs())
}

/// Whether a tensor of the graph, or one that came out of it, has the declared shape.
pub(crate) fn same_shape(side: Side, name: &str, declared: &[usize], found: &[i64]) -> Result<(), Mismatch> {
    let fits = |(&declared, &found): (&usize, &i64)| found == -1 || usize::try_from(found) == Ok(declared);
    if declared.len() == found.len() && declared.iter().zip(found).all(fits) {
        return Ok(());
    }
    Err(Mismatch::Shape { side, name: name.to_owned(), declared: declared.to_vec(), found: found.to_vec() })
}

/// Whether the graph takes and gives any number of what the manifest declares one of.
pub(crate) fn open_batch(manifest: &Manifest, session: &Session) -> bool {
    let inputs = manifest.inputs().iter().map(|input| &input.tensor);
    let mut tensors = inputs.chain(manifest.outputs().iter().map(|output| &output.tensor));
    let open = |outlets: &[Outlet]| {
        outlets.iter().all(|outlet| outlet.dtype().tensor_shape().is_some_and(|shape| shape.first() == Some(&-1)))
    };
    tensors.all(|tensor| tensor.shape.first() == Some(&1)) && open(session.inputs()) && open(session.outputs())
}

/// Whether the graph leaves the size of any input open.
pub(crate) fn leaves_sizes_open(session: &Session) -> bool {
    let shapes = session.inputs().iter().filter_map(|outlet| outlet.dtype().tensor_shape());
    shapes.into_iter().any(|shape| shape.contains(&-1))
}

fn side(side: Side, declared: &[&Tensor], found: &[Outlet]) -> Result<(), Mismatch> {
    for tensor in declared {
        let Some(outlet) = found.iter().find(|outlet| outlet.name() == tensor.name) else {
            let found = found.iter().map(|outlet| outlet.name().to_owned()).collect();
            return Err(Mismatch::Name { side, declared: tensor.name.clone(), found });
        };
        same_tensor(side, tensor, outlet)?;
    }
    match found.iter().find(|outlet| declared.iter().all(|tensor| tensor.name != outlet.name())) {
        Some(outlet) => Err(Mismatch::Undeclared { side, found: outlet.name().to_owned() }),
        None => Ok(()),
    }
}

fn same_tensor(side: Side, declared: &Tensor, outlet: &Outlet) -> Result<(), Mismatch> {
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } if *ty == element_type(declared.dtype) => {
            same_shape(side, &declared.name, &declared.shape, shape)
        }
        other
        @ (ValueType::Tensor { .. } | ValueType::Sequence(_) | ValueType::Map { .. } | ValueType::Optional(_)) => {
            Err(Mismatch::Dtype {
                side,
                name: declared.name.clone(),
                declared: declared.dtype,
                found: other.to_string(),
            })
        }
    }
}

/// Whether what the graph calls by one name is declared with one size.
fn open_sizes(declared: &[&Tensor], found: &[Outlet]) -> Result<(), Mismatch> {
    let mut sizes = HashMap::new();
    for tensor in declared {
        let Some(outlet) = found.iter().find(|outlet| outlet.name() == tensor.name) else { continue };
        let ValueType::Tensor { dimension_symbols, .. } = outlet.dtype() else { continue };
        for (symbol, &size) in dimension_symbols.iter().zip(&tensor.shape).filter(|(symbol, _)| !symbol.is_empty()) {
            let one = *sizes.entry(symbol.clone()).or_insert(size);
            if one != size {
                return Err(Mismatch::OpenSize { size: symbol.clone(), one, other: size });
            }
        }
    }
    Ok(())
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}
