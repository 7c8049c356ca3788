//! The session alone: copy the observation in, run. On the same observations as all the others: what a run takes
//! depends on them.
//!
//! A line `<count>` on standard input asks for so many runs; one line of JSON gives their times in nanoseconds.

use std::io::{self, BufRead};
use std::time::Instant;

use manifest::Manifest;
use miette::{IntoDiagnostic, Result};

use super::answerer::load_model;
use crate::traffic;

pub(super) fn serve(manifest: &Manifest) -> Result<()> {
    let mut model = load_model(manifest)?;
    let recorded = traffic::recorded(manifest)?;
    let mut observations = recorded.iter().cycle();
    let mut run = || {
        let observation = observations.next().expect("there is one, and it comes again");
        let begun = Instant::now();
        model.observation_mut().copy_from_slice(observation);
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
