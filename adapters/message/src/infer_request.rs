//! What a client sends: one request for one inference, outside any control loop.

use crate::layout::Layout;
use crate::{Address, ContractDigest, Malformed, NoRoom, Stamp};

/// One one-off request of one client, as `msg/InferRequestV1.msg` lays it out.
///
/// It has no epoch and no order: each request is answered for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InferRequest<'a> {
    /// The client and task that it is of, the client in a robot's place; a receiver refuses another's.
    pub address: Address,
    /// The contract that the client was built for.
    pub contract: ContractDigest,
    /// A number that the client chose, echoed by the reply.
    pub request: u64,
    /// The sender's own monotonic clock, echoed by the reply.
    pub stamp: Stamp,
    /// The budget from arrival to reply in microseconds; 0 asks for the task's own deadline.
    pub budget_us: u32,
    /// The input elements, laid out by the task; at most [`InferRequest::MAX_VALUES`] bytes.
    pub values: &'a [u8],
}

impl<'a> InferRequest<'a> {
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
    /// length of its values, its CRC.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (mut fields, values) = LAYOUT.open(frame)?;
        Ok(Self {
            address: Address::new(fields.u32()?),
            contract: ContractDigest::new(fields.bytes()?),
            request: fields.u64()?,
            stamp: Stamp::new(fields.u64()?),
            budget_us: fields.u32()?,
            values,
        })
    }

    /// Writes the frame to the front of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short or there are more than [`InferRequest::MAX_VALUES`] bytes of
    /// values; `out` is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, self.values, |fields| {
            fields.u32(self.address.value())?;
            fields.bytes(self.contract.bytes())?;
            fields.u64(self.request)?;
            fields.u64(self.stamp.value())?;
            fields.u32(self.budget_us)
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/InferRequestV1", 44, InferRequest::MAX_VALUES);
