//! What the messages share: encapsulation, type, fixed-size fields, CRC, and one bounded
//! sequence of bytes at the end.
//!
//! ```text
//! frame offset  0  00 01 00 00      CDR little-endian
//!               4  uint32 type      body offset 0, which alignment counts from
//!               8  ...              the message's own fields, each aligned as they stand
//!      crc_at + 4  uint32 crc       over the frame without these 4 bytes
//!      crc_at + 8  uint32 length    of the values
//!     crc_at + 12  uint8[] values   to the end of the frame
//! ```

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::cursor::{Reader, Writer};
use crate::{Malformed, NoRoom};

/// CRC-32C. Sixteen lookup tables, 16 KiB, take 16 bytes a step.
pub(crate) static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// How one type of message lies in its frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    type_id: u32,
    /// Frame offset of the CRC.
    crc_at: usize,
    max_values: usize,
}

impl Layout {
    /// The layout of the type with this full name, whose CRC, its last fixed-size field, lies at
    /// this offset of the body, and whose values are bounded.
    pub(crate) const fn new(name: &str, crc_at: usize, max_values: usize) -> Self {
        assert!(crc_at.is_multiple_of(4), "the CRC is aligned");
        Self {
            type_id: CRC32C.checksum(name.as_bytes()),
            crc_at: ENCAPSULATION.len().saturating_add(crc_at),
            max_values,
        }
    }

    pub(crate) const fn type_id(&self) -> u32 {
        self.type_id
    }

    /// The bytes of a frame before its values.
    pub(crate) const fn overhead(&self) -> usize {
        self.crc_at.saturating_add(CRC_BYTES + LENGTH_BYTES)
    }

    /// Checks a frame and returns its fields after the type, and its values.
    pub(crate) fn open<'a>(&self, frame: &'a [u8]) -> Result<(Reader<'a>, &'a [u8]), Malformed> {
        let fields = self.typed(frame)?;
        let values = self.values(frame)?;
        self.check_crc(frame)?;
        Ok((fields, values))
    }

    /// Checks all but the length of the values and returns the fields after the type.
    pub(crate) fn verified<'a>(&self, frame: &'a [u8]) -> Result<Reader<'a>, Malformed> {
        let fields = self.typed(frame)?;
        if frame.len() > self.overhead().saturating_add(self.max_values) {
            return Err(Malformed::Length);
        }
        self.check_crc(frame)?;
        Ok(fields)
    }

    /// Writes a frame whose fields between type and CRC are written by `fields`; returns its length.
    pub(crate) fn seal(
        &self,
        out: &mut [u8],
        values: &[u8],
        fields: impl FnOnce(&mut Writer<'_>) -> Result<(), NoRoom>,
    ) -> Result<usize, NoRoom> {
        if values.len() > self.max_values {
            return Err(NoRoom);
        }
        let values_length = u32::try_from(values.len()).map_err(|_| NoRoom)?;
        let length = self.overhead().saturating_add(values.len());
        let frame = out.get_mut(..length).ok_or(NoRoom)?;

        let mut writer = Writer::new(frame);
        writer.bytes(ENCAPSULATION)?;
        writer.u32(self.type_id)?;
        fields(&mut writer)?;
        writer.u32(0)?;
        writer.u32(values_length)?;
        writer.slice(values)?;
        assert!(writer.is_full(), "a message writes every field of its layout");

        let crc = self.crc(frame).ok_or(NoRoom)?;
        let (_, from_crc) = frame.split_at_mut_checked(self.crc_at).ok_or(NoRoom)?;
        Writer::new(from_crc).u32(crc)?;
        Ok(length)
    }

    fn typed<'a>(&self, frame: &'a [u8]) -> Result<Reader<'a>, Malformed> {
        if frame.len() < self.overhead() {
            return Err(Malformed::Truncated);
        }
        let mut reader = Reader::new(frame);
        if reader.bytes()? != ENCAPSULATION {
            return Err(Malformed::Encapsulation);
        }
        if reader.u32()? != self.type_id {
            return Err(Malformed::Type);
        }
        Ok(reader)
    }

    fn values<'a>(&self, frame: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let length_at = self.crc_at.saturating_add(CRC_BYTES);
        let mut reader = Reader::new(frame.get(length_at..).ok_or(Malformed::Truncated)?);
        let length = usize::try_from(reader.u32()?).map_err(|_| Malformed::Length)?;
        let values = reader.rest();
        if length > self.max_values || length != values.len() {
            return Err(Malformed::Length);
        }
        Ok(values)
    }

    fn check_crc(&self, frame: &[u8]) -> Result<(), Malformed> {
        let (_, from_crc) = frame.split_at_checked(self.crc_at).ok_or(Malformed::Truncated)?;
        let sent = Reader::new(from_crc).u32()?;
        if self.crc(frame) == Some(sent) { Ok(()) } else { Err(Malformed::Crc) }
    }

    fn crc(&self, frame: &[u8]) -> Option<u32> {
        let (before, from_crc) = frame.split_at_checked(self.crc_at)?;
        let (_, after) = from_crc.split_at_checked(CRC_BYTES)?;
        let mut digest = CRC32C.digest();
        digest.update(before);
        digest.update(after);
        Some(digest.finalize())
    }
}

/// CDR little-endian, no options, as ROS 2 writes it.
const ENCAPSULATION: [u8; 4] = [0, 1, 0, 0];
const CRC_BYTES: usize = 4;
const LENGTH_BYTES: usize = 4;
