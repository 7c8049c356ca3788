//! Models that a manifest can describe and this box cannot serve yet: refused before anything is opened.

use std::path::PathBuf;

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
    /// An input is filled from another topic.
    #[error("{}: the input {input:?} is joined from another topic, which this version cannot do", manifest.display())]
    #[diagnostic(help("send its elements as part of the observation"))]
    Joined { manifest: PathBuf, input: String },
}

/// Whether every input of the model can be filled, and one output is its action.
pub(crate) fn served(manifest: &Manifest) -> Result<(), Unserved> {
    let path = || manifest.path().to_path_buf();
    for input in manifest.inputs() {
        let name = || input.tensor.name.clone();
        match &input.source {
            Source::Observation(_)
            | Source::Recurrent(_)
            | Source::PreviousAction
            | Source::History { .. }
            | Source::Phase { .. } => {}
            Source::Joined(_) => return Err(Unserved::Joined { manifest: path(), input: name() }),
        }
    }
    if manifest.action().is_none() {
        return Err(Unserved::NoAction { manifest: path() });
    }
    Ok(())
}
