//! How long something took, many times: counts by time, finely enough that a page can be drawn from them again.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::quantile::Quantile;

/// Longer than anything that is waited for: a hang ends a measurement.
const LONGEST: Duration = Duration::from_hours(1);
/// Times are told apart by a thousandth, and rounded up.
const DIGITS: u8 = 3;
/// As many as fit between 1 ns and the longest time.
const MAX_BUCKETS: usize = 1 << 15;

/// Counts by time while it is measured.
pub(crate) struct Recorder(Histogram<u64>);

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Distribution {
    /// Each time in nanoseconds, rounded up, and how often it was seen; times ascend, counts are not zero.
    buckets: Vec<(u64, u64)>,
}

/// Why counts are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Implausible {
    #[error("its times do not ascend")]
    Order,
    #[error("it holds a time of zero or of more than an hour")]
    Time,
    #[error("it counts a time that never occurred")]
    Zero,
    #[error("its counts exceed what can be counted")]
    Overflow,
    #[error("it has more different times than can be told apart")]
    Buckets,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).expect("an hour fits");
        Self(Histogram::new_with_max(longest, DIGITS).expect("the bounds are constants that fit"))
    }

    /// Takes a time in nanoseconds.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.max(1));
    }

    pub(crate) fn samples(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn finish(&self) -> Distribution {
        let recorded = self.0.iter_recorded().map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()));
        Distribution { buckets: recorded.collect() }
    }
}

impl Distribution {
    /// Whether this could have been measured: it was read from a file.
    pub(crate) fn check(&self) -> Result<(), Implausible> {
        // A bucket's rounded-up end may lie beyond the longest time that is recorded.
        let longest = u64::try_from(LONGEST.as_nanos() * 2).expect("two hours fit");
        if self.buckets.len() > MAX_BUCKETS {
            return Err(Implausible::Buckets);
        }
        if self.buckets.iter().any(|(nanos, _)| !(1..=longest).contains(nanos)) {
            return Err(Implausible::Time);
        }
        if self.buckets.iter().any(|(_, count)| *count == 0) {
            return Err(Implausible::Zero);
        }
        if !self.buckets.is_sorted_by(|before, after| before.0 < after.0) {
            return Err(Implausible::Order);
        }
        let total = self.buckets.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count));
        total.map(drop).ok_or(Implausible::Overflow)
    }

    pub(crate) fn samples(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// The time that this share of all samples did not exceed; `None` where too few samples lie beyond it.
    pub(crate) fn quantile(&self, quantile: Quantile) -> Option<Duration> {
        let rank = quantile.rank(self.samples())?;
        let mut seen = 0;
        let bucket = self.buckets.iter().find(|(_, count)| {
            seen += count;
            seen >= rank
        });
        bucket.map(|(nanos, _)| Duration::from_nanos(*nanos))
    }

    /// The shortest and the longest time; `None` without samples.
    pub(crate) fn range(&self) -> Option<(Duration, Duration)> {
        let (first, last) = (self.buckets.first()?, self.buckets.last()?);
        Some((Duration::from_nanos(first.0), Duration::from_nanos(last.0)))
    }

    /// Each time and how often it was seen, ascending.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.buckets.iter().map(|(nanos, count)| (Duration::from_nanos(*nanos), *count))
    }
}

#[cfg(test)]
impl Distribution {
    /// So many samples of one time, and so many of a longer one.
    pub(crate) fn of(usual: (u64, u64), longer: (u64, u64)) -> Self {
        let mut recorder = Recorder::new();
        for (nanos, count) in [usual, longer] {
            (0..count).for_each(|_| recorder.record(nanos));
        }
        recorder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_is_not_below_its_share() {
        let quantile = |long| Distribution::of((1_000, 10_000 - long), (9_000, long)).quantile(Quantile::DEFAULT);
        let micros = |time: Option<Duration>| time.map(|time| time.as_micros());
        assert_eq!(micros(quantile(10)), Some(1), "ten of 10,000 are beyond");
        assert_eq!(micros(quantile(11)), Some(9));
    }

    /// The negative control: nine samples beyond say nothing.
    #[test]
    fn quantile_with_nine_samples_beyond_is_absent() {
        let quantile = |samples| Distribution::of((1_000, samples), (9_000, 0)).quantile(Quantile::DEFAULT);
        assert!(quantile(10_000).is_some());
        assert!(quantile(9_999).is_none());
    }

    #[test]
    fn times_are_rounded_up_by_a_thousandth_at_most() {
        for nanos in [1, 999, 10_007, 123_457, 99_999_999, 3_599_999_999_999] {
            let (shortest, longest) = Distribution::of((nanos, 1), (nanos, 0)).range().expect("there is a sample");
            assert_eq!(shortest, longest);
            let over = longest.checked_sub(Duration::from_nanos(nanos)).expect("it is not rounded down");
            assert!(over.as_nanos() * 1_000 <= u128::from(nanos), "{nanos} became {longest:?}");
        }
    }

    #[test]
    fn counts_that_nobody_measured_are_refused() {
        let check = |buckets: &[(u64, u64)]| Distribution { buckets: buckets.to_vec() }.check();
        assert_eq!(check(&[(1_000, 1), (2_000, 1)]), Ok(()));
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[(2_000, 1), (1_000, 1)]), Err(Implausible::Order));
        assert_eq!(check(&[(1_000, 1), (1_000, 1)]), Err(Implausible::Order));
        assert_eq!(check(&[(1_000, 0)]), Err(Implausible::Zero));
        assert_eq!(check(&[(0, 1)]), Err(Implausible::Time));
        assert_eq!(check(&[(u64::MAX, 1)]), Err(Implausible::Time));
        assert_eq!(check(&[(1_000, u64::MAX), (2_000, 1)]), Err(Implausible::Overflow));
        let many: Vec<_> = (1..=40_000).map(|nanos| (nanos, 1)).collect();
        assert_eq!(check(&many), Err(Implausible::Buckets));
    }
}
