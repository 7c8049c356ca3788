//! What a model is run on while it is measured: an inference may take as long as its observation makes it.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
    sync::Arc,
};

use manifest::Manifest;
use miette::Diagnostic;
use serde::Deserialize;
use thiserror::Error;

use crate::{config::ModelConfig, joined::joined, samples::Joined, timing::Inputs};

/// The file in a model's folder that holds observations with what the model must answer to them.
const FILE: &str = "golden.json";
const MAX_BYTES: u64 = 16 << 20;

/// An observation, and the samples that join it.
pub(super) struct Observed {
    pub(super) values: Vec<f32>,
    /// One for each joined input of the model, in its order.
    pub(super) joined: Joined,
}

/// A model's observations, used in turn.
pub(super) struct Observations {
    /// At least one.
    all: Vec<Observed>,
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
    #[error("{}: observation {place} has no {wanted} numbers for the joined input {input:?}", path.display())]
    #[diagnostic(help(
        "write \"joined\": {{\"<input>\": [numbers, in the order of model.toml]}} beside its observation"
    ))]
    Joined { path: PathBuf, place: usize, input: String, wanted: usize },
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
    /// By the inputs' names.
    #[serde(default)]
    joined: BTreeMap<String, Vec<f32>>,
}

impl Observations {
    /// Those beside the model, else zeros.
    pub(super) fn load(model: &ModelConfig, manifest: &Manifest) -> Result<Self, ObservationsError> {
        let path = model.folder.join(FILE);
        let wanted = manifest.observation_values();
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let zeros = joined(manifest).map(|(_, values)| Arc::new(vec![0.0; values]));
                let zeros = Observed { values: vec![0.0; wanted], joined: zeros.collect() };
                return Ok(Self { all: vec![zeros], next: 0, golden: false });
            }
            Err(source) => return Err(ObservationsError::Unreadable { path, source }),
            Ok(_) if text.len() as u64 > MAX_BYTES => return Err(ObservationsError::TooLong { path }),
            Ok(_) => {}
        }
        let golden: Golden = match serde_json::from_slice(&text) {
            Ok(golden) => golden,
            Err(reason) => return Err(ObservationsError::Malformed { path, reason }),
        };
        let mut all = Vec::with_capacity(golden.vectors.len());
        for (place, mut vector) in golden.vectors.into_iter().enumerate() {
            if vector.observation.len() != wanted {
                return Err(ObservationsError::Length { path, place, found: vector.observation.len(), wanted });
            }
            let mut samples = Joined::new();
            for (input, wanted) in joined(manifest) {
                let sample = vector.joined.remove(input).filter(|values| values.len() == wanted);
                let missing =
                    || ObservationsError::Joined { path: path.clone(), place, input: input.to_owned(), wanted };
                let kept = samples.push(Arc::new(sample.ok_or_else(missing)?)).is_ok();
                assert!(kept, "no model that is served has more");
            }
            all.push(Observed { values: vector.observation, joined: samples });
        }
        if all.is_empty() {
            return Err(ObservationsError::Empty { path });
        }
        Ok(Self { all, next: 0, golden: true })
    }

    /// The next one, in turn.
    pub(super) fn next(&mut self) -> &Observed {
        self.next = (self.next + 1) % self.all.len();
        &self.all[self.next]
    }

    /// What a record says of them.
    pub(super) fn inputs(&self) -> Inputs {
        if self.golden { Inputs::Golden { observations: self.all.len() } } else { Inputs::Zeros {} }
    }
}
