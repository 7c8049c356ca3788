//! A worker: a named thread that owns a session for each of its models and runs one inference at a time.
//!
//! An inference answers one observation, or several at once. A slot's memory changes hands: the worker gets it with its order and gives it back with the result, which it brings
//! to the engine itself. While an inference hangs, its slot stays with the worker.

use std::{
    mem,
    num::{NonZeroU8, NonZeroUsize},
    slice,
    sync::mpsc::sync_channel,
    thread::{self, Thread},
    time,
};

use engine::{Duration, Failed, Instant, MAX_BATCH, ModelId, SlotId, WorkerId};
use heapless::spsc::{Consumer, Producer, Queue};
use manifest::{InputPlace, Manifest, OutputPlace};
use miette::{IntoDiagnostic, Result, WrapErr};
use onnx_model::{Library, Model, RunError};

use crate::{
    allocation, clock,
    config::{Config, Realtime, WorkerConfig},
    joined,
    providers::{Building, loading},
    realtime::{self, Class},
    samples::Joined,
    state::Layout,
};

/// One observation's values, the state that its inference begins with, and the action and the next state computed from
/// them.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) input: Vec<f32>,
    output: Vec<f32>,
    /// As [`Layout`] lays it out.
    pub(crate) state: Vec<f32>,
    pub(crate) next: Vec<f32>,
}

/// How many f32 values a slot has room for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotLengths {
    pub(crate) observation: usize,
    /// An action, or results.
    pub(crate) given: usize,
    pub(crate) state: usize,
    pub(crate) next: usize,
}

impl Slot {
    /// Room for the longest of each.
    pub(crate) fn with_room(lengths: SlotLengths) -> Self {
        Self {
            input: Vec::with_capacity(lengths.observation),
            output: Vec::with_capacity(lengths.given),
            state: Vec::with_capacity(lengths.state),
            next: Vec::with_capacity(lengths.next),
        }
    }

    /// Takes an observation's values.
    pub(crate) fn store(&mut self, values: impl Iterator<Item = f32>) {
        self.input.clear();
        self.input.extend(values);
    }

    /// The place for what is about to be computed, emptied.
    pub(crate) fn begin_output(&mut self) -> &mut Vec<f32> {
        self.output.clear();
        &mut self.output
    }

    /// The action that was computed last, or the results, one after the other.
    pub(crate) fn output(&self) -> &[f32] {
        &self.output
    }
}

/// One of the observations that an inference answers.
pub(crate) struct Member {
    pub(crate) slot: SlotId,
    pub(crate) memory: Slot,
    /// The newest samples as it started, one for each joined input of the model.
    pub(crate) joined: Joined,
}

/// An inference to run.
pub(crate) struct Order {
    pub(crate) model: ModelId,
    /// At least one, from [`Desk::no_members`].
    pub(crate) members: Vec<Member>,
    /// When it was handed over.
    pub(crate) at: Instant,
    /// What a cluster is told.
    pub(crate) about: About,
}

/// What a hand-off says of itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// Its place in the config.
    pub(crate) task: usize,
    /// Of the observation that it is computed from; 0 for a one-off request.
    pub(crate) sequence: u64,
    /// It must be back by then.
    pub(crate) deadline: Instant,
    /// 1 is the highest: an observation's.
    pub(crate) priority: Option<NonZeroU8>,
}

/// An inference that ran.
pub(crate) struct Done {
    /// As they were ordered.
    pub(crate) members: Vec<Member>,
    pub(crate) result: Result<(), Failed>,
    /// How long the worker was occupied with it: from the order until the result was there.
    pub(crate) execution: Duration,
}

/// The engine's side of a worker.
pub(crate) struct Desk {
    orders: Producer<'static, Order>,
    thread: Thread,
    /// Empty, with room for the largest batch, while no inference is out.
    members: Vec<Member>,
    /// By model.
    largest_batch: Vec<NonZeroUsize>,
    /// Its thread, as the kernel knows it.
    pub(crate) kernel_id: i32,
}

impl Desk {
    /// The desk of a thread that takes these orders, for so many models, each run on one observation at a time.
    pub(crate) fn new(orders: Producer<'static, Order>, thread: Thread, models: usize, kernel_id: i32) -> Self {
        let largest_batch = vec![NonZeroUsize::MIN; models];
        Self { orders, thread, members: Vec::with_capacity(MAX_BATCH), largest_batch, kernel_id }
    }

    /// A list for an order's members. Whoever takes it gives it back with [`Desk::give_back`].
    pub(crate) fn no_members(&mut self) -> Vec<Member> {
        mem::take(&mut self.members)
    }

    /// The list of an inference that ran, emptied.
    pub(crate) fn give_back(&mut self, members: Vec<Member>) {
        debug_assert!(members.is_empty(), "whose memory it was has it back");
        self.members = members;
    }

    /// The most observations of a model that one inference can answer.
    pub(crate) fn largest_batch(&self, model: usize) -> usize {
        self.largest_batch[model].get()
    }

