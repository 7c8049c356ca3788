//! Which provider each model runs on: the first of its list that holds all of it, found before anything is served.

use std::{
    io::{IsTerminal, Write, stderr},
    num::NonZeroUsize,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use miette::{Result, miette};
use onnx_model::{Holds, Library, Loading, Passed, Provider, first_that_holds};

use crate::{
    config::{Config, ModelConfig},
    plan::Plan,
};

/// A person who waits for longer is told what for.
const SILENT: Duration = Duration::from_secs(2);

/// Tries each model's list, and puts what was found into the config. Whatever a provider builds is built and kept here.
///
/// A model for the processor alone is left to its workers: there is nothing to choose, and it is loaded but once.
pub(crate) fn settle(plan: &mut Plan, library: &Library) -> Result<()> {
    for place in 0..plan.config.models.len() {
        let declared = &plan.config.models[place];
        if !is_chosen(declared) {
            continue;
        }
        let (manifest, loading) = (&plan.manifests[place], loading(&plan.config, place, &[]));
        let mut building = None;
        let held = first_that_holds(library, manifest, &declared.providers, &loading, |provider| {
            building = Some(Building::begins(declared, provider));
        });
        drop(building);
        let Holds { model, passed } = held.map_err(|none| {
            miette!(help = "`genba doctor` with this config says what is missing and what to install", "{none}")
        })?;
        for passed in &passed {
            tracing::warn!("model {}: {passed}", declared.name);
        }
        tracing::info!("model {}: {} holds all of it", declared.name, model.provider());
        let declared = &mut plan.config.models[place];
        declared.provider = model.provider();
        declared.passed = passed.iter().map(Passed::to_string).collect();
    }
    Ok(())
}

/// Whether anything is to be found out about where this model runs.
pub(crate) fn is_chosen(declared: &ModelConfig) -> bool {
    declared.providers != [Provider::Cpu]
}

/// How a model of the config is loaded on its provider.
pub(crate) fn loading<'l>(config: &'l Config, model: usize, sizes: &'l [NonZeroUsize]) -> Loading<'l> {
    let declared = &config.models[model];
    Loading { provider: declared.provider, sizes, largest: largest(declared), engines: Some(&config.engines) }
}

/// The most observations that the config lets one inference answer, measured or not: what engines are built for.
pub(crate) fn largest(declared: &ModelConfig) -> NonZeroUsize {
    NonZeroUsize::new(declared.max_batch).expect("the config's check refuses 0")
}

/// Shows how long the load of a model has taken, on a terminal and where it takes long; ends when it is dropped.
pub(crate) struct Building {
    over: Option<Sender<()>>,
    shows: Option<JoinHandle<()>>,
}

impl Building {
    /// The load begins.
    pub(crate) fn begins(declared: &ModelConfig, provider: Provider) -> Self {
        if provider == Provider::Cpu || !stderr().is_terminal() {
            return Self { over: None, shows: None };
        }
        let what = format!("model {}: {provider} loads it; the first time TensorRT builds an engine", declared.name);
        let (over, is_over) = channel();
        let begun = Instant::now();
        let show = move || {
            let mut wait = SILENT;
            while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(wait) {
                eprint!("\r\x1b[K{what}, {} s so far", begun.elapsed().as_secs());
                // A line that is not drawn is no loss.
                let _ = stderr().flush();
                wait = Duration::from_secs(1);
            }
            if begun.elapsed() >= SILENT {
                eprint!("\r\x1b[K");
            }
        };
        // Without the thread nothing is shown, and everything else goes on.
        let shows = thread::Builder::new().name("genba-progress".to_owned()).spawn(show).ok();
        Self { over: Some(over), shows }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(shows) = self.shows.take() {
            let _ = shows.join();
        }
    }
}
