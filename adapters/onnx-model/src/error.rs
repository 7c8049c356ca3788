//! Why a model is refused, and why a run gives nothing.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use manifest::Dtype;
use thiserror::Error;

use crate::Provider;
use crate::contain::Panicked;
use crate::inspect::Outside;
use crate::parity::Deviates;
use crate::placement::Partly;
use crate::signature::Mismatch;

/// Why a model could not be loaded; every text begins with the `model.toml` it is about.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The library does not hold the provider, or the provider found no device.
    #[error("{}: {provider} cannot be used: {reason}", manifest.display())]
    Provider {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The provider that was asked for.
        provider: Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The file is no ONNX graph.
    #[error("{}: the file is no ONNX graph; export the model to ONNX", manifest.display())]
    NotOnnx {
        /// The manifest of the model.
        manifest: PathBuf,
    },
    /// Part of the model lies in another file, and not where it may.
    #[error("{}: the tensor {tensor:?} {why}", manifest.display())]
    Outside {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The name of the tensor in the graph.
        tensor: String,
        /// What is wrong with the place.
        why: Outside,
    },
    /// The file claims more than it holds, or asks for operators, or a version of them, that are not run.
    #[error("{}: {reason}", manifest.display())]
    Refused {
        /// The manifest of the model.
        manifest: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The provider takes only part of the model.
    #[error("{}: {partly}; list a provider that holds the whole model, or export the model without these operators", manifest.display())]
    Partly {
        /// The manifest of the model.
        manifest: PathBuf,
        /// Which part is elsewhere.
        partly: Partly,
    },
    /// The answers are not those that the model was signed off with.
    #[error("{}: on {provider} {deviates}", manifest.display())]
    Deviates {
        /// The manifest of the model.
        manifest: PathBuf,
        /// Where it ran.
        provider: Provider,
        /// By how much, and where.
        deviates: Deviates,
    },
    /// Engines cannot be kept where they should be.
    #[error("{}: cannot keep engines in {}: {source}; choose another folder for them", manifest.display(), folder.display())]
    Engines {
        /// The manifest of the model.
        manifest: PathBuf,
        /// Where they should be.
        folder: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// ONNX Runtime refused the graph.
    #[error("{}: the ONNX file cannot be loaded on {provider}: {reason}", manifest.display())]
    Graph {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The provider that was asked for.
        provider: Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The graph is not the one that the manifest describes.
    #[error("{}: {mismatch}", manifest.display())]
    Mismatch {
        /// The manifest of the model.
        manifest: PathBuf,
        /// What differs.
        mismatch: Mismatch,
    },
    /// The first run, on zeros, failed.
    #[error("{}: the first run, on an input of zeros, failed: {reason}", manifest.display())]
    FirstRun {
        /// The manifest of the model.
        manifest: PathBuf,
        /// Why.
        reason: RunError,
    },
    /// Rows of a batch get other answers than alone, so one robot's answer would depend on another's observation.
    #[error("{}: in a batch of {rows} a row gets another answer than alone; let [[model]] max_batch be 1", manifest.display())]
    RowsDepend {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The size of the batch.
        rows: NonZeroUsize,
    },
    /// The binding panicked during the load.
    #[error("{}: {panicked}", manifest.display())]
    Panicked {
        /// The manifest of the model.
        manifest: PathBuf,
        /// With what message.
        panicked: Panicked,
    },
}

impl ModelError {
    /// Whether another provider may still hold the model: what is wrong with the model itself is wrong everywhere.
    #[must_use]
    pub fn is_of_the_provider(&self) -> bool {
        match self {
            Self::Provider { .. }
            | Self::Partly { .. }
            | Self::Deviates { .. }
            | Self::Engines { .. }
            | Self::Graph { .. }
            | Self::FirstRun { .. } => true,
            Self::NotOnnx { .. }
            | Self::Outside { .. }
            | Self::Refused { .. }
            | Self::Mismatch { .. }
            | Self::RowsDepend { .. }
            | Self::Panicked { .. } => false,
        }
    }
}

/// Why one run gave no output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// ONNX Runtime reported an error. The model can be run again.
    #[error("ONNX Runtime: {0}")]
    Failed(String),
    /// A number that the input's type in the graph cannot hold: not finite or too large for a whole number, other than
    /// 0 and 1 for true and false, or finite and too large for 16 bits. Nothing ran.
    #[error("the input {name:?} is {dtype}, which cannot hold its element {element}, {value}")]
    Input {
        /// The input's name in the graph.
        name: String,
        /// Its type in the graph.
        dtype: Dtype,
        /// The element, counted from 0 over all rows.
        element: usize,
        /// What was to be written there.
        value: String,
    },
    /// A whole number that a 32-bit float does not hold exactly.
    #[error("the output {name:?} is {dtype}, and a 32-bit float cannot hold its element {element}, {value}, exactly")]
    Output {
        /// The output's name in the graph.
        name: String,
        /// Its type in the graph.
        dtype: Dtype,
        /// The element, counted from 0 over all rows.
        element: usize,
        /// What came out there.
        value: String,
    },
    /// The binding panicked. The model must be dropped.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
pub(crate) fn failed(error: ort::Error) -> RunError {
    RunError::Failed(error.to_string())
}
