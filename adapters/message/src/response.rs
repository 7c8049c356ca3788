//! What the box answers: one response to one observation.

use crate::body::Tag;
use crate::layout::Layout;
use crate::{Address, Body, Boot, ContractDigest, Epoch, Malformed, ModelDigest, NoRoom, Sequence, Stamp, Status};

/// The answer to one observation, as `msg/ResponseV1.msg` lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Response<'a> {
    /// The robot and task it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The contract that the box serves.
    pub contract: ContractDigest,
    /// The box's boot.
    pub boot: Boot,
    /// The epoch of the observation.
    pub epoch: Epoch,
    /// The sequence of the observation; none only in a refusal of one that could not be read.
    pub sequence: Option<Sequence>,
    /// The stamp of the observation.
    pub stamp: Stamp,
    /// The model that ran, [`ModelDigest::NONE`] if none did.
    pub model: ModelDigest,
    /// The plan that the values are from, 0 for none.
    pub plan: u64,
    /// The step of that plan.
    pub plan_step: u32,
    /// From the observation's arrival to the hand-over to the link, in microseconds; saturates.
    pub age_us: u32,
    /// In microseconds; saturates: the age at the hand-over of the oldest input that an action was computed from, or that
    /// a fallback found too old; else as `age_us`.
    pub input_age_us: u32,
    /// Marks that change nothing about its meaning.
    pub status: Status,
    /// What it is: action, fallback or refusal.
    pub body: Body<'a>,
}

impl<'a> Response<'a> {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its values.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of values: 384 floats, and a frame that stays under 2 kB.
    pub const MAX_VALUES: usize = 1536;
    /// The bytes of the longest frame.
    pub const MAX_FRAME: usize = Self::OVERHEAD + Self::MAX_VALUES;

    /// Reads one frame, in place.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the
    /// length of its values, its CRC, what its kind does not allow, a sequence of 0 outside a
    /// refusal.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (mut fields, values) = LAYOUT.open(frame)?;
        let response = Self {
            address: Address::new(fields.u32()?),
            contract: ContractDigest::new(fields.bytes()?),
            boot: Boot::new(fields.u64()?),
            epoch: Epoch::new(fields.u64()?),
            sequence: Sequence::new(fields.u64()?),
            stamp: Stamp::new(fields.u64()?),
            model: ModelDigest::new(fields.bytes()?),
            plan: fields.u64()?,
            plan_step: fields.u32()?,
            age_us: fields.u32()?,
            input_age_us: fields.u32()?,
            status: Status::from_bits(fields.u32()?),
            body: Body::parse(Tag { reason: fields.u16()?, kind: fields.u8()?, place: fields.u8()? }, values)?,
        };
        if response.lacks_sequence() {
            return Err(Malformed::Sequence);
        }
        Ok(response)
    }

    /// Writes the frame to the front of `out` and returns its length in bytes, at most
    /// [`Response::MAX_FRAME`].
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short, there are more than [`Response::MAX_VALUES`] bytes of
    /// values, or an action or fallback has no sequence; `out` is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        if self.lacks_sequence() {
            return Err(NoRoom);
        }
        LAYOUT.seal(out, self.body.values(), |fields| {
            fields.u32(self.address.value())?;
            fields.bytes(self.contract.bytes())?;
            fields.u64(self.boot.value())?;
            fields.u64(self.epoch.value())?;
            fields.u64(self.sequence.map_or(0, Sequence::value))?;
            fields.u64(self.stamp.value())?;
            fields.bytes(self.model.bytes())?;
            fields.u64(self.plan)?;
            fields.u32(self.plan_step)?;
            fields.u32(self.age_us)?;
            fields.u32(self.input_age_us)?;
            fields.u32(self.status.bits())?;
            let tag = self.body.tag();
            fields.u16(tag.reason)?;
            fields.u8(tag.kind)?;
            fields.u8(tag.place)
        })
    }

    fn lacks_sequence(&self) -> bool {
        match self.body {
            Body::Action { .. } | Body::Fallback { .. } => self.sequence.is_none(),
            Body::Refusal { .. } => false,
        }
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/ResponseV1", 116, Response::MAX_VALUES);
