//! Why a model is refused, and why a run gives nothing.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use manifest::Dtype;
use thiserror::Error;

use crate::Provider;
use crate::contain::Panicked;
use crate::inspect::Outside;
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
    /// ONNX Runtime refused the graph, or the provider cannot place all of it.
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
