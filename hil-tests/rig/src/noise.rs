//! Frames that were damaged on purpose.

use fastrand::Rng;

/// The frame with some bits flipped, or cut, or longer. What is left may still be valid.
#[must_use]
pub fn mutated(mut frame: Vec<u8>, random: &mut Rng) -> Vec<u8> {
    let mut below = |bound: usize| random.usize(..bound);
    match below(10) {
        0 => frame.truncate(below(frame.len())),
        1 => frame.extend((0..=below(16)).map(|_| below(256).to_le_bytes()[0])),
        _ => {
            for _ in 0..=below(4) {
                let at = below(frame.len());
                frame[at] ^= 1 << below(8);
            }
        }
    }
    frame
}
