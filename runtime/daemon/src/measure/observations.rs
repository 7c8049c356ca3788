//! What a model is run on while it is measured: an inference may take as long as its observation makes it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use manifest::Manifest;
use miette::Diagnostic;
use serde::Deserialize;
use thiserror::Error;

use crate::{config::ModelConfig, timing::Inputs};

/// The file in a model's folder that holds observations with what the model must answer to them.
const FILE: &str = "golden.json";
const MAX_BYTES: u64 = 16 << 20;

/// A model's observations, used in turn.
pub(super) struct Observations {
    /// At least one.
    all: Vec<Vec<f32>>,
    next: usize,
    golden: bool,
}

/// Why a file of observations is refused.
#[derive(Debug, Error, Diagnostic)]
pub(super) enum ObservationsError {
    #[error("cannot read {}", path.display())]
    #[diagnostic(help("correct its permissions, or remove it: a model without it is measured on zeros"))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than {MAX_BYTES} bytes", path.display())]
    #[diagnostic(help("some hundred observations that exercise the model are enough"))]
    TooLong { path: PathBuf },
    #[error("{} holds no observations: {reason}", path.display())]
    #[diagnostic(help("write {{\"vectors\": [{{\"observation\": [numbers, in the order of model.toml]}}, ...]}}"))]
    Malformed { path: PathBuf, reason: serde_json::Error },
    #[error("{}: observation {place} has {found} numbers, and the model takes {wanted}", path.display())]
    #[diagnostic(help("write one number for each input element of model.toml"))]
    Length { path: PathBuf, place: usize, found: usize, wanted: usize },
    #[error("{}: there is no observation in it", path.display())]
    #[diagnostic(help("write at least one, or remove the file: a model without it is measured on zeros"))]
    Empty { path: PathBuf },
}

#[derive(Deserialize)]
struct Golden {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    observation: Vec<f32>,
}

impl Observations {
    /// Those beside the model, else zeros.
    pub(super) fn load(model: &ModelConfig, manifest: &Manifest) -> Result<Self, ObservationsError> {
        let path = model.folder.join(FILE);
        let wanted = manifest.input_elements().len();
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { all: vec![vec![0.0; wanted]], next: 0, golden: false });
            }
            Err(source) => return Err(ObservationsError::Unreadable { path, source }),
            Ok(_) if text.len() as u64 > MAX_BYTES => return Err(ObservationsError::TooLong { path }),
            Ok(_) => {}
        }
        let golden: Golden = match serde_json::from_slice(&text) {
            Ok(golden) => golden,
            Err(reason) => return Err(ObservationsError::Malformed { path, reason }),
        };
        let all: Vec<_> = golden.vectors.into_iter().map(|vector| vector.observation).collect();
        if let Some((place, wrong)) = all.iter().enumerate().find(|(_, values)| values.len() != wanted) {
            return Err(ObservationsError::Length { path, place, found: wrong.len(), wanted });
        }
        if all.is_empty() {
            return Err(ObservationsError::Empty { path });
        }
        Ok(Self { all, next: 0, golden: true })
    }

    /// The next one, in turn.
    pub(super) fn next(&mut self) -> &[f32] {
        self.next = (self.next + 1) % self.all.len();
        &self.all[self.next]
    }

    /// What a record says of them.
    pub(super) fn inputs(&self) -> Inputs {
        if self.golden { Inputs::Golden { observations: self.all.len() } } else { Inputs::Zeros {} }
    }
}
