//! bucket: polices one connection's observations as a leaky bucket, by their arrival.
//!
//! The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371): an observation may come
//! `arrival_jitter` sooner than it is expected, and each one moves the expectation by `min_period`. Any span of
//! length t then holds at most ⌊(t + jitter) / period⌋ + 1 accepted observations.
//!
//! A controller that restarts is not refused for coming too soon after its former self: a new epoch's first
//! observation begins a fresh bucket. That happens at most once a second, so that epochs are no way around the
//! period: each fresh bucket adds at most 1 + jitter / period observations to the count above.

use crate::time::{Duration, Instant};

/// One connection's leaky bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// When the next observation would come, were the controller exact.
    expected: Instant,
    /// When an epoch last began with a fresh bucket.
    fresh_at: Option<Instant>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { expected: Instant::ORIGIN, fresh_at: None }
    }
}

impl Bucket {
    /// Whether an observation may come at `arrival`.
    pub(crate) fn conforms(&self, arrival: Instant, jitter: Duration) -> bool {
        arrival >= self.expected.before(jitter)
    }

    /// An observation that conforms was let in.
    pub(crate) fn take(&mut self, arrival: Instant, period: Duration) {
        self.expected = self.expected.max(arrival).after(period);
    }

    /// Whether a new epoch may begin a fresh bucket.
    pub(crate) fn may_begin_afresh(&self, arrival: Instant) -> bool {
        self.fresh_at.is_none_or(|last| arrival.since(last) >= Duration::SECOND)
    }

    /// A new epoch's first observation was let in although it came too soon.
    pub(crate) fn begin_afresh(&mut self, arrival: Instant, period: Duration) {
        *self = Self { expected: arrival.after(period), fresh_at: Some(arrival) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapless::Vec;

    const PERIOD: Duration = Duration::from_nanos(100);

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// Offers an observation at each of these instants and returns those let in.
    fn let_in(jitter: u64, arrivals: impl IntoIterator<Item = u64>) -> Vec<u64, 16> {
        let (mut bucket, jitter) = (Bucket::default(), Duration::from_nanos(jitter));
        let mut offer = |arrival: &u64| {
            let conforms = bucket.conforms(at(*arrival), jitter);
            if conforms {
                bucket.take(at(*arrival), PERIOD);
            }
            conforms
        };
        arrivals.into_iter().filter(|arrival| offer(arrival)).collect()
    }

    #[test]
    fn the_tolerance_ends_to_the_nanosecond() {
        assert_eq!(let_in(30, [1_000, 1_069, 1_070, 1_169, 1_170, 1_269, 1_270]), [1_000, 1_070, 1_170, 1_270]);
    }

    #[test]
    fn a_refused_observation_moves_nothing() {
        assert_eq!(let_in(0, [1_000, 1_050, 1_099, 1_100]), [1_000, 1_100]);
    }

    #[test]
    fn a_flood_gets_its_rate_and_one_burst_of_the_tolerance() {
        let accepted = let_in(250, 1_000..=2_000);
        assert_eq!(accepted.len(), (1_000 + 250) / 100 + 1);
        assert_eq!(accepted[..4], [1_000, 1_001, 1_002, 1_050]);
    }

    #[test]
    fn epochs_that_begin_all_the_time_add_one_fresh_bucket_a_second() {
        let (period, jitter) = (Duration::from_micros(10_000), Duration::from_micros(5_000));
        let mut bucket = Bucket::default();
        let mut accepted = 0;
        // Three seconds of a new epoch each 0.1 ms.
        for arrival in (0..=30_000).map(|step| at(step * 100_000)) {
            if bucket.conforms(arrival, jitter) {
                bucket.take(arrival, period);
            } else if bucket.may_begin_afresh(arrival) {
                bucket.begin_afresh(arrival, period);
            } else {
                continue;
            }
            accepted += 1;
        }
        let (by_period, afresh) = ((3_000 + 5) / 10 + 1, 3);
        assert!(accepted > by_period, "a fresh bucket lets more in");
        assert!(accepted <= by_period + afresh * 3 / 2, "each at most 1 + jitter / period: {accepted}");
    }
}
