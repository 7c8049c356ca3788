//! Where a model runs.

use std::fmt;

use ort::ep::{CUDA, ExecutionProviderDispatch, TensorRT};

/// The execution provider of a session. There is exactly one: nothing falls back in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The processor, on the worker's own thread.
    Cpu,
    /// An Nvidia GPU through CUDA. Not run on a GPU yet.
    Cuda {
        /// The GPU's number, as `nvidia-smi` counts.
        device: u32,
    },
    /// An Nvidia GPU through `TensorRT`. Not run on a GPU yet.
    TensorRt {
        /// The GPU's number, as `nvidia-smi` counts.
        device: u32,
    },
}

impl Provider {
    /// What must be registered besides the processor; a failure to register it is an error.
    pub(crate) fn accelerator(self) -> Option<ExecutionProviderDispatch> {
        // ONNX Runtime reads the number as text and refuses what is no device.
        let id = |device: u32| i32::try_from(device).unwrap_or(i32::MAX);
        match self {
            Self::Cpu => None,
            Self::Cuda { device } => Some(CUDA::default().with_device_id(id(device)).build().error_on_failure()),
            Self::TensorRt { device } => {
                Some(TensorRT::default().with_device_id(id(device)).build().error_on_failure())
            }
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda { device } => write!(f, "cuda:{device}"),
            Self::TensorRt { device } => write!(f, "tensorrt:{device}"),
        }
    }
}
