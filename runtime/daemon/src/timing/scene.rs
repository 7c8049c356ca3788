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
    /// The bare session on a thread like the worker's, without a hand-over, so many observations at once.
    Session { batch: NonZeroUsize },
}

impl Scene {
    /// The pause before each inference, where its time counts for an execution time.
    pub(crate) fn warm_pause(self) -> Option<Duration> {
        match self {
            Self::Cold {} | Self::Session { .. } => None,
            Self::Alone { pause_us } | Self::Beside { pause_us } => Some(Duration::from_micros(pause_us.into())),
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
            Self::Session { batch } => write!(formatter, "the bare session, batch {batch}"),
        }
    }
}
