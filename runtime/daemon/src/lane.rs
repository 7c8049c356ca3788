//! A lane: a named thread of the default class that hands one request at a time to a cluster and brings its answer to the
//! engine. For the engine it is a worker whose place is the cluster.
//!
//! It waits without the engine's lock and takes that only with its answer, as a worker does. What it waits for (policy,
//! journal, network) is nobody else's wait.

use std::{
    sync::{Arc, mpsc::sync_channel},
    thread, time,
};

use cluster_link::{Answer, Extent, Output, Purpose, Request, Tensor, TensorError};
use engine::{Failed, HandOffFailure};
use heapless::spsc::{Consumer, Queue};
use manifest::{InputPlace, Manifest, Role};
use miette::{IntoDiagnostic, Result, WrapErr};
use onnx_model::{WireError, put_wire, take_wire};

use crate::{
    clock,
    config::Priority,
    hand_off::{Cluster, datatype},
    joined,
    plan::Plan,
    realtime,
    state::Layout,
    worker::{Bring, Desk, Done, Member, Order},
};

/// Starts the lanes of one cluster; `way_back` is asked once for each.
pub(crate) fn start_all(
    plan: &'static Plan,
    cluster: &Arc<Cluster>,
    mut way_back: impl FnMut() -> Bring,
) -> Result<Vec<Desk>> {
    (0..cluster.config.lanes).map(|lane| start(plan, cluster, lane, way_back())).collect()
}

fn start(plan: &'static Plan, cluster: &Arc<Cluster>, lane: usize, bring: Bring) -> Result<Desk> {
    let asked = (0..plan.config.models.len()).map(|model| {
        let is_here = cluster.config.models.contains(&model);
        is_here.then(|| Asked::new(plan, model))
    });
    let asked: Vec<_> = asked.collect();
    let tasks: Vec<Arc<str>> = plan.config.tasks.iter().map(|task| task.name.as_str().into()).collect();
    // One order at most; a queue of N holds N - 1.
    let (orders, received) = Box::leak(Box::new(Queue::<Order, 2>::new())).split();
    let (prepared, when_prepared) = sync_channel(1);
    let name = format!("genba-{}.{lane}", cluster.config.name).chars().take(15).collect();
    let mut lane = Lane { cluster: Arc::clone(cluster), asked, tasks, failing: false };
    let decides = plan.config.realtime.fifo_priority.map(Priority::engine);
    let thread = thread::Builder::new().name(name).spawn(move || {
        realtime::lower(0);
        let _ = prepared.send(realtime::this_thread());
        lane.work(received, decides, bring);
    });
    let thread = thread.into_diagnostic().wrap_err("cannot start a lane's thread")?;
    let kernel_id = when_prepared.recv().into_diagnostic().wrap_err("a lane's thread ended at once")?;
    Ok(Desk::new(orders, thread.thread().clone(), plan.config.models.len(), kernel_id))
}

/// A model as its cluster is asked for it.
pub(crate) struct Asked {
    manifest: &'static Manifest,
    pub(crate) name: Arc<str>,
    observation: InputPlace,
    joined: Vec<InputPlace>,
    /// What a planner is told of the plan that is played; no model with state is asked of a cluster.
    layout: Layout,
    pub(crate) outputs: Arc<[Output]>,
}

impl Asked {
    pub(crate) fn new(plan: &'static Plan, model: usize) -> Self {
        let manifest = &plan.manifests[model];
        Self {
            manifest,
            name: plan.config.models[model].name.as_str().into(),
            observation: manifest.observation(),
            joined: joined::places(manifest),
            layout: Layout::of(manifest),
            outputs: outputs(manifest),
        }
    }

    /// The inputs of a member, by their names and types in the graph.
    fn inputs(&self, member: &Member) -> Result<Vec<Tensor>, Unsendable> {
        let tensor =
            |place: InputPlace, numbers: &[f32]| tensor(&self.manifest.inputs()[place.as_usize()].tensor, numbers);
        let own = tensor(self.observation, &member.memory.input);
        let joined = self.joined.iter().zip(&member.joined).map(|(place, sample)| tensor(*place, sample));
        let mut tensors: Vec<_> = std::iter::once(own).chain(joined).collect::<Result<_, _>>()?;
        let mut told = Ok(());
        self.layout.give(&member.memory, |place, numbers| match tensor(place, numbers) {
            Ok(tensor) => tensors.push(tensor),
            Err(error) => told = Err(error),
        });
        told.map(|()| tensors)
    }

    /// The numbers of an answer, in the order of the outputs, into a slot.
    fn take(&self, answer: &Answer, member: &mut Member) -> Result<(), WireError> {
        self.numbers(answer, member.memory.begin_output())
    }

    /// The inputs of a request that holds one.
    pub(crate) fn tensors(&self, numbers: &[f32]) -> Result<Vec<Tensor>, Unsendable> {
        let declared = &self.manifest.inputs()[self.observation.as_usize()].tensor;
        Ok(vec![tensor(declared, numbers)?])
    }

    /// The numbers of an answer, in the order of the outputs.
    pub(crate) fn numbers(&self, answer: &Answer, output: &mut Vec<f32>) -> Result<(), WireError> {
        let declared = self.manifest.outputs().iter().filter(|output| given(&output.role));
        for (tensor, declared) in answer.tensors.iter().zip(declared) {
            take_wire(declared.tensor.dtype, tensor.bytes(), declared.tensor.elements(), output)?;
        }
        Ok(())
    }
}

