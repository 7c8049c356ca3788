//! Reads `sensor_msgs/msg/Image` and `sensor_msgs/msg/CompressedImage`: XCDR1 little-endian, fields
//! aligned from after the four bytes of encapsulation. Everything is borrowed, nothing is believed.

use crate::ImageError;

/// `sensor_msgs/msg/Image`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Image<'a> {
    pub(crate) stamp_ns: u64,
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) encoding: &'a [u8],
    pub(crate) is_bigendian: u8,
    pub(crate) step: u32,
    pub(crate) data: &'a [u8],
}

impl<'a> Image<'a> {
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, ImageError> {
        let mut reader = Reader::new(message)?;
        let image = Self {
            stamp_ns: reader.header()?,
            height: reader.u32()?,
            width: reader.u32()?,
            encoding: reader.string()?,
            is_bigendian: reader.u8()?,
            step: reader.u32()?,
            data: reader.sequence()?,
        };
        reader.end()?;
        Ok(image)
    }
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompressedImage<'a> {
    pub(crate) stamp_ns: u64,
    pub(crate) format: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl<'a> CompressedImage<'a> {
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, ImageError> {
        let mut reader = Reader::new(message)?;
        let image = Self { stamp_ns: reader.header()?, format: reader.string()?, data: reader.sequence()? };
        reader.end()?;
        Ok(image)
    }
}

struct Reader<'a> {
    /// What follows the encapsulation.
    bytes: &'a [u8],
    at: usize,
    /// Bytes that the encapsulation says follow the last field.
    padding: usize,
}

impl<'a> Reader<'a> {
    fn new(message: &'a [u8]) -> Result<Self, ImageError> {
        match message {
            // DDS bridges fill up to a multiple of four, and say so in the last two bits.
            [0, 1, 0, padding @ 0..=3, bytes @ ..] => Ok(Self { bytes, at: 0, padding: usize::from(*padding) }),
            [_, _, _, _, ..] => Err(ImageError::Encapsulation),
            _ => Err(ImageError::Truncated),
        }
    }

    /// `std_msgs/msg/Header`: its stamp; the frame's name is passed over.
    fn header(&mut self) -> Result<u64, ImageError> {
        let seconds = u64::from(self.u32()?);
        let nanoseconds = u64::from(self.u32()?);
        self.string()?;
        // `sec` is an i32: the upper half are times before the epoch.
        if seconds > u64::from(i32::MAX.unsigned_abs()) || nanoseconds >= SECOND {
            return Err(ImageError::Stamp);
        }
        Ok(seconds * SECOND + nanoseconds)
    }

    fn u8(&mut self) -> Result<u8, ImageError> {
        self.take(1).map(|byte| byte[0])
    }

    fn u32(&mut self) -> Result<u32, ImageError> {
        self.at = self.at.next_multiple_of(4);
        let (bytes, _) = self.bytes.get(self.at..).and_then(<[u8]>::split_first_chunk).ok_or(ImageError::Truncated)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn string(&mut self) -> Result<&'a [u8], ImageError> {
        match self.sequence()? {
            [text @ .., 0] => Ok(text),
            _ => Err(ImageError::Text),
        }
    }

    fn sequence(&mut self) -> Result<&'a [u8], ImageError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ImageError> {
        // Both are at most 2^32 and the message's length, but usize may be 32 bits.
        let end = self.at.checked_add(length).ok_or(ImageError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(ImageError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn end(&self) -> Result<(), ImageError> {
        if self.bytes.len() - self.at == self.padding { Ok(()) } else { Err(ImageError::Trailing) }
    }
}

const SECOND: u64 = 1_000_000_000;
