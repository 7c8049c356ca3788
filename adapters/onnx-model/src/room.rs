//! The memory for so many observations at once, and a run on it.

use std::num::NonZeroUsize;

use manifest::{Input, InputPlace, Manifest, Output, OutputPlace};
use ort::session::Session;

use crate::call::{self, Names};
use crate::contain::contain;
use crate::error::{RunError, failed};
use crate::tensor::Faced;

/// Every tensor of a model, with so many rows.
pub(crate) struct Room {
    pub(crate) rows: NonZeroUsize,
    pub(crate) inputs: Vec<Faced>,
    pub(crate) outputs: Vec<Faced>,
}

impl Room {
    pub(crate) fn new(manifest: &Manifest, rows: NonZeroUsize) -> ort::Result<Self> {
        let input = |input: &Input| Faced::new(&input.tensor, times(&input.tensor.shape, rows));
        let output = |output: &Output| Faced::new(&output.tensor, times(&output.tensor.shape, rows));
        Ok(Self {
            rows,
            inputs: manifest.inputs().iter().map(input).collect::<ort::Result<_>>()?,
            outputs: manifest.outputs().iter().map(output).collect::<ort::Result<_>>()?,
        })
    }

    pub(crate) fn run(&mut self, session: &mut Session, names: &Names) -> Result<(), RunError> {
        let Self { inputs, outputs, .. } = self;
        inputs.iter_mut().try_for_each(Faced::narrow)?;
        contain(|| call::run(session, names, inputs, outputs))?.map_err(failed)?;
        outputs.iter_mut().try_for_each(Faced::widen)
    }

    pub(crate) fn input_mut(&mut self, place: InputPlace) -> &mut [f32] {
        self.inputs[place.as_usize()].face_mut()
    }

    pub(crate) fn row_mut(&mut self, place: InputPlace, row: usize) -> &mut [f32] {
        let rows = self.rows;
        let all = self.input_mut(place);
        let length = all.len() / rows;
        &mut all[row * length..][..length]
    }

    pub(crate) fn output(&self, place: OutputPlace) -> &[f32] {
        self.outputs[place.as_usize()].face()
    }

    pub(crate) fn output_row(&self, place: OutputPlace, row: usize) -> &[f32] {
        let all = self.output(place);
        let length = all.len() / self.rows;
        &all[row * length..][..length]
    }

    /// Zeros in every input from this row on.
    pub(crate) fn clear_from(&mut self, row: usize) {
        for input in &mut self.inputs {
            let all = input.face_mut();
            let length = all.len() / self.rows;
            all[row * length..].fill(0.0);
        }
    }
}

/// The shape of so many at once: the first dimension counts them.
pub(crate) fn times(shape: &[usize], rows: NonZeroUsize) -> Vec<usize> {
    let mut batched = shape.to_vec();
    if let Some(first) = batched.first_mut() {
        *first *= rows.get();
    }
    batched
}
