//! How long one iteration of the demo model's hang takes on this box.
//!
//! Asked through the box, before the physics starts: there, on that thread, in that class.

use std::time::Duration;

use message::{Epoch, Sequence};
use plants::OBSERVATION_ELEMENTS;
use thiserror::Error;

use crate::answer::{Answer, What};
use crate::clock::Moment;
use crate::link::{Inbox, LinkError, Outbox};

/// The hang's measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// The model's time for one iteration.
    pub iteration: Duration,
    /// Observations that the calibration sent.
    pub observations: u64,
}

impl Calibration {
    /// How many iterations take this long.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the element is a 32-bit float; a hang needs no more digits")]
    pub fn iterations(&self, hang: Duration) -> f32 {
        (hang.as_secs_f64() / self.iteration.as_secs_f64()).round() as f32
    }
}

/// Why nothing was measured.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// The box does not answer.
    #[error("no answer to the observation {sequence} within {} s", ANSWER.as_secs())]
    Silence {
        /// Its sequence.
        sequence: u64,
    },
    /// The box refuses.
    #[error("the box refuses: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The model is never slow, or never in time.
    #[error("the model's time does not follow `hang_iterations`: {what}")]
    Unsteady {
        /// What was seen.
        what: String,
    },
    /// The link failed.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// Measures with observations of the arm at its start, in an epoch of its own.
///
/// # Errors
/// [`CalibrationError`] where the box does not answer, refuses, or its times make no sense.
pub fn calibrate(
    outbox: &mut Outbox,
    inbox: &mut Inbox,
    epoch: Epoch,
    elements: &[f32; OBSERVATION_ELEMENTS],
) -> Result<Calibration, CalibrationError> {
    let mut asking = Asking { outbox, inbox, epoch, elements, sequence: 0, newest: None };
    for _ in 0..WARM_UP {
        asking.ask(0.0)?;
    }
    let idle = asking.usual(0.0)?.unwrap_or_default();
    let mut iterations = 16_u16;
    loop {
        let Some(age) = asking.usual(f32::from(iterations))? else {
            let what = format!("{iterations} iterations are too late, and half as many too short to be measured");
            return Err(CalibrationError::Unsteady { what });
        };
        let slower = age.saturating_sub(idle);
        if slower >= ENOUGH {
            return Ok(Calibration { iteration: slower / u32::from(iterations), observations: asking.sequence });
        }
        let more = iterations.checked_mul(2);
        iterations = more.ok_or_else(|| {
            let what = format!("{iterations} iterations take no time");
            CalibrationError::Unsteady { what }
        })?;
    }
}

/// Measures once more over whole hangs of this length: a machine is slower or faster in the long run than over two
/// milliseconds.
///
/// # Errors
/// As [`calibrate`].
pub fn calibrate_for(
    hang: Duration,
    outbox: &mut Outbox,
    inbox: &mut Inbox,
    epoch: Epoch,
    elements: &[f32; OBSERVATION_ELEMENTS],
    short: Calibration,
) -> Result<Calibration, CalibrationError> {
    let iterations = short.iterations(hang);
    let mut asking = Asking { outbox, inbox, epoch, elements, sequence: 0, newest: None };
    let mut took = Vec::new();
    for _ in 0..HANGS {
        took.push(asking.hang(iterations)?);
    }
    took.sort_unstable();
    let iteration = took[HANGS / 2].div_f32(iterations);
    Ok(Calibration { iteration, observations: short.observations + asking.sequence })
}

/// An answer that takes this long more is long enough to be measured, and far from the deadline.
const ENOUGH: Duration = Duration::from_millis(2);

/// How long the box may take for any answer at all.
const ANSWER: Duration = Duration::from_secs(2);

const WARM_UP: u32 = 100;
const SAMPLES: u32 = 9;

const HANGS: usize = 3;

/// A model that is not back after this long is not coming back.
const BACK: Duration = Duration::from_mins(1);

/// Between two observations.
const PAUSE: Duration = Duration::from_millis(2);

struct Asking<'a> {
    outbox: &'a mut Outbox,
    inbox: &'a mut Inbox,
    epoch: Epoch,
    elements: &'a [f32; OBSERVATION_ELEMENTS],
    sequence: u64,
    newest: Option<Sequence>,
}

impl Asking<'_> {
    /// The median of a few answers of the model; none if it was too late for one of them.
    fn usual(&mut self, iterations: f32) -> Result<Option<Duration>, CalibrationError> {
        let mut ages = Vec::new();
        for _ in 0..SAMPLES {
            let answer = self.ask(iterations)?;
            match answer.what {
                What::Model(_) => ages.push(answer.age),
                What::Fallback(..) | What::Refusal(_) => return Ok(None),
            }
        }
        ages.sort_unstable();
        Ok(ages.get(ages.len() / 2).copied())
    }

    /// How long the model was away.
    fn hang(&mut self, iterations: f32) -> Result<Duration, CalibrationError> {
        let began = Moment::now();
        let mut answer = self.ask(iterations)?;
        loop {
            match answer.what {
                What::Model(_) => return Ok(answer.at.since(began)),
                What::Fallback(..) | What::Refusal(_) => {}
            }
            if Moment::now().since(began) > BACK {
                let what = format!("the model is not back after {} s", BACK.as_secs());
                return Err(CalibrationError::Unsteady { what });
            }
            answer = self.ask(0.0)?;
        }
    }

    fn ask(&mut self, iterations: f32) -> Result<Answer, CalibrationError> {
        std::thread::sleep(PAUSE);
        self.sequence += 1;
        let sequence = Sequence::new(self.sequence).expect("it counts from 1");
        self.outbox.send(self.epoch, sequence, self.newest, self.elements, iterations)?;
        while let Some(arrival) = self.inbox.wait(ANSWER) {
            let Ok(answer) = arrival else { continue };
            if (answer.epoch, answer.sequence) != (self.epoch, Some(sequence)) {
                continue;
            }
            if let What::Refusal(reason) = answer.what
                && !reason.is_miss()
            {
                return Err(CalibrationError::Refused { reason: format!("{reason}: {}", reason.what()) });
            }
            self.newest = Some(sequence);
            return Ok(answer);
        }
        Err(CalibrationError::Silence { sequence: self.sequence })
    }
}
