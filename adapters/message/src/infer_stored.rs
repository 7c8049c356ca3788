//! What the box replies to a durable request that it has stored.

use crate::layout::Layout;
use crate::{Address, Boot, Malformed, NoRoom, Stamp, Status};

/// The reply to one durable one-off request that is on the box's disk, as `msg/InferStoredV1.msg` lays it out.
///
/// It is no result: that comes on demand. A request that is not stored is refused by an
/// [`InferReply`](crate::InferReply).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InferStored {
    /// The client and task that it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The box's boot.
    pub boot: Boot,
    /// The number of the request, by which its result is asked for.
    pub request: u64,
    /// The stamp of the request.
    pub stamp: Stamp,
    /// Where it stands in the box's spool, for people and logs.
    pub position: u64,
    /// For so long it is delivered if need be, from when it was stored, in milliseconds; saturates.
    pub time_to_live_ms: u32,
    /// Marks that change nothing about its meaning.
    pub status: Status,
}

impl InferStored {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its detail; also all that [`InferStored::encode`] writes.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of detail.
    pub const MAX_DETAIL: usize = 64;
    /// The bytes of the longest frame.
    pub const MAX_FRAME: usize = Self::OVERHEAD + Self::MAX_DETAIL;

    /// Reads one frame. Its detail is passed over.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the length of its detail,
    /// its CRC.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let (mut fields, _detail) = LAYOUT.open(frame)?;
        Ok(Self {
            address: Address::new(fields.u32()?),
            boot: Boot::new(fields.u64()?),
            request: fields.u64()?,
            stamp: Stamp::new(fields.u64()?),
            position: fields.u64()?,
            time_to_live_ms: fields.u32()?,
            status: Status::from_bits(fields.u32()?),
        })
    }

    /// Writes the frame, without detail, to the front of `out` and returns its length in bytes,
    /// [`InferStored::OVERHEAD`].
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short; it is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, &[], |fields| {
            fields.u32(self.address.value())?;
            fields.u64(self.boot.value())?;
            fields.u64(self.request)?;
            fields.u64(self.stamp.value())?;
            fields.u64(self.position)?;
            fields.u32(self.time_to_live_ms)?;
            fields.u32(self.status.bits())
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/InferStoredV1", 48, InferStored::MAX_DETAIL);
