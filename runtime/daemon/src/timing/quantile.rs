//! A quantile, exact: 0.999 is 999,000 of a million, and no rounding decides whether it is stated.

use std::fmt;

use engine::Share;

/// This many samples must lie beyond a quantile: with fewer, the next measurement says something else.
const BEYOND: u64 = 10;
const MILLION: u32 = 1_000_000;
/// Fewer inferences are no window, however many are beyond a low quantile.
const FEWEST: u32 = 100;

/// A share of all samples, in millionths, from a half to below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantile(u32);

impl Quantile {
    /// Those that a record and its page state, as far as there are samples.
    pub(crate) const STATED: [Self; 5] = [Self(500_000), Self(900_000), Self(990_000), Self(999_000), Self(999_900)];
    /// What a task gets that asks for nothing: its execution time holds for 999 of 1,000 inferences.
    pub(crate) const DEFAULT: Self = Self(999_000);

    /// Of a number as it stands in a config; it has at most six decimals.
    pub(crate) fn new(share: f64) -> Option<Self> {
        let millionths = share * f64::from(MILLION);
        let near = millionths.round();
        // A number with six decimals is off by the rounding of one multiplication.
        if !(500_000.0..1_000_000.0).contains(&near) || (millionths - near).abs() > 1e-6 {
            return None;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, and between 500,000 and 1,000,000"
        )]
        Some(Self(near as u32))
    }

    /// The rank of this quantile among so many samples, counted from 1; `None` where too few lie beyond it.
    pub(crate) fn rank(self, samples: u64) -> Option<u64> {
        let rank = (u128::from(samples) * u128::from(self.0)).div_ceil(u128::from(MILLION));
        let rank = u64::try_from(rank).expect("a rank is at most the number of samples");
        (samples - rank >= BEYOND).then_some(rank)
    }

    /// The share of samples beyond it.
    pub(crate) fn above(self) -> Share {
        Share::from_parts_per_million(MILLION - self.0).expect("a quantile leaves a half at most, and something")
    }

    /// How many inferences are looked at together at run time: one beyond the quantile is usual among them.
    pub(crate) fn window(self) -> u32 {
        (MILLION / (MILLION - self.0)).max(FEWEST)
    }

    /// How many samples it takes.
    pub(crate) fn needs(self) -> u64 {
        (BEYOND * u64::from(MILLION)).div_ceil(u64::from(MILLION - self.0))
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:06}", self.0);
        write!(formatter, "0.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_stated_with_ten_samples_beyond_it_and_not_with_nine() {
        for (quantile, needs) in Quantile::STATED.into_iter().zip([20, 100, 1_000, 10_000, 100_000]) {
            assert_eq!(quantile.needs(), needs);
            assert_eq!(quantile.rank(needs), Some(needs - 10), "{quantile} of {needs}");
            assert_eq!(quantile.rank(needs - 1), None, "{quantile} of {}: nine are beyond", needs - 1);
        }
        assert_eq!(Quantile::DEFAULT.rank(0), None);
    }

    #[test]
    fn every_quantile_needs_exactly_what_it_says() {
        for millionths in (500_000..MILLION).step_by(997) {
            let quantile = Quantile(millionths);
            assert!(quantile.rank(quantile.needs()).is_some(), "{quantile}");
            assert!(quantile.rank(quantile.needs() - 1).is_none(), "{quantile}");
        }
    }

    #[test]
    fn number_becomes_the_quantile_that_it_is_written_as() {
        for text in ["0.5", "0.9", "0.999", "0.9995", "0.99999", "0.999999", "0.123456"] {
            let read = Quantile::new(text.parse().expect("it is a number")).map(|quantile| quantile.to_string());
            assert_eq!(read.as_deref(), Some(text).filter(|text| *text != "0.123456"));
        }
        for wrong in [0.0, 0.4, 1.0, 1.5, -0.9, f64::NAN, f64::INFINITY, 0.999_999_9, 0.999_000_4] {
            assert_eq!(Quantile::new(wrong), None, "{wrong}");
        }
    }
}
