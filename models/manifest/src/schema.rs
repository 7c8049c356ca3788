//! `model.toml` as it is written: every field known, every value with its place, nothing checked yet.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use toml::Spanned;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawManifest {
    pub(crate) name: Spanned<String>,
    pub(crate) version: Spanned<String>,
    pub(crate) description: Spanned<String>,
    pub(crate) file: Spanned<String>,
    pub(crate) sha256: Spanned<String>,
    #[serde(default)]
    pub(crate) domains: Vec<Spanned<String>>,
    pub(crate) licence: Spanned<String>,
    pub(crate) provenance: RawProvenance,
    #[serde(default)]
    pub(crate) input: Vec<Spanned<RawInput>>,
    #[serde(default)]
    pub(crate) output: Vec<Spanned<RawOutput>>,
    #[serde(default)]
    pub(crate) weights: Vec<RawWeights>,
    pub(crate) envelope: Option<Spanned<RawEnvelope>>,
    pub(crate) plan: Option<Spanned<RawPlan>>,
    pub(crate) state: Option<Spanned<RawState>>,
    pub(crate) golden: Option<RawGoldenFile>,
    pub(crate) fp16: Option<Spanned<RawHalfPrecision>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawProvenance {
    pub(crate) source: Spanned<String>,
    pub(crate) data: Spanned<String>,
    pub(crate) trained: Spanned<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWeights {
    pub(crate) file: Spanned<String>,
    pub(crate) sha256: Spanned<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawInput {
    pub(crate) name: Spanned<String>,
    pub(crate) dtype: Spanned<String>,
    pub(crate) shape: Spanned<Vec<Spanned<u64>>>,
    pub(crate) source: Option<Spanned<String>>,
    pub(crate) elements: Option<Spanned<Vec<RawInputElement>>>,
    pub(crate) image: Option<Spanned<RawImage>>,
    pub(crate) output: Option<Spanned<String>>,
    pub(crate) length: Option<Spanned<u64>>,
    pub(crate) period_us: Option<Spanned<u64>>,
}

/// In place of the elements of a joined input.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawImage {
    pub(crate) accept: Spanned<Vec<Spanned<String>>>,
    pub(crate) max_width: Spanned<u32>,
    pub(crate) max_height: Spanned<u32>,
    pub(crate) max_bytes: Option<Spanned<u64>>,
    pub(crate) crop: Option<Spanned<RawCrop>>,
    pub(crate) resize: Option<Spanned<String>>,
    pub(crate) channels: Spanned<String>,
    pub(crate) layout: Option<Spanned<String>>,
    pub(crate) scale: Spanned<f32>,
    pub(crate) mean: Option<Spanned<Vec<f32>>>,
    pub(crate) std: Option<Spanned<Vec<f32>>>,
}

/// From the middle, or from where it says.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCrop {
    pub(crate) left: Option<u32>,
    pub(crate) top: Option<u32>,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOutput {
    pub(crate) name: Spanned<String>,
    pub(crate) dtype: Spanned<String>,
    pub(crate) shape: Spanned<Vec<Spanned<u64>>>,
    pub(crate) role: Option<Spanned<String>>,
    pub(crate) elements: Option<Spanned<Vec<Spanned<RawOutputElement>>>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawInputElement {
    pub(crate) name: Spanned<String>,
    pub(crate) unit: Spanned<String>,
}

/// Of an action or of a plan's step, with all of its limits; or of a result, with none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawOutputElement {
    pub(crate) name: Spanned<String>,
    pub(crate) unit: Spanned<String>,
    pub(crate) min: Option<Spanned<f32>>,
    pub(crate) max: Option<Spanned<f32>>,
    pub(crate) max_change_per_s: Option<Spanned<f32>>,
    pub(crate) rest: Option<Spanned<f32>>,
    pub(crate) start: Option<Spanned<RawStart>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlan {
    pub(crate) steps: Spanned<u64>,
    pub(crate) rate_hz: Spanned<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawState {
    pub(crate) max_gap_us: Spanned<u64>,
}

/// A file beside `model.toml`, and its digest.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGoldenFile {
    pub(crate) file: Spanned<String>,
    pub(crate) sha256: Spanned<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHalfPrecision {
    pub(crate) tolerance: Spanned<f32>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEnvelope {
    pub(crate) too_fast: Spanned<String>,
    pub(crate) max_step_us: Spanned<u64>,
}

/// A number, or the name of an input element.
pub(crate) enum RawStart {
    Value(f32),
    Observation(String),
}

// Written by hand: serde's `untagged` would say "did not match any variant" and not what is wanted.
impl<'de> Deserialize<'de> for RawStart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StartVisitor)
    }
}

struct StartVisitor;

impl Visitor<'_> for StartVisitor {
    type Value = RawStart;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or the name of an input element")
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "as serde does for every f32; validation refuses what overflowed"
    )]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<RawStart, E> {
        Ok(RawStart::Value(value as f32))
    }

    #[expect(clippy::cast_precision_loss, reason = "as serde does for every f32 that is written without a point")]
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<RawStart, E> {
        Ok(RawStart::Value(value as f32))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<RawStart, E> {
        Ok(RawStart::Observation(name.to_owned()))
    }
}
