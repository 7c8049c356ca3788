//! A valid manifest, field by field.

use std::time::Duration;

use crate::folder::{Folder, VALID, changed};
use manifest::{Dtype, Start, TooFast};

#[test]
fn every_field_is_read() {
    let folder = Folder::with(VALID);
    let manifest = folder.load().expect("valid.toml is valid");
    assert_eq!(manifest.path(), folder.path("model.toml"));
    assert_eq!(manifest.name(), "reach");
    assert_eq!(manifest.version(), "1.0.0");
    assert_eq!(manifest.description(), "Moves two joints to a point");
    assert_eq!(manifest.licence(), "Apache-2.0");
    assert_eq!(manifest.provenance().source, "train.py");
    assert_eq!(manifest.provenance().data, "simulated");
    assert_eq!(manifest.provenance().trained, "2026-11-23");
    assert_eq!(manifest.model_bytes(), b"model");
    assert_eq!(manifest.digest()[..4], [0x93, 0x72, 0xc4, 0x70]);

    let [input] = manifest.inputs() else { panic!("one input") };
    assert_eq!((input.place, input.tensor.name.as_str()), (manifest.observation(), "observation"));
    assert_eq!((input.tensor.dtype, &input.tensor.shape), (Dtype::F32, &vec![1, 3]));
    assert_eq!(manifest.input_elements()[1].name, "elbow/position");
    assert_eq!(manifest.input_elements()[1].unit, "°");

    let [output] = manifest.outputs() else { panic!("one output") };
    assert_eq!((Some(output.place), output.tensor.name.as_str()), (manifest.action(), "target"));
    assert_eq!((output.tensor.dtype, &output.tensor.shape), (Dtype::F32, &vec![1, 2]));
    let [shoulder, elbow] = manifest.output_elements() else { panic!("two output elements") };
    assert!(matches!(shoulder.start, Start::Observation(index) if index.as_usize() == 0));
    assert_eq!(elbow.start, Start::Value(0.0));
    let numbers = [elbow.min, elbow.max, elbow.max_change_per_s, elbow.rest];
    assert_eq!(numbers.map(f32::to_bits), [-0.1_f32, 1.0, 1e-5, 0.25].map(f32::to_bits));

    let envelope = manifest.envelope().expect("an action has an envelope");
    assert_eq!((envelope.too_fast, envelope.max_step), (TooFast::Clamp, Duration::from_millis(10)));
    assert_eq!(manifest.state(), None);
}

#[test]
fn an_action_that_is_too_fast_can_be_left_to_the_fallback() {
    let manifest = Folder::with(&changed("\"clamp\"", "\"fallback\"")).load().expect("fallback is a choice");
    assert_eq!(manifest.envelope().map(|envelope| envelope.too_fast), Some(TooFast::Fallback));
}
