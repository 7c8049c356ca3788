//! A config's joined inputs: each in the order of its model's inputs, for each robot that does the task.

use engine::{Carries, ConnectionId, InputId, Joined, JoinedSpec};
use manifest::{InputPlace, Manifest, Source, image::Spec};
use message::{Address, Input};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use zenoh_link::InputKeys;

use crate::{
    config::{InputConfig, TaskConfig},
    plan::Plan,
    samples::Samples,
};

/// One joined input of one connection, in the order of the engine's table and the link's inputs.
pub(crate) struct JoinedInput<'p> {
    /// Its connection's place among those that are served.
    pub(crate) connection: usize,
    pub(crate) robot: &'p str,
    /// Its task's place in the config.
    pub(crate) task: usize,
    pub(crate) input: &'p InputConfig,
    pub(crate) key: &'p str,
    /// How many f32 values a sample has.
    pub(crate) values: usize,
    /// What its pictures are, if it is a camera.
    pub(crate) image: Option<&'p Spec>,
}

/// Brings a task's inputs into the order of its model's, which are the same.
pub(crate) fn arrange(task: &mut TaskConfig, manifest: &Manifest) -> Result<()> {
    let mut declared = std::mem::take(&mut task.inputs);
    if let (Some((name, _)), Some(client)) = (joined(manifest).next(), task.clients.first()) {
        return Err(miette!(
            help = "a one-off request holds one input only: give clients a task whose model takes no more",
            "task {}: its model joins the input {name:?}, which the client {} cannot send",
            task.name,
            client.name
        ));
    }
    for (name, _) in joined(manifest) {
        let Some(place) = declared.iter().position(|input| input.name == name) else {
            return Err(miette!(
                help =
                    format!("write at the end of the task: [[task.input]], name = {name:?}, max_age_ms = <the oldest>"),
                "task {}: its model joins the input {name:?}, and no [[task.input]] says how old a sample of it may be",
                task.name
            ));
        };
        task.inputs.push(declared.remove(place));
    }
    let Some(extra) = declared.first() else { return Ok(()) };
    let known: Vec<&str> = joined(manifest).map(|(name, _)| name).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Err(miette!(
        help = format!("its model.toml declares with source = \"joined\": {known}"),
        "task {}: its model joins no input {:?}",
        task.name,
        extra.name
    ))
}

/// Where a model's joined inputs lie, in their order.
pub(crate) fn places(manifest: &Manifest) -> Vec<InputPlace> {
    let joins = |input: &&manifest::Input| matches!(input.source, Source::Joined(_) | Source::Image(_));
    manifest.inputs().iter().filter(joins).map(|input| input.place).collect()
}

/// A model's joined inputs, by name, and how many values each has.
pub(crate) fn joined(manifest: &Manifest) -> impl Iterator<Item = (&str, usize)> {
    described(manifest).map(|(name, values, _)| (name, values))
}

/// The same, with what the pictures are where it is a camera's.
fn described(manifest: &Manifest) -> impl Iterator<Item = (&str, usize, Option<&Spec>)> {
    manifest.inputs().iter().filter_map(|input| match &input.source {
        Source::Joined(elements) => Some((input.tensor.name.as_str(), elements.len(), None)),
        Source::Image(spec) => Some((input.tensor.name.as_str(), input.tensor.elements(), Some(spec))),
        Source::Observation(_)
        | Source::Recurrent(_)
        | Source::PreviousAction
        | Source::History { .. }
        | Source::Phase { .. }
        | Source::CommittedPlan
        | Source::CommittedSteps => None,
    })
}

impl Plan {
    /// What joins each connection's observations.
    pub(crate) fn joined(&self) -> impl Iterator<Item = JoinedInput<'_>> {
        let first_of = |task: usize| self.config.tasks[..task].iter().map(|task| task.robots.len()).sum::<usize>();
        self.served().enumerate().flat_map(move |(connection, served)| {
            let task = &self.config.tasks[served.task];
            let robot = connection - first_of(served.task);
            let described = described(&self.manifests[task.model]);
            task.inputs.iter().zip(described).map(move |(input, (_, values, image))| JoinedInput {
                connection,
                robot: &served.robot.name,
                task: served.task,
                input,
                key: &input.keys[robot],
                values,
                image,
            })
        })
    }

    /// The link's inputs: all but cameras.
    pub(crate) fn input_keys(&self) -> Vec<InputKeys> {
        let keys = |one: JoinedInput<'_>| InputKeys {
            samples: one.key.to_owned(),
            max_frame_bytes: Input::OVERHEAD + one.values * size_of::<f32>(),
        };
        self.joined().filter(|one| one.image.is_none()).map(keys).collect()
    }

    /// Which of the engine's inputs each of the link's is.
    pub(crate) fn received(&self) -> Vec<InputId> {
        let all = (0..).map(InputId).zip(self.joined());
        all.filter(|(_, one)| one.image.is_none()).map(|(id, _)| id).collect()
    }

    /// The engine's inputs, of which no sample has come.
    pub(crate) fn engine_inputs(&self) -> Result<Vec<Joined>> {
        let input = |one: JoinedInput<'_>| {
            let JoinedInput { connection, robot, task, input, values, image, .. } = one;
            let address = Address::of_input(robot, &self.config.tasks[task].name, &input.name);
            Ok(Joined::new(JoinedSpec {
                connection: ConnectionId(short(connection)?),
                carries: if image.is_some() { Carries::Pictures } else { Carries::Values { address, values } },
                max_age: input.max_age,
                clock: input.clock,
            }))
        };
        self.joined().map(input).collect()
    }

    /// Room for the newest sample of each.
    pub(crate) fn samples(&self) -> Samples {
        let lengths = |connection: usize| {
            self.joined().filter(|one| one.connection == connection).map(|one| one.values).collect()
        };
        let cameras = self.cameras().into_iter().flat_map(|camera| camera.looks);
        let alike: Vec<_> = cameras.map(|look| look.inputs).collect();
        Samples::new((0..self.served().count()).map(lengths), self.config.workers_and_lanes(), &alike)
    }
}

fn short(connection: usize) -> Result<u16> {
    u16::try_from(connection).into_diagnostic().wrap_err("more than 65535 connections")
}
