//! The memory of what models remember: each connection's state, and what an inference begins with besides what was sent.
//!
//! The engine decides when a state counts and when it advances. A start copies what the connection has into the slot,
//! which travels to the worker; what the worker computed lies beside the action, and is copied back when the engine says
//! that this action left. A model that continues plans remembers nothing: what the engine lends of the plan that is played
//! goes the same way there, and none back. All copies are bounded by the model and allocate nothing.
//!
//! It must never decide.

use std::ops::Range;

use engine::{Committed, ConnectionId, Element, Engine, Memory, ModelId, WorkerId};
use manifest::{InputPlace, Manifest, OutputPlace, Source};

use crate::{
    plan::{Plan, engine_element},
    worker::{Member, Slot},
};

/// Every connection's state.
pub(crate) struct States {
    /// By model.
    layouts: Vec<Layout>,
    /// By connection.
    kept: Vec<Box<[f32]>>,
}

/// How one model's state lies in a slot: first what an inference is given for each input, then what is kept of it.
#[derive(Debug)]
pub(crate) struct Layout {
    parts: Vec<Part>,
    /// From which an action is measured before one was sent.
    elements: Vec<Element>,
    given: usize,
    kept: usize,
}

/// One input that the box fills.
#[derive(Debug)]
struct Part {
    input: InputPlace,
    fill: Fill,
    /// Where its values lie in [`Slot::state`].
    given: Range<usize>,
    /// Where its values lie in [`Slot::next`] and in the connection's state; empty where the engine knows them.
    kept: Range<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Fill {
    Recurrent(OutputPlace),
    PreviousAction,
    History,
    /// The time of one turn in seconds.
    Phase(f64),
    CommittedPlan,
    CommittedSteps,
}

/// What an inference begins with; by default what one has that no connection's answer is.
#[derive(Debug, Clone, Copy, Default)]
struct Given<'g> {
    /// The connection's state; `None`: it is fresh.
    kept: Option<&'g [f32]>,
    previous_action: &'g [f32],
    since_fresh: std::time::Duration,
    /// Of the plan that is played; `None`: none is.
    committed: Option<Committed<'g>>,
}

impl States {
    /// Nothing was sent.
    pub(crate) fn new(plan: &Plan) -> Self {
        let layouts = plan.layouts();
        Self { kept: plan.states(&layouts), layouts }
    }

    /// Gives each member what its inference begins with, as the engine decided with this start.
    pub(crate) fn begin(&self, engine: &Engine<'_>, (worker, model): (WorkerId, ModelId), members: &mut [Member]) {
        let layout = &self.layouts[usize::from(model.0)];
        if layout.parts.is_empty() {
            return;
        }
        if engine.client_on(worker).is_some() {
            return members.iter_mut().for_each(|member| layout.begin_fresh(&mut member.memory));
        }
        if engine.plan_on(worker).is_some() {
            let given = Given { committed: engine.committed_on(worker), ..Given::default() };
            return members.iter_mut().for_each(|member| layout.begin(&mut member.memory, given));
        }
        for (member, memory) in members.iter_mut().zip(engine.memories(worker)) {
            let Memory { connection, fresh, since_fresh, previous_action } = memory;
            let kept = (!fresh).then(|| &*self.kept[usize::from(connection.0)]);
            let given = Given { kept, previous_action, since_fresh: since_fresh.into(), committed: None };
            layout.begin(&mut member.memory, given);
        }
    }

    /// What was computed in this slot is the connection's state from now on.
    pub(crate) fn advance(&mut self, connection: ConnectionId, slot: &Slot) {
        self.kept[usize::from(connection.0)].copy_from_slice(&slot.next);
    }
}

