//! How a task plays the plans of its model, checked. Steps and rate are the model's own.

use engine::{Duration, Overlap};
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, error::File};

/// How plans are asked for and played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlansConfig {
    pub(crate) interpolation: Interpolation,
    /// How a plan gives way to the next.
    pub(crate) overlap: Overlap,
    /// A plan that is older is replaced; `None`: when it is about to run out.
    pub(crate) refresh: Option<Duration>,
    /// A plan that takes longer is given up; `None`: longer than its horizon leaves beside a period and the blend.
    pub(crate) timeout: Option<Duration>,
    /// The pause after one that failed.
    pub(crate) retry: Duration,
    /// Where the config says so.
    pub(crate) line: usize,
}

/// What a reference between two steps is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Interpolation {
    Hold,
    Linear,
    Cubic,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPlans {
    interpolation: Interpolation,
    timeout_ms: Option<Spanned<u64>>,
    blend_ms: Option<Spanned<u64>>,
    freeze: Option<Spanned<bool>>,
    refresh_ms: Option<Spanned<u64>>,
    retry_ms: Option<Spanned<u64>>,
}

/// The pause after a plan that failed, unless it is declared: a cluster that is gone is not asked at the control rate.
const RETRY_MS: u64 = 100;

pub(super) fn check_plans(file: &File<'_>, table: &Spanned<RawPlans>) -> Result<PlansConfig, ConfigError> {
    let raw = table.get_ref();
    let span = |given: &Spanned<u64>, least: u64| {
        if (least..=60_000).contains(given.get_ref()) {
            return Ok(Duration::from_micros(given.get_ref().saturating_mul(1_000)));
        }
        let help = format!("choose between {least} ms and 60000 ms");
        Err(file.at(given, format!("a plan's {} ms", given.get_ref()), &help))
    };
    Ok(PlansConfig {
        interpolation: raw.interpolation,
        overlap: match (&raw.blend_ms, &raw.freeze) {
            (Some(_), Some(freeze)) if *freeze.get_ref() => {
                let help = "with freeze = true a plan continues the one before it, so nothing is left to blend: leave blend_ms out";
                return Err(file.at(freeze, "a plan is frozen and blended".to_owned(), help));
            }
            // Each plan would begin a held step anew, so one that is renewed sooner than that would hold it for ever.
            (_, Some(freeze)) if *freeze.get_ref() && matches!(raw.interpolation, Interpolation::Hold) => {
                let help = "with freeze = true a plan's steps are told to the next one at its own instants: choose \"linear\" or \"cubic\"";
                return Err(file.at(freeze, "a plan is frozen and holds its steps".to_owned(), help));
            }
            (_, Some(freeze)) if *freeze.get_ref() => Overlap::Freeze,
            (blend, _) => Overlap::Blend(blend.as_ref().map_or(Ok(Duration::ZERO), |given| span(given, 0))?),
        },
        refresh: raw.refresh_ms.as_ref().map(|given| span(given, 1)).transpose()?,
        timeout: raw.timeout_ms.as_ref().map(|given| span(given, 1)).transpose()?,
        retry: raw.retry_ms.as_ref().map_or(Ok(Duration::from_micros(RETRY_MS * 1_000)), |given| span(given, 1))?,
        line: file.line(table),
    })
}
