//! Why a frame cannot be read or written.

use core::error::Error;
use core::fmt;

/// Why a frame is no message of the expected type. The first fault found is the one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Shorter than the fixed-size fields.
    Truncated,
    /// Not CDR little-endian.
    Encapsulation,
    /// Another type of message.
    Type,
    /// The values are longer than their bound, or their length is not the rest of the frame.
    Length,
    /// The CRC does not match the bytes.
    Crc,
    /// A sequence of 0 where one is required.
    Sequence,
    /// A kind that the type does not have.
    Kind,
    /// A place that its kind cannot have: an action from nowhere, or anything else from somewhere.
    Place,
    /// A reason where none may be, or none where one is required.
    Reason,
    /// A refusal that carries values.
    RefusalWithValues,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the frame is shorter than its fixed-size fields",
            Self::Encapsulation => "the frame is not CDR little-endian",
            Self::Type => "the frame is of another type",
            Self::Length => "the length of the values is over its bound or not the rest of the frame",
            Self::Crc => "the CRC does not match",
            Self::Sequence => "the sequence is 0",
            Self::Kind => "the kind is unknown",
            Self::Place => "the place does not fit the kind",
            Self::Reason => "the reason does not fit the kind",
            Self::RefusalWithValues => "the refusal carries values",
        })
    }
}

impl Error for Malformed {}

/// The frame cannot hold the message: the buffer is too short, the values are over their bound, or
/// an action or fallback has no sequence, for which a frame has no room either. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame cannot hold the message")
    }
}

impl Error for NoRoom {}
