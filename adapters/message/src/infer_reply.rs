//! What the box replies: a result or a refusal for one one-off request.

use crate::body::Tag;
use crate::layout::Layout;
use crate::{Address, Boot, Malformed, ModelDigest, NoRoom, Place, ReasonNumber, Stamp, Status};

/// The reply to one one-off request, as `msg/InferReplyV1.msg` lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InferReply<'a> {
    /// The client and task that it is meant for; a receiver refuses another's.
    pub address: Address,
    /// The box's boot.
    pub boot: Boot,
    /// The number of the request; 0 in a refusal of one that could not be read.
    pub request: u64,
    /// The stamp of the request.
    pub stamp: Stamp,
    /// The model that ran, [`ModelDigest::NONE`] if none did.
    pub model: ModelDigest,
    /// From the request's arrival to the hand-over to the link, in microseconds; saturates.
    pub age_us: u32,
    /// Marks that change nothing about its meaning.
    pub status: Status,
    /// What it is: result or refusal.
    pub body: InferBody<'a>,
}

/// What a reply is.
///
/// A refusal has nowhere to put values, so it cannot carry a result:
///
/// ```
/// # use message::{InferBody, ReasonNumber};
/// # let reason = ReasonNumber::new(214).unwrap();
/// let refusal = InferBody::Refusal { reason };
/// assert_eq!(refusal.values(), []);
/// ```
/// ```compile_fail,E0559
/// # use message::{InferBody, ReasonNumber};
/// # let reason = ReasonNumber::new(214).unwrap();
/// let refusal = InferBody::Refusal { reason, values: &[] };
/// # assert_eq!(refusal.values(), []);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InferBody<'a> {
    /// The model's output. It is no action: nobody checked how fast it changes.
    Result {
        /// Where the model ran.
        place: Place,
        /// The output elements, laid out by the task.
        values: &'a [u8],
    },
    /// No output at all.
    Refusal {
        /// Why the request was refused.
        reason: ReasonNumber,
    },
}

impl<'a> InferBody<'a> {
    /// The output elements; none in a refusal.
    #[must_use]
    pub const fn values(&self) -> &'a [u8] {
        match *self {
            Self::Result { values, .. } => values,
            Self::Refusal { .. } => &[],
        }
    }

    fn parse(tag: Tag, values: &'a [u8]) -> Result<Self, Malformed> {
        match tag.kind {
            RESULT => Ok(Self::Result { place: tag.place_without_reason()?, values }),
            REFUSAL if values.is_empty() => Ok(Self::Refusal { reason: tag.reason_from_nowhere()? }),
            REFUSAL => Err(Malformed::RefusalWithValues),
            _ => Err(Malformed::Kind),
        }
    }

    const fn tag(&self) -> Tag {
        match *self {
            Self::Result { place, .. } => Tag::from_place(RESULT, place),
            Self::Refusal { reason } => Tag::from_nowhere(REFUSAL, reason),
        }
    }
}

impl<'a> InferReply<'a> {
    /// The number of this type on the wire, the CRC-32C of its full name.
    pub const TYPE_ID: u32 = LAYOUT.type_id();
    /// The bytes of a frame before its values.
    pub const OVERHEAD: usize = LAYOUT.overhead();
    /// The most bytes of values: 384 floats, as many as a response may have.
    pub const MAX_VALUES: usize = 1536;
    /// The bytes of the longest frame.
    pub const MAX_FRAME: usize = Self::OVERHEAD + Self::MAX_VALUES;

    /// Reads one frame, in place.
    ///
    /// # Errors
    /// The first thing that is wrong with it, in this order: its length, encapsulation, type, the
    /// length of its values, its CRC, what its kind does not allow.
    pub fn decode(frame: &'a [u8]) -> Result<Self, Malformed> {
        let (mut fields, values) = LAYOUT.open(frame)?;
        Ok(Self {
            address: Address::new(fields.u32()?),
            boot: Boot::new(fields.u64()?),
            request: fields.u64()?,
            stamp: Stamp::new(fields.u64()?),
            model: ModelDigest::new(fields.bytes()?),
            age_us: fields.u32()?,
            status: Status::from_bits(fields.u32()?),
            body: InferBody::parse(Tag { reason: fields.u16()?, kind: fields.u8()?, place: fields.u8()? }, values)?,
        })
    }

    /// Writes the frame to the front of `out` and returns its length in bytes, at most
    /// [`InferReply::MAX_FRAME`].
    ///
    /// # Errors
    /// [`NoRoom`] if `out` is too short or there are more than [`InferReply::MAX_VALUES`] bytes of
    /// values; `out` is then as it was.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        LAYOUT.seal(out, self.body.values(), |fields| {
            fields.u32(self.address.value())?;
            fields.u64(self.boot.value())?;
            fields.u64(self.request)?;
            fields.u64(self.stamp.value())?;
            fields.bytes(self.model.bytes())?;
            fields.u32(self.age_us)?;
            fields.u32(self.status.bits())?;
            let tag = self.body.tag();
            fields.u16(tag.reason)?;
            fields.u8(tag.kind)?;
            fields.u8(tag.place)
        })
    }
}

const LAYOUT: Layout = Layout::new("genba_msgs/msg/InferReplyV1", 76, InferReply::MAX_VALUES);

pub(crate) const RESULT: u8 = 1;
const REFUSAL: u8 = 2;
