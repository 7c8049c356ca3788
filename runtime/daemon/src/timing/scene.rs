//! The scenes of a measurement: what else happens while an inference is timed.

use std::{fmt, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Serialize};

/// One scene.
///
/// Except in `Session`, a time runs from the engine's thread handing an inference to its worker until it has the
/// result back, as in `genba run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scene {
    /// The first inferences after the load, one after the other.
    Cold {},
    /// The other workers idle; each inference this long after the last one.
    Alone { pause_us: u32 },
    /// The other workers busy all the time.
    Beside { pause_us: u32 },
    /// So many observations at once, back to back; the other workers idle, or busy all the time.
    Batch { size: NonZeroUsize, beside: bool },
    /// The bare session on a thread like the worker's, without a hand-over.
    Session {},
}

impl Scene {
    /// The pause before each inference of one observation, where its time counts for an execution time.
    pub(crate) fn warm_pause(self) -> Option<Duration> {
        match self {
            Self::Cold {} | Self::Batch { .. } | Self::Session {} => None,
            Self::Alone { pause_us } | Self::Beside { pause_us } => Some(Duration::from_micros(pause_us.into())),
        }
    }

    /// How many observations each inference answers.
    pub(crate) fn members(self) -> usize {
        match self {
            Self::Batch { size, .. } => size.get(),
            Self::Cold {} | Self::Alone { .. } | Self::Beside { .. } | Self::Session {} => 1,
        }
    }

    /// Whether the other workers are busy.
    pub(crate) fn is_beside(self) -> bool {
        match self {
            Self::Beside { .. } | Self::Batch { beside: true, .. } => true,
            Self::Cold {} | Self::Alone { .. } | Self::Batch { beside: false, .. } | Self::Session {} => false,
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pause = |pause_us: u32| match pause_us {
            0 => "back to back".to_owned(),
            pause_us if pause_us % 1_000 == 0 => format!("{} ms after the last", pause_us / 1_000),
            pause_us => format!("{pause_us} us after the last"),
        };
        match self {
            Self::Cold {} => formatter.write_str("cold: the first after the load"),
            Self::Alone { pause_us } => write!(formatter, "alone, {}", pause(*pause_us)),
            Self::Beside { pause_us } => write!(formatter, "beside busy workers, {}", pause(*pause_us)),
            Self::Batch { size, beside: false } => write!(formatter, "alone, back to back, {size} at once"),
            Self::Batch { size, beside: true } => {
                write!(formatter, "beside busy workers, back to back, {size} at once")
            }
            Self::Session {} => formatter.write_str("the bare session"),
        }
    }
}
