//! Which shared libraries a file says it needs, read out of the file: nothing is loaded for it.

use std::fs;
use std::path::Path;

/// The names in the order of the file; `None` where it is no 64-bit little-endian shared library.
pub(crate) fn needed(path: &Path) -> Option<Vec<String>> {
    // Mapping it would not copy hundreds of MB, but takes unsafe code: this is for people who wait for a diagnosis.
    parse(&fs::read(path).ok()?)
}

/// Segment and entry types of the ELF specification.
const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;
const END: u64 = 0;
const NEEDED: u64 = 1;
const STRINGS: u64 = 5;

/// Where a segment lies in the file and in memory.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    length: u64,
}

fn parse(file: &[u8]) -> Option<Vec<String>> {
    if !file.starts_with(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return None;
    }
    let (table, size, count) = (number(file, 32, 8)?, number(file, 54, 2)?, number(file, 56, 2)?);
    let segments: Vec<_> =
        (0..count).map(|place| segment(file, table.checked_add(place * size)?)).collect::<Option<_>>()?;
    let dynamic = segments.iter().find(|segment| segment.kind == DYNAMIC)?;
    let entries: Vec<(u64, u64)> = (0..dynamic.length / 16)
        .map(|place| {
            Some((number(file, dynamic.offset + place * 16, 8)?, number(file, dynamic.offset + place * 16 + 8, 8)?))
        })
        .collect::<Option<_>>()?;
    let entries = || entries.iter().take_while(|(tag, _)| *tag != END);
    let (_, strings) = entries().find(|(tag, _)| *tag == STRINGS)?;
    let holds = |segment: &&Segment| {
        segment.kind == LOAD && segment.address <= *strings && strings - segment.address < segment.length
    };
    let segment = segments.iter().find(holds)?;
    let strings = segment.offset.checked_add(strings - segment.address)?;
    entries().filter(|(tag, _)| *tag == NEEDED).map(|(_, name)| text(file, strings.checked_add(*name)?)).collect()
}

fn segment(file: &[u8], at: u64) -> Option<Segment> {
    Some(Segment {
        kind: number(file, at, 4)?,
        offset: number(file, at + 8, 8)?,
        address: number(file, at + 16, 8)?,
        length: number(file, at + 32, 8)?,
    })
}

fn number(file: &[u8], at: u64, bytes: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = file.get(at..at.checked_add(bytes)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn text(file: &[u8], at: u64) -> Option<String> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_the_c_library() {
        let needed = needed(&std::env::current_exe().expect("it runs")).expect("it is an ELF file");
        assert!(needed.iter().any(|name| name == "libc.so.6"), "{needed:?}");
    }

    #[test]
    fn what_is_no_library_needs_nothing() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"\x7fELF\x02\x01"), None, "it ends too early");
        assert_eq!(parse(&[&b"\x7fELF\x02\x01"[..], &[255; 200]].concat()), None, "its tables lie nowhere");
        assert_eq!(needed(Path::new("/nowhere")), None);
    }
}
