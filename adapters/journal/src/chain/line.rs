//! One record as one line, and lines as they are read: bounded, whatever the file holds.
//!
//! ```text
//! {"n":2,"prev":"…","wall_ns":…,"wall":"…","monotonic_ns":…,"clock":{…},"record":{"intent":{…}},"hash":"…"}
//! ```
//!
//! The hash is the SHA-256 of the line's bytes before `,"hash":"`, which are all but its last 75 and the newline.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, Serialize};

use super::{
    hex::Hash,
    record::Record,
    stamp::{ClockQuality, Stamp, rfc3339},
};

/// The longest record that a caller may ask for, in bytes of JSON.
pub(super) const MAX_RECORD: usize = 32 * 1024;
/// The longest line. The journal's own lists of open attempts are longer than any caller's record.
pub(super) const MAX_LINE: usize = 512 * 1024;

const HASH_FIELD: &[u8] = b",\"hash\":\"";
const END: &[u8] = b"\"}";
/// Bytes after those that are hashed, without the newline.
const TAIL: usize = HASH_FIELD.len() + 64 + END.len();

/// A record in its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1, through all files.
    pub n: u64,
    /// The hash of the record before it.
    pub prev: Hash,
    /// When it was taken in.
    pub at: Stamp,
    /// What it says.
    pub record: Record,
    /// The hash of its own bytes.
    pub hash: Hash,
}

/// Why a line is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineFault {
    /// Its hash is not that of its bytes.
    Hash,
    /// It is not of the form of a record.
    Form,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<R> {
    n: u64,
    prev: Hash,
    wall_ns: u64,
    wall: String,
    monotonic_ns: u64,
    clock: ClockQuality,
    record: R,
}

/// Appends a record's line to `out`, newline included, and returns its hash.
pub(super) fn encode(out: &mut Vec<u8>, n: u64, prev: Hash, at: Stamp, record: &Record) -> Hash {
    let start = out.len();
    let body = Body {
        n,
        prev,
        wall_ns: at.wall_ns,
        wall: rfc3339(at.wall_ns),
        monotonic_ns: at.monotonic_ns,
        clock: at.clock,
        record,
    };
    serde_json::to_writer(&mut *out, &body).expect("numbers, texts and lists can be written to memory");
    // The hash takes the place of the closing brace.
    out.pop();
    let hash = Hash::of(&out[start..]);
    out.extend_from_slice(HASH_FIELD);
    out.extend_from_slice(hash.to_string().as_bytes());
    out.extend_from_slice(END);
    out.push(b'\n');
    hash
}

/// Reads a line, without its newline.
pub(super) fn decode(line: &[u8]) -> Result<Line, LineFault> {
    let split = line.len().checked_sub(TAIL).ok_or(LineFault::Form)?;
    let (hashed, tail) = line.split_at(split);
    let digits = tail.strip_prefix(HASH_FIELD).and_then(|rest| rest.strip_suffix(END)).ok_or(LineFault::Form)?;
    let hash = Hash::parse(digits).ok_or(LineFault::Form)?;
    if Hash::of(hashed) != hash {
        return Err(LineFault::Hash);
    }
    let body: Body<Record> = serde_json::from_reader(hashed.chain(&b"}"[..])).map_err(|_| LineFault::Form)?;
    if body.wall != rfc3339(body.wall_ns) {
        return Err(LineFault::Form);
    }
    let at = Stamp { wall_ns: body.wall_ns, monotonic_ns: body.monotonic_ns, clock: body.clock };
    Ok(Line { n: body.n, prev: body.prev, at, record: body.record, hash })
}

/// What stands next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line with its newline, which is not given.
    Whole(&'a [u8]),
    /// The file ends without a newline, or a line is longer than any record: so many bytes were looked at.
    Torn(&'a [u8]),
    /// The file ends.
    End,
}

/// Reads the next line into `buffer`, at most [`MAX_LINE`] bytes of it.
pub(super) fn next<'a>(from: &mut impl BufRead, buffer: &'a mut Vec<u8>) -> io::Result<Next<'a>> {
    buffer.clear();
    from.by_ref().take(MAX_LINE as u64).read_until(b'\n', buffer)?;
    Ok(match buffer.split_last() {
        None => Next::End,
        Some((b'\n', line)) => Next::Whole(line),
        Some(_) => Next::Torn(buffer),
    })
}
