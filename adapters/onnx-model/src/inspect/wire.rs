//! Protocol buffers, as far as a walk needs them: fields in a slice, nothing copied.

/// A field's value, as protocol buffers lay it out.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// A varint.
    Number(u64),
    /// Everything else: what has a length, and numbers of four and eight bytes.
    Bytes(&'a [u8]),
}

/// The next field's number and value; `None` where the bytes end inside it.
pub(super) fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = take_number(bytes)?;
    let value = match key & 7 {
        0 => Value::Number(take_number(bytes)?),
        1 => Value::Bytes(take(bytes, 8)?),
        2 => {
            let length = usize::try_from(take_number(bytes)?).ok()?;
            Value::Bytes(take(bytes, length)?)
        }
        5 => Value::Bytes(take(bytes, 4)?),
        _ => return None,
    };
    Some((key >> 3, value))
}

/// A varint.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}
