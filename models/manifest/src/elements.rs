//! The parts of a manifest: plain values, already checked when they are reached through a `Manifest`.

use std::fmt;
use std::time::Duration;

/// The type of a tensor's elements in the graph. The wire carries 32-bit floats whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 binary32, `dtype = "f32"`.
    F32,
    /// IEEE 754 binary16, `dtype = "f16"`.
    F16,
    /// The upper half of a binary32, `dtype = "bf16"`.
    Bf16,
    /// 8-bit signed, `dtype = "i8"`.
    I8,
    /// 16-bit signed, `dtype = "i16"`.
    I16,
    /// 32-bit signed, `dtype = "i32"`.
    I32,
    /// 64-bit signed, `dtype = "i64"`.
    I64,
    /// 8-bit unsigned, `dtype = "u8"`.
    U8,
    /// True or false, `dtype = "bool"`.
    Bool,
}

impl Dtype {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 9] =
        [Self::F32, Self::F16, Self::Bf16, Self::I8, Self::I16, Self::I32, Self::I64, Self::U8, Self::Bool];

    /// As `model.toml` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::Bool => "bool",
        }
    }

    /// Whether it holds fractions.
    #[must_use]
    pub fn is_float(self) -> bool {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => true,
            Self::I8 | Self::I16 | Self::I32 | Self::I64 | Self::U8 | Self::Bool => false,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One number of an observation, of a joined sample or of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputElement {
    /// Unique among all inputs, or in its result: printable ASCII.
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
