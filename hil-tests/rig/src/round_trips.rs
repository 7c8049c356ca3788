//! How long the robot waited: from an observation's stamp to its own action or fallback.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Round trips, the model's and the fallbacks' apart.
pub struct RoundTrips {
    model: Histogram<u64>,
    fallback: Histogram<u64>,
    all: Histogram<u64>,
}

/// The distribution in figures, in µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub count: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

/// One bar of a histogram whose axis is logarithmic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Its lower edge in µs.
    pub from_us: f64,
    /// Its upper edge in µs.
    pub to_us: f64,
    /// Answers of the model.
    pub model: u64,
    /// Fallbacks.
    pub fallback: u64,
}

impl RoundTrips {
    /// No round trip yet.
    #[must_use]
    pub fn new() -> Self {
        let empty = || Histogram::new_with_max(LONGEST_NS, 3).expect("the bounds are constants that fit");
        Self { model: empty(), fallback: empty(), all: empty() }
    }

    /// Notes an answer of the model.
    pub fn model(&mut self, round_trip: Duration) {
        self.model.saturating_record(nanos(round_trip));
        self.all.saturating_record(nanos(round_trip));
    }

    /// Notes a fallback.
    pub fn fallback(&mut self, round_trip: Duration) {
        self.fallback.saturating_record(nanos(round_trip));
        self.all.saturating_record(nanos(round_trip));
    }

    /// The distribution of all of them.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.all.value_at_quantile(quantile) / 1000;
        Quantiles {
            count: self.all.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.all.max() / 1000,
        }
    }

    /// Bars of equal width on a logarithmic axis, from the first to the last that is not empty.
    #[must_use]
    pub fn bars(&self) -> Vec<Bar> {
        if self.all.is_empty() {
            return Vec::new();
        }
        let (first, last) = (bar_of(self.all.min()), bar_of(self.all.max()));
        (first..=last)
            .map(|bar| {
                // a bar's end is the next one's beginning
                let (from, to) = (edge_ns(bar), edge_ns(bar + 1));
                let count = |histogram: &Histogram<u64>| {
                    histogram
                        .iter_recorded()
                        .filter(|value| bar_of(value.value_iterated_to()) == bar)
                        .map(|value| value.count_at_value())
                        .sum()
                };
                Bar {
                    from_us: from / 1000.0,
                    to_us: to / 1000.0,
                    model: count(&self.model),
                    fallback: count(&self.fallback),
                }
            })
            .collect()
    }
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self::new()
    }
}

/// Longer than any deadline.
const LONGEST_NS: u64 = 60_000_000_000;

const BARS_A_DECADE: f64 = 24.0;

fn nanos(round_trip: Duration) -> u64 {
    u64::try_from(round_trip.as_nanos()).unwrap_or(u64::MAX)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a logarithm of at most a minute in nanoseconds, cut to a bar's number"
)]
fn bar_of(nanos: u64) -> i32 {
    ((nanos.max(1) as f64).log10() * BARS_A_DECADE).floor() as i32
}

fn edge_ns(bar: i32) -> f64 {
    10_f64.powf(f64::from(bar) / BARS_A_DECADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut round_trips = RoundTrips::new();
        for us in 1..=990 {
            round_trips.model(Duration::from_micros(us));
        }
        for _ in 0..10 {
            round_trips.fallback(Duration::from_micros(7600));
        }
        let seen = round_trips.quantiles();
        assert_eq!(seen.count, 1000);
        for (ours, expected) in [(seen.p50_us, 500), (seen.p99_us, 990), (seen.p999_us, 7600), (seen.max_us, 7600)] {
            // three digits
            assert!(ours.abs_diff(expected) * 1000 <= 2 * expected, "{ours} instead of {expected}");
        }
    }

    #[test]
    fn each_round_trip_is_in_one_bar() {
        let mut round_trips = RoundTrips::new();
        for us in [120, 121, 340, 980, 1000, 1001, 5000] {
            round_trips.model(Duration::from_micros(us));
        }
        round_trips.fallback(Duration::from_micros(7600));
        let bars = round_trips.bars();
        assert_eq!(bars.iter().map(|bar| bar.model).sum::<u64>(), 7);
        assert_eq!(bars.iter().map(|bar| bar.fallback).sum::<u64>(), 1);
        let last = bars.last().expect("there are some");
        assert_eq!((last.model, last.fallback), (0, 1));
        assert!(last.from_us < 7600.0 && 7600.0 < last.to_us);
        for pair in bars.windows(2) {
            assert!((pair[0].to_us - pair[1].from_us).abs() < 1e-9, "a gap");
        }
    }

    #[test]
    fn nothing_has_no_bars() {
        assert_eq!(RoundTrips::new().bars(), []);
        assert_eq!(RoundTrips::new().quantiles().max_us, 0);
    }
}
