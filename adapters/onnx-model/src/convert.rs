//! 32-bit floats into a graph's types and back, each rule said once.
//!
//! Into f16 and bf16 numbers are rounded to the nearest, ties to even; into integers likewise, to whole numbers. What
//! cannot be held fails: a number that is not finite or out of range for an integer, one other than 0 and 1 for a truth
//! value, a finite one that would become infinite in 16 bits. Back, every f16, bf16, i8, i16, u8 and truth value is
//! exact; an i32 or i64 that a 32-bit float does not hold exactly fails.

use half::{bf16, f16};

/// The first element that cannot be converted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfit {
    pub(crate) element: usize,
    pub(crate) value: String,
}

/// A type that 32-bit floats are rounded into.
pub(crate) trait Narrow: Copy {
    /// `None` where it cannot hold the number.
    fn narrow(number: f32) -> Option<Self>;
}

/// A type that is seen as 32-bit floats.
pub(crate) trait Widen: Copy + ToString {
    /// `None` where a 32-bit float cannot hold it.
    fn widen(self) -> Option<f32>;
}

/// A truth value as it lies in a graph's memory: 0 is false, every other byte true.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Truth(pub(crate) u8);

/// Rounds as many numbers as `into` has.
pub(crate) fn narrow<T: Narrow>(from: &[f32], into: &mut [T]) -> Result<(), Unfit> {
    for (element, (number, place)) in from.iter().zip(into).enumerate() {
        let Some(held) = T::narrow(*number) else { return Err(Unfit { element, value: number.to_string() }) };
        *place = held;
    }
    Ok(())
}

/// Makes 32-bit floats of as many values as `into` has.
pub(crate) fn widen<T: Widen>(from: &[T], into: &mut [f32]) -> Result<(), Unfit> {
    for (element, (value, place)) in from.iter().zip(into).enumerate() {
        let Some(number) = value.widen() else { return Err(Unfit { element, value: value.to_string() }) };
        *place = number;
    }
    Ok(())
}

impl Narrow for f16 {
    fn narrow(number: f32) -> Option<Self> {
        let held = Self::from_f32(number);
        (held.is_finite() || !number.is_finite()).then_some(held)
    }
}

