//! What a controller sends: one control observation, and as much of it as a refusal echoes.

use crate::layout::Layout;
use crate::{Address, ContractDigest, Epoch, Malformed, NoRoom, Sequence, Stamp};

/// One observation of one controller, as `msg/ObservationV1.msg` lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Observation<'a> {
    /// The robot and task it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The contract that the controller was built for.
    pub contract: ContractDigest,
    /// The epoch that the controller chose at its start.
    pub epoch: Epoch,
    /// Its place in the epoch; strictly increasing.
    pub sequence: Sequence,
    /// The sender's own monotonic clock, echoed by the response.
    pub stamp: Stamp,
    /// The newest response that this controller has seen in this epoch, none before the first.
    pub last_response: Option<Sequence>,
    /// The budget from arrival to answer in microseconds; 0 asks for the task's own deadline.
    pub budget_us: u32,
    /// The input elements, laid out by the task; at most [`Observation::MAX_VALUES`] bytes.
    pub values: &'a [u8],
}

impl<'a> Observation<'a> {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its values.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of values, 16 MiB: the raw bytes of one 4096 × 4096 grey picture.
    pub const MAX_VALUES: usize = 16 << 20;
    /// The bytes of the longest frame.
    pub const MAX_FRAME: usize = Self::OVERHEAD + Self::MAX_VALUES;

    /// Reads one frame, in place.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the
    /// length of its values, its CRC, a sequence of 0.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (mut fields, values) = LAYOUT.open(frame)?;
        Ok(Self {
            address: Address::new(fields.u32()?),
            contract: ContractDigest::new(fields.bytes()?),
            epoch: Epoch::new(fields.u64()?),
            sequence: Sequence::new(fields.u64()?).ok_or(Malformed::Sequence)?,
            stamp: Stamp::new(fields.u64()?),
            last_response: Sequence::new(fields.u64()?),
            budget_us: fields.u32()?,
            values,
        })
    }

    /// Writes the frame to the front of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short or there are more than [`Observation::MAX_VALUES`] bytes of
    /// values; `out` is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, self.values, |fields| {
            fields.u32(self.address.value())?;
            fields.bytes(self.contract.bytes())?;
            fields.u64(self.epoch.value())?;
            fields.u64(self.sequence.value())?;
            fields.u64(self.stamp.value())?;
            fields.u64(self.last_response.map_or(0, Sequence::value))?;
            fields.u32(self.budget_us)
        })
    }
}

/// What a refusal echoes of an observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// The epoch of the observation.
    pub epoch: Epoch,
    /// The sequence of the observation.
    pub sequence: Sequence,
    /// The stamp of the observation.
    pub stamp: Stamp,
}

/// Reads what a refusal echoes, also from a frame that [`Observation::decode`] refuses for the
/// length of its values.
///
/// `None` unless the frame is an observation, no longer than [`Observation::MAX_FRAME`], whose CRC
/// holds and whose sequence is at least 1: a corrupted sequence is never echoed.
#[must_use]
pub fn peek(frame: &[u8]) -> Option<Header> {
    let mut fields = LAYOUT.verified(frame).ok()?;
    let _address = fields.u32().ok()?;
    let _contract: [u8; 16] = fields.bytes().ok()?;
    Some(Header {
        epoch: Epoch::new(fields.u64().ok()?),
        sequence: Sequence::new(fields.u64().ok()?)?,
        stamp: Stamp::new(fields.u64().ok()?),
    })
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/ObservationV1", 60, Observation::MAX_VALUES);
