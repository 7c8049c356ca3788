//! decode: frame -> [`Decoded`], or the reason for a refusal.
//!
//! Whatever an observation can be refused for without knowing what came before it, is found here.

use message::{Address, Header, Malformed, Observation, Sequence};

use crate::{
    fault::{Fault, Injected},
    reason::Reason,
    task::Task,
    time::Duration,
};

/// An observation that is valid for its task.
#[derive(Debug)]
pub(crate) struct Decoded<'f> {
    observation: Observation<'f>,
    budget: Duration,
}

impl Decoded<'_> {
    pub(crate) const fn header(&self) -> Header {
        let Observation { epoch, sequence, stamp, .. } = self.observation;
        Header { epoch, sequence, stamp }
    }

    pub(crate) const fn last_response(&self) -> Option<Sequence> {
        self.observation.last_response
    }

    /// How long after its arrival its answer is due.
    pub(crate) const fn budget(&self) -> Duration {
        self.budget
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = f32> + Clone + '_ {
        message::floats(self.observation.values)
    }
}

/// What a frame is checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'t> {
    pub(crate) task: Task<'t>,
    pub(crate) address: Address,
    pub(crate) margin: Duration,
    pub(crate) draining: bool,
    pub(crate) fault: Injected,
}

/// Decodes and validates a frame.
///
/// # Errors
/// Why it is refused, and what the refusal can echo.
pub(crate) fn decode<'f>(frame: &'f [u8], expected: &Expected<'_>) -> Result<Decoded<'f>, (Reason, Option<Header>)> {
    let observation = Observation::decode(frame).map_err(|malformed| (unreadable(malformed), message::peek(frame)))?;
    let Observation { epoch, sequence, stamp, .. } = observation;
    let refused = |reason| (reason, Some(Header { epoch, sequence, stamp }));
    let budget = validate(&observation, expected).map_err(refused)?;
    Ok(Decoded { observation, budget })
}

/// Checks what a frame says against its task, and returns its budget.
fn validate(observation: &Observation<'_>, expected: &Expected<'_>) -> Result<Duration, Reason> {
    if expected.draining {
        return Err(Reason::Draining);
    }
    if observation.address != expected.address {
        return Err(Reason::Address);
    }
    if observation.contract != expected.task.contract() && !expected.fault.is(Fault::AcceptOtherContract) {
        return Err(Reason::Contract);
    }
    if observation.values.len() != expected.task.inputs().saturating_mul(size_of::<f32>()) {
        return Err(Reason::ValuesLength);
    }
    if !message::floats(observation.values).all(f32::is_finite) && !expected.fault.is(Fault::AcceptNotFinite) {
        return Err(Reason::ObservationNotFinite);
    }
    budget(observation.budget_us, expected)
}

fn budget(budget_us: u32, expected: &Expected<'_>) -> Result<Duration, Reason> {
    let deadline = expected.task.deadline();
    match budget_us {
        0 => Ok(deadline),
        wanted => {
            let wanted = Duration::from_micros(u64::from(wanted));
            if wanted > expected.margin && wanted <= deadline { Ok(wanted) } else { Err(Reason::Budget) }
        }
    }
}

/// Why a frame that cannot be read is refused.
#[must_use]
pub fn unreadable(malformed: Malformed) -> Reason {
    match malformed {
        Malformed::Truncated => Reason::Truncated,
        Malformed::Encapsulation => Reason::Encapsulation,
        // The last four cannot be said of an observation or a request: they have no kind, place or reason.
        Malformed::Type | Malformed::Kind | Malformed::Place | Malformed::Reason | Malformed::RefusalWithValues => {
            Reason::WrongType
        }
        Malformed::Length => Reason::WrongLength,
        Malformed::Crc => Reason::Checksum,
        Malformed::Sequence => Reason::SequenceZero,
    }
}
