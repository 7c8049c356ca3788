//! A model's folder made of one of the tiny graphs and a manifest that may not fit it.

use std::fs;
use std::path::{Path, PathBuf};

use manifest::Manifest;
use onnx_model::{Library, Model, ModelError, Provider};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The library that `make native` fetched; a test without it fails with that advice.
pub(crate) fn library() -> Library {
    let path = Library::find(None).unwrap_or_else(|error| panic!("{error}"));
    Library::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn graph(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name).with_extension("onnx")
}

/// The manifest of a model from `[1, 3]` to `[1, 3]`, beside the graph `name`.
pub(crate) fn beside(name: &str) -> Folder {
    Folder::new(&fs::read(graph(name)).expect("the tiny graphs are committed"), 3)
}

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(onnx: &[u8], outputs: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("model.onnx"), onnx).expect("the model can be written");
        fs::write(folder.path().join("model.toml"), toml(onnx, outputs)).expect("the manifest can be written");
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::load(self.path()).expect("the manifest is valid")
    }

    pub(crate) fn model(&self) -> Result<Model, ModelError> {
        Model::load(&library(), &self.manifest(), Provider::Cpu)
    }

    /// The error of a load, with the folder called `M`.
    pub(crate) fn complaint(&self) -> String {
        self.shown(&self.model().err().expect("this model must be refused"))
    }

    pub(crate) fn shown(&self, error: &ModelError) -> String {
        error.to_string().replace(&self.path().display().to_string(), "M")
    }
}

fn toml(onnx: &[u8], outputs: usize) -> String {
    let digest = Sha256::digest(onnx).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let limits = "min = -1.0, max = 1.0, max_change_per_s = 1.0, rest = 0.0, start = 0.0";
    let elements = |count: usize, more: &str| {
        (0..count).fold(String::new(), |all, n| format!("{all}{{ name = \"{n}\", unit = \"1\"{more} }}, "))
    };
    format!(
        "name = \"tiny\"\nversion = \"1\"\ndescription = \"a test\"\nfile = \"model.onnx\"\nsha256 = \"{digest}\"\n\
         licence = \"Apache-2.0\"\n[provenance]\nsource = \"make.py\"\ndata = \"none\"\ntrained = \"never\"\n\
         [[input]]\nname = \"observation\"\ndtype = \"f32\"\nshape = [1, 3]\nelements = [{}]\n\
         [[output]]\nname = \"target\"\ndtype = \"f32\"\nshape = [1, {outputs}]\nelements = [{}]\n\
         [envelope]\ntoo_fast = \"clamp\"\nmax_step_us = 1000\n",
        elements(3, ""),
        elements(outputs, &format!(", {limits}")),
    )
}
