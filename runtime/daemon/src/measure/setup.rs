//! What is measured: which models on which workers, each set-up once, and in which scenes.

use std::{num::NonZeroUsize, path::Path, time::Duration};

use miette::Diagnostic;
use thiserror::Error;

use crate::{
    batches,
    plan::Plan,
    timing::{Binding, Present, Quantile, Scene},
};

/// Pauses before an inference: none, and what lies between the periods of controllers and a robot that waits.
const PAUSES_US: [u32; 4] = [0, 1_000, 10_000, 100_000];

/// One model on one worker.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) model: usize,
    pub(super) worker: usize,
    pub(super) co_runners: Vec<usize>,
    pub(super) binding: Binding,
    /// The highest that a task asks for.
    pub(super) quantile: Quantile,
}

/// Why nothing can be measured.
#[derive(Debug, Error, Diagnostic)]
pub(super) enum Nothing {
    #[error("there is no model {asked:?}")]
    #[diagnostic(help("name a [[model]] of the config, or its folder; there are: {known}"))]
    Unknown { asked: String, known: String },
    #[error("no worker has the model {model}")]
    #[diagnostic(help("name it in the models of a [[worker]]"))]
    Unused { model: String },
}

/// The set-ups of the model with this name or folder, or of all models. Workers on which every time depends on the
/// same share one.
pub(super) fn setups(plan: &Plan, present: &Present<'_>, asked: Option<&str>) -> Result<Vec<Setup>, Nothing> {
    let models = match asked {
        Some(asked) => vec![find(plan, asked)?],
        None => (0..plan.config.models.len()).collect(),
    };
    let mut setups: Vec<Setup> = Vec::new();
    for model in models {
        let before = setups.len();
        for (worker, declared) in plan.config.workers.iter().enumerate() {
            let binding = present.binding(model, worker);
            if declared.models.contains(&model) && setups.iter().all(|setup| setup.binding != binding) {
                let (co_runners, quantile) = (plan.co_runners(worker), quantile(plan, model));
                setups.push(Setup { model, worker, co_runners, binding, quantile });
            }
        }
        if setups.len() == before && asked.is_some() {
            return Err(Nothing::Unused { model: plan.config.models[model].name.clone() });
        }
    }
    Ok(setups)
}

impl Setup {
    /// The warm scenes, the ones that decide first; batches of several up to the largest.
    pub(super) fn warm(&self, largest_batch: usize) -> Vec<Scene> {
        let beside = !self.co_runners.is_empty();
        let both = |pause_us| {
            let beside = beside.then_some(Scene::Beside { pause_us });
            [beside, Some(Scene::Alone { pause_us })].into_iter().flatten()
        };
        let sizes = batches::MEASURED.into_iter().filter(|size| *size <= largest_batch).filter_map(NonZeroUsize::new);
        let batches = sizes.flat_map(|size| {
            let beside = beside.then_some(Scene::Batch { size, beside: true });
            [beside, Some(Scene::Batch { size, beside: false })].into_iter().flatten()
        });
        PAUSES_US.into_iter().flat_map(both).chain(batches).collect()
    }

    /// How far apart inferences of this length are in a scene.
    pub(super) fn apart(scene: Scene, length: Duration) -> Duration {
        /// What a sleeping thread of the default class wakes late, and then some.
        const LATE: Duration = Duration::from_micros(60);
        let apart = match scene.warm_pause() {
            Some(pause) if pause > Duration::ZERO => length + pause + LATE,
            // A batch takes no longer than its members one by one.
            Some(_) | None => length * u32::try_from(scene.members()).expect("a batch is of 64 at most"),
        };
        // Busy workers rest for a tenth of the time.
        if scene.is_beside() { apart + apart / 10 } else { apart }
    }
}

fn find(plan: &Plan, asked: &str) -> Result<usize, Nothing> {
    let models = &plan.config.models;
    let folder = Path::new(asked).canonicalize().ok();
    let is_folder = |path: &Path| folder.is_some() && path.canonicalize().ok() == folder;
    let by_name = models.iter().position(|model| model.name == asked);
    by_name.or_else(|| models.iter().position(|model| is_folder(&model.folder))).ok_or_else(|| {
        let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        Nothing::Unknown { asked: asked.to_owned(), known: known.join(", ") }
    })
}

fn quantile(plan: &Plan, model: usize) -> Quantile {
    let tasks = plan.config.tasks.iter().filter(|task| task.model == model);
    tasks.map(|task| task.execution_quantile).max().unwrap_or(Quantile::DEFAULT)
}
