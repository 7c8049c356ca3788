//! Durable requests, checked: where they are kept, how many, for how long, and who sends them.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use journal::spool::{Bounds, Load, Settings};
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, error::File, raw::RawTask};

/// The spool, as one file and its key.
#[derive(Debug)]
pub(crate) struct SpoolConfig {
    pub(crate) file: PathBuf,
    /// What everything in it is encrypted with; made at the first start.
    pub(crate) key: PathBuf,
    pub(crate) settings: Settings,
    /// How long a request is delivered if need be.
    pub(crate) time_to_live: Duration,
}

/// One client of durable requests, and its key.
#[derive(Debug)]
pub(crate) struct DurableConfig {
    pub(crate) name: String,
    pub(crate) infer_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpool {
    folder: PathBuf,
    max_requests: Option<Spanned<u64>>,
    max_bytes: Option<Spanned<u64>>,
    max_attempts: Option<Spanned<u32>>,
    time_to_live_s: Option<Spanned<u64>>,
    keep_answers_s: Option<Spanned<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDurable {
    pub(super) name: Spanned<String>,
    pub(super) key: Option<String>,
}

/// A day of one request in a minute.
const REQUESTS: u64 = 1440;
const BYTES: u64 = 256 << 20;
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(8).expect("not zero");
const DAY: u64 = 86_400;

/// Whether a task can have durable requests, if it has: they wait for a cluster, in a spool.
pub(super) fn check_durable(
    file: &File<'_>,
    task: &RawTask,
    is_handed_off: bool,
    has_spool: bool,
) -> Result<(), ConfigError> {
    let Some(first) = task.durable.first() else { return Ok(()) };
    let name = task.name.get_ref();
    if !is_handed_off {
        let what = format!("the task {name:?} has durable requests, and its model runs on the box");
        return Err(file.at(&first.name, what, "they wait for a cluster: let one have the model, or use clients"));
    }
    if !has_spool {
        let what = format!("the task {name:?} has durable requests, and there is no [spool]");
        return Err(file.at(&first.name, what, "declare [spool] with its folder"));
    }
    if let Some(input) = task.input.first() {
        let what = format!("the task {name:?} has durable requests, and inputs that join observations");
        return Err(file.at(&input.name, what, "a request holds one input: give its clients a task of their own"));
    }
    Ok(())
}

pub(super) fn check_spool(file: &File<'_>, raw: RawSpool) -> Result<SpoolConfig, ConfigError> {
    let within = |given: Option<Spanned<u64>>, default, most: u64| match given {
        Some(given) if !(1..=most).contains(given.get_ref()) => {
            let what = format!("{} is out of range", given.get_ref());
            Err(file.at(&given, what, &format!("choose between 1 and {most}; {default} is the default")))
        }
        Some(given) => Ok(given.into_inner()),
        None => Ok(default),
    };
    let items = within(raw.max_requests, REQUESTS, 1_000_000)?;
    let bytes = within(raw.max_bytes, BYTES, 1 << 40)?;
    let time_to_live = within(raw.time_to_live_s, DAY, 366 * DAY)?;
    let keep_answers = within(raw.keep_answers_s, DAY, 366 * DAY)?;
    let max_attempts = match raw.max_attempts {
        Some(given) => NonZeroU32::new(*given.get_ref()).ok_or_else(|| {
            let what = "a request that is never sent".to_owned();
            file.at(&given, what, "choose 1 at least; 8 is the default")
        })?,
        None => ATTEMPTS,
    };
    let load = Load { items, bytes };
    let settings = Settings {
        // What waits may all become dead letters, and be answered while as much waits again.
        bounds: Bounds {
            waiting: load,
            dead: load,
            answers: Load { items: items.saturating_mul(2), bytes },
            read: items,
        },
        max_attempts,
        keep_answers: Duration::from_secs(keep_answers),
    };
    let folder = file.in_folder(&raw.folder);
    Ok(SpoolConfig {
        file: folder.join("spool.redb"),
        key: folder.join("spool.key"),
        settings,
        time_to_live: Duration::from_secs(time_to_live),
    })
}
