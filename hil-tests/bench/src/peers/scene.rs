//! The scenes: who asks what, beside what load.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What goes on while the control client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scene {
    /// Nothing; it asks again as soon as it is answered.
    Idle,
    /// Nothing; it asks at 100 Hz, as it does in all that follow.
    Paced,
    /// There is no control client: others ask a model for as much as a worker can do.
    FloodAlone,
    /// As all that follow beside the control client: others ask the same model for as much as a worker can do.
    Flood1x,
    /// For twice as much.
    Flood2x,
    /// For five times as much.
    Flood5x,
    /// Another asks a heavy model, which has a process, thread or worker of its own.
    Neighbour,
}

/// What was measured beforehand, of the bare session where the servers run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Capacity {
    /// Inferences a second of `dense`.
    pub(crate) dense_hz: f64,
    /// Of `resnet`; 0 where it is not asked for.
    pub(crate) resnet_hz: f64,
}

/// A model, and the tasks that it serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) model: &'static str,
    pub(crate) tasks: &'static [&'static str],
    /// Whether it runs on the load's core instead of the servers'.
    pub(crate) beside: bool,
}

/// One client process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) task: &'static str,
    pub(crate) model: &'static str,
    pub(crate) robots: usize,
    pub(crate) links: usize,
    pub(crate) rate_hz: f64,
    pub(crate) deadline_us: u64,
    pub(crate) priority: u64,
}

/// The control client's task.
pub(crate) const CONTROL: &str = "control";
const FLOOD: &str = "flood";
const NEIGHBOUR: &str = "neighbour";
const CONTROL_HZ: f64 = 100.0;
/// One control period.
pub(crate) const CONTROL_DEADLINE_US: u64 = 10_000;
/// At five times the capacity each asks 500 times a second, as a fast robot does.
const FLOODING_ROBOTS: usize = 20;
const FLOOD_DEADLINE_US: u64 = 100_000;
const NEIGHBOUR_DEADLINE_US: u64 = 1_000_000;
/// Of its core's time: busy, but not beyond what it can do.
const NEIGHBOUR_LOAD: f64 = 0.8;

impl Scene {
    pub(crate) const ALL: [Self; 7] =
        [Self::Idle, Self::Paced, Self::FloodAlone, Self::Flood1x, Self::Flood2x, Self::Flood5x, Self::Neighbour];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Paced => "paced",
            Self::FloodAlone => "flood-alone",
            Self::Flood1x => "flood1x",
            Self::Flood2x => "flood2x",
            Self::Flood5x => "flood5x",
            Self::Neighbour => "neighbour",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Idle => "nothing else; asks again as soon as it is answered (policy)",
            Self::Paced => "nothing else; 100 Hz (policy)",
            Self::FloodAlone => "a flood of 1x of the worker's capacity and no control client (dense)",
            Self::Flood1x => "100 Hz beside a flood of 1x of the worker's capacity, the same model (dense)",
            Self::Flood2x => "100 Hz beside a flood of 2x (dense)",
            Self::Flood5x => "100 Hz beside a flood of 5x (dense)",
            Self::Neighbour => "100 Hz (policy) beside resnet at 80 % of a core, on its own worker",
        }
    }

    /// How much of the worker's capacity others ask for.
    pub(crate) fn flood(self) -> Option<f64> {
        match self {
            Self::FloodAlone | Self::Flood1x => Some(1.0),
            Self::Flood2x => Some(2.0),
            Self::Flood5x => Some(5.0),
            Self::Idle | Self::Paced | Self::Neighbour => None,
        }
    }

    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Self::Idle | Self::Paced => &[Part { model: "policy", tasks: &[CONTROL], beside: false }],
            Self::FloodAlone | Self::Flood1x | Self::Flood2x | Self::Flood5x => {
                &[Part { model: "dense", tasks: &[CONTROL, FLOOD], beside: false }]
            }
            Self::Neighbour => &[
                Part { model: "policy", tasks: &[CONTROL], beside: false },
                Part { model: "resnet", tasks: &[NEIGHBOUR], beside: true },
            ],
        }
    }

    /// The control client first, where there is one.
    pub(crate) fn askers(self, capacity: Capacity) -> Vec<Asker> {
        let control = Asker {
            task: CONTROL,
            model: self.parts()[0].model,
            robots: 1,
            links: 1,
            rate_hz: if self == Self::Idle { 0.0 } else { CONTROL_HZ },
            deadline_us: CONTROL_DEADLINE_US,
            priority: 1,
        };
        let flood = self.flood().map(|times| Asker {
            task: FLOOD,
            robots: FLOODING_ROBOTS,
            links: 4,
            rate_hz: times * capacity.dense_hz,
            deadline_us: FLOOD_DEADLINE_US,
            priority: 2,
            ..control
        });
        let neighbour = (self == Self::Neighbour).then_some(Asker {
            task: NEIGHBOUR,
            model: "resnet",
            rate_hz: NEIGHBOUR_LOAD * capacity.resnet_hz,
            deadline_us: NEIGHBOUR_DEADLINE_US,
            ..control
        });
        let control = (self != Self::FloodAlone).then_some(control);
        [control, flood, neighbour].into_iter().flatten().collect()
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
