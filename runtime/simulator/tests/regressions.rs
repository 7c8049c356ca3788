//! Seeds that once found a real fault of the engine. Each has a name that says which, and must pass for good.
//!
//! A seed belongs to the simulator as it was: when a change to the simulator draws other random numbers, find a seed
//! again that fails with the fault put back, or the test no longer tests anything.

use simulator::{Options, simulate};

/// A frame that changed the epoch came when the old epoch's fallback was due: the old fallback said `STATE_RESET`.
#[test]
fn the_last_fallback_of_an_old_epoch_resets_no_state() {
    passes(83, 10_000);
}

fn passes(seed: u64, observations: u64) {
    if let Err(violation) = simulate(seed, observations, Options::default()) {
        panic!("\n{violation}");
    }
}
