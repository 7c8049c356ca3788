//! A tensor with a face of 32-bit floats, whatever its type in the graph.
//!
//! An f32 tensor's face is its own memory. Any other has a face beside it, laid out at load: an input's is rounded into
//! the tensor before a run, an output's is made from it afterwards. Nothing here allocates after [`Faced::new`].

use manifest::{Dtype, Tensor};
use ort::memory::Allocator;
use ort::value::{DynTensor, PrimitiveTensorElementType, TensorElementType};

use crate::convert::{Narrow, Truth, Unfit, Widen, narrow, widen};
use crate::error::{RunError, failed};

/// A tensor's memory and what is seen of it.
pub(crate) struct Faced {
    pub(crate) memory: DynTensor,
    name: String,
    dtype: Dtype,
    /// Empty where the tensor itself is of 32-bit floats.
    face: Vec<f32>,
}

impl Faced {
    /// Zeros in the declared tensor's type, in `shape`.
    pub(crate) fn new(declared: &Tensor, shape: Vec<usize>) -> ort::Result<Self> {
        let Tensor { name, dtype, .. } = declared;
        let beside = if *dtype == Dtype::F32 { 0 } else { shape.iter().product() };
        let memory = DynTensor::new(&Allocator::default(), element_type(*dtype), shape)?;
        Ok(Self { memory, name: name.clone(), dtype: *dtype, face: vec![0.0; beside] })
    }

    /// The number of its elements.
    pub(crate) fn elements(&self) -> usize {
        self.memory.shape().num_elements()
    }

    pub(crate) fn face(&self) -> &[f32] {
        match self.dtype {
            Dtype::F32 => values(&self.memory),
            Dtype::F16 | Dtype::Bf16 | Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 | Dtype::U8 | Dtype::Bool => {
                &self.face
            }
        }
    }

    pub(crate) fn face_mut(&mut self) -> &mut [f32] {
        match self.dtype {
            Dtype::F32 => values_mut(&mut self.memory),
            Dtype::F16 | Dtype::Bf16 | Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 | Dtype::U8 | Dtype::Bool => {
                &mut self.face
            }
        }
    }

    /// Rounds the face into the tensor, before a run.
    pub(crate) fn narrow(&mut self) -> Result<(), RunError> {
        match self.dtype {
            Dtype::F32 => Ok(()),
            Dtype::F16 => self.narrow_as::<half::f16>(),
            Dtype::Bf16 => self.narrow_as::<half::bf16>(),
            Dtype::I8 => self.narrow_as::<i8>(),
            Dtype::I16 => self.narrow_as::<i16>(),
            Dtype::I32 => self.narrow_as::<i32>(),
            Dtype::I64 => self.narrow_as::<i64>(),
            Dtype::U8 => self.narrow_as::<u8>(),
            Dtype::Bool => self.narrow_as::<bool>(),
        }
    }

    /// Makes the face from the tensor, after a run.
    pub(crate) fn widen(&mut self) -> Result<(), RunError> {
        match self.dtype {
            Dtype::F32 => Ok(()),
            Dtype::F16 => self.widen_as::<half::f16>(),
            Dtype::Bf16 => self.widen_as::<half::bf16>(),
            Dtype::I8 => self.widen_as::<i8>(),
            Dtype::I16 => self.widen_as::<i16>(),
            Dtype::I32 => self.widen_as::<i32>(),
            Dtype::I64 => self.widen_as::<i64>(),
            Dtype::U8 => self.widen_as::<u8>(),
            Dtype::Bool => widen(truths(&self.memory), &mut self.face).map_err(|unfit| self.output(unfit)),
        }
    }

    fn narrow_as<T: Narrow + PrimitiveTensorElementType>(&mut self) -> Result<(), RunError> {
        let (_, memory) = self.memory.try_extract_tensor_mut::<T>().map_err(failed)?;
        narrow(&self.face, memory).map_err(|Unfit { element, value }| RunError::Input {
            name: self.name.clone(),
            dtype: self.dtype,
            element,
            value,
        })
    }

    fn widen_as<T: Widen + PrimitiveTensorElementType>(&mut self) -> Result<(), RunError> {
        let (_, memory) = self.memory.try_extract_tensor::<T>().map_err(failed)?;
        widen(memory, &mut self.face).map_err(|unfit| self.output(unfit))
    }

    fn output(&self, Unfit { element, value }: Unfit) -> RunError {
        RunError::Output { name: self.name.clone(), dtype: self.dtype, element, value }
    }
}

/// The type in ONNX Runtime's words.
pub(crate) fn element_type(dtype: Dtype) -> TensorElementType {
    match dtype {
        Dtype::F32 => TensorElementType::Float32,
        Dtype::F16 => TensorElementType::Float16,
        Dtype::Bf16 => TensorElementType::Bfloat16,
        Dtype::I8 => TensorElementType::Int8,
        Dtype::I16 => TensorElementType::Int16,
        Dtype::I32 => TensorElementType::Int32,
        Dtype::I64 => TensorElementType::Int64,
        Dtype::U8 => TensorElementType::Uint8,
        Dtype::Bool => TensorElementType::Bool,
    }
}

const OURS: &str = "it was made as f32, in this process's memory";

fn values(memory: &DynTensor) -> &[f32] {
    memory.try_extract_tensor().expect(OURS).1
}

fn values_mut(memory: &mut DynTensor) -> &mut [f32] {
    memory.try_extract_tensor_mut().expect(OURS).1
}

/// A graph can make a truth value of any byte, which Rust's `bool` must never be.
#[allow(unsafe_code, reason = "the binding gives bytes out only as bool")]
fn truths(memory: &DynTensor) -> &[Truth] {
    let (data, elements) = (memory.data_ptr().cast::<Truth>(), memory.shape().num_elements());
    // SAFETY: it is a tensor of that many one-byte elements in this process's memory, borrowed as long as the tensor
    // is; a tensor without elements, whose memory may be null, is never declared. Any byte is a `Truth`.
    unsafe { std::slice::from_raw_parts(data, elements) }
}
