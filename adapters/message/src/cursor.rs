//! Reads and writes CDR little-endian fields in order. Never pads: the layouts of this crate are
//! naturally aligned, which the test against another encoder shows.

use crate::{Malformed, NoRoom};

#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.bytes().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        self.bytes().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

#[derive(Debug)]
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { rest: out }
    }

    pub(crate) fn u8(&mut self, value: u8) -> Result<(), NoRoom> {
        self.bytes(value.to_le_bytes())
    }

    pub(crate) fn u16(&mut self, value: u16) -> Result<(), NoRoom> {
        self.bytes(value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> Result<(), NoRoom> {
        self.bytes(value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> Result<(), NoRoom> {
        self.bytes(value.to_le_bytes())
    }

    pub(crate) fn bytes<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), NoRoom> {
        self.slice(&bytes)
    }

    pub(crate) fn slice(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.rest.split_off_mut(..bytes.len()).ok_or(NoRoom)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.rest.is_empty()
    }
}
