//! The session alone: copy the observation in, run.
//!
//! A line `<count>` on standard input asks for so many runs; one line of JSON gives their times in nanoseconds.

use std::io::{self, BufRead};
use std::time::Instant;

use manifest::Manifest;
use miette::{IntoDiagnostic, Result};

use super::answerer::load_model;

pub(super) fn serve(manifest: &Manifest) -> Result<()> {
    let mut model = load_model(manifest)?;
    let values: Vec<f32> = (0u8..).map(|place| f32::from(place % 7) / 7.0).take(model.input_len()).collect();
    let mut run = || {
        let begun = Instant::now();
        model.input_mut().copy_from_slice(&values);
        let ran = model.run().is_ok();
        assert!(ran, "the model runs");
        u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    };
    println!("ready");
    for line in io::stdin().lock().lines() {
        let count: usize = line.into_diagnostic()?.trim().parse().into_diagnostic()?;
        // The one after a pause is nobody's.
        run();
        let times: Vec<u64> = (0..count).map(|_| run()).collect();
        println!("{}", serde_json::to_string(&times).into_diagnostic()?);
    }
    Ok(())
}
