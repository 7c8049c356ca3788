//! Values as numbers: 32-bit floats, little-endian, one after another.

use crate::NoRoom;

/// The floats in these values, in order. Up to three bytes that are left over are passed over.
pub fn floats(values: &[u8]) -> impl ExactSizeIterator<Item = f32> + Clone + '_ {
    let (floats, _rest) = values.as_chunks();
    floats.iter().copied().map(f32::from_le_bytes)
}

/// Writes floats to the front of `out` and returns their length in bytes.
///
/// # Errors
/// [`NoRoom`] if `out` is too short; it is then as it was.
pub fn put_floats(values: &[f32], out: &mut [u8]) -> Result<usize, NoRoom> {
    let (places, _rest) = out.as_chunks_mut();
    let places = places.get_mut(..values.len()).ok_or(NoRoom)?;
    for (place, value) in places.iter_mut().zip(values) {
        *place = value.to_le_bytes();
    }
    Ok(places.as_flattened().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_come_back_as_they_were_put() {
        let mut out = [0xff; 10];
        assert_eq!(put_floats(&[1.5, f32::MIN], &mut out), Ok(8));
        assert_eq!(out[..4], [0, 0, 0xc0, 0x3f]);
        assert!(floats(&out).eq([1.5, f32::MIN]));
        assert_eq!(floats(&out).len(), 2);
    }

    #[test]
    fn floats_that_do_not_fit_leave_the_buffer_alone() {
        let mut out = [0xff; 7];
        assert_eq!(put_floats(&[1.5, 2.5], &mut out), Err(NoRoom));
        assert_eq!(out, [0xff; 7]);
    }
}
