//! The bare session: what a model takes without any hand-over.

use std::{thread, time::Duration};

use manifest::InputPlace;
use miette::{IntoDiagnostic, Result, miette};
use onnx_model::{Library, Model};

use super::{
    breath::Breath,
    budget::Share,
    observations::{Observations, Observed},
};
use crate::{
    clock,
    config::Priority,
    joined::places,
    plan::Plan,
    providers::loading,
    realtime,
    state::Layout,
    timing::{Distribution, Recorder},
    worker::Slot,
};

/// Times a session of its own, on a thread like the worker's.
pub(super) fn time(
    library: &Library,
    plan: &Plan,
    (model, worker): (usize, usize),
    observations: &mut Observations,
    share: Share,
) -> Result<Distribution> {
    let manifest = &plan.manifests[model];
    let mut session = Model::load_as(library, manifest, &loading(&plan.config, model, &[])).into_diagnostic()?;
    let places = places(manifest);
    let like_the_worker = || {
        let priority = plan.config.realtime.fifo_priority.map(Priority::worker);
        realtime::grant(&plan.config.workers[worker].cores, priority);
        let slot = Slot::with_room(plan.slot_lengths());
        run((&mut session, &places), (&Layout::of(manifest), slot), observations, share)
    };
    thread::scope(|scope| scope.spawn(like_the_worker).join())
        .map_err(|_| miette!("measuring a session panicked: report this as a bug"))?
}

/// Each time with fresh state, as the workers are timed too.
fn run(
    (session, places): (&mut Model, &[InputPlace]),
    (layout, mut slot): (&Layout, Slot),
    observations: &mut Observations,
    share: Share,
) -> Result<Distribution> {
    let (mut recorder, begun) = (Recorder::new(), clock::nanos());
    let mut breath = Breath::new(begun);
    loop {
        let Observed { values, joined } = observations.next();
        slot.store(values.iter().copied());
        layout.begin_fresh(&mut slot);
        session.observation_mut().copy_from_slice(&slot.input);
        for (place, sample) in places.iter().zip(joined) {
            session.input_mut(*place).copy_from_slice(sample);
        }
        layout.give(&slot, |input, values| session.input_mut(input).copy_from_slice(values));
        let before = clock::nanos();
        session.run().into_diagnostic()?;
        let now = clock::nanos();
        recorder.record(now - before);
        if share.is_over(recorder.samples(), Duration::from_nanos(now - begun)) {
            return Ok(recorder.finish());
        }
        if let Some(until) = breath.after(now, now - before) {
            thread::sleep(Duration::from_nanos(until - now));
        }
    }
}
