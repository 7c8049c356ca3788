//! What clients and servers agree on: keys, names, and the one observation. `peers/*.py` spell out the same.

/// The elements of the one observation.
pub(crate) const INPUTS: usize = 48;
/// The elements of an action.
pub(crate) const OUTPUTS: usize = 12;

/// Below which all keys lie.
pub(crate) const PREFIX: &str = "bench/peers";

pub(crate) fn robot(number: usize) -> String {
    format!("r{number}")
}

pub(crate) fn key(number: usize, task: &str, leaf: &str) -> String {
    format!("{PREFIX}/{}/{task}/{leaf}", robot(number))
}

/// Always the same: what an inference takes must not depend on what is asked.
pub(crate) fn observation() -> [f32; INPUTS] {
    std::array::from_fn(|index| f32::from(u16::try_from(index).expect("a small number")) / 97.0)
}
