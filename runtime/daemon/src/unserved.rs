//! Models that a manifest can describe and this box cannot serve yet: refused before anything is opened.

use std::path::PathBuf;

use engine::MAX_INPUTS;
use manifest::{Manifest, Source};
use message::InferResult;
use miette::Diagnostic;
use thiserror::Error;

/// Why a model is not served.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum Unserved {
    /// It gives only results, and this box answers robots.
    #[error("{}: the model has no action, and this box answers robots", manifest.display())]
    #[diagnostic(help(
        "a robot is answered by a model with an action; who asks for results sends and gets megabytes, which would hold up \
         robots: serve it by a second `genba run` with a config of its own, whose tasks have clients only"
    ))]
    BesideRobots { manifest: PathBuf },
    /// Its results do not fit a message.
    #[error("{}: the results have {values} numbers, more than the {MOST} that a reply may have", manifest.display())]
    #[diagnostic(help("let the graph reduce them, for example by ArgMax or TopK"))]
    ManyResults { manifest: PathBuf, values: usize },
    /// More inputs join it than a connection may have.
    #[error("{}: {inputs} inputs join the observation, and at most {MAX_INPUTS} may", manifest.display())]
    #[diagnostic(help("put several together, so that one sender sends them"))]
    ManyJoined { manifest: PathBuf, inputs: usize },
}

/// The most numbers of a reply with results.
const MOST: usize = InferResult::MAX_VALUES / size_of::<f32>();

/// Whether every input of the model can be filled, and somebody can be answered with what it gives.
pub(crate) fn served(manifest: &Manifest, beside_robots: bool) -> Result<(), Unserved> {
    let path = || manifest.path().to_path_buf();
    let joins = |input: &&manifest::Input| matches!(input.source, Source::Joined(_) | Source::Image(_));
    let joined = manifest.inputs().iter().filter(joins).count();
    if joined > MAX_INPUTS {
        return Err(Unserved::ManyJoined { manifest: path(), inputs: joined });
    }
    if manifest.action().is_none() {
        let (_, values) = manifest.results();
        if values > MOST {
            return Err(Unserved::ManyResults { manifest: path(), values });
        }
        if beside_robots {
            return Err(Unserved::BesideRobots { manifest: path() });
        }
    }
    Ok(())
}
