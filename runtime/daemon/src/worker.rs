//! A worker: a named thread that owns a session for each of its models and runs one inference at a time.
//!
//! A slot's memory changes hands: the engine's thread gives it to the worker and gets it back with the result.
//! While an inference hangs, its slot stays with the worker.

use std::{
    thread::{self, Thread},
    time,
};

use engine::{ModelFailed, ModelId, SlotId};
use heapless::spsc::{Consumer, Producer, Queue};
use manifest::Manifest;
use miette::{IntoDiagnostic, Result, WrapErr};
use onnx_model::{Library, Model, RunError};

use crate::{
    allocation,
    config::{Config, Realtime, WorkerConfig},
    realtime,
    turn::Wake,
};

/// One observation's values and the action computed from them.
#[derive(Debug)]
pub(crate) struct Slot {
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Slot {
    /// Room for the longest observation and the longest action.
    pub(crate) fn with_room((inputs, outputs): (usize, usize)) -> Self {
        Self { input: Vec::with_capacity(inputs), output: Vec::with_capacity(outputs) }
    }

    /// Takes an observation's values.
    pub(crate) fn store(&mut self, values: impl Iterator<Item = f32>) {
        self.input.clear();
        self.input.extend(values);
    }

    /// The action that was computed last.
    pub(crate) fn output(&self) -> &[f32] {
        &self.output
    }

    fn run(&mut self, model: &mut Model) -> Result<(), RunError> {
        self.output.clear();
        model.input_mut().copy_from_slice(&self.input);
        self.output.extend_from_slice(model.run()?);
        Ok(())
    }
}

/// An inference to run.
pub(crate) struct Order {
    pub(crate) model: ModelId,
    pub(crate) slot: SlotId,
    pub(crate) memory: Slot,
}

/// An inference that ran.
pub(crate) struct Done {
    pub(crate) slot: SlotId,
    pub(crate) memory: Slot,
    pub(crate) result: Result<(), ModelFailed>,
}

/// The engine thread's side of a worker.
pub(crate) struct Desk {
    orders: Producer<'static, Order>,
    done: Consumer<'static, Done>,
    thread: Thread,
}

impl Desk {
    /// Hands an inference over. A worker gets one at a time.
    pub(crate) fn order(&mut self, order: Order) {
        assert!(self.orders.enqueue(order).is_ok(), "the engine starts one inference at a time on a worker");
        self.thread.unpark();
    }

    /// The inference that the worker has finished, if it has.
    pub(crate) fn done(&mut self) -> Option<Done> {
        self.done.dequeue()
    }
}

/// Loads the sessions of each worker, warms them up and starts its thread.
pub(crate) fn start_all(config: &Config, library: &Library, manifests: &[Manifest], wake: &Wake) -> Result<Vec<Desk>> {
    config.workers.iter().map(|worker| start(worker, config, library, manifests, wake)).collect()
}

fn start(
    worker: &WorkerConfig,
    config: &Config,
    library: &Library,
    manifests: &[Manifest],
    wake: &Wake,
) -> Result<Desk> {
    let mut sessions: Vec<Option<Model>> = manifests.iter().map(|_| None).collect();
    for place in &worker.models {
        let (declared, manifest) = (&config.models[*place], &manifests[*place]);
        let begun = time::Instant::now();
        let model = Model::load(library, manifest, declared.provider).into_diagnostic()?;
        tracing::info!(
            "worker {}: model {} on {} loaded in {} ms",
            worker.name,
            declared.name,
            declared.provider,
            begun.elapsed().as_millis()
        );
        sessions[*place] = Some(model);
    }
    // A worker has one order at most; a queue of N holds N - 1.
    let (orders, received) = Box::leak(Box::new(Queue::<Order, 2>::new())).split();
    let (reports, done) = Box::leak(Box::new(Queue::<Done, 2>::new())).split();
    let (name, cores, realtime, wake) =
        (worker.name.clone(), worker.cores.clone(), config.realtime.clone(), wake.clone());
    let thread = thread::Builder::new()
        .name(format!("genba-{name}").chars().take(15).collect())
        .spawn(move || {
            prepare(&name, &cores, &realtime);
            work(&name, sessions, received, reports, &wake);
        })
        .into_diagnostic()
        .wrap_err("cannot start a worker's thread")?;
    Ok(Desk { orders, done, thread: thread.thread().clone() })
}

fn prepare(name: &str, cores: &[usize], realtime: &Realtime) {
    realtime::bind(&format!("worker {name}"), cores);
    if let Some(priority) = realtime.fifo_priority {
        realtime::fifo(&format!("worker {name}"), 0, priority.worker());
    }
}

fn work(
    name: &str,
    mut sessions: Vec<Option<Model>>,
    mut orders: Consumer<'static, Order>,
    mut reports: Producer<'static, Done>,
    wake: &Wake,
) {
    let mut failing = false;
    loop {
        let Some(Order { model, slot, mut memory }) = orders.dequeue() else {
            thread::park();
            continue;
        };
        let session = sessions.get_mut(usize::from(model.0)).and_then(Option::as_mut);
        let session = session.expect("the engine starts a model only on a worker that has it");
        let result = allocation::ours(|| memory.run(session));
        if let Err(RunError::Panicked(panicked)) = &result {
            tracing::error!("worker {name}: {panicked}; its session is not used again, the worker counts as hung");
            park_for_ever();
        }
        if let Err(error) = &result
            && !failing
        {
            tracing::error!("worker {name}: {error}; fallbacks answer until the model runs again");
        }
        failing = result.is_err();
        let done = Done { slot, memory, result: result.map_err(|_| ModelFailed) };
        assert!(reports.enqueue(done).is_ok(), "the engine takes a result before it starts the next inference");
        wake.wake();
    }
}

/// What a session that panicked left behind is unknown, so neither it nor its slot is touched again. The engine sees an
/// inference that does not return, and takes the worker out of service.
fn park_for_ever() -> ! {
    loop {
        thread::park();
    }
}
