//! The config as it is written: every field known, values with their places, nothing checked yet.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use toml::Spanned;

use super::{
    Realtime,
    cluster::{RawCluster, RawJournal},
    plans::RawPlans,
    residency::{RawData, RawResidency},
    spool::{RawDurable, RawSpool},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(rename = "box")]
    pub(super) this_box: RawBox,
    #[serde(default)]
    pub(super) link: RawLink,
    #[serde(default)]
    pub(super) realtime: Realtime,
    #[serde(default)]
    pub(super) timing: RawTiming,
    #[serde(default)]
    pub(super) quarantine: RawQuarantine,
    #[serde(default)]
    pub(super) onnx: RawOnnx,
    #[serde(default)]
    pub(super) model: Vec<RawModel>,
    #[serde(default)]
    pub(super) worker: Vec<RawWorker>,
    #[serde(default)]
    pub(super) cluster: Vec<RawCluster>,
    pub(super) journal: Option<RawJournal>,
    pub(super) residency: Option<RawResidency>,
    pub(super) spool: Option<RawSpool>,
    #[serde(default)]
    pub(super) task: Vec<RawTask>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBox {
    pub(super) name: Spanned<String>,
    pub(super) key_prefix: Spanned<String>,
    pub(super) status_socket: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLink {
    pub(super) mode: RawMode,
    pub(super) listen: Vec<String>,
    pub(super) connect: Vec<String>,
    pub(super) one_zenoh_worker: bool,
}

impl Default for RawLink {
    fn default() -> Self {
        Self { mode: RawMode::Peer, listen: Vec::new(), connect: Vec::new(), one_zenoh_worker: true }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawMode {
    Peer,
    Client,
    Router,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTiming {
    pub(super) margin_us: u64,
    pub(super) records: PathBuf,
}

impl Default for RawTiming {
    fn default() -> Self {
        Self { margin_us: 0, records: "timing".into() }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawQuarantine {
    pub(super) max_overruns: Option<Spanned<u8>>,
    pub(super) overrun_window_ms: Option<Spanned<u64>>,
    pub(super) hang_ms: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOnnx {
    pub(super) library: Option<PathBuf>,
    pub(super) engines: PathBuf,
}

impl Default for RawOnnx {
    fn default() -> Self {
        Self { library: None, engines: "engines".into() }
    }
}

/// One provider, or a list of which the first that holds the model is taken.
pub(super) enum RawProviders {
    One(String),
    Several(Vec<Spanned<String>>),
}

// Written by hand: serde's `untagged` would lose the places.
impl<'de> Deserialize<'de> for RawProviders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProvidersVisitor)
    }
}

struct ProvidersVisitor;

impl<'de> Visitor<'de> for ProvidersVisitor {
    type Value = RawProviders;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a provider such as \"cpu\", or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RawProviders, E> {
        Ok(RawProviders::One(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RawProviders, A::Error> {
        let mut several = Vec::new();
        while let Some(one) = list.next_element()? {
            several.push(one);
        }
        Ok(RawProviders::Several(several))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    pub(super) name: Spanned<String>,
    pub(super) folder: PathBuf,
    pub(super) provider: Option<Spanned<RawProviders>>,
    pub(super) max_batch: Option<Spanned<usize>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWorker {
    pub(super) name: Spanned<String>,
    pub(super) models: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) spare: bool,
    #[serde(default)]
    pub(super) cores: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTask {
    pub(super) name: Spanned<String>,
    pub(super) model: Spanned<String>,
    pub(super) deadline_us: Spanned<u64>,
    pub(super) min_period_us: Option<Spanned<u64>>,
    pub(super) arrival_jitter_us: Option<Spanned<u64>>,
    pub(super) hold_ms: Option<Spanned<u64>>,
    #[serde(default)]
    pub(super) degraded: RawDegraded,
    pub(super) lower_rate_factor: Option<Spanned<u16>>,
    pub(super) execution_quantile: Option<Spanned<f64>>,
    pub(super) plan: Option<Spanned<RawPlans>>,
    #[serde(default)]
    pub(super) robots: Vec<RawRobot>,
    #[serde(default)]
    pub(super) clients: Vec<RawClient>,
    #[serde(default)]
    pub(super) durable: Vec<RawDurable>,
    #[serde(default)]
    pub(super) input: Vec<RawInput>,
    #[serde(default)]
    pub(super) data: RawData,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawDegraded {
    #[default]
    Keep,
    LowerRate,
    Rest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRobot {
    pub(super) name: Spanned<String>,
    pub(super) observation_key: Option<String>,
    pub(super) response_key: Option<String>,
    pub(super) notice_key: Option<String>,
    pub(super) reset_key: Option<String>,
    #[serde(default)]
    pub(super) input_keys: BTreeMap<Spanned<String>, String>,
}

/// An input that joins a task's observations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    pub(super) name: Spanned<String>,
    pub(super) max_age_ms: Spanned<u64>,
    #[serde(default)]
    pub(super) clock: RawClock,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawClock {
    #[default]
    Arrival,
    Synchronised,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient {
    pub(super) name: Spanned<String>,
    pub(super) min_period_us: Spanned<u64>,
    pub(super) arrival_jitter_us: Option<u64>,
    pub(super) queue: Option<Spanned<u8>>,
    pub(super) key: Option<String>,
}
