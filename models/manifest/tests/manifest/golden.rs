//! Golden vectors beside a manifest, and half precision, which is held to them.

use std::fs;

use sha2::{Digest, Sha256};

use crate::folder::{Folder, VALID};

const GOLDEN: &str = r#"{
  "absolute_tolerance": 1e-5,
  "vectors": [{"observation": [1, 2.5, -3], "target": [0.5, 0.25]}, {"observation": [0, 0, 0], "target": [0, 1e-3]}]
}"#;

fn with(golden: &str, below: &str) -> Folder {
    let digest = Sha256::digest(golden).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let folder = Folder::with(&format!("{VALID}\n[golden]\nfile = \"golden.json\"\nsha256 = \"{digest}\"\n{below}"));
    fs::write(folder.path("golden.json"), golden).expect("it can be written");
    folder
}

/// What is said of golden vectors with `old`, which occurs once, replaced.
#[track_caller]
fn refused(old: &str, new: &str, complaint: &str) {
    assert_eq!(GOLDEN.matches(old).count(), 1, "{old:?}");
    let folder = with(&GOLDEN.replace(old, new), "");
    assert_eq!(folder.complaint(), format!("M/model.toml:37:8: golden.json: {complaint}"));
}

#[test]
fn they_are_read_in_the_order_of_the_tensors() {
    let manifest = with(GOLDEN, "[fp16]\ntolerance = 0.01\n").load().expect("they are good");
    let golden = manifest.golden().expect("it has some");
    assert_eq!(golden.tolerance.to_bits(), 1e-5_f32.to_bits());
    assert_eq!(golden.vectors.len(), 2);
    assert_eq!(golden.vectors[0].inputs, [[1.0, 2.5, -3.0]]);
    assert_eq!(golden.vectors[0].outputs, [Some(vec![0.5, 0.25])]);
    let half = manifest.half_precision().expect("it is declared");
    assert_eq!(half.tolerance.to_bits(), 0.01_f32.to_bits());
}

#[test]
fn without_a_declaration_there_are_none_and_no_half_precision() {
    let manifest = Folder::with(VALID).load().expect("it is valid");
    assert_eq!((manifest.golden(), manifest.half_precision()), (None, None));
}

#[test]
fn vectors_that_do_not_fit_the_model_are_refused() {
    refused("1e-5", "0", "absolute_tolerance 0 is none; it is above 0 and finite");
    refused("2.5, ", "", "vector 0, counted from 0: \"observation\" has 2 numbers and not the tensor's 3");
    refused("2.5", "1e99", "vector 0, counted from 0: \"observation\" has a number that 32 bits cannot hold");
    refused(", \"target\": [0.5, 0.25]", "", "vector 0, counted from 0: there is no output to compare");
    refused("{\"observation\": [0, 0, 0], ", "{", "vector 1, counted from 0: the input \"observation\" is missing");
    refused("[0, 1e-3]}", "[0, 1e-3], \"x\": [1]}", "vector 1, counted from 0: the model has no tensor \"x\"");
    let none = with("{\"absolute_tolerance\": 1, \"vectors\": []}", "").complaint();
    assert_eq!(none, "M/model.toml:37:8: golden.json: there are 0 vectors; between 1 and 1000 are compared");
}

#[test]
fn a_changed_file_is_refused_as_a_changed_model_is() {
    let folder = with(GOLDEN, "");
    fs::write(folder.path("golden.json"), GOLDEN.replace("0.25", "0.26")).expect("it can be written");
    let complaint = folder.complaint();
    assert!(complaint.starts_with("M/model.toml:38:10: M/golden.json has the SHA-256 "), "{complaint}");
}

#[test]
fn half_precision_is_held_to_golden_vectors_within_a_tolerance() {
    let without = Folder::with(&format!("{VALID}\n[fp16]\ntolerance = 0.01\n")).complaint();
    assert_eq!(
        without,
        "M/model.toml:36:1: half precision is held to golden vectors; add a [golden] table, or remove [fp16]"
    );
    for wrong in ["0.0", "-1.0", "inf", "nan"] {
        let complaint = with(GOLDEN, &format!("[fp16]\ntolerance = {wrong}\n")).complaint();
        assert!(complaint.contains("tolerance must be above 0 and finite"), "{complaint}");
    }
}
