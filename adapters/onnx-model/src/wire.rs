//! 32-bit floats into the bytes that a graph's tensor has on a wire, and back: row-major, little-endian, by the same
//! rules as into a session's memory.

use half::{bf16, f16};
use manifest::Dtype;

use crate::convert::{Narrow, Truth, Unfit, Widen};

/// A number that a type cannot hold, or bytes that are not as many as declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The first element that cannot be converted.
    #[error("element {element} is {value}, which {} cannot hold", dtype.name())]
    Unfit {
        /// The type that the tensor is declared with.
        dtype: Dtype,
        /// Counted from 0.
        element: usize,
        /// As a person writes it.
        value: String,
    },
    /// Another length than the declared type and shape make.
    #[error("{found} bytes in the place of {expected}")]
    Length {
        /// What type and shape make.
        expected: usize,
        /// What there is.
        found: usize,
    },
}

/// The tensor's bytes, appended to `bytes`.
///
/// # Errors
/// [`WireError::Unfit`] for the first number that the type cannot hold; `bytes` then holds a part.
pub fn put_wire(dtype: Dtype, numbers: &[f32], bytes: &mut Vec<u8>) -> Result<(), WireError> {
    let put = match dtype {
        Dtype::F32 => {
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            Ok(())
        }
        Dtype::F16 => narrowed(numbers, bytes, f16::to_le_bytes),
        Dtype::Bf16 => narrowed(numbers, bytes, bf16::to_le_bytes),
        Dtype::I8 => narrowed(numbers, bytes, i8::to_le_bytes),
        Dtype::I16 => narrowed(numbers, bytes, i16::to_le_bytes),
        Dtype::I32 => narrowed(numbers, bytes, i32::to_le_bytes),
        Dtype::I64 => narrowed(numbers, bytes, i64::to_le_bytes),
        Dtype::U8 => narrowed(numbers, bytes, u8::to_le_bytes),
        Dtype::Bool => narrowed(numbers, bytes, |truth: bool| [u8::from(truth)]),
    };
    put.map_err(|unfit| named(dtype, unfit))
}

/// The numbers of a tensor's bytes, appended to `numbers`: as many as `elements`.
///
/// # Errors
/// [`WireError`] where the bytes are not as many, or one is a number that a 32-bit float does not hold exactly;
/// `numbers` then holds a part.
pub fn take_wire(dtype: Dtype, bytes: &[u8], elements: usize, numbers: &mut Vec<f32>) -> Result<(), WireError> {
    let expected = elements.saturating_mul(size(dtype));
    if bytes.len() != expected {
        return Err(WireError::Length { expected, found: bytes.len() });
    }
    let taken = match dtype {
        Dtype::F32 => {
            numbers.extend(bytes.as_chunks().0.iter().map(|number| f32::from_le_bytes(*number)));
            Ok(())
        }
        Dtype::F16 => widened(bytes, numbers, f16::from_le_bytes),
        Dtype::Bf16 => widened(bytes, numbers, bf16::from_le_bytes),
        Dtype::I8 => widened(bytes, numbers, i8::from_le_bytes),
        Dtype::I16 => widened(bytes, numbers, i16::from_le_bytes),
        Dtype::I32 => widened(bytes, numbers, i32::from_le_bytes),
        Dtype::I64 => widened(bytes, numbers, i64::from_le_bytes),
        Dtype::U8 => widened(bytes, numbers, u8::from_le_bytes),
        Dtype::Bool => widened(bytes, numbers, |[byte]: [u8; 1]| Truth(byte)),
    };
    taken.map_err(|unfit| named(dtype, unfit))
}

/// How many bytes an element takes.
const fn size(dtype: Dtype) -> usize {
    match dtype {
        Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        Dtype::F16 | Dtype::Bf16 | Dtype::I16 => 2,
        Dtype::F32 | Dtype::I32 => 4,
        Dtype::I64 => 8,
    }
}

fn narrowed<T: Narrow, const SIZE: usize>(
    numbers: &[f32],
    bytes: &mut Vec<u8>,
    write: impl Fn(T) -> [u8; SIZE],
) -> Result<(), Unfit> {
    for (element, number) in numbers.iter().enumerate() {
        let Some(held) = T::narrow(*number) else { return Err(Unfit { element, value: number.to_string() }) };
        bytes.extend(write(held));
    }
    Ok(())
}

fn widened<T: Widen, const SIZE: usize>(
    bytes: &[u8],
    numbers: &mut Vec<f32>,
    read: impl Fn([u8; SIZE]) -> T,
) -> Result<(), Unfit> {
    for (element, value) in bytes.as_chunks().0.iter().map(|bytes| read(*bytes)).enumerate() {
        let Some(number) = value.widen() else { return Err(Unfit { element, value: value.to_string() }) };
        numbers.push(number);
    }
    Ok(())
}

fn named(dtype: Dtype, Unfit { element, value }: Unfit) -> WireError {
    WireError::Unfit { dtype, element, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_comes_back_as_it_went() {
        for dtype in Dtype::ALL {
            let numbers = if dtype == Dtype::Bool { vec![0.0, 1.0, 1.0] } else { vec![0.0, 1.0, 127.0] };
            let (mut bytes, mut back) = (Vec::new(), Vec::new());
            put_wire(dtype, &numbers, &mut bytes).expect("each type holds them");
            assert_eq!(bytes.len(), 3 * size(dtype), "{dtype}");
            take_wire(dtype, &bytes, 3, &mut back).expect("as many bytes as were written");
            assert_eq!(back, numbers, "{dtype}");
            let short = take_wire(dtype, &bytes[1..], 3, &mut back);
            assert_eq!(short, Err(WireError::Length { expected: bytes.len(), found: bytes.len() - 1 }), "{dtype}");
        }
    }

    #[test]
    fn bytes_are_little_endian() {
        let mut bytes = Vec::new();
        put_wire(Dtype::I16, &[258.0], &mut bytes).expect("it fits");
        put_wire(Dtype::F32, &[1.0], &mut bytes).expect("it fits");
        assert_eq!(bytes, [2, 1, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let unfit = put_wire(Dtype::U8, &[1.0, 300.0], &mut Vec::new()).expect_err("300 is no byte");
        assert_eq!(unfit.to_string(), "element 1 is 300, which u8 cannot hold");
        let unfit = take_wire(Dtype::I32, &i32::MAX.to_le_bytes(), 1, &mut Vec::new()).expect_err("no float holds it");
        assert_eq!(unfit.to_string(), "element 0 is 2147483647, which i32 cannot hold");
    }
}
