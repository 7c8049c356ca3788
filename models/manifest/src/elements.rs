//! The parts of a manifest: plain values, already checked when they are reached through a `Manifest`.

use std::time::Duration;

/// The type of a tensor's elements. Only one so far; the wire format carries the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 binary32, `dtype = "f32"`.
    F32,
}

/// One number of the observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputElement {
    /// Unique among the inputs: printable ASCII.
    pub name: String,
    /// What the number counts, for example `rad/s`; `1` where it has no unit.
    pub unit: String,
}

/// One number of the action, with the limits it never leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputElement {
    /// Unique among the outputs: printable ASCII.
    pub name: String,
    /// What the number counts, for example `150 N.m`: a scale may be part of it.
    pub unit: String,
    /// The smallest value that may leave, in `unit`.
    pub min: f32,
    /// The largest value that may leave, in `unit`; more than `min`.
    pub max: f32,
    /// The largest change in one second, in `unit`; more than 0.
    pub max_change_per_s: f32,
    /// Where a fallback ramps to; inside `min..=max`.
    pub rest: f32,
    /// What the first action of a connection is measured against.
    pub start: Start,
}

/// The reference of the first action, before any action has left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// A declared value, inside the element's limits.
    Value(f32),
    /// The value of this input element, to be clamped into the limits.
    Observation(InputIndex),
}

/// The place of an element in the observation; only a manifest that has that element makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputIndex(usize);

impl InputIndex {
    pub(crate) fn new(index: usize) -> Self {
        Self(index)
    }

    /// Counted from 0, less than the number of input elements.
    #[must_use]
    pub fn as_usize(self) -> usize {
        self.0
    }
}

/// What is done with an action that changes faster than declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooFast {
    /// It is moved as far as allowed towards the wanted value: `too_fast = "clamp"`.
    Clamp,
    /// It is discarded and the fallback answers: `too_fast = "fallback"`.
    Fallback,
}

/// How the rate limits of all output elements are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What is done with an action that changes too fast.
    pub too_fast: TooFast,
    /// The longest time since the last action that counts as time to change in (`max_step_us`).
    pub max_step: Duration,
}

/// Where the model comes from, for the person who has to answer for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Who or what made it: a script, a repository, a vendor.
    pub source: String,
    /// What it was trained on.
    pub data: String,
    /// The day it was trained, as written.
    pub trained: String,
}
