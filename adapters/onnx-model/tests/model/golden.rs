//! The real policies answer here as they did where they were trained.

use std::fs;
use std::path::Path;

use manifest::{Manifest, Source};
use onnx_model::{Model, Provider};
use serde_json::Value;

use crate::folder::library;

// The tolerances are what another processor's order of additions may change; the files state the same.
#[test]
fn the_conveyor_policy_answers_its_golden_vectors() {
    answers_its_golden_vectors("ur5e-conveyor", 1e-5);
}

/// Its vectors are answered without memory.
#[test]
fn the_visual_servo_answers_its_golden_vectors() {
    answers_its_golden_vectors("visual-servo", 1e-4);
}

fn answers_its_golden_vectors(name: &str, tolerance: f64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models").join(name);
    let manifest = Manifest::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let mut model = Model::load(&library(), &manifest, Provider::Cpu).unwrap_or_else(|error| panic!("{error}"));

    let text = fs::read_to_string(folder.join("golden.json")).expect("the golden vectors are committed");
    let golden: Value = serde_json::from_str(&text).expect("the golden vectors are JSON");
    let vectors = golden["vectors"].as_array().expect("vectors is a list");
    assert!(!vectors.is_empty(), "without vectors nothing is compared");
    for (row, vector) in vectors.iter().enumerate() {
        let (observation, torque) = (numbers(&vector["observation"]), numbers(&vector["torque"]));
        assert_eq!((observation.len(), torque.len()), (model.observation_len(), model.action_len()));
        fill(model.observation_mut(), observation);
        for input in manifest.inputs() {
            if let Source::Joined(_) | Source::Image(_) = input.source {
                fill(model.input_mut(input.place), numbers(&vector["joined"][&input.tensor.name]));
            }
        }
        let output = model.run().expect("the policy runs").action();
        for (&found, wanted) in output.iter().zip(torque) {
            assert!((f64::from(found) - wanted).abs() <= tolerance, "vector {row}: {found} is not {wanted}");
        }
    }
}

fn fill(input: &mut [f32], numbers: Vec<f64>) {
    assert_eq!(input.len(), numbers.len());
    for (input, number) in input.iter_mut().zip(numbers) {
        *input = single(number);
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
