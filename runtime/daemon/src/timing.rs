//! Timing records: what `genba measure` found out, and whether it holds for what runs now.
//!
//! A record that differs from the present in anything that its times depend on is none: there is no "nearly".

mod binding;
mod distribution;
mod present;
mod quantile;
mod record;
mod scene;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

pub(crate) use binding::{Binding, Difference, cores};
#[cfg(test)]
pub(crate) use binding::{Device, EngineThread, LibraryFile};
pub(crate) use distribution::{Distribution, Recorder};
pub(crate) use present::{Present, hex};
pub(crate) use quantile::Quantile;
pub(crate) use record::{BatchTime, Execution, Inputs, Origin, Record, Timed, write_whole};
pub(crate) use scene::Scene;

use crate::plan::Plan;
use record::RecordError;

/// More files than any box has set-ups; the rest is not looked at.
const MAX_FILES: usize = 1_000;

/// What is known about a task's inferences, on whichever of its workers they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskTiming {
    pub(crate) execution: Execution,
    pub(crate) quantile: Quantile,
    /// Of several observations at once, by size, as far as all of these workers have it.
    pub(crate) batches: Vec<BatchTime>,
    /// The record that the execution time is from: the slowest worker's.
    pub(crate) record: PathBuf,
}

/// Why nothing is known.
#[derive(Debug, Error)]
pub(crate) enum Unmeasured {
    /// Nobody has measured this model.
    #[error("no timing record")]
    NoRecord,
    /// There are records of the model, and none of them holds now. This is the nearest.
    #[error("{} does not hold for worker {worker}: {}", record.display(), list(differences))]
    Other { record: PathBuf, worker: String, differences: Vec<Difference> },
    /// The record holds, and was measured for too short a time.
    #[error(
        "{} has too few samples for the quantile {quantile}: it takes {} back to back, alone and beside busy workers",
        record.display(), quantile.needs()
    )]
    TooFew { record: PathBuf, quantile: Quantile },
    /// No worker of the box runs it.
    #[error("a cluster is asked for it: its round trips are in `genba status`")]
    Cluster,
    /// A record cannot be used, and no other holds.
    #[error(transparent)]
    Record(RecordError),
    /// The folder of the records cannot be read.
    #[error("cannot read the folder of the timing records {}: {source}; correct its permissions", path.display())]
    Folder { path: PathBuf, source: io::Error },
}

/// What is known about a task, in the worst case of the workers that have its model.
fn of_task(plan: &Plan, present: &Present<'_>, task: usize) -> Result<TaskTiming, Unmeasured> {
    let (model, quantile) = (plan.config.tasks[task].model, plan.config.tasks[task].execution_quantile);
    if plan.config.cluster_of(model).is_some() {
        return Err(Unmeasured::Cluster);
    }
    let workers = plan.config.workers.iter().enumerate().filter(|(_, worker)| worker.models.contains(&model));
    let timings = workers.map(|(place, worker)| {
        let (path, record) =
            find(&plan.config.records, &plan.config.models[model].name, &worker.name, &present.binding(model, place))?;
        let execution = record.execution(quantile);
        let execution = execution.ok_or_else(|| Unmeasured::TooFew { record: path.clone(), quantile })?;
        Ok(TaskTiming { execution, quantile, batches: record.batches(quantile), record: path })
    });
    let timings = timings.collect::<Result<Vec<_>, _>>()?;
    let longest_pause = timings.iter().map(|timing| timing.execution.longest_pause).min().unwrap_or(Duration::ZERO);
    let batches = common(&timings);
    let slowest = timings.into_iter().max_by_key(|timing| timing.execution.time).ok_or(Unmeasured::NoRecord)?;
    Ok(TaskTiming { execution: Execution { longest_pause, ..slowest.execution }, batches, ..slowest })
}

/// The batches that every worker has, each by the slowest of them.
fn common(timings: &[TaskTiming]) -> Vec<BatchTime> {
    let Some((first, others)) = timings.split_first() else { return Vec::new() };
    let slowest = |batch: &BatchTime| {
        let of = |timing: &TaskTiming| timing.batches.iter().find(|other| other.size == batch.size).map(|one| one.time);
        let others = others.iter().map(of).collect::<Option<Vec<_>>>()?;
        Some(BatchTime { time: others.into_iter().fold(batch.time, Duration::max), ..*batch })
    };
    first.batches.iter().filter_map(slowest).collect()
}

/// The same of each task, in the config's order.
pub(crate) fn of_tasks(plan: &Plan, present: &Present<'_>) -> Vec<Result<TaskTiming, Unmeasured>> {
    (0..plan.config.tasks.len()).map(|task| of_task(plan, present, task)).collect()
}

/// Where the record of a binding is written: a newer measurement of the same replaces it, of anything else does not.
pub(crate) fn file_name(model: &str, binding: &Binding) -> String {
    format!("{model}-{}.json", binding.short_digest())
}

/// The newest record that holds for a binding, and its file.
fn find(folder: &Path, model: &str, worker: &str, present: &Binding) -> Result<(PathBuf, Record), Unmeasured> {
    let (mut held, mut nearest, mut damaged) = (None::<(PathBuf, Record)>, None::<(PathBuf, Vec<Difference>)>, None);
    for path in files(folder)? {
        let record = match Record::read(&path) {
            Ok(record) => record,
            Err(error) => {
                damaged.get_or_insert(error);
                continue;
            }
        };
        let differences = record.binding.differences(present);
        if differences.is_empty() {
            if held.as_ref().is_none_or(|(_, other)| other.origin.at_unix_s < record.origin.at_unix_s) {
                held = Some((path, record));
            }
        } else if (record.origin.model == model || record.binding.model_sha256 == present.model_sha256)
            && nearest.as_ref().is_none_or(|(_, others)| differences.len() < others.len())
        {
            nearest = Some((path, differences));
        }
    }
    held.ok_or_else(|| match (nearest, damaged) {
        (Some((record, differences)), _) => Unmeasured::Other { record, worker: worker.to_owned(), differences },
        (None, Some(error)) => Unmeasured::Record(error),
        (None, None) => Unmeasured::NoRecord,
    })
}

/// The records' files, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Unmeasured> {
    let unreadable = |source| Unmeasured::Folder { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut files: Vec<_> = paths.map_err(unreadable)?.into_iter().filter(is_record).collect();
    files.sort();
    files.truncate(MAX_FILES);
    Ok(files)
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(Difference::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
