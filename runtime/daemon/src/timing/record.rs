//! A timing record: its file, read with distrust and written whole or not at all.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    binding::Binding,
    distribution::{Distribution, Implausible},
    quantile::Quantile,
    scene::Scene,
};

/// A file that means something else gets another number. 2: batches are run by the worker.
const VERSION: u32 = 2;
/// A record has some thirty scenes with some thousand different times each.
const MAX_BYTES: u64 = 8 << 20;

/// What `genba measure` found for one model on one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    version: u32,
    pub(crate) origin: Origin,
    pub(crate) binding: Binding,
    scenes: Vec<Timed>,
}

/// Where a record comes from. It holds wherever its binding does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// The names in the config.
    pub(crate) model: String,
    pub(crate) worker: String,
    /// The version of the program that measured.
    pub(crate) genba: String,
    /// When it was over, in seconds since 1970 (UTC).
    pub(crate) at_unix_s: u64,
    pub(crate) took_s: u64,
    pub(crate) inputs: Inputs,
}

/// What the model ran on: its time may depend on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Inputs {
    /// The observations of `golden.json` in the model's folder, in turn.
    Golden { observations: usize },
    /// There is no such file.
    Zeros {},
}

/// One scene's times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timed {
    pub(crate) scene: Scene,
    samples: u64,
    /// By quantile; null where fewer than ten samples lie beyond it.
    quantiles_ns: BTreeMap<String, Option<u64>>,
    /// The times of a cold scene in their order; else empty.
    pub(crate) sequence_ns: Vec<u64>,
    /// Each time, rounded up by at most a thousandth, and how often it was seen.
    pub(crate) times_ns: Distribution,
}

/// How long one inference takes at a quantile, in the worst of the scenes that it holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Execution {
    pub(crate) time: Duration,
    /// The worst one.
    pub(crate) scene: Scene,
    /// It holds for inferences that come at most this long after the last one: a longer pause has too few samples.
    pub(crate) longest_pause: Duration,
}

/// How long one inference of so many observations takes at a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchTime {
    pub(crate) size: NonZeroUsize,
    pub(crate) time: Duration,
}

/// Why a file is no record.
#[derive(Debug, Error)]
pub(crate) enum RecordError {
    #[error("cannot read the timing record {}: {source}; correct its permissions, or measure again", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} has more than the {MAX_BYTES} bytes of the longest timing record; move it away", path.display())]
    TooLong { path: PathBuf },
    #[error("{} is no timing record: {reason}; move it away, and measure again", path.display())]
    Malformed { path: PathBuf, reason: serde_json::Error },
    #[error("{} is a timing record of version {found}, and this program knows version {VERSION}; measure again", path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("{} contradicts itself: {lie}; move it away, and measure again", path.display())]
    Lies { path: PathBuf, lie: Lie },
}

/// How a record contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Lie {
    #[error("the scene \"{scene}\": {implausible}")]
    Implausible { scene: Scene, implausible: Implausible },
    #[error("the scene \"{0}\" has another number of samples than it counts")]
    Samples(Scene),
    #[error("the scene \"{0}\" states quantiles that its times do not have")]
    Quantiles(Scene),
    #[error("the scene \"{0}\" stands twice in it")]
    Twice(Scene),
    #[error("it has a scene beside busy workers, and its binding names none")]
    NoCoRunners,
}

impl Record {
    pub(crate) fn new(origin: Origin, binding: Binding, scenes: Vec<Timed>) -> Self {
        Self { version: VERSION, origin, binding, scenes }
    }

    /// What was measured, in the order in which it was.
    pub(crate) fn scenes(&self) -> &[Timed] {
        &self.scenes
    }

    /// The execution time at a quantile: the worst of all warm scenes that have enough samples.
    ///
    /// It covers pauses up to the first one at which a scene has too few. `None` where not even inferences back to back
    /// have enough, alone and beside busy workers: then nothing is said rather than guessed.
    pub(crate) fn execution(&self, quantile: Quantile) -> Option<Execution> {
        let mut warm: Vec<_> =
            self.scenes.iter().filter_map(|timed| Some((timed.scene.warm_pause()?, timed))).collect();
        warm.sort_by_key(|(pause, _)| *pause);
        let covered = warm.chunk_by(|(before, _), (after, _)| before == after).take_while(|of_one_pause| {
            let beside = of_one_pause.iter().any(|(_, timed)| timed.scene.is_beside());
            let enough = |(_, timed): &(_, &Timed)| timed.times_ns.quantile(quantile).is_some();
            (beside || self.binding.co_runners.is_empty()) && of_one_pause.iter().all(enough)
        });
        let covered: Vec<_> = covered.map(|of_one_pause| of_one_pause[0].0).collect();
        let longest_pause = *covered.last().filter(|_| covered[0] == Duration::ZERO)?;
        let times = warm.iter().filter_map(|(_, timed)| Some((timed.times_ns.quantile(quantile)?, timed.scene)));
        let (time, scene) = times.max_by_key(|(time, _)| *time)?;
        Some(Execution { time, scene, longest_pause })
    }

