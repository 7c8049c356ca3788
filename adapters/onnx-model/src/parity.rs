//! Whether a model answers here as it did where it was signed off.

use manifest::{Golden, Manifest, deviation};
use thiserror::Error;

use crate::error::RunError;
use crate::room::Room;
use crate::{Model, Provider};

/// A model's answer differs from its golden one by more than is declared.
#[derive(Clone, Debug, PartialEq, Error)]
#[error(
    "the output {output:?} differs by {deviation:e} from golden vector {vector}, counted from 0, and by {tolerance:e} at most is declared{}; it is not the model that was signed off",
    if *half_precision { " for half precision" } else { "" }
)]
pub struct Deviates {
    /// The name of the output.
    pub output: String,
    /// The vector, counted from 0.
    pub vector: usize,
    /// The largest difference in it.
    pub deviation: f32,
    /// What the manifest allows.
    pub tolerance: f32,
    /// Whether it was computed in half precision.
    pub half_precision: bool,
}

impl Model {
    /// The largest difference of any number from the manifest's golden vectors, wherever the model runs; `None` where the
    /// manifest has no such vectors.
    ///
    /// # Errors
    /// [`RunError`] where one cannot be run.
    pub fn deviation(&mut self, manifest: &Manifest) -> Result<Option<f32>, RunError> {
        let Some(golden) = manifest.golden() else { return Ok(None) };
        Ok(Some(worst(self, golden)?.deviation))
    }
}

/// What deviates by more than is declared, if anything does. Inputs are left as zeros.
pub(crate) fn deviates(model: &mut Model, manifest: &Manifest) -> Result<Option<Deviates>, RunError> {
    let Some(golden) = manifest.golden() else { return Ok(None) };
    let half = match model.provider {
        Provider::Cpu | Provider::Cuda { .. } => None,
        Provider::TensorRt { .. } => manifest.half_precision(),
    };
    let tolerance = half.map_or(golden.tolerance, |half| half.tolerance);
    let Worst { output, vector, deviation } = worst(model, golden)?;
    let output = manifest.outputs()[output].tensor.name.clone();
    let deviates = Deviates { output, vector, deviation, tolerance, half_precision: half.is_some() };
    Ok((deviation > tolerance).then_some(deviates))
}

/// Where the largest difference is.
struct Worst {
    output: usize,
    vector: usize,
    deviation: f32,
}

fn worst(model: &mut Model, golden: &Golden) -> Result<Worst, RunError> {
    let Model { session, names, rooms, .. } = model;
    let room: &mut Room = &mut rooms[0];
    let mut worst = Worst { output: 0, vector: 0, deviation: 0.0 };
    for (vector, expected) in golden.vectors.iter().enumerate() {
        for (input, values) in room.inputs.iter_mut().zip(&expected.inputs) {
            input.face_mut().copy_from_slice(values);
        }
        room.run(session, names)?;
        for (output, (found, expected)) in room.outputs.iter().zip(&expected.outputs).enumerate() {
            let Some(expected) = expected else { continue };
            let deviation = deviation(expected, found.face());
            if deviation > worst.deviation {
                worst = Worst { output, vector, deviation };
            }
        }
    }
    room.clear_from(0);
    Ok(worst)
}
