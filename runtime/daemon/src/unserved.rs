//! Models that a manifest can describe and this box cannot serve yet: refused before anything is opened.

use std::path::PathBuf;

use engine::{Duration, MAX_INPUTS, Overlap};
use manifest::{Manifest, Source};
use message::InferResult;
use miette::Diagnostic;
use thiserror::Error;

use crate::config::{Config, PlansConfig, TaskConfig};

/// Why a model is not served.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum Unserved {
    /// It gives only results, and this box answers robots.
    #[error("{}: the model has no action, and this box answers robots", manifest.display())]
    #[diagnostic(help(
        "a robot is answered by a model with an action; who asks for results sends and gets megabytes, which would hold up \
         robots: serve it by a second `genba run` with a config of its own, whose tasks have clients only"
    ))]
    BesideRobots { manifest: PathBuf },
    /// Its results do not fit a message.
    #[error("{}: the results have {values} numbers, more than the {MOST} that a reply may have", manifest.display())]
    #[diagnostic(help("let the graph reduce them, for example by ArgMax or TopK"))]
    ManyResults { manifest: PathBuf, values: usize },
    /// More inputs join it than a connection may have.
    #[error("{}: {inputs} inputs join the observation, and at most {MAX_INPUTS} may", manifest.display())]
    #[diagnostic(help("put several together, so that one sender sends them"))]
    ManyJoined { manifest: PathBuf, inputs: usize },
    /// Its task has durable requests, and it gives an action.
    #[error("{}: the model gives actions, and the task {task} has durable requests", manifest.display())]
    #[diagnostic(help(
        "an action is for the moment that it was asked in: durable requests are for models with results"
    ))]
    DurableAction { manifest: PathBuf, task: String },
    /// A model with plans without a task that plays them, or the other way round.
    #[error(
        "task {task}: its model gives {}",
        if *gives_plans { "plans, and nothing says how they are played" } else { "no plans, and the task plays plans" }
    )]
    #[diagnostic(help("write plan = {{ interpolation = \"linear\" }} exactly where model.toml has [plan]"))]
    Played { task: String, gives_plans: bool },
    /// A plan may run out before the next one is there.
    #[error(
        "task {task}: a plan of {horizon_ms} ms leaves {room_ms} ms for the next one to come, beside a period and the blend"
    )]
    #[diagnostic(help(
        "let timeout_ms be the longest round trip that is expected (genba status: p99.9) and no longer than that, or train a \
         model with a longer horizon"
    ))]
    ShortPlan { task: String, horizon_ms: u128, room_ms: u64 },
    /// It is told what is played meanwhile, and nothing freezes that; or the other way round.
    #[error(
        "{}:{line}: task {task}: {}",
        file.display(),
        if *continues {
            "its model continues the plan that is played, and that does not freeze"
        } else {
            "its plans freeze, and its model is not told what is played meanwhile"
        }
    )]
    #[diagnostic(help(
        "write freeze = true exactly where model.toml has an [[input]] with source = \"committed-plan\"; other plans blend \
         (blend_ms)"
    ))]
    Frozen { file: PathBuf, line: usize, task: String, continues: bool },
    /// A worker that is still in time would count as hung.
    #[error("task {task}: its plans may take {timeout_ms} ms, and a worker counts as hung after {hang_ms} ms")]
    #[diagnostic(help("let plan = {{ timeout_ms = ... }} be at most [quarantine] hang_ms, or raise that"))]
    PlanHangs { task: String, timeout_ms: u64, hang_ms: u64 },
    /// A plan takes longer than a deadline.
    #[error("worker {worker}: it has models with plans beside others")]
    #[diagnostic(help("a plan takes as long as it likes and would hold up the others: give it a worker of its own"))]
    BesidePlans { worker: String },
    /// It has state, and is asked of a cluster.
    #[error("{}: the model remembers, and the cluster {cluster} is to be asked for it", manifest.display())]
    #[diagnostic(help("state belongs to a connection and stays on the box: let a worker of the box run the model"))]
    StateAway { manifest: PathBuf, cluster: String },
}

