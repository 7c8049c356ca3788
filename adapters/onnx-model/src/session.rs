//! How a session is made of a graph's bytes, the same for every model.

use std::sync::Arc;

use manifest::Weights;
use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use crate::needs::hint;
use crate::options::{Asked, Options, accelerator, options};
use crate::placement::{Partly, RECORD, placed, prove};
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
    /// ONNX Runtime refused the graph.
    Graph(String),
    /// The provider cannot place all of it.
    Partly(Partly),
}

/// A session of these bytes, all of it on `provider`, which is told nothing in particular. Tensors in other files come out
/// of `weights`, by their names: no path is opened. What they hold must stay as long as the session.
pub(crate) fn session(
    library: &Library,
    name: &str,
    graph: &[u8],
    provider: Provider,
    weights: &[Weights],
) -> Result<Session, SessionError> {
    session_with(library, name, (graph, weights), provider, &options(provider, &Asked::default()))
}

/// The same with what the provider is told.
///
/// Three guards, since each alone was found not to be enough: a provider that cannot start fails, so does a graph that it
/// does not take as a whole, and then every operator is asked who got it.
pub(crate) fn session_with(
    library: &Library,
    name: &str,
    (graph, weights): (&[u8], &[Weights]),
    provider: Provider,
    told: &Options,
) -> Result<Session, SessionError> {
    let refused = |error: ort::Error| SessionError::Graph(error.to_string());
    let builder = builder(library, name, provider, told)?;
    let mut builder = with_weights(builder, weights).map_err(refused)?;
    if provider != Provider::Cpu {
        builder = builder.with_disable_cpu_fallback().map_err(ort::Error::from).map_err(refused)?;
    }
    match builder.commit_from_memory(graph) {
        Ok(session) => {
            let placed = placed(&session).map_err(refused)?;
            prove(provider, &placed).map_err(SessionError::Partly)?;
            Ok(session)
        }
        Err(error) => {
            let model = (graph, weights);
            Err(partly(library, name, model, provider, told).unwrap_or_else(|| refused(error)))
        }
    }
}

fn with_weights(builder: SessionBuilder, weights: &[Weights]) -> ort::Result<SessionBuilder> {
    weights.iter().try_fold(builder, |builder, file| {
        Ok(builder.with_external_initializer_file_in_memory(file.file(), Arc::clone(file.bytes()))?)
    })
}

/// Who got the operators of a graph that a provider does not take as a whole: asked of a session that is dropped, since
/// ONNX Runtime says only that there are such operators. `None` where that was not the reason.
fn partly(
    library: &Library,
    name: &str,
    (graph, weights): (&[u8], &[Weights]),
    provider: Provider,
    told: &Options,
) -> Option<SessionError> {
    if provider == Provider::Cpu {
        return None;
    }
    let mut builder = with_weights(builder(library, name, provider, told).ok()?, weights).ok()?;
    let session = builder.commit_from_memory(graph).ok()?;
    prove(provider, &placed(&session).ok()?).err().map(SessionError::Partly)
}

/// How every session is set up, whatever the model: what was measured under other settings does not hold.
pub(crate) fn settings() -> String {
    let spins = if SPINNING { "spinning" } else { "not spinning" };
    format!("graph optimization {OPTIMIZATION:?}, {THREADS} intra-op and {THREADS} inter-op thread, {spins}")
}

fn builder(library: &Library, name: &str, provider: Provider, told: &Options) -> Result<SessionBuilder, SessionError> {
    let refused = |error: ort::Error| SessionError::Graph(error.to_string());
    let builder = common(library, name).map_err(refused)?;
    let Some(accelerator) = accelerator(provider, told) else { return Ok(builder) };
    builder.with_execution_providers([accelerator]).map_err(|error| {
        let said = error.to_string();
        SessionError::Provider(match hint(&said) {
            Some(hint) => format!("{said}; {hint}"),
            None => said,
        })
    })
}

fn common(library: &Library, name: &str) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(&library.environment)?
        .with_log_id(name)?
        .with_log_level(LogLevel::Warning)?
        .with_optimization_level(OPTIMIZATION)?
        .with_intra_threads(THREADS)?
        .with_inter_threads(THREADS)?
        .with_intra_op_spinning(SPINNING)?
        .with_inter_op_spinning(SPINNING)?
        .with_config_entry(RECORD.0, RECORD.1)?)
}