struct Lane {
    cluster: Arc<Cluster>,
    /// By model.
    asked: Vec<Option<Asked>>,
    /// By task.
    tasks: Vec<Arc<str>>,
    failing: bool,
}

impl Lane {
    fn work(&mut self, mut orders: Consumer<'static, Order>, decides: Option<i32>, mut bring: Bring) {
        loop {
            let Some(order) = orders.dequeue() else {
                thread::park();
                continue;
            };
            let at = order.at;
            let (members, result) = self.hand_off(order);
            let done = Done { members, result, execution: clock::now().since(at) };
            // As a worker does: nobody who waits for the engine waits for a thread of lower priority.
            if let Some(priority) = decides {
                realtime::become_fifo(priority);
            }
            bring(done);
            if decides.is_some() {
                realtime::lower(0);
            }
        }
    }

    fn hand_off(&mut self, order: Order) -> (Vec<Member>, Result<(), Failed>) {
        let Order { model, mut members, about, .. } = order;
        let asked = self.asked.get(usize::from(model.0)).and_then(Option::as_ref);
        let asked = asked.expect("the engine starts a model only on a worker that has it");
        let [member] = &mut members[..] else { unreachable!("a model without a timing record answers one at a time") };
        let _ = member.memory.begin_output();
        let inputs = match asked.inputs(member) {
            Ok(inputs) => inputs,
            Err(error) => {
                tracing::warn!("cluster {}: {}: {error}", self.cluster.config.name, asked.name);
                return (members, Err(Failed::Model));
            }
        };
        let request = Request {
            id: self.cluster.next_id(),
            task: Arc::clone(&self.tasks[about.task]),
            purpose: Purpose::Task { parent: about.sequence },
            model: Arc::clone(&asked.name),
            version: "".into(),
            priority: about.priority,
            deadline: time::Instant::now() + time::Duration::from(about.deadline.since(clock::now())),
            inputs,
            outputs: Arc::clone(&asked.outputs),
        };
        let answered = self.cluster.ask(request).map_err(|unanswered| unanswered.failure);
        let result = answered.and_then(|answer| {
            asked.take(&answer, member).map_err(|error| {
                tracing::warn!("cluster {}: {}: {error}", self.cluster.config.name, asked.name);
                HandOffFailure::WrongAnswer
            })
        });
        if let Err(failure) = result {
            let _ = member.memory.begin_output();
            if !self.failing {
                let reason = failure.reason();
                tracing::warn!("cluster {}: {reason}: {}", self.cluster.config.name, reason.row().what);
            }
        }
        self.failing = result.is_err();
        (members, result.map_err(Failed::HandOff))
    }
}

/// An input of the protocol.
pub(crate) fn tensor(declared: &manifest::Tensor, numbers: &[f32]) -> Result<Tensor, Unsendable> {
    let mut bytes = Vec::with_capacity(size_of_val(numbers));
    put_wire(declared.dtype, numbers, &mut bytes)?;
    Ok(Tensor::new(declared.name.as_str(), datatype(declared.dtype), sizes(&declared.shape), bytes)?)
}

/// Values that are no tensor of the declared type.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unsendable {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

fn sizes(shape: &[usize]) -> Vec<u32> {
    shape.iter().map(|size| u32::try_from(*size).expect("a manifest bounds the elements of a tensor")).collect()
}

/// What an answer must hold: all that is given to who asked.
pub(crate) fn outputs(manifest: &Manifest) -> Arc<[Output]> {
    let declared = manifest.outputs().iter().filter(|output| given(&output.role));
    let output = |output: &manifest::Output| {
        let shape = sizes(&output.tensor.shape).into_iter().map(Extent::Exactly).collect();
        Output { name: output.tensor.name.clone(), datatype: datatype(output.tensor.dtype), shape }
    };
    declared.map(output).collect()
}

/// Whether an output is for who asked.
fn given(role: &Role) -> bool {
    match role {
        Role::Action(_) | Role::Plan(_) | Role::Result(_) => true,
        Role::State => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cluster_link::Datatype;
    use engine::SlotId;

    use super::*;
    use crate::worker::{Slot, SlotLengths};

    #[test]
    fn what_is_played_meanwhile_is_sent_as_inputs_of_their_own() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../hil-tests/tests/models/continue"));
        let manifest: &'static Manifest = Box::leak(Box::new(Manifest::load(folder).expect("it is in the tree")));
        let asked = Asked {
            manifest,
            name: "continue".into(),
            observation: manifest.observation(),
            joined: joined::places(manifest),
            layout: Layout::of(manifest),
            outputs: outputs(manifest),
        };
        let lengths = SlotLengths { observation: 21, given: 300, state: asked.layout.given(), next: 0 };
        let mut memory = Slot::with_room(lengths);
        memory.store([1.0; 21].into_iter());
        memory.state.extend((0_u16..300).map(f32::from).chain([7.0]));
        let member = Member { slot: SlotId(0), memory, joined: crate::samples::Joined::new() };
        let sent = asked.inputs(&member).expect("each is of its type");
        let described: Vec<_> = sent.iter().map(|tensor| (tensor.name(), tensor.datatype(), tensor.shape())).collect();
        assert_eq!(
            described,
            [
                ("observation", Datatype::Fp32, &[1, 21][..]),
                ("committed_plan", Datatype::Fp32, &[1, 50, 6]),
                ("committed_steps", Datatype::Int64, &[1]),
            ]
        );
        assert!(sent[1].values_fp32().expect("they are").eq((0_u16..300).map(f32::from)));
        assert_eq!(&sent[2].bytes()[..], 7_i64.to_le_bytes());
    }
}
