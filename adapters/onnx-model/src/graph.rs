//! A graph by itself: tensors as bytes, in the graph's own types, without a manifest.
//!
//! Made and run as a [`Model`](crate::Model) is, from bytes that were inspected likewise. Every run allocates: this is for
//! who asks once, and for conformance.

use std::borrow::Cow;

use manifest::{Domain, Dtype};
use ort::memory::Allocator;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynTensor, DynTensorValueType, DynValue, Outlet, ValueType};
use thiserror::Error;

use crate::contain::{Panicked, contain};
use crate::error::{RunError, failed};
use crate::inspect::{Allowed, Unfit, inspect, opset};
use crate::newest::knows;
use crate::session::{SessionError, session};
use crate::tensor::element_type;
use crate::{Library, Provider};

/// A graph that is loaded.
pub struct Graph {
    session: Session,
}

/// A tensor as its bytes: row-major, little-endian, a truth value as one byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The type of its elements.
    pub dtype: Dtype,
    /// Any shape; a single number may have none.
    pub shape: Vec<usize>,
    /// As many bytes as the elements take.
    pub bytes: Vec<u8>,
}

/// Why a graph could not be loaded.
#[derive(Debug, Error)]
pub enum GraphError {
    /// The bytes are refused before anything is made of them.
    #[error("{0}")]
    Refused(String),
    /// The provider cannot be used, or not for all of the graph, or ONNX Runtime refused it.
    #[error("{provider}: {reason}")]
    Session {
        /// The provider that was asked for.
        provider: Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The binding panicked during the load.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Graph {
    /// Makes a session of these bytes on `provider`.
    ///
    /// # Errors
    /// [`GraphError`].
    pub fn load(library: &Library, name: &str, graph: &[u8], provider: Provider) -> Result<Self, GraphError> {
        inspect(graph, Allowed::default()).map_err(|unfit| GraphError::Refused(refusal(&unfit)))?;
        contain(|| known(library, graph))?.map_err(GraphError::Refused)?;
        let session = contain(|| session(library, name, graph, provider, &[]))?.map_err(|error| match error {
            SessionError::Provider(reason) | SessionError::Graph(reason) => GraphError::Session { provider, reason },
            SessionError::Partly(partly) => GraphError::Session { provider, reason: partly.to_string() },
        })?;
        Ok(Self { session })
    }

    /// The names of what it takes, in its order.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.session.inputs().iter().map(Outlet::name)
    }

    /// The names of what it gives, in its order.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.session.outputs().iter().map(Outlet::name)
    }

    /// Runs it on these inputs, by name; what it gives, in its order.
    ///
    /// # Errors
    /// [`RunError::Failed`], also where an output is no tensor of a type that a manifest can declare.
    pub fn run(&mut self, inputs: &[(&str, Raw)]) -> Result<Vec<Raw>, RunError> {
        contain(|| run(&mut self.session, inputs))?
    }
}

fn run(session: &mut Session, inputs: &[(&str, Raw)]) -> Result<Vec<Raw>, RunError> {
    let named: Vec<(Cow<'_, str>, SessionInputValue<'_>)> =
        inputs.iter().map(|(name, raw)| Ok(((*name).into(), value(raw)?.into()))).collect::<Result<_, RunError>>()?;
    let outputs = session.run(named).map_err(failed)?;
    outputs.values().map(|output| raw(&output)).collect()
}

fn value(raw: &Raw) -> Result<DynTensor, RunError> {
    let shape: Vec<i64> = raw.shape.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    let elements = raw.shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    if elements.and_then(|elements| elements.checked_mul(width(raw.dtype))) != Some(raw.bytes.len()) {
        return Err(RunError::Failed(format!("{} bytes are no {} {:?}", raw.bytes.len(), raw.dtype, raw.shape)));
    }
    let mut tensor = DynTensor::new(&Allocator::default(), element_type(raw.dtype), shape).map_err(failed)?;
    bytes_mut(&mut tensor, raw.bytes.len()).copy_from_slice(&raw.bytes);
    Ok(tensor)
}

fn raw(output: &DynValue) -> Result<Raw, RunError> {
    let other = || RunError::Failed(format!("an output is {}, which is not supported", output.dtype()));
    let ValueType::Tensor { ty, shape, .. } = output.dtype() else { return Err(other()) };
    let dtype = Dtype::ALL.into_iter().find(|dtype| element_type(*dtype) == *ty).ok_or_else(other)?;
    let shape: Vec<usize> = shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect();
    let length = shape.iter().product::<usize>() * width(dtype);
    let tensor = output.view().downcast::<DynTensorValueType>().map_err(failed)?;
    if !tensor.memory_info().is_cpu_accessible() {
        return Err(RunError::Failed("an output lies on a device".to_owned()));
    }
    Ok(Raw { dtype, shape, bytes: bytes(&tensor, length).to_vec() })
}

/// The bytes of one element.
fn width(dtype: Dtype) -> usize {
    element_type(dtype).byte_size(1).expect("every type that a manifest declares has one")
}

#[allow(unsafe_code, reason = "the binding gives memory out only by type")]
fn bytes(tensor: &DynTensor, length: usize) -> &[u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: it is a tensor in this process's memory, borrowed as long as the slice is, of a shape and type that take
    // this many bytes, at least one, so its pointer is not null. Every byte of it was written.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), length) }
}

#[allow(unsafe_code, reason = "the binding gives memory out only by type")]
fn bytes_mut(tensor: &mut DynTensor, length: usize) -> &mut [u8] {
    if length == 0 {
        return &mut [];
    }
    // SAFETY: as above; it was just made, so nobody else sees it. What is copied into a truth value's byte may be any.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr_mut().cast(), length) }
}

/// Whether the library knows the operators that it is written for; else what to do, for a person.
pub(crate) fn known(library: &Library, graph: &[u8]) -> Result<(), String> {
    let Some(opset) = opset(graph) else { return Ok(()) };
    knows(library, opset).map_err(|newest| {
        format!(
            "it is written for version {opset} of ONNX's operators, and this library knows none after {newest}; export \
             the model for an older one, or use a newer library"
        )
    })
}

/// What is wrong with the bytes, for a person.
pub(crate) fn refusal(unfit: &Unfit) -> String {
    match unfit {
        Unfit::NotOnnx => "the file is no ONNX graph; export the model to ONNX".to_owned(),
        Unfit::Outside { tensor, why } => format!("the tensor {tensor:?} {why}"),
        Unfit::OldOpset(opset) => format!(
            "it is written for version {opset} of ONNX's operators, and none before 7 is run; convert it to a newer one \
             (onnx.version_converter) or export it anew"
        ),
        Unfit::Oversized(what) => {
            format!(
                "{what:?} claims more elements than the file holds or any model needs; the file is damaged or hostile"
            )
        }
        Unfit::Foreign { operator, domain } if domain == Domain::Microsoft.name() => format!(
            "the operator {operator:?} of {domain:?} is ONNX Runtime's own; declare it with domains = [{domain:?}] in \
             model.toml (not for a compiled graph, which names a file of its own), or export the model without it"
        ),
        Unfit::Foreign { operator, domain } => format!(
            "the operator {operator:?} of {domain:?} is not one of ONNX's; export the model with ONNX's operators alone"
        ),
    }
}
