//! What is refused at load, in the words a person reads.

use std::fs;

use onnx_model::{Mismatch, Model, ModelError, Provider, Side};

use crate::folder::{Folder, beside, graph, library};

#[test]
fn a_model_that_fits_is_loaded() {
    let folder = beside("double");
    let model = folder.model().expect("it fits");
    assert_eq!((model.observation_len(), model.action_len()), (3, 3));
    assert_eq!(model.digest(), folder.manifest().digest());
}

#[test]
fn a_size_that_the_graph_leaves_open_is_the_manifests() {
    beside("double_batch").model().expect("an open batch size takes 1");
    beside("open_output").model().expect("an open width that turns out right");
}

#[test]
fn another_shape() {
    assert_eq!(
        beside("double_long").complaint(),
        "M/model.toml: [[input]] \"observation\" has the shape [1, 3], but the graph's has [1, 4]; \
         correct the shape (-1: the graph takes any size)"
    );
}

#[test]
fn an_open_shape_that_turns_out_wrong_in_the_first_run() {
    let onnx = fs::read(graph("open_output")).expect("the tiny graphs are committed");
    assert_eq!(
        Folder::new(&onnx, 2).complaint(),
        "M/model.toml: [[output]] \"target\" has the shape [1, 2], but the graph's has [1, 3]; \
         correct the shape (-1: the graph takes any size)"
    );
}

#[test]
fn another_type() {
    assert_eq!(
        beside("double_f64").complaint(),
        "M/model.toml: [[input]] \"observation\" has dtype f32, but the graph's is Tensor<f64>(1, 3); \
         correct the dtype, or export it with f32"
    );
}

#[test]
fn other_names() {
    assert_eq!(
        beside("double_other_names").complaint(),
        "M/model.toml: there is an [[input]] \"observation\", but the graph's inputs are \"x\"; correct the name"
    );
}

#[test]
fn a_tensor_that_is_not_described() {
    assert_eq!(
        beside("second_output").complaint(),
        "M/model.toml: there is no [[output]] for the graph's output \"second\"; \
         describe it, or export the graph without it"
    );
    let folder = beside("second_input");
    assert_eq!(
        folder.complaint(),
        "M/model.toml: there is no [[input]] for the graph's input \"second\"; \
         describe it, or export the graph without it"
    );
    let error = folder.model().err().expect("it has two inputs");
    assert!(matches!(error, ModelError::Mismatch { mismatch: Mismatch::Undeclared { side: Side::Input, .. }, .. }));
}

#[test]
fn bytes_that_are_no_graph() {
    assert_eq!(
        Folder::new(b"not a graph", 3).complaint(),
        "M/model.toml: the file is no ONNX graph; export the model to ONNX"
    );
}

#[test]
fn a_graph_that_onnx_runtime_refuses() {
    // No bytes are a well-formed ONNX message, one without a graph.
    let folder = Folder::new(b"", 3);
    let error = folder.model().err().expect("it has no graph");
    assert!(matches!(error, ModelError::Graph { provider: Provider::Cpu, .. }), "{error:?}");
    let shown = folder.shown(&error);
    assert!(shown.starts_with("M/model.toml: the ONNX file cannot be loaded on cpu: "), "{shown}");
}

#[test]
fn a_model_that_fails_on_zeros() {
    let folder = beside("gather_never");
    let error = folder.model().err().expect("its index is out of bounds");
    assert!(matches!(error, ModelError::FirstRun { .. }), "{error:?}");
    let shown = folder.shown(&error);
    assert!(shown.starts_with("M/model.toml: the first run, on an input of zeros, failed: ONNX Runtime: "), "{shown}");
    assert!(shown.contains("out of data bounds"), "{shown}");
}

#[test]
fn a_provider_that_this_library_does_not_hold_fails_instead_of_falling_back() {
    let folder = beside("double");
    for provider in [Provider::Cuda { device: 0 }, Provider::TensorRt { device: 1 }] {
        let error = Model::load(&library(), &folder.manifest(), provider).err().expect("the library is for processors");
        assert!(matches!(error, ModelError::Provider { .. }), "{error:?}");
        let shown = folder.shown(&error);
        assert!(shown.starts_with(&format!("M/model.toml: {provider} cannot be used: ")), "{shown}");
    }
}
