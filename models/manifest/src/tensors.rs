//! The tensors that a graph takes and gives, and what each is filled from or used for.

use std::time::Duration;

use crate::elements::{Dtype, InputElement, OutputElement};
use crate::image;

/// A tensor that the graph takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Where it stands among the manifest's inputs.
    pub place: InputPlace,
    /// Its name, type and shape in the graph.
    pub tensor: Tensor,
    /// What fills it.
    pub source: Source,
}

/// What fills an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The observation that is answered, `source = "observation"`. A model has exactly one such input. Without an action its
    /// elements may be unnamed; the list is empty then.
    Observation(Vec<InputElement>),
    /// The newest sample of another topic, `source = "joined"`.
    Joined(Vec<InputElement>),
    /// The newest picture of a camera's topic, `source = "joined"` with an `image` table.
    Image(image::Spec),
    /// What this output was in the connection's last inference whose action was sent, `source = "recurrent"`;
    /// zeros at first. The output has the same type and shape.
    Recurrent(OutputPlace),
    /// The last action that was sent, `source = "previous-action"`: as many elements as the action.
    PreviousAction,
    /// The last observations, `source = "history"`: the oldest first, the one that is answered last.
    History {
        /// How many, the one that is answered included; at least 1. The tensor's length is this many observations.
        length: usize,
    },
    /// Sine and cosine of 2π · (time since the state began) / period, `source = "phase"`: two elements.
    Phase {
        /// The time of one turn; more than 0.
        period: Duration,
    },
    /// The plan that is played while the next one is computed, `source = "committed-plan"`: of the type and shape of the
    /// plan, in its elements, row k being what is played k periods after the arrival of the observation. Rows behind the
    /// committed ones hold what that plan still has, and then its last step. Zeros where no plan is played.
    CommittedPlan,
    /// How many rows of the committed plan will be played whatever the model gives there, `source = "committed-steps"`: one
    /// number; 0 where no plan is played.
    CommittedSteps,
}

impl Source {
    /// Whether it belongs to a connection and changes from answer to answer.
    #[must_use]
    pub fn is_state(&self) -> bool {
        match self {
            Self::Observation(_)
            | Self::Joined(_)
            | Self::Image(_)
            // Of the plan that is played, not of what the model computed last.
            | Self::CommittedPlan
            | Self::CommittedSteps => false,
            Self::Recurrent(_) | Self::PreviousAction | Self::History { .. } | Self::Phase { .. } => true,
        }
    }
}

/// A tensor that the graph gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Where it stands among the manifest's outputs.
    pub place: OutputPlace,
    /// Its name, type and shape in the graph.
    pub tensor: Tensor,
    /// What it is used for.
    pub role: Role,
}

/// What an output is used for.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// The action, `role = "action"`. A model has at most one action or plan, and one that serves robots has one.
    Action(Vec<OutputElement>),
    /// Future actions, `role = "plan"`: the elements of each step, and as many steps as the [`Plan`] says. The tensor
    /// holds step after step.
    Plan(Vec<OutputElement>),
    /// State that at least one input is fed from, `role = "state"`. It never leaves the box.
    State,
    /// A result for who asks once, `role = "result"`: held to no range. Its elements are named, or the list is empty.
    Result(Vec<InputElement>),
}

/// A tensor's name, type and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// As in the graph.
    pub name: String,
    /// As in the graph.
    pub dtype: Dtype,
    /// Every dimension fixed: what the graph leaves open is declared here.
    pub shape: Vec<usize>,
}

impl Tensor {
    /// The number of its elements, the product of the shape.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// How a plan's steps lie in time. The first is at the arrival of the observation that the plan was computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many; at least 2.
    pub steps: usize,
    /// How many there are in a second (`rate_hz`); at least 1.
    pub rate_hz: u32,
}

impl Plan {
    /// From the first step to the last.
    #[must_use]
    pub fn horizon(&self) -> Duration {
        Duration::from_secs(1) * u32::try_from(self.steps - 1).expect("validation bounds the steps") / self.rate_hz
    }
}

/// What a model with state needs besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The longest time between two answers by the model that leaves the state as it is; after a longer one it begins
    /// anew (`max_gap_us`).
    pub max_gap: Duration,
}

/// The place of an input; only a manifest that has that input makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputPlace(usize);

impl InputPlace {
    pub(crate) fn new(place: usize) -> Self {
        Self(place)
    }

    /// Counted from 0, less than the number of inputs.
    #[must_use]
    pub fn as_usize(self) -> usize {
        self.0
    }
}

/// The place of an output; only a manifest that has that output makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputPlace(usize);

impl OutputPlace {
    pub(crate) fn new(place: usize) -> Self {
        Self(place)
    }

    /// Counted from 0, less than the number of outputs.
    #[must_use]
    pub fn as_usize(self) -> usize {
        self.0
    }
}