impl Layout {
    /// That of a model; of one without state it is empty.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let observation = manifest.observation_values();
        let (mut parts, mut given, mut kept) = (Vec::new(), 0, 0);
        for input in manifest.inputs() {
            let length = input.tensor.elements();
            let (fill, keeps) = match &input.source {
                Source::Observation(_) | Source::Joined(_) | Source::Image(_) => continue,
                Source::Recurrent(output) => (Fill::Recurrent(*output), length),
                Source::PreviousAction => (Fill::PreviousAction, 0),
                Source::History { .. } => (Fill::History, length - observation),
                Source::Phase { period } => (Fill::Phase(period.as_secs_f64()), 0),
                Source::CommittedPlan => (Fill::CommittedPlan, 0),
                Source::CommittedSteps => (Fill::CommittedSteps, 0),
            };
            parts.push(Part { input: input.place, fill, given: given..given + length, kept: kept..kept + keeps });
            (given, kept) = (given + length, kept + keeps);
        }
        let elements = manifest.output_elements().iter().map(engine_element).collect();
        Self { parts, elements, given, kept }
    }

    /// How many values an inference is given.
    pub(crate) fn given(&self) -> usize {
        self.given
    }

    /// How many values are kept from one inference to the next.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// Memory for what is kept.
    pub(crate) fn nothing(&self) -> Box<[f32]> {
        vec![0.0; self.kept].into_boxed_slice()
    }

    /// Fresh state, of an inference that no connection's answer is.
    pub(crate) fn begin_fresh(&self, slot: &mut Slot) {
        let start: heapless::Vec<f32, { engine::MAX_ACTION }> =
            self.elements.iter().map(|element| element.starts_at(slot.input.iter().copied())).collect();
        self.begin(slot, Given { previous_action: &start, ..Given::default() });
    }

    fn begin(&self, slot: &mut Slot, given: Given<'_>) {
        let Given { kept, previous_action, since_fresh, committed } = given;
        let Slot { input, state, .. } = slot;
        state.clear();
        for part in &self.parts {
            let kept = kept.map(|kept| &kept[part.kept.clone()]);
            match (part.fill, kept) {
                (Fill::Recurrent(_), Some(kept)) => state.extend_from_slice(kept),
                (Fill::Recurrent(_), None) => state.resize(part.given.end, 0.0),
                (Fill::PreviousAction, _) => state.extend_from_slice(previous_action),
                (Fill::History, Some(kept)) => {
                    state.extend_from_slice(kept);
                    state.extend_from_slice(input);
                }
                (Fill::History, None) => state.extend(input.iter().cycle().take(part.given.len())),
                (Fill::Phase(period), _) => state.extend(phase(since_fresh.as_secs_f64() / period)),
                (Fill::CommittedPlan, _) => match committed {
                    Some(Committed { rows, .. }) => state.extend_from_slice(rows),
                    None => state.resize(part.given.end, 0.0),
                },
                (Fill::CommittedSteps, _) => state.push(committed.map_or(0.0, |committed| committed.steps.into())),
            }
            assert_eq!(state.len(), part.given.end, "the manifest's check allows no other length");
        }
    }

    /// Hands out what each input is given.
    pub(crate) fn give(&self, slot: &Slot, mut input: impl FnMut(InputPlace, &[f32])) {
        for part in &self.parts {
            input(part.input, &slot.state[part.given.clone()]);
        }
    }

    /// Takes what is kept of what was computed; `output` lends the model's outputs.
    pub(crate) fn take<'o>(&self, slot: &mut Slot, mut output: impl FnMut(OutputPlace) -> &'o [f32]) {
        let Slot { state, next, .. } = slot;
        next.clear();
        for part in &self.parts {
            match part.fill {
                Fill::Recurrent(place) => next.extend_from_slice(output(place)),
                // All but the oldest.
                Fill::History => next.extend_from_slice(&state[part.given.end - part.kept.len()..part.given.end]),
                Fill::PreviousAction | Fill::Phase(_) | Fill::CommittedPlan | Fill::CommittedSteps => {}
            }
        }
    }
}

