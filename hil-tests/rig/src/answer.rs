//! What the robot takes from the wire: a response that is meant for it, or why it is none.

use std::time::Duration;

use engine::{Reason, ReasonKind};
use message::{Address, Body, ContractDigest, Epoch, Response, Sequence, floats};
use plants::JOINTS;

use crate::clock::Moment;

/// One response as the robot received it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// When it arrived.
    pub at: Moment,
    /// The epoch it answers.
    pub epoch: Epoch,
    /// The observation it answers; none in a refusal of a frame that could not be read.
    pub sequence: Option<Sequence>,
    /// When the observation was sent, echoed.
    pub sent_at: Moment,
    /// From the observation's arrival at the box to the hand-over to the link, as the box says.
    pub age: Duration,
    /// What it is.
    pub what: What,
}

/// What a response is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    /// The model's torques.
    Model([f32; JOINTS]),
    /// The substitute's torques, and why.
    Fallback(ReasonCode, [f32; JOINTS]),
    /// Nothing, and why.
    Refusal(ReasonCode),
}

impl What {
    /// The torques, if there are any.
    #[must_use]
    pub fn torque(&self) -> Option<&[f32; JOINTS]> {
        match self {
            Self::Model(torque) | Self::Fallback(_, torque) => Some(torque),
            Self::Refusal(_) => None,
        }
    }
}

/// A reason by its number on the wire, which this program need not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonCode(u16);

impl ReasonCode {
    /// The reason with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number, as in `E-214`.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Whether it says that the box answered too late to be allowed to act: a breach.
    #[must_use]
    pub fn is_miss(self) -> bool {
        Reason::from_number(self.0).is_some_and(|reason| match reason.row().kind {
            ReasonKind::Miss => true,
            ReasonKind::Refusal
            | ReasonKind::Fallback
            | ReasonKind::Alarm
            | ReasonKind::Notice
            | ReasonKind::HandOff => false,
        })
    }

    /// What happened, in words.
    #[must_use]
    pub fn what(self) -> &'static str {
        Reason::from_number(self.0).map_or("A reason that this program does not know.", |reason| reason.row().what)
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Reason::from_number(self.0) {
            Some(reason) => reason.fmt(f),
            None => write!(f, "E-{}", self.0),
        }
    }
}

/// Why a frame is no answer to this robot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// No response, or one with another number of torques.
    Malformed,
    /// Meant for another robot, task or contract.
    Stray,
}

/// Reads a frame that arrived at this moment.
///
/// # Errors
/// [`Unread`] if it is no answer to this robot.
pub(crate) fn read(frame: &[u8], at: Moment, address: Address, contract: ContractDigest) -> Result<Answer, Unread> {
    let response = Response::decode(frame).map_err(|_| Unread::Malformed)?;
    if (response.address, response.contract) != (address, contract) {
        return Err(Unread::Stray);
    }
    let what = match response.body {
        Body::Action { values, .. } => What::Model(torque(values)?),
        Body::Fallback { reason, values } => What::Fallback(ReasonCode(reason.value()), torque(values)?),
        Body::Refusal { reason } => What::Refusal(ReasonCode(reason.value())),
    };
    Ok(Answer {
        at,
        epoch: response.epoch,
        sequence: response.sequence,
        sent_at: Moment::from_nanos(response.stamp.value()),
        age: Duration::from_micros(u64::from(response.age_us)),
        what,
    })
}

fn torque(values: &[u8]) -> Result<[f32; JOINTS], Unread> {
    let mut torque = [0.0; JOINTS];
    let floats = floats(values);
    if floats.len() != JOINTS || values.len() != size_of_val(&torque) {
        return Err(Unread::Malformed);
    }
    for (joint, value) in torque.iter_mut().zip(floats) {
        *joint = value;
    }
    Ok(torque)
}

#[cfg(test)]
mod tests {
    use message::{Boot, ModelDigest, Place, Stamp, Status};

    use super::*;

    fn frame(address: Address, values: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; Response::MAX_FRAME];
        let response = Response {
            address,
            contract: ContractDigest::new([1; 16]),
            boot: Boot::new(1),
            epoch: Epoch::new(2),
            sequence: Sequence::new(3),
            stamp: Stamp::new(1000),
            model: ModelDigest::NONE,
            plan: 0,
            plan_step: 0,
            age_us: 250,
            input_age_us: 250,
            status: Status::NONE,
            body: Body::Action { place: Place::Box, values },
        };
        let length = response.encode(&mut frame).expect("there is room");
        frame.truncate(length);
        frame
    }

    #[test]
    fn only_what_is_meant_for_this_robot_is_an_answer() {
        let (ours, contract) = (Address::of("ur5e", "track"), ContractDigest::new([1; 16]));
        let at = Moment::from_nanos(5000);
        let answer = read(&frame(ours, &[0; 24]), at, ours, contract).expect("it is ours");
        assert_eq!(answer.what, What::Model([0.0; 6]));
        assert_eq!(answer.at.since(answer.sent_at), Duration::from_micros(4));
        assert_eq!(answer.age, Duration::from_micros(250));

        let other = Address::of("ur5e", "pick");
        assert_eq!(read(&frame(other, &[0; 24]), at, ours, contract), Err(Unread::Stray));
        assert_eq!(read(&frame(ours, &[0; 24]), at, ours, ContractDigest::new([2; 16])), Err(Unread::Stray));
        for length in [0, 20, 25, 28] {
            assert_eq!(read(&frame(ours, &vec![0; length]), at, ours, contract), Err(Unread::Malformed));
        }
        assert_eq!(read(b"nothing", at, ours, contract), Err(Unread::Malformed));
    }

    #[test]
    fn only_the_box_own_lateness_is_a_miss() {
        let misses = (0..=u16::MAX).filter(|number| ReasonCode(*number).is_miss());
        assert_eq!(misses.collect::<Vec<_>>(), [401, 402, 403]);
        assert_eq!(ReasonCode(301).to_string(), "E-301 late");
        assert_eq!(ReasonCode(999).to_string(), "E-999");
    }
}
