//! How a session is made of a graph's bytes, the same for every model.

use std::sync::Arc;

use manifest::Weights;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::{Library, Provider};

/// What is done to a graph at load costs nothing later.
const OPTIMIZATION: GraphOptimizationLevel = GraphOptimizationLevel::Level3;
/// The worker's own thread and no other.
const THREADS: usize = 1;
/// An idle session that spins burns a core.
const SPINNING: bool = false;

/// Why there is no session.
#[derive(Debug)]
pub(crate) enum SessionError {
    /// The library does not hold the provider, or the provider found no device.
    Provider(String),
    /// ONNX Runtime refused the graph, or the provider cannot place all of it.
    Graph(String),
}

/// A session of these bytes, all of it on `provider`. Tensors in other files come out of `weights`, by their names: no
/// path is opened. What they hold must stay as long as the session.
pub(crate) fn session(
    library: &Library,
    name: &str,
    graph: &[u8],
    provider: Provider,
    weights: &[Weights],
) -> Result<Session, SessionError> {
    let refused = |error: ort::Error| SessionError::Graph(error.to_string());
    let mut builder = options(library, name).map_err(refused)?;
    if let Some(accelerator) = provider.accelerator() {
        // Both are needed: the first fails a provider that cannot start, the second a graph that it
        // cannot place as a whole.
        builder = builder.with_disable_cpu_fallback().map_err(ort::Error::from).map_err(refused)?;
        builder = builder
            .with_execution_providers([accelerator])
            .map_err(|error| SessionError::Provider(error.to_string()))?;
    }
    for file in weights {
        builder = builder
            .with_external_initializer_file_in_memory(file.file(), Arc::clone(file.bytes()))
            .map_err(ort::Error::from)
            .map_err(refused)?;
    }
    builder.commit_from_memory(graph).map_err(refused)
}

/// How every session is set up, whatever the model: what was measured under other settings does not hold.
pub(crate) fn settings() -> String {
    let spins = if SPINNING { "spinning" } else { "not spinning" };
    format!("graph optimization {OPTIMIZATION:?}, {THREADS} intra-op and {THREADS} inter-op thread, {spins}")
}

fn options(library: &Library, name: &str) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(&library.environment)?
        .with_log_id(name)?
        .with_log_level(LogLevel::Warning)?
        .with_optimization_level(OPTIMIZATION)?
        .with_intra_threads(THREADS)?
        .with_inter_threads(THREADS)?
        .with_intra_op_spinning(SPINNING)?
        .with_inter_op_spinning(SPINNING)?)
}
