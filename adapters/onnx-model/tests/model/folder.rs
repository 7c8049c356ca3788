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

/// The graph `name` beside a manifest with these tables after the head.
pub(crate) fn described(name: &str, tables: &str) -> Folder {
    let onnx = fs::read(graph(name)).expect("the tiny graphs are committed");
    Folder::write(&onnx, &format!("{}{tables}", head(&onnx)))
}

/// An `[[input]]` or `[[output]]` table with elements `0`, `1` and so on, under a prefix of their own.
pub(crate) fn elements(prefix: &str, count: usize, limits: &str) -> String {
    (0..count).fold(String::new(), |all, n| format!("{all}{{ name = \"{prefix}{n}\", unit = \"1\"{limits} }}, "))
}

/// The limits of an element of an action.
pub(crate) const LIMITS: &str = ", min = -1.0, max = 1.0, max_change_per_s = 1.0, rest = 0.0, start = 0.0";
/// What every action needs.
pub(crate) const ENVELOPE: &str = "[envelope]\ntoo_fast = \"clamp\"\nmax_step_us = 1000\n";

pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new(onnx: &[u8], outputs: usize) -> Self {
        let tables = format!(
            "[[input]]\nname = \"observation\"\ndtype = \"f32\"\nshape = [1, 3]\nelements = [{}]\n\
             [[output]]\nname = \"target\"\ndtype = \"f32\"\nshape = [1, {outputs}]\nelements = [{}]\n{ENVELOPE}",
            elements("", 3, ""),
            elements("", outputs, LIMITS),
        );
        Self::write(onnx, &format!("{}{tables}", head(onnx)))
    }

    fn write(onnx: &[u8], toml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("model.onnx"), onnx).expect("the model can be written");
        fs::write(folder.path().join("model.toml"), toml).expect("the manifest can be written");
        Self(folder)
    }

    /// The same with this before the tables of `model.toml`, and with these files of weights, which it declares.
    pub(crate) fn with(self, fields: &str, weights: &[(&str, &[u8])]) -> Self {
        let path = self.path().join("model.toml");
        let toml = fs::read_to_string(&path).expect("it was written");
        let tables = weights.iter().map(|(file, bytes)| {
            fs::write(self.path().join(file), bytes).expect("the folder can be written");
            format!("[[weights]]\nfile = {file:?}\nsha256 = \"{}\"\n", hex(bytes))
        });
        fs::write(path, format!("{fields}{toml}{}", tables.collect::<String>())).expect("the folder can be written");
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::load(self.path()).unwrap_or_else(|error| panic!("{error}"))
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

fn head(onnx: &[u8]) -> String {
    let digest = hex(onnx);
    format!(
        "name = \"tiny\"\nversion = \"1\"\ndescription = \"a test\"\nfile = \"model.onnx\"\nsha256 = \"{digest}\"\n\
         licence = \"Apache-2.0\"\n[provenance]\nsource = \"make.py\"\ndata = \"none\"\ntrained = \"never\"\n",
    )
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