    /// Hands an inference over. A worker gets one at a time.
    pub(crate) fn order(&mut self, order: Order) {
        assert!(self.orders.enqueue(order).is_ok(), "the engine starts one inference at a time on a worker");
        self.thread.unpark();
    }
}

/// Brings a worker's results to whoever ordered them.
pub(crate) type Bring = Box<dyn FnMut(Done) + Send>;

/// Loads the sessions of each worker, warms them up and starts its thread; `way_back` is asked once for each. `batches`
/// are the sizes beyond one that a model is run at, where its graph allows any.
pub(crate) fn start_all(
    config: &Config,
    library: &Library,
    manifests: &[Manifest],
    batches: &dyn Fn(usize) -> Vec<NonZeroUsize>,
    mut way_back: impl FnMut(WorkerId) -> Bring,
) -> Result<Vec<Desk>> {
    let ids = (0..).map(WorkerId);
    ids.zip(&config.workers)
        .map(|(id, worker)| start(worker, config, library, manifests, batches, way_back(id)))
        .collect()
}

fn start(
    worker: &WorkerConfig,
    config: &Config,
    library: &Library,
    manifests: &[Manifest],
    batches: &dyn Fn(usize) -> Vec<NonZeroUsize>,
    bring: Bring,
) -> Result<Desk> {
    let mut largest_batch = vec![NonZeroUsize::MIN; manifests.len()];
    let mut sessions: Vec<Option<Session>> = manifests.iter().map(|_| None).collect();
    for place in &worker.models {
        let (declared, manifest) = (&config.models[*place], &manifests[*place]);
        let begun = time::Instant::now();
        let sizes = batches(*place);
        let _building = Building::begins(declared, declared.provider);
        let model = Model::load_as(library, manifest, &loading(config, *place, &sizes)).into_diagnostic()?;
        largest_batch[*place] = model.largest_batch();
        tracing::info!(
            "worker {}: model {} on {}, up to {} at once, loaded in {} ms",
            worker.name,
            declared.name,
            declared.provider,
            model.largest_batch(),
            begun.elapsed().as_millis()
        );
        sessions[*place] = Some(Session {
            model,
            joined: joined::places(manifest),
            layout: Layout::of(manifest),
            results: results(manifest),
        });
    }
    // A worker has one order at most; a queue of N holds N - 1.
    let (orders, received) = Box::leak(Box::new(Queue::<Order, 2>::new())).split();
    let (name, cores, realtime) = (worker.name.clone(), worker.cores.clone(), config.realtime.clone());
    let (prepared, when_prepared) = sync_channel(1);
    let thread = thread::Builder::new()
        .name(format!("genba-{name}").chars().take(15).collect())
        .spawn(move || {
            let ranks = prepare(&name, &cores, &realtime);
            let _ = prepared.send(realtime::this_thread());
            work(&name, sessions, received, ranks, bring);
        })
        .into_diagnostic()
        .wrap_err("cannot start a worker's thread")?;
    let kernel_id = when_prepared.recv().into_diagnostic().wrap_err("a worker's thread ended at once")?;
    Ok(Desk { largest_batch, ..Desk::new(orders, thread.thread().clone(), manifests.len(), kernel_id) })
}

/// One model's session, where its joined inputs lie, its state, and its results where it has no action.
struct Session {
    model: Model,
    joined: Vec<InputPlace>,
    layout: Layout,
    results: Vec<OutputPlace>,
}

/// What is answered in the place of an action.
fn results(manifest: &Manifest) -> Vec<OutputPlace> {
    if manifest.action().is_some() { Vec::new() } else { manifest.results().0 }
}

/// A worker's two priorities, where it was granted any.
#[derive(Clone, Copy)]
struct Ranks {
    computes: i32,
    decides: i32,
}

/// Puts the calling thread into the class of a computing worker.
fn prepare(name: &str, cores: &[usize], realtime: &Realtime) -> Option<Ranks> {
    let who = format!("worker {name}");
    realtime::bind(&who, cores);
    let priority = realtime.fifo_priority?;
    let ranks = Ranks { computes: priority.worker(), decides: priority.engine() };
    (realtime::fifo(&who, 0, ranks.computes) != Class::Default).then_some(ranks)
}

fn work(
    name: &str,
    mut sessions: Vec<Option<Session>>,
    mut orders: Consumer<'static, Order>,
    ranks: Option<Ranks>,
    mut bring: Bring,
) {
    let mut failing = false;
    loop {
        let Some(Order { model, mut members, at, about: _ }) = orders.dequeue() else {
            thread::park();
            continue;
        };
        let session = sessions.get_mut(usize::from(model.0)).and_then(Option::as_mut);
        let session = session.expect("the engine starts a model only on a worker that has it");
        let result = allocation::ours(|| infer(session, &mut members));
        let some_ran = members.iter().any(|member| !member.memory.output.is_empty());
        let execution = clock::now().since(at);
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
        let done = Done { members, result: if some_ran { Ok(()) } else { Err(Failed::Model) }, execution };
        // It works with the engine and with the link as the engine's thread does: nobody who waits for either waits for
        // a thread of lower priority.
        if let Some(ranks) = ranks {
            realtime::change_fifo(ranks.decides);
        }
        bring(done);
        if let Some(ranks) = ranks {
            realtime::change_fifo(ranks.computes);
        }
    }
}

