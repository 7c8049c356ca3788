//! What the box replies where a model gives results and no action: all of them.

use crate::body::Tag;
use crate::infer_reply::RESULT;
use crate::layout::Layout;
use crate::{Address, Boot, Malformed, ModelDigest, NoRoom, Place, Stamp, Status};

/// The results for one one-off request, as `msg/InferResultV1.msg` lays them out. A refusal comes as an
/// [`InferReply`](crate::InferReply).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InferResult<'a> {
    /// The client and task that it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The box's boot.
    pub boot: Boot,
    /// The number of the request.
    pub request: u64,
    /// The stamp of the request.
    pub stamp: Stamp,
    /// The model that ran.
    pub model: ModelDigest,
    /// From the request's arrival to the hand-over to the link, in microseconds; saturates.
    pub age_us: u32,
    /// Marks that change nothing about its meaning.
    pub status: Status,
    /// Where the model ran.
    pub place: Place,
    /// One output after the other as the contract names them, each row-major; at most [`InferResult::MAX_VALUES`] bytes.
    pub values: &'a [u8],
}

impl<'a> InferResult<'a> {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its values.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of values, 16 MiB, as many as a request may have.
    pub const MAX_VALUES: usize = 16 << 20;

    /// Reads one frame, in place.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the
    /// length of its values, its CRC, what a result does not allow.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (mut fields, values) = LAYOUT.open(frame)?;
        let (address, boot) = (Address::new(fields.u32()?), Boot::new(fields.u64()?));
        let (request, stamp) = (fields.u64()?, Stamp::new(fields.u64()?));
        let (model, age_us) = (ModelDigest::new(fields.bytes()?), fields.u32()?);
        let status = Status::from_bits(fields.u32()?);
        let tag = Tag { reason: fields.u16()?, kind: fields.u8()?, place: fields.u8()? };
        if tag.kind != RESULT {
            return Err(Malformed::Kind);
        }
        let place = tag.place_without_reason()?;
        Ok(Self { address, boot, request, stamp, model, age_us, status, place, values })
    }

    /// Writes the frame to the front of `out` and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short or there are more than [`InferResult::MAX_VALUES`] bytes of values; `out` is then
    /// as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, self.values, |fields| {
            fields.u32(self.address.value())?;
            fields.u64(self.boot.value())?;
            fields.u64(self.request)?;
            fields.u64(self.stamp.value())?;
            fields.bytes(self.model.bytes())?;
            fields.u32(self.age_us)?;
            fields.u32(self.status.bits())?;
            let tag = Tag::from_place(RESULT, self.place);
            fields.u16(tag.reason)?;
            fields.u8(tag.kind)?;
            fields.u8(tag.place)
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/InferResultV1", 76, InferResult::MAX_VALUES);
