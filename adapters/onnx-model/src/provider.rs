//! Where a model runs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The execution provider of a session. There is exactly one: nothing falls back in silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// A text that names no provider.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no provider; write \"cpu\", \"cuda:0\" or \"tensorrt:0\"")]
pub struct NoProvider(String);

impl Provider {
    /// What ONNX Runtime calls it, in its messages and where it says on what an operator was placed.
    #[must_use]
    pub const fn runtime_name(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda { .. } => "CUDAExecutionProvider",
            Self::TensorRt { .. } => "TensorrtExecutionProvider",
        }
    }

    /// The number of the GPU; none of the processor.
    #[must_use]
    pub const fn device(self) -> Option<u32> {
        match self {
            Self::Cpu => None,
            Self::Cuda { device } | Self::TensorRt { device } => Some(device),
        }
    }
}

impl FromStr for Provider {
    type Err = NoProvider;

    /// `cpu`, `cuda:0`, `tensorrt:0`; without a number it is the first GPU.
    fn from_str(text: &str) -> Result<Self, NoProvider> {
        let (name, device) = text.split_once(':').map_or((text, None), |(name, device)| (name, Some(device)));
        // ONNX Runtime reads the number as a signed one of 32 bits.
        let number = |device: &str| device.parse::<u32>().ok().filter(|device| i32::try_from(*device).is_ok());
        let device = device.map_or(Some(0), number).ok_or_else(|| NoProvider(text.to_owned()))?;
        match name {
            "cpu" if text == "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda { device }),
            "tensorrt" => Ok(Self::TensorRt { device }),
            _ => Err(NoProvider(text.to_owned())),
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

#[cfg(test)]
mod tests {
    use super::Provider;

    #[test]
    fn a_provider_is_read_as_it_is_shown_and_nothing_else_is_one() {
        for provider in [Provider::Cpu, Provider::Cuda { device: 1 }, Provider::TensorRt { device: 0 }] {
            assert_eq!(provider.to_string().parse(), Ok(provider));
        }
        assert_eq!("cuda".parse(), Ok(Provider::Cuda { device: 0 }));
        for wrong in ["", "gpu", "cpu:0", "CUDA:0", "cuda:", "cuda:-1", "cuda:2147483648", "tensorrt:0:0"] {
            assert!(wrong.parse::<Provider>().is_err(), "{wrong:?}");
        }
    }
}