/// Whether a cluster can be asked for the model.
pub(crate) fn handed_off(manifest: &Manifest, cluster: &str) -> Result<(), Unserved> {
    if manifest.inputs().iter().any(|input| input.source.is_state()) {
        return Err(Unserved::StateAway { manifest: manifest.path().to_path_buf(), cluster: cluster.to_owned() });
    }
    Ok(())
}

/// Whether requests for the model may wait for hours.
pub(crate) fn may_wait(manifest: &Manifest, task: &str) -> Result<(), Unserved> {
    if manifest.action().is_some() {
        return Err(Unserved::DurableAction { manifest: manifest.path().to_path_buf(), task: task.to_owned() });
    }
    Ok(())
}

/// Whether each model with plans is played by its tasks, and held up by nothing that it holds up.
pub(crate) fn played(config: &Config, manifests: &[Manifest]) -> Result<(), Unserved> {
    let plans = |model: usize| manifests[model].plan().is_some();
    for task in &config.tasks {
        if plans(task.model) != task.plans.is_some() {
            return Err(Unserved::Played { task: task.name.clone(), gives_plans: plans(task.model) });
        }
    }
    for task in &config.tasks {
        let (Some(plans), Some(given)) = (task.plans, manifests[task.model].plan()) else { continue };
        let continues = manifests[task.model].takes_committed_plan();
        if continues != (plans.overlap == Overlap::Freeze) {
            let (file, line) = (config.path.clone(), plans.line);
            return Err(Unserved::Frozen { file, line, task: task.name.clone(), continues });
        }
        let room = room(task, plans, given);
        if plans.timeout.is_some_and(|timeout| timeout > room) || room == Duration::ZERO {
            let horizon_ms = given.horizon().as_millis();
            let room_ms = room.nanos() / 1_000_000;
            return Err(Unserved::ShortPlan { task: task.name.clone(), horizon_ms, room_ms });
        }
    }
    let hang = Duration::from_micros(config.quarantine.hang_ms.saturating_mul(1_000));
    for task in config.tasks.iter().filter(|task| config.cluster_of(task.model).is_none()) {
        let Some(timeout) = task.plans.and_then(|plans| plans.timeout) else { continue };
        if timeout > hang {
            let (timeout_ms, hang_ms) = (timeout.nanos() / 1_000_000, config.quarantine.hang_ms);
            return Err(Unserved::PlanHangs { task: task.name.clone(), timeout_ms, hang_ms });
        }
    }
    for worker in &config.workers {
        if worker.models.iter().any(|model| plans(*model)) && !worker.models.iter().all(|model| plans(*model)) {
            return Err(Unserved::BesidePlans { worker: worker.name.clone() });
        }
    }
    Ok(())
}

/// The longest that a plan may take to come and still be played: what its horizon leaves beside a period and the blend.
pub(crate) fn room(task: &TaskConfig, plans: PlansConfig, given: manifest::Plan) -> Duration {
    let horizon =
        u64::try_from(given.horizon().as_nanos()).map_or(Duration::from_nanos(u64::MAX), Duration::from_nanos);
    let taken = task.min_period.nanos().saturating_add(plans.overlap.blend().nanos());
    Duration::from_nanos(horizon.nanos().saturating_sub(taken))
}

/// The most numbers of a reply with results.
const MOST: usize = InferResult::MAX_VALUES / size_of::<f32>();

/// Whether every input of the model can be filled, and somebody can be answered with what it gives.
pub(crate) fn served(manifest: &Manifest, beside_robots: bool) -> Result<(), Unserved> {
    let path = || manifest.path().to_path_buf();
    let joins = |input: &&manifest::Input| matches!(input.source, Source::Joined(_) | Source::Image(_));
    let joined = manifest.inputs().iter().filter(joins).count();
    if joined > MAX_INPUTS {
        return Err(Unserved::ManyJoined { manifest: path(), inputs: joined });
    }
    if manifest.action().is_none() {
        let (_, values) = manifest.results();
        if values > MOST {
            return Err(Unserved::ManyResults { manifest: path(), values });
        }
        if beside_robots {
            return Err(Unserved::BesideRobots { manifest: path() });
        }
    }
    Ok(())
}
