//! The real policy answers here as it did where it was trained.

use std::fs;
use std::path::Path;

use manifest::Manifest;
use onnx_model::{Model, Provider};
use serde_json::Value;

use crate::folder::library;

/// What another processor's order of additions may change; the file states the same.
const TOLERANCE: f64 = 1e-5;

#[test]
fn the_conveyor_policy_answers_its_golden_vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/ur5e-conveyor");
    let manifest = Manifest::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut model = Model::load(&library(), &manifest, Provider::Cpu).unwrap_or_else(|error| panic!("{error}"));

    let text = fs::read_to_string(folder.join("golden.json")).expect("the golden vectors are committed");
    let golden: Value = serde_json::from_str(&text).expect("the golden vectors are JSON");
    let vectors = golden["vectors"].as_array().expect("vectors is a list");
    assert!(!vectors.is_empty(), "without vectors nothing is compared");
    for (row, vector) in vectors.iter().enumerate() {
        let (observation, torque) = (numbers(&vector["observation"]), numbers(&vector["torque"]));
        assert_eq!((observation.len(), torque.len()), (model.observation_len(), model.action_len()));
        for (input, number) in model.observation_mut().iter_mut().zip(observation) {
            *input = single(number);
        }
        let output = model.run().expect("the policy runs").action();
        for (&found, wanted) in output.iter().zip(torque) {
            assert!((f64::from(found) - wanted).abs() <= TOLERANCE, "vector {row}: {found} is not {wanted}");
        }
    }
}

fn numbers(list: &Value) -> Vec<f64> {
    let list = list.as_array().expect("a vector is a list");
    list.iter().map(|number| number.as_f64().expect("of numbers")).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the file holds 32-bit numbers, written longer")]
fn single(number: f64) -> f32 {
    number as f32
}
