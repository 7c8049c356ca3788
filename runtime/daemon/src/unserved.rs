//! Models that a manifest can describe and this box cannot serve yet: refused before anything is opened.

use std::path::PathBuf;

use engine::MAX_INPUTS;
use manifest::{Manifest, Source};
use miette::Diagnostic;
use thiserror::Error;

/// Why a model is not served.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum Unserved {
    /// It gives only results.
    #[error("{}: the model has no action, so no task can be answered by it", manifest.display())]
    #[diagnostic(help("give one [[output]] role = \"action\", with elements and an envelope"))]
    NoAction { manifest: PathBuf },
    /// More inputs join it than a connection may have.
    #[error("{}: {inputs} inputs join the observation, and at most {MAX_INPUTS} may", manifest.display())]
    #[diagnostic(help("put several together, so that one sender sends them"))]
    ManyJoined { manifest: PathBuf, inputs: usize },
}

/// Whether every input of the model can be filled, and one output is its action.
pub(crate) fn served(manifest: &Manifest) -> Result<(), Unserved> {
    let path = || manifest.path().to_path_buf();
    let joins = |input: &&manifest::Input| matches!(input.source, Source::Joined(_) | Source::Image(_));
    let joined = manifest.inputs().iter().filter(joins).count();
    if joined > MAX_INPUTS {
        return Err(Unserved::ManyJoined { manifest: path(), inputs: joined });
    }
    if manifest.action().is_none() {
        return Err(Unserved::NoAction { manifest: path() });
    }
    Ok(())
}
