//! What a controller demands: that what the model remembers of its connection begins anew.

use crate::layout::Layout;
use crate::{Address, ContractDigest, Epoch, Malformed, NoRoom, Sequence};

/// A demand of one controller, as `msg/ResetV1.msg` lays it out.
///
/// Nobody answers it: the first action that was computed from fresh state carries
/// [`Status::STATE_RESET`](crate::Status::STATE_RESET).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reset {
    /// The robot and task it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The contract that the controller was built for.
    pub contract: ContractDigest,
    /// The controller's epoch; a receiver refuses another than the current one.
    pub epoch: Epoch,
    /// The first observation with this sequence or a later one begins anew.
    pub from_sequence: Sequence,
}

impl Reset {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its detail; also all that [`Reset::encode`] writes.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of detail.
    pub const MAX_DETAIL: usize = 64;
    /// The bytes of the longest frame.
    pub const MAX_FRAME: usize = Self::OVERHEAD + Self::MAX_DETAIL;

    /// Reads one frame. Its detail is passed over.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the
    /// length of its detail, its CRC, a sequence of 0.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let (mut fields, _detail) = LAYOUT.open(frame)?;
        Ok(Self {
            address: Address::new(fields.u32()?),
            contract: ContractDigest::new(fields.bytes()?),
            epoch: Epoch::new(fields.u64()?),
            from_sequence: Sequence::new(fields.u64()?).ok_or(Malformed::Sequence)?,
        })
    }

    /// Writes the frame, without detail, to the front of `out` and returns its length in bytes,
    /// [`Reset::OVERHEAD`].
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short; it is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, &[], |fields| {
            fields.u32(self.address.value())?;
            fields.bytes(self.contract.bytes())?;
            fields.u64(self.epoch.value())?;
            fields.u64(self.from_sequence.value())
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/ResetV1", 40, Reset::MAX_DETAIL);
