//! What only a GPU can show. Without one each test says so to whoever counts, and nothing is claimed.
//!
//! `make gpu-proof` runs them where there is one, and writes down what came of it.

use std::fs::{self, File};
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use manifest::Manifest;
use onnx_model::{Kernel, Library, Loading, Model, ModelError, Provider};

const CUDA: Provider = Provider::Cuda { device: 0 };
const TENSORRT: Provider = Provider::TensorRt { device: 0 };

/// The library that `make native-gpu` fetched, or the one named by `GENBA_GPU_LIBRARY`: a Jetson's.
fn library(test: &str) -> Option<Library> {
    if Kernel::default().gpus().is_empty() {
        skip(&format!("SKIPPED: no GPU: {test}"));
        return None;
    }
    let named = std::env::var_os("GENBA_GPU_LIBRARY").map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("native/gpu/libonnxruntime.so.1.31.1"));
    Some(Library::load(&path).unwrap_or_else(|error| panic!("there is a GPU, but {error}; run `make native-gpu`")))
}

fn skip(line: &str) {
    println!("{line}");
    if let Some(path) = std::env::var_os("GENBA_SKIPS") {
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("GENBA_SKIPS can be written");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn manifest(folder: &str) -> Manifest {
    Manifest::load(&root().join(folder)).unwrap_or_else(|error| panic!("{error}"))
}

fn loading<'l>(provider: Provider, sizes: &'l [NonZeroUsize], engines: &'l Path) -> Loading<'l> {
    let largest = NonZeroUsize::new(64).expect("it is not zero");
    Loading { provider, sizes, largest, engines: Some(engines) }
}

/// The load itself asks every operator where it is, and compares every golden vector.
#[test]
fn the_conveyor_policy_is_held_whole_and_answers_as_it_was_signed_off() {
    let Some(library) = library("the conveyor's policy") else { return };
    let (policy, engines) = (manifest("models/ur5e-conveyor"), tempfile::tempdir().expect("it can be made"));
    for provider in [CUDA, TENSORRT] {
        let model = Model::load_as(&library, &policy, &loading(provider, &[], engines.path()));
        let mut model = model.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(model.provider(), provider);
        let deviation = model.deviation(&policy).expect("it runs").expect("it has golden vectors");
        println!("{provider}: at most {deviation:e} from the golden vectors");
    }
}

/// The load compares each row of each size with what it is alone.
#[test]
fn rows_of_a_batch_answer_as_they_do_alone() {
    let Some(library) = library("batches") else { return };
    let (policy, engines) = (manifest("hil-tests/tests/models/double"), tempfile::tempdir().expect("it can be made"));
    let sizes: Vec<_> = [2, 7, 64].into_iter().filter_map(NonZeroUsize::new).collect();
    for provider in [CUDA, TENSORRT] {
        match Model::load_as(&library, &policy, &loading(provider, &sizes, engines.path())) {
            Ok(mut model) => {
                assert_eq!(model.largest_batch().get(), 64);
                assert!(model.batch(65).is_none(), "no shape beyond the profile is ever run");
            }
            // Its table look-up may be one that the provider does not take: then it says so, and runs nothing.
            Err(error) => assert!(matches!(error, ModelError::Partly { .. }), "{error}"),
        }
    }
}

#[test]
fn an_engine_is_built_once() {
    let Some(library) = library("kept engines") else { return };
    let (policy, engines) = (manifest("models/ur5e-conveyor"), tempfile::tempdir().expect("it can be made"));
    let load = || {
        let model = Model::load_as(&library, &policy, &loading(TENSORRT, &[], engines.path()));
        model.map_or_else(|error| panic!("{error}"), drop);
    };
    load();
    let first = engines_in(engines.path());
    assert!(!first.is_empty(), "no engine was kept in {}", engines.path().display());
    load();
    assert_eq!(engines_in(engines.path()), first, "the second load built it again");
}

#[test]
fn a_model_that_is_placed_in_part_is_refused() {
    let Some(library) = library("a partly placed model") else { return };
    let (partly, engines) = (manifest("hil-tests/tests/models/partly"), tempfile::tempdir().expect("it can be made"));
    let error = Model::load_as(&library, &partly, &loading(CUDA, &[], engines.path())).err().expect("CUDA has no Det");
    assert!(matches!(error, ModelError::Partly { .. }), "{error}");
}

/// The engines with the time at which each was written.
fn engines_in(folder: &Path) -> Vec<(PathBuf, SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.append(&mut engines_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "engine") {
            let written = entry.metadata().and_then(|metadata| metadata.modified()).expect("it is there");
            found.push((path, written));
        }
    }
    found.sort();
    found
}
