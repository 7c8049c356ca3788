//! A model's folder for one test: a valid manifest, changed in one place.

use std::fs;
use std::path::PathBuf;

use manifest::{Manifest, ManifestError};
use tempfile::TempDir;

/// Its ONNX file holds `model` and the digest below.
pub(crate) const VALID: &str = include_str!("valid.toml");
/// Every source of an input and every role of an output; the same ONNX file.
pub(crate) const SEVERAL: &str = include_str!("several.toml");

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn with(toml: &str) -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder can be made"));
        fs::write(folder.path("model.toml"), toml).expect("the manifest can be written");
        fs::write(folder.path("model.onnx"), "model").expect("the model can be written");
        folder
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    pub(crate) fn load(&self) -> Result<Manifest, ManifestError> {
        Manifest::load(self.0.path())
    }

    /// The error as a person reads it, with the folder called `M`.
    pub(crate) fn complaint(&self) -> String {
        let error = self.load().expect_err("this manifest must be refused");
        error.to_string().replace(&self.0.path().display().to_string(), "M")
    }
}

/// The valid manifest with `old`, which occurs once, replaced.
pub(crate) fn changed(old: &str, new: &str) -> String {
    changed_in(VALID, old, new)
}

/// `toml` with `old`, which occurs once, replaced.
pub(crate) fn changed_in(toml: &str, old: &str, new: &str) -> String {
    assert_eq!(toml.matches(old).count(), 1, "{old:?} must occur once in the valid manifest");
    toml.replace(old, new)
}