/// Sine and cosine after so many turns.
#[allow(clippy::cast_possible_truncation, reason = "a sine as precise as the tensor")]
fn phase(turns: f64) -> [f32; 2] {
    let (sine, cosine) = (turns.fract() * std::f64::consts::TAU).sin_cos();
    [sine as f32, cosine as f32]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::worker::SlotLengths;

    /// 21 inputs, 6 outputs; two sums, the action before, the last three observations, the phase.
    fn layout() -> Layout {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../hil-tests/tests/models/remember"));
        Layout::of(&Manifest::load(folder).expect("it is in the tree"))
    }

    fn slot(layout: &Layout, observation: f32) -> Slot {
        let lengths = SlotLengths { observation: 21, given: 6, state: layout.given(), next: layout.kept() };
        let mut slot = Slot::with_room(lengths);
        slot.store([observation; 21].into_iter());
        slot
    }

    /// What each input is given, its repetitions left out.
    fn given(layout: &Layout, slot: &Slot) -> Vec<Vec<f32>> {
        let mut all = Vec::new();
        layout.give(slot, |_, values| {
            let mut values = values.to_vec();
            values.dedup_by(|one, other| one.to_bits() == other.to_bits());
            all.push(values);
        });
        all
    }

    fn minute(minutes: u64) -> std::time::Duration {
        std::time::Duration::from_mins(minutes)
    }

    #[test]
    fn fresh_state_is_zeros_the_start_the_first_observation_again_and_no_phase() {
        let layout = layout();
        let mut slot = slot(&layout, 3.0);
        layout.begin_fresh(&mut slot);
        assert_eq!(given(&layout, &slot), [vec![0.0], vec![7.0, 0.0], vec![3.0], vec![0.0, 1.0]]);
    }

    #[test]
    fn what_was_computed_and_the_newest_observations_are_kept() {
        let layout = layout();
        let mut kept = layout.nothing();
        for (number, place) in [(3.0, 0), (4.0, 1), (5.0, 2)] {
            let mut slot = slot(&layout, number);
            let before = (place > 0).then_some(&*kept);
            layout.begin(&mut slot, Given { kept: before, previous_action: &[number; 6], ..Given::default() });
            layout.take(&mut slot, |_| &[10.0, 20.0]);
            kept.copy_from_slice(&slot.next);
        }
        let mut slot = slot(&layout, 6.0);
        let kept = Some(&*kept);
        layout.begin(&mut slot, Given { kept, previous_action: &[1.5; 6], since_fresh: minute(5), committed: None });
        let phase = given(&layout, &slot).pop().expect("the phase is last");
        assert_eq!(given(&layout, &slot)[..3], [vec![10.0, 20.0], vec![1.5], vec![4.0, 5.0, 6.0]]);
        assert!(phase[0].abs() < 1e-6 && (phase[1] + 1.0).abs() < 1e-6, "half a turn of ten minutes: {phase:?}");
    }

    #[test]
    fn what_fails_begins_once_more_from_the_same() {
        let layout = layout();
        let mut slot = slot(&layout, 3.0);
        let kept = vec![2.0; layout.kept()];
        let kept = Some(&*kept);
        layout.begin(&mut slot, Given { kept, previous_action: &[0.0; 6], since_fresh: minute(1), committed: None });
        let before = given(&layout, &slot);
        layout.take(&mut slot, |_| &[10.0, 20.0]);
        assert_eq!(given(&layout, &slot), before);
    }

    #[test]
    fn a_planner_is_told_what_is_committed_and_zeros_where_nothing_is() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../hil-tests/tests/models/continue"));
        let layout = Layout::of(&Manifest::load(folder).expect("it is in the tree"));
        let mut slot = slot(&layout, 1.0);
        let rows: Vec<_> = (0_u16..300).map(f32::from).collect();
        let committed = Some(Committed { rows: &rows, steps: 7 });
        layout.begin(&mut slot, Given { committed, ..Given::default() });
        assert_eq!(given(&layout, &slot), [rows.clone(), vec![7.0]]);
        layout.begin_fresh(&mut slot);
        assert_eq!(given(&layout, &slot), [[0.0], [0.0]]);
        assert_eq!((layout.given(), layout.kept()), (301, 0));
    }

    #[test]
    fn memory_is_as_large_as_the_model_declares_and_never_grows() {
        let layout = layout();
        assert_eq!((layout.given(), layout.kept()), (2 + 6 + 63 + 2, 2 + 42));
        let mut slot = slot(&layout, 1.0);
        let places = |slot: &Slot| (slot.state.as_ptr(), slot.next.as_ptr());
        let before = places(&slot);
        for _ in 0..3 {
            layout.begin_fresh(&mut slot);
            layout.take(&mut slot, |_| &[1.0, 2.0]);
        }
        assert_eq!(places(&slot), before);
    }
}