    /// The execution times of batches of several, by size, where alone and beside busy workers there are enough samples.
    ///
    /// They were measured back to back: what a pause adds to one observation's time is added to each.
    pub(crate) fn batches(&self, quantile: Quantile) -> Vec<BatchTime> {
        let time_of = |scene| {
            let timed = self.scenes.iter().find(|timed| timed.scene == scene)?;
            timed.times_ns.quantile(quantile)
        };
        let worst = |alone, beside| {
            let beside = (!self.binding.co_runners.is_empty()).then_some(beside);
            [Some(alone), beside].into_iter().flatten().map(time_of).collect::<Option<Vec<_>>>()?.into_iter().max()
        };
        let back_to_back = worst(Scene::Alone { pause_us: 0 }, Scene::Beside { pause_us: 0 });
        let (Some(execution), Some(one)) = (self.execution(quantile), back_to_back) else { return Vec::new() };
        let of_a_pause = execution.time.saturating_sub(one);
        let sizes = self.scenes.iter().filter_map(|timed| match timed.scene {
            Scene::Batch { size, beside: false } => Some(size),
            Scene::Batch { .. } | Scene::Cold {} | Scene::Alone { .. } | Scene::Beside { .. } | Scene::Session {} => {
                None
            }
        });
        let mut batches: Vec<_> = sizes
            .filter_map(|size| {
                let time = worst(Scene::Batch { size, beside: false }, Scene::Batch { size, beside: true })?;
                Some(BatchTime { size, time: time + of_a_pause })
            })
            .collect();
        batches.sort_unstable_by_key(|batch| batch.size);
        batches
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`]; whatever the file holds, nothing worse happens.
    pub(crate) fn read(path: &Path) -> Result<Self, RecordError> {
        let unreadable = |source| RecordError::Unreadable { path: path.to_owned(), source };
        let malformed = |reason| RecordError::Malformed { path: path.to_owned(), reason };
        // Asked before it is opened: opening a pipe would wait for its writer.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
        }
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(RecordError::TooLong { path: path.to_owned() });
        }
        let Version { version: found } = serde_json::from_slice(&bytes).map_err(malformed)?;
        if found != VERSION {
            return Err(RecordError::Version { path: path.to_owned(), found });
        }
        let record: Self = serde_json::from_slice(&bytes).map_err(malformed)?;
        record.check().map_err(|lie| RecordError::Lies { path: path.to_owned(), lie })?;
        Ok(record)
    }

    /// Writes it in place of an older one. A reader sees the one or the other, whole, also after a power cut.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_string(self).map_err(io::Error::other)?;
        write_whole(path, &(text + "\n"))
    }

    fn check(&self) -> Result<(), Lie> {
        for (place, timed) in self.scenes.iter().enumerate() {
            timed.check()?;
            if self.scenes[..place].iter().any(|before| before.scene == timed.scene) {
                return Err(Lie::Twice(timed.scene));
            }
            if timed.scene.is_beside() && self.binding.co_runners.is_empty() {
                return Err(Lie::NoCoRunners);
            }
        }
        Ok(())
    }
}

impl Timed {
    pub(crate) fn new(scene: Scene, sequence_ns: Vec<u64>, times_ns: Distribution) -> Self {
        Self { scene, samples: times_ns.samples(), quantiles_ns: quantiles(&times_ns), sequence_ns, times_ns }
    }

    fn check(&self) -> Result<(), Lie> {
        let scene = self.scene;
        self.times_ns.check().map_err(|implausible| Lie::Implausible { scene, implausible })?;
        if self.samples != self.times_ns.samples() {
            return Err(Lie::Samples(scene));
        }
        if self.quantiles_ns != quantiles(&self.times_ns) {
            return Err(Lie::Quantiles(scene));
        }
        Ok(())
    }
}

/// Those that are stated, for programs that read the file.
fn quantiles(times: &Distribution) -> BTreeMap<String, Option<u64>> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).expect("it is at most some hours");
    Quantile::STATED.iter().map(|quantile| (quantile.to_string(), times.quantile(*quantile).map(nanos))).collect()
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Writes a file under another name, flushes it to the disk, and renames it.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("it has no folder"))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(folder)?.sync_all()
    });
    if written.is_err() {
        // What is left of it is of no use; the first error is the one to be told.
        let _ = fs::remove_file(&part);
    }
    written
}