/// Runs the model on the observations of all members at once. If it fails, on each alone: what one robot sent costs no
/// other its answer. A member without an action failed.
fn infer(session: &mut Session, members: &mut [Member]) -> Result<(), RunError> {
    match together(session, members) {
        Err(RunError::Failed(_) | RunError::Input { .. } | RunError::Output { .. }) if members.len() > 1 => {
            members.iter_mut().map(|member| together(session, slice::from_mut(member))).fold(Ok(()), worse)
        }
        result => result,
    }
}

/// The first failure; a panic before all.
fn worse(one: Result<(), RunError>, other: Result<(), RunError>) -> Result<(), RunError> {
    match (&one, &other) {
        (Ok(()), _) | (_, Err(RunError::Panicked(_))) => other,
        (Err(_), _) => one,
    }
}

/// Each begins with its own state, which stays as it is in its slot: what fails together begins alone with the same.
fn together(Session { model, joined, layout, results }: &mut Session, members: &mut [Member]) -> Result<(), RunError> {
    let inputs = model.observation_len();
    let action = model.action_place();
    let mut batch = model.batch(members.len()).expect("the engine orders no batch beyond the record's largest");
    for (row, member) in batch.observations_mut().chunks_exact_mut(inputs).zip(&mut *members) {
        member.memory.output.clear();
        row.copy_from_slice(&member.memory.input);
    }
    for (place, member) in members.iter().enumerate() {
        assert_eq!(member.joined.len(), joined.len(), "each joined input contributes a sample");
        for (input, sample) in joined.iter().zip(&member.joined) {
            batch.row_mut(*input, place).copy_from_slice(sample);
        }
        layout.give(&member.memory, |input, values| batch.row_mut(input, place).copy_from_slice(values));
    }
    let computed = batch.run()?;
    for (row, member) in members.iter_mut().enumerate() {
        layout.take(&mut member.memory, |output| computed.row(output, row));
        // With a state that is no number no later inference could begin, so the action beside it is none.
        if member.memory.next.iter().all(|value| value.is_finite()) {
            for place in action.iter().chain(&*results) {
                member.memory.output.extend_from_slice(computed.row(*place, row));
            }
        }
    }
    Ok(())
}

/// What a session that panicked left behind is unknown, so neither it nor its slot is touched again. The engine sees an
/// inference that does not return, and takes the worker out of service.
fn park_for_ever() -> ! {
    loop {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use onnx_model::Provider;

    use super::*;

    /// Its last element may be 0 or 1 and no other.
    const DOUBLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hil-tests/tests/models/double");
    const ELEMENTS: usize = 21;

    fn double() -> Session {
        let manifest = Manifest::load(Path::new(DOUBLE)).expect("the model is in the tree");
        let found = Library::find(None).expect("make native fetches it");
        let library = Library::load(&found).expect("it is ONNX Runtime");
        let four = NonZeroUsize::new(4).expect("it is not zero");
        let model = Model::load_batches(&library, &manifest, Provider::Cpu, &[four]).expect("it runs on zeros");
        Session { model, joined: joined::places(&manifest), layout: Layout::of(&manifest), results: results(&manifest) }
    }

    fn members(last: &[f32]) -> Vec<Member> {
        let member = |(slot, last): (u16, &f32)| {
            let lengths = SlotLengths { observation: ELEMENTS, given: 6, state: 0, next: 0 };
            let mut memory = Slot::with_room(lengths);
            memory.store([1.0; ELEMENTS - 1].into_iter().chain([*last]));
            Member { slot: SlotId(slot), memory, joined: Joined::new() }
        };
        (0..).zip(last).map(member).collect()
    }

    #[test]
    fn what_the_model_failed_on_is_not_left_in_a_row_that_nobody_fills() {
        let mut session = double();
        let mut failing = members(&[0.0, 0.0, 0.0, 99.0]);
        assert!(together(&mut session, &mut failing).is_err());
        let mut fewer = members(&[0.0, 0.0]);
        assert_eq!(together(&mut session, &mut fewer), Ok(()), "the others run in one inference again");
        assert_eq!(fewer[1].memory.output(), [2.0; 6]);
    }

    #[test]
    fn members_of_a_batch_that_fails_are_run_alone() {
        let mut session = double();
        let mut mixed = members(&[0.0, 99.0, 1.0]);
        assert!(matches!(infer(&mut session, &mut mixed), Err(RunError::Failed(_))));
        let ran: Vec<_> = mixed.iter().map(|member| !member.memory.output().is_empty()).collect();
        assert_eq!(ran, [true, false, true]);
    }
}