impl Narrow for bf16 {
    fn narrow(number: f32) -> Option<Self> {
        let held = Self::from_f32(number);
        (held.is_finite() || !number.is_finite()).then_some(held)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked just before")]
impl Narrow for i8 {
    fn narrow(number: f32) -> Option<Self> {
        whole(number, -128.0, 128.0).map(|whole| whole as Self)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked just before")]
impl Narrow for i16 {
    fn narrow(number: f32) -> Option<Self> {
        whole(number, -32_768.0, 32_768.0).map(|whole| whole as Self)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked just before")]
impl Narrow for i32 {
    fn narrow(number: f32) -> Option<Self> {
        whole(number, -2_147_483_648.0, 2_147_483_648.0).map(|whole| whole as Self)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the range was checked just before")]
impl Narrow for i64 {
    fn narrow(number: f32) -> Option<Self> {
        whole(number, -9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0).map(|whole| whole as Self)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked just before")]
impl Narrow for u8 {
    fn narrow(number: f32) -> Option<Self> {
        whole(number, 0.0, 256.0).map(|whole| whole as Self)
    }
}

impl Narrow for bool {
    fn narrow(number: f32) -> Option<Self> {
        // As bits: minus zero is zero, and nothing else is close enough.
        match (number + 0.0).to_bits() {
            0 => Some(false),
            ONE => Some(true),
            _ => None,
        }
    }
}

const ONE: u32 = 1.0_f32.to_bits();

/// The nearest whole number, ties to even, if it is in `from..below`; both are whole numbers that an f32 holds.
fn whole(number: f32, from: f32, below: f32) -> Option<f32> {
    let whole = number.round_ties_even();
    (from..below).contains(&whole).then_some(whole)
}

impl Widen for f16 {
    fn widen(self) -> Option<f32> {
        Some(self.to_f32())
    }
}

impl Widen for bf16 {
    fn widen(self) -> Option<f32> {
        Some(self.to_f32())
    }
}

impl Widen for i8 {
    fn widen(self) -> Option<f32> {
        Some(self.into())
    }
}

impl Widen for i16 {
    fn widen(self) -> Option<f32> {
        Some(self.into())
    }
}

impl Widen for i32 {
    fn widen(self) -> Option<f32> {
        i64::from(self).widen()
    }
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a loss is what is looked for")]
impl Widen for i64 {
    fn widen(self) -> Option<f32> {
        let number = self as f32;
        // In 128 bits, so that 2^63, which the largest i64 is rounded to, is not it.
        (number as i128 == i128::from(self)).then_some(number)
    }
}

impl Widen for u8 {
    fn widen(self) -> Option<f32> {
        Some(self.into())
    }
}

impl Widen for Truth {
    fn widen(self) -> Option<f32> {
        Some(if self.0 == 0 { 0.0 } else { 1.0 })
    }
}

impl std::fmt::Display for Truth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (self.0 != 0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Narrow, Truth, Unfit, Widen, narrow, widen};
    use half::{bf16, f16};

    #[test]
    fn sixteen_bits_are_rounded_to_the_nearest_ties_to_even() {
        // Between 2048 and 4096 an f16 holds every second number, between 256 and 512 a bf16.
        for (number, held) in [(2049.0, 2048.0), (2051.0, 2052.0), (2050.0, 2050.0), (65_519.0, 65_504.0)] {
            assert_eq!(f16::narrow(number).map(f32::from), Some(held), "{number}");
        }
        for (number, held) in [(257.0, 256.0), (259.0, 260.0), (258.0, 258.0)] {
            assert_eq!(bf16::narrow(number).map(f32::from), Some(held), "{number}");
        }
        assert_eq!((f16::narrow(65_520.0), bf16::narrow(f32::MAX)), (None, None), "they would become infinite");
        assert!(f16::narrow(f32::NAN).is_some_and(f16::is_nan), "what is not finite stays what it is");
        assert_eq!(bf16::narrow(f32::NEG_INFINITY), Some(bf16::NEG_INFINITY));
    }

    #[test]
    fn integers_take_whole_numbers_in_range_and_round_to_even() {
        for (number, held) in [(0.5, 0), (1.5, 2), (-2.5, -2), (127.4, 127), (-128.5, -128)] {
            assert_eq!(i8::narrow(number), Some(held), "{number}");
        }
        for number in [127.5, -128.6, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(i8::narrow(number), None, "{number}");
        }
        assert_eq!(
            (u8::narrow(-0.5), u8::narrow(255.4), u8::narrow(-0.6), u8::narrow(255.5)),
            (Some(0), Some(255), None, None)
        );
        assert_eq!((i16::narrow(32_767.0), i16::narrow(32_768.0)), (Some(i16::MAX), None));
        assert_eq!((i32::narrow(-2_147_483_648.0), i32::narrow(2_147_483_648.0)), (Some(i32::MIN), None));
        assert_eq!((i64::narrow(-9.223_372e18), i64::narrow(9.223_372e18)), (Some(i64::MIN), None));
    }

    #[test]
    fn truth_values_are_zero_and_one() {
        assert_eq!([0.0, -0.0, 1.0].map(bool::narrow), [Some(false), Some(false), Some(true)]);
        for number in [0.5, 2.0, -1.0, f32::NAN, f32::MIN_POSITIVE] {
            assert_eq!(bool::narrow(number), None, "{number}");
        }
        assert_eq!(
            [Truth(0), Truth(1), Truth(7)].map(|truth| truth.widen().map(f32::to_bits)),
            [0.0_f32, 1.0, 1.0].map(|one| Some(one.to_bits()))
        );
    }

    #[test]
    fn what_a_float_does_not_hold_exactly_is_not_given_out() {
        for (value, held) in
            [(16_777_216_i64, true), (16_777_217, false), (i64::MIN, true), (i64::MAX, false), (1 << 40, true)]
        {
            assert_eq!(value.widen().is_some(), held, "{value}");
        }
        assert_eq!((i32::MAX.widen(), i32::MIN.widen().is_some()), (None, true));
    }

    #[test]
    fn the_first_element_that_does_not_fit_is_named() {
        let mut bytes = [0_u8; 3];
        assert_eq!(narrow(&[1.0, 300.0, -1.0], &mut bytes), Err(Unfit { element: 1, value: "300".to_owned() }));
        let mut floats = [0.0; 2];
        assert_eq!(widen(&[1, i32::MAX], &mut floats), Err(Unfit { element: 1, value: i32::MAX.to_string() }));
    }
}
