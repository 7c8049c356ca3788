//! What a camera or another sensor sends: one sample of an input that joins a task's observations.

use crate::layout::Layout;
use crate::{Address, ContractDigest, Malformed, NoRoom, Sequence, Source, Stamp};

/// One sample of one joined input, as `msg/InputV1.msg` lays it out. Nobody answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Input<'a> {
    /// The robot, task and input that it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The contract that the sender was built for.
    pub contract: ContractDigest,
    /// What the sender chose at its start.
    pub source: Source,
    /// Its place in the source; strictly increasing.
    pub sequence: Sequence,
    /// When it was taken: nanoseconds since the Unix epoch where the input's clock is declared as synchronised with the
    /// box's, opaque otherwise.
    pub stamp: Stamp,
    /// The elements, laid out by the task's contract; at most [`Input::MAX_VALUES`] bytes.
    pub values: &'a [u8],
}

impl<'a> Input<'a> {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its values.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of values, 16 MiB, as many as an observation may have.
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
            source: Source::new(fields.u64()?),
            sequence: Sequence::new(fields.u64()?).ok_or(Malformed::Sequence)?,
            stamp: Stamp::new(fields.u64()?),
            values,
        })
    }

    /// Writes the frame to the front of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short or there are more than [`Input::MAX_VALUES`] bytes of values; `out` is then as
    /// it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, self.values, |fields| {
            fields.u32(self.address.value())?;
            fields.bytes(self.contract.bytes())?;
            fields.u64(self.source.value())?;
            fields.u64(self.sequence.value())?;
            fields.u64(self.stamp.value())
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/InputV1", 48, Input::MAX_VALUES);
