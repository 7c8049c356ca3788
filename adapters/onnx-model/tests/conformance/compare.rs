//! Whether what came out is what ONNX's own tests expect.

use manifest::Dtype;
use onnx_model::Raw;

/// ONNX's own relative tolerance, for 32 bits; for 16 bits one and a half of the last place.
const RELATIVE: f32 = 1e-3;
const ABSOLUTE: f32 = 1e-6;

/// Integers and truth values exactly, numbers with fractions within ONNX's own tolerance.
pub(crate) fn close(found: &Raw, wanted: &Raw) -> Result<(), String> {
    if (found.dtype, &found.shape) != (wanted.dtype, &wanted.shape) {
        return Err(format!("{} {:?} is not {} {:?}", found.dtype, found.shape, wanted.dtype, wanted.shape));
    }
    let relative = match found.dtype {
        Dtype::F32 => RELATIVE,
        Dtype::F16 => 1.5 / 1024.0,
        Dtype::Bf16 => 1.5 / 128.0,
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 | Dtype::U8 | Dtype::Bool => {
            return if found.bytes == wanted.bytes { Ok(()) } else { Err("other integers".to_owned()) };
        }
    };
    let near = |(one, other): &(f32, f32)| {
        one.to_bits() == other.to_bits()
            || (one.is_nan() && other.is_nan())
            || (other.is_finite() && (one - other).abs() <= ABSOLUTE + relative * other.abs())
    };
    match numbers(found).zip(numbers(wanted)).find(|pair| !near(pair)) {
        Some((one, other)) => Err(format!("{one} is not {other}")),
        None => Ok(()),
    }
}

fn numbers(raw: &Raw) -> Box<dyn Iterator<Item = f32> + '_> {
    let halves = raw.bytes.chunks_exact(2).map(|two| [two[0], two[1]]);
    match raw.dtype {
        Dtype::F16 => Box::new(halves.map(|two| half::f16::from_le_bytes(two).to_f32())),
        Dtype::Bf16 => Box::new(halves.map(|two| half::bf16::from_le_bytes(two).to_f32())),
        Dtype::F32 | Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 | Dtype::U8 | Dtype::Bool => {
            Box::new(raw.bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])))
        }
    }
}

#[test]
fn a_tensor_that_differs_is_told() {
    let raw = |dtype, shape: &[usize], bytes: &[u8]| Raw { dtype, shape: shape.to_vec(), bytes: bytes.to_vec() };
    let floats = |numbers: [f32; 2]| raw(Dtype::F32, &[2], &numbers.map(f32::to_le_bytes).concat());
    assert_eq!(close(&floats([1.0, f32::NAN]), &floats([1.0005, f32::NAN])), Ok(()));
    assert!(close(&floats([1.0, 2.0]), &floats([1.0, 2.01])).is_err());
    assert!(close(&floats([1.0, 2.0]), &floats([1.0, f32::NAN])).is_err());
    assert!(close(&floats([1.0, f32::INFINITY]), &floats([1.0, f32::NEG_INFINITY])).is_err());
    assert!(close(&floats([1.0, f32::MAX]), &floats([1.0, f32::INFINITY])).is_err());
    assert!(close(&raw(Dtype::I8, &[1], &[1]), &raw(Dtype::I8, &[1], &[2])).is_err());
    assert!(close(&raw(Dtype::I8, &[1], &[1]), &raw(Dtype::U8, &[1], &[1])).is_err());
    assert!(close(&raw(Dtype::I8, &[1, 1], &[1]), &raw(Dtype::I8, &[1], &[1])).is_err());
}
