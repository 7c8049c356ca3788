//! What the box tells outside the order of responses. A notice claims no sequence and holds no action.

use crate::layout::Layout;
use crate::{Address, Boot, Epoch, Malformed, NoRoom, ReasonNumber};

/// A message to one connection that answers no observation, as `msg/NoticeV1.msg` lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Notice {
    /// The robot and task it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The box's boot.
    pub boot: Boot,
    /// The controller's epoch that it is meant for.
    pub epoch: Epoch,
    /// Why it was sent.
    pub reason: ReasonNumber,
    /// What it says.
    pub kind: NoticeKind,
}

/// What a notice says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// The box is about to stop; no response follows in this boot.
    Farewell,
}

impl Notice {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its detail; also all that [`Notice::encode`] writes.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of detail.
    pub const MAX_DETAIL: usize = 1024;
    /// The bytes of the longest frame.
    pub const MAX_FRAME: usize = Self::OVERHEAD + Self::MAX_DETAIL;

    /// Reads one frame. Its detail and reserved byte are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the
    /// length of its detail, its CRC, no reason, an unknown kind.
    pub fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let (mut fields, _detail) = LAYOUT.open(frame)?;
        Ok(Self {
            address: Address::new(fields.u32()?),
            boot: Boot::new(fields.u64()?),
            epoch: Epoch::new(fields.u64()?),
            reason: ReasonNumber::new(fields.u16()?).ok_or(Malformed::Reason)?,
            kind: match fields.u8()? {
                FAREWELL => NoticeKind::Farewell,
                _ => return Err(Malformed::Kind),
            },
        })
    }

    /// Writes the frame, without detail, to the front of `out` and returns its length in bytes,
    /// [`Notice::OVERHEAD`].
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short; it is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, &[], |fields| {
            fields.u32(self.address.value())?;
            fields.u64(self.boot.value())?;
            fields.u64(self.epoch.value())?;
            fields.u16(self.reason.value())?;
            fields.u8(match self.kind {
                NoticeKind::Farewell => FAREWELL,
            })?;
            fields.u8(RESERVED)
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/NoticeV1", 28, Notice::MAX_DETAIL);

const FAREWELL: u8 = 1;
const RESERVED: u8 = 0;
