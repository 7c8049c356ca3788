//! Golden vectors: what the model answered where it was signed off, to be compared with what it answers here.
//!
//! Processors, GPUs and precisions add in another order. How much of that is allowed is declared, never guessed.

use std::collections::BTreeMap;

use crate::tensors::{Input, Output};

/// The most vectors: they are run at each load.
const MAX_VECTORS: usize = 1_000;

/// The vectors of a model and what they may deviate by.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The largest allowed difference of any number, wherever it runs.
    pub tolerance: f32,
    /// At least one.
    pub vectors: Vec<Vector>,
}

/// Inputs, and the outputs that belong to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    /// One for each input of the manifest, in its order, row-major.
    pub inputs: Vec<Vec<f32>>,
    /// One for each output of the manifest, in its order, row-major; `None`: not compared. At least one is.
    pub outputs: Vec<Option<Vec<f32>>>,
}

/// That a model may be computed in half precision where a provider can.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfPrecision {
    /// The largest difference of any number from the golden one, instead of [`Golden::tolerance`].
    pub tolerance: f32,
}

/// The file as it is written: a vector holds a list of numbers for each tensor, by its name in the graph.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGolden {
    absolute_tolerance: f32,
    vectors: Vec<BTreeMap<String, Vec<f32>>>,
}

impl Golden {
    /// From the file's bytes, for these tensors.
    pub(crate) fn parse(bytes: &[u8], inputs: &[Input], outputs: &[Output]) -> Result<Self, String> {
        let raw: RawGolden = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if !is_tolerance(raw.absolute_tolerance) {
            return Err(format!("absolute_tolerance {} is none; it is above 0 and finite", raw.absolute_tolerance));
        }
        if !(1..=MAX_VECTORS).contains(&raw.vectors.len()) {
            return Err(format!("there are {} vectors; between 1 and {MAX_VECTORS} are compared", raw.vectors.len()));
        }
        let vectors = raw.vectors.into_iter().enumerate();
        let vectors = vectors.map(|(place, raw)| {
            vector(raw, inputs, outputs).map_err(|flaw| format!("vector {place}, counted from 0: {flaw}"))
        });
        Ok(Self { tolerance: raw.absolute_tolerance, vectors: vectors.collect::<Result<_, _>>()? })
    }
}

/// The largest difference between two lists of the same length; infinite where one is no number and the other is.
#[must_use]
pub fn deviation(golden: &[f32], found: &[f32]) -> f32 {
    if golden.len() != found.len() {
        return f32::INFINITY;
    }
    let difference = |(golden, found): (&f32, &f32)| {
        let difference = (golden - found).abs();
        if golden.to_bits() == found.to_bits() {
            0.0
        } else if difference.is_nan() {
            f32::INFINITY
        } else {
            difference
        }
    };
    golden.iter().zip(found).map(difference).fold(0.0, f32::max)
}

pub(crate) fn is_tolerance(tolerance: f32) -> bool {
    tolerance.is_finite() && tolerance > 0.0
}

fn vector(mut raw: BTreeMap<String, Vec<f32>>, inputs: &[Input], outputs: &[Output]) -> Result<Vector, String> {
    let mut take = |name: &str, elements: usize| match raw.remove(name) {
        Some(numbers) if numbers.len() != elements => {
            Err(format!("{name:?} has {} numbers and not the tensor's {elements}", numbers.len()))
        }
        Some(numbers) if !numbers.iter().all(|number| number.is_finite()) => {
            Err(format!("{name:?} has a number that 32 bits cannot hold"))
        }
        found => Ok(found),
    };
    let inputs = inputs.iter().map(|input| {
        let name = &input.tensor.name;
        take(name, input.tensor.elements())?.ok_or_else(|| format!("the input {name:?} is missing"))
    });
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let outputs = outputs.iter().map(|output| take(&output.tensor.name, output.tensor.elements()));
    let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    if let Some(name) = raw.keys().next() {
        return Err(format!("the model has no tensor {name:?}"));
    }
    if outputs.iter().all(Option::is_none) {
        return Err("there is no output to compare".to_owned());
    }
    Ok(Vector { inputs, outputs })
}

#[cfg(test)]
mod tests {
    use super::deviation;

    #[test]
    fn the_largest_difference_counts_and_what_is_no_number_differs_from_all_that_is() {
        let is = |golden: &[f32], found: &[f32], wanted: f32| {
            assert_eq!(deviation(golden, found).to_bits(), wanted.to_bits(), "{golden:?} {found:?}");
        };
        is(&[1.0, 2.0], &[1.0, 2.0], 0.0);
        is(&[1.0, 2.0], &[1.5, 1.0], 1.0);
        is(&[1.0], &[f32::NAN], f32::INFINITY);
        is(&[1.0], &[f32::INFINITY], f32::INFINITY);
        is(&[f32::INFINITY], &[f32::INFINITY], 0.0);
        is(&[1.0], &[], f32::INFINITY);
    }
}
