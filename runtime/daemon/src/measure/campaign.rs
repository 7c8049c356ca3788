//! One measurement from begin to end: the bare sessions first, then the workers in all their scenes.

use std::{
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use miette::{IntoDiagnostic, Result, miette};
use onnx_model::Library;

use super::{
    budget::{Budget, Share},
    driver::{Driver, Enough, Pace, Results, Stopped},
    observations::Observations,
    progress::Progress,
    session,
    setup::Setup,
};
use crate::{
    batches,
    plan::Plan,
    realtime,
    timing::{Inputs, Recorder, Scene, Timed},
    worker,
};

/// The first inferences after the load.
const COLD: u32 = 20;
/// How often the line on the terminal is drawn.
const DRAWN: Duration = Duration::from_millis(250);
/// The bare session gets this part of the whole.
const SESSION: u32 = 40;

/// What was measured of one set-up.
pub(super) struct Measured {
    pub(super) inputs: Inputs,
    pub(super) took: Duration,
    pub(super) scenes: Vec<Timed>,
}

/// Everything that a measurement needs.
pub(super) struct Campaign<'c> {
    pub(super) plan: &'c Plan,
    pub(super) library: &'c Library,
    pub(super) setups: &'c [Setup],
    /// How long each set-up may take.
    pub(super) whole: Duration,
}

impl Campaign<'_> {
    /// Measures each set-up, in their order.
    pub(super) fn run(&self) -> Result<Vec<Measured>> {
        let models = self.plan.config.models.iter().zip(&self.plan.manifests);
        let observations = models.map(|(model, manifest)| Observations::load(model, manifest));
        let mut observations = observations.collect::<Result<Vec<_>, _>>()?;
        let progress = Progress::new();
        let mut measured = Vec::new();
        // Before the workers load theirs: a session of its own takes as much memory.
        for (done, setup) in self.setups.iter().enumerate() {
            let begun = Instant::now();
            let bare = attend(&progress, || self.session(setup, &mut observations[setup.model], &progress, done))??;
            let inputs = observations[setup.model].inputs();
            measured.push(Measured { inputs, took: begun.elapsed(), scenes: vec![bare] });
        }
        let results = Results::default();
        let config = &self.plan.config;
        let mut brought = Vec::new();
        let way_back = |_| {
            let (bring, results) = results.way_back();
            brought.push(results);
            bring
        };
        let sizes = |model: usize| {
            let wanted = batches::MEASURED.iter().filter(|size| **size <= config.models[model].max_batch);
            wanted.filter_map(|size| NonZeroUsize::new(*size)).collect()
        };
        let desks = worker::start_all(config, self.library, &self.plan.manifests, &sizes, way_back)?;
        let workers = desks.into_iter().zip(brought).collect();
        let like_the_engine = || {
            realtime::prepare_engine(&self.plan.config.realtime);
            results.wake_this_thread();
            let mut driver = Driver::new(self.plan, workers, &mut observations);
            self.workers(&mut driver, &progress, &mut measured)
        };
        attend(&progress, like_the_engine)??;
        Ok(measured)
    }

    fn session(
        &self,
        setup: &Setup,
        observations: &mut Observations,
        progress: &Progress,
        done: usize,
    ) -> Result<Timed> {
        let (scene, share) = (Scene::Session {}, Share::exactly(self.whole / SESSION));
        progress.begin(self.title(setup, scene), Instant::now() + self.left(done));
        let times = session::time(self.library, self.plan, (setup.model, setup.worker), observations, share)?;
        Ok(Timed::new(scene, Vec::new(), times))
    }

    /// The workers' scenes. Runs on a thread like the engine's.
    fn workers(&self, driver: &mut Driver<'_>, progress: &Progress, measured: &mut [Measured]) -> Result<(), Stopped> {
        // All of them before anything is warm.
        let cold = self.setups.iter().map(|setup| cold(driver, setup)).collect::<Result<Vec<_>, _>>()?;
        for (done, ((setup, (length, cold)), measured)) in self.setups.iter().zip(cold).zip(measured).enumerate() {
            let begun = Instant::now();
            let budget = Budget::new(self.whole.saturating_sub(measured.took), setup.quantile);
            measured.scenes.insert(0, cold);
            let scenes = setup.warm(driver.largest_batch(setup.model, setup.worker));
            for (scene, after) in scenes.iter().zip((0..scenes.len()).rev()) {
                progress.begin(self.title(setup, *scene), budget.ends() + self.left(done + 1));
                let after = u32::try_from(after).expect("there are some thirty scenes at most");
                let apart = Setup::apart(*scene, length);
                let share = budget.share(apart, after);
                let back_to_back = scene.warm_pause().unwrap_or(Duration::ZERO) == Duration::ZERO;
                if back_to_back || share.suffices(apart) {
                    measured.scenes.push(warm(driver, setup, *scene, share)?);
                }
            }
            measured.took += begun.elapsed();
        }
        Ok(())
    }

    /// What the set-ups from this one on may take.
    fn left(&self, done: usize) -> Duration {
        self.whole * u32::try_from(self.setups.len().saturating_sub(done)).unwrap_or(u32::MAX)
    }

    fn title(&self, setup: &Setup, scene: Scene) -> String {
        let config = &self.plan.config;
        format!("{} on {}: {scene}", config.models[setup.model].name, config.workers[setup.worker].name)
    }
}

/// The first inferences, and what half of them did not exceed.
fn cold(driver: &mut Driver<'_>, setup: &Setup) -> Result<(Duration, Timed), Stopped> {
    let (mut recorder, mut sequence) = (Recorder::new(), Vec::new());
    let pace = Pace { pause: Duration::ZERO, beside: &[], members: 1 };
    driver.time((setup.model, setup.worker), pace, &mut |nanos, _| {
        recorder.record(nanos);
        sequence.push(nanos);
        if recorder.samples() < u64::from(COLD) { Enough::No } else { Enough::Yes }
    })?;
    let mut sorted = sequence.clone();
    sorted.sort_unstable();
    let median = Duration::from_nanos(sorted[sorted.len() / 2]);
    Ok((median, Timed::new(Scene::Cold {}, sequence, recorder.finish())))
}

fn warm(driver: &mut Driver<'_>, setup: &Setup, scene: Scene, share: Share) -> Result<Timed, Stopped> {
    let beside = if scene.is_beside() { &setup.co_runners[..] } else { &[] };
    let pace = Pace { pause: scene.warm_pause().unwrap_or(Duration::ZERO), beside, members: scene.members() };
    let mut recorder = Recorder::new();
    driver.time((setup.model, setup.worker), pace, &mut |nanos, elapsed| {
        recorder.record(nanos);
        if share.is_over(recorder.samples(), elapsed) { Enough::Yes } else { Enough::No }
    })?;
    Ok(Timed::new(scene, Vec::new(), recorder.finish()))
}

/// Does something on a thread of its own and draws meanwhile how far it is.
fn attend<T: Send>(progress: &Progress, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let working = thread::Builder::new().name("genba-engine".to_owned()).spawn_scoped(scope, work);
        let working = working.into_diagnostic()?;
        while !working.is_finished() {
            progress.draw();
            thread::sleep(DRAWN);
        }
        progress.end();
        working.join().map_err(|_| miette!("measuring panicked: report this as a bug"))
    })
}
