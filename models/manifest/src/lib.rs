//! What a model is, what goes in, what comes out and within which limits: `model.toml`.
//!
//! [`Manifest::load`] reads the file and the ONNX model beside it and returns a value that cannot be
//! wrong: every check is done once, here, and every failure names file, line and column. [`Contract`]
//! is the part of it that a controller must agree with before its first action.
//!
//! This crate never runs a model and never opens a path outside the model's folder.

mod contract;
mod domain;
mod elements;
mod error;
mod file;
mod golden;
pub mod image;
mod manifest;
mod schema;
mod tensors;
mod validate;

pub use contract::{Contract, ContractError};
pub use domain::Domain;
pub use elements::{Dtype, Envelope, InputElement, InputIndex, OutputElement, Provenance, Start, TooFast};
pub use error::{ManifestError, Position, Problem};
pub use golden::{Golden, HalfPrecision, Vector, deviation};
pub use manifest::{Manifest, Weights};
pub use tensors::{Input, InputPlace, Output, OutputPlace, Plan, Role, Source, State, Tensor};
pub use validate::{
    MAX_GAP, MAX_HISTORY, MAX_INPUT_ELEMENTS, MAX_NAME_BYTES, MAX_OUTPUT_ELEMENTS, MAX_PERIOD, MAX_PLAN_RATE_HZ,
    MAX_PLAN_STEPS, MAX_STEP, MAX_TENSORS,
};
