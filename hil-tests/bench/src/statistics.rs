//! Quantiles of one round, their spread over the rounds, and ratios of what was measured in the same round.
//!
//! Rounds are paired because a machine's speed drifts: two figures of one round saw the same machine.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Three digits of every time up to a minute.
const DIGITS: u8 = 3;
const LONGEST_NS: u64 = 60_000_000_000;

/// Times in nanoseconds.
pub(crate) struct Times(Histogram<u64>);

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("the bounds are in order"))
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// The median in nanoseconds.
    pub(crate) fn median_ns(&self) -> u64 {
        self.0.value_at_quantile(0.5)
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile| micros(self.0.value_at_quantile(quantile));
        Quantiles { p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), max_us: micros(self.0.max()) }
    }
}

/// What one round says of its times.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "the names are those of bench.json, where the unit belongs")]
pub(crate) struct Quantiles {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// The median over the rounds, and the rounds that lie farthest from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of one figure for each round. The median of an even number is the mean of the middle two.
    pub(crate) fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = rounds.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            panic!("there is at least one round");
        };
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Self { median: f64::midpoint(low, high), min, max }
    }

    pub(crate) fn is_finite(&self) -> bool {
        [self.median, self.min, self.max].iter().all(|figure| figure.is_finite())
    }
}

/// The spread of the ratios of each round, not the ratio of two medians.
pub(crate) fn paired_ratio(numerators: &[f64], denominators: &[f64]) -> Spread {
    Spread::of(paired(numerators, denominators).map(|(numerator, denominator)| numerator / denominator))
}

/// The spread of the differences of each round.
pub(crate) fn paired_difference(minuends: &[f64], subtrahends: &[f64]) -> Spread {
    Spread::of(paired(minuends, subtrahends).map(|(minuend, subtrahend)| minuend - subtrahend))
}

/// The sums of each round.
pub(crate) fn paired_sum(left: &[f64], right: &[f64]) -> Vec<f64> {
    paired(left, right).map(|(left, right)| left + right).collect()
}

fn paired<'a>(left: &'a [f64], right: &'a [f64]) -> impl Iterator<Item = (f64, f64)> + 'a {
    assert_eq!(left.len(), right.len(), "everything is measured in every round");
    left.iter().copied().zip(right.iter().copied())
}

#[allow(clippy::cast_precision_loss, reason = "a minute of nanoseconds has 36 bits, a double 53")]
pub(crate) fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, min: f64, max: f64) -> Spread {
        Spread { median, min, max }
    }

    #[test]
    fn median_does_not_depend_on_the_order() {
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), spread(2.0, 1.0, 9.0));
        assert_eq!(Spread::of([4.0]), spread(4.0, 4.0, 4.0));
    }

    #[test]
    fn median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Spread::of([8.0, 1.0, 3.0, 2.0]), spread(2.5, 1.0, 8.0));
    }

    #[test]
    #[should_panic(expected = "at least one round")]
    fn nothing_has_no_median() {
        let _ = Spread::of([]);
    }

    #[test]
    fn ratios_are_taken_within_each_round() {
        // The machine was half as fast in the second round and a quarter as fast in the third.
        let (ours, theirs) = ([12.0, 24.0, 48.0], [10.0, 20.0, 40.0]);
        assert_eq!(paired_ratio(&ours, &theirs), spread(1.2, 1.2, 1.2));
        // The negative control: unpaired, the same figures look like anything.
        let unpaired = paired_ratio(&ours, &[40.0, 10.0, 20.0]);
        assert!(unpaired.max - unpaired.min > 2.0);
    }

    #[test]
    fn differences_and_sums_are_taken_within_each_round() {
        assert_eq!(paired_difference(&[5.0, 9.0], &[2.0, 4.0]), spread(4.0, 3.0, 5.0));
        assert_eq!(paired_sum(&[5.0, 9.0], &[2.0, 4.0]), [7.0, 13.0]);
    }

    #[test]
    #[should_panic(expected = "in every round")]
    fn rounds_without_a_partner_are_refused() {
        let _ = paired_ratio(&[1.0, 2.0], &[1.0]);
    }

    #[test]
    fn division_by_nothing_shows() {
        assert!(!paired_ratio(&[1.0], &[0.0]).is_finite());
        assert!(paired_ratio(&[1.0], &[2.0]).is_finite());
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut times = Times::new();
        for us in 1..=1000 {
            times.record(us * 1000);
        }
        let seen = times.quantiles();
        for (ours, expected) in
            [(seen.p50_us, 500.0), (seen.p99_us, 990.0), (seen.p999_us, 999.0), (seen.max_us, 1000.0)]
        {
            assert!((ours - expected).abs() <= expected / 500.0, "{ours} instead of {expected}");
        }
    }
}
