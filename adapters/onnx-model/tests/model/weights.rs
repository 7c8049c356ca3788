//! Weights in a file of their own, operators that are declared, and versions of them that no library runs.

use std::fs;

use crate::folder::{Folder, beside, graph};

/// The 3 by 3 matrix that `second_file.onnx` multiplies with: 0 to 8.
fn matrix() -> Vec<u8> {
    [0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0].iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn weights_come_out_of_the_declared_file_as_it_was_checked() {
    let folder = beside("second_file").with("", &[("weights.bin", &matrix())]);
    let manifest = folder.manifest();
    // What runs is what was checked: the file itself is not opened again.
    fs::remove_file(folder.path().join("weights.bin")).expect("the folder can be written");
    let library = crate::folder::library();
    let mut model =
        onnx_model::Model::load(&library, &manifest, onnx_model::Provider::Cpu).expect("its weights are there");
    drop(manifest);
    model.observation_mut().copy_from_slice(&[1.0, 10.0, 100.0]);
    assert_eq!(model.run().expect("it runs").action(), [630.0, 741.0, 852.0]);
}

#[test]
fn other_weights_give_other_answers() {
    let folder = beside("second_file").with("", &[("weights.bin", &[0; 36])]);
    let mut model = folder.model().expect("its weights are there");
    model.observation_mut().copy_from_slice(&[1.0, 10.0, 100.0]);
    assert_eq!(model.run().expect("it runs").action(), [0.0; 3]);
    assert_ne!(model.digest(), beside("second_file").with("", &[("weights.bin", &matrix())]).manifest().digest());
}

#[test]
fn weights_in_a_file_that_is_not_declared_are_refused_although_it_is_there() {
    let folder = beside("second_file");
    fs::write(folder.path().join("weights.bin"), matrix()).expect("the folder can be written");
    let complaint = "M/model.toml: the tensor \"weights\" keeps its data in \"weights.bin\", which is no [[weights]] of \
                     model.toml, so no digest covers it; declare the file, or save the model as one file";
    assert_eq!(folder.complaint(), complaint);
    assert_eq!(beside("second_file").with("", &[("other.bin", &matrix())]).complaint(), complaint);
}

#[test]
fn weights_that_end_too_soon_are_refused() {
    assert_eq!(
        beside("second_file").with("", &[("weights.bin", &matrix()[..35])]).complaint(),
        "M/model.toml: the tensor \"weights\" claims the bytes from 0 to 36 of \"weights.bin\", which has 35; the file \
         is damaged or another one"
    );
}

#[test]
fn a_path_out_of_the_folder_is_never_opened() {
    // Of the same length, so that only the name changes.
    let onnx = fs::read(graph("second_file")).expect("the tiny graphs are committed");
    let (name, hostile) = (b"weights.bin", b"../../x.bin");
    let at = onnx.windows(name.len()).position(|window| window == name).expect("the graph names its file");
    let mut changed = onnx;
    changed[at..at + hostile.len()].copy_from_slice(hostile);
    let complaint = Folder::new(&changed, 3).with("", &[("weights.bin", &matrix())]).complaint();
    assert!(complaint.contains("keeps its data in \"../../x.bin\", which is no [[weights]]"), "{complaint}");
}

#[test]
fn operators_of_onnx_runtime_are_run_by_declaration_alone() {
    assert_eq!(
        beside("fused").complaint(),
        "M/model.toml: the operator \"FusedMatMul\" of \"com.microsoft\" is ONNX Runtime's own; declare it with domains = \
         [\"com.microsoft\"] in model.toml (not for a compiled graph, which names a file of its own), or export the model \
         without it"
    );
    let mut model = beside("fused").with("domains = [\"com.microsoft\"]\n", &[]).model().expect("it is declared");
    model.observation_mut().copy_from_slice(&[1.0, 2.0, 3.0]);
    // alpha times the observation times a matrix of ones.
    assert_eq!(model.run().expect("it runs").action(), [3.0; 3]);
}

#[test]
fn a_version_of_the_operators_that_nobody_runs_is_refused_by_name() {
    let onnx = fs::read(graph("double")).expect("the tiny graphs are committed");
    // opset_import without a domain: version 17.
    let import = [8 << 3 | 2, 4, 10, 0, 2 << 3, 17];
    let at = onnx.windows(import.len()).position(|window| window == import).expect("the graph says its version");
    let written_for = |version: u8| {
        let mut changed = onnx.clone();
        changed[at + 5] = version;
        Folder::new(&changed, 3)
    };
    written_for(17).model().expect("the negative control");
    written_for(7).model().expect("the oldest");
    assert_eq!(
        written_for(6).complaint(),
        "M/model.toml: it is written for version 6 of ONNX's operators, and none before 7 is run; convert it to a newer \
         one (onnx.version_converter) or export it anew"
    );
    let complaint = written_for(100).complaint();
    let start = "M/model.toml: it is written for version 100 of ONNX's operators, and this library knows none after ";
    assert!(complaint.starts_with(start), "{complaint}");
    assert!(complaint.ends_with("; export the model for an older one, or use a newer library"), "{complaint}");
}
