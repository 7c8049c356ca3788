//! How an endpoint does: its breaker, its counts, its round trips.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::{
    error::{AttemptFailure, ConnectError, Failure, NotSent},
    status::{Breaker, Kind, RoundTrip},
};

/// Longer round trips are counted as this long.
const LONGEST_US: u64 = 120_000_000;
/// Samples beyond a quantile, for it to be stated.
const BEYOND: f64 = 10.0;

/// One endpoint's.
pub(crate) struct Vitals {
    pub(crate) breaker: Breaker,
    /// Failures since the last answer that count against it.
    failed: u32,
    pub(crate) attempts: u64,
    pub(crate) answered: u64,
    failures: [u64; Kind::ALL.len()],
    pub(crate) last_failure: Option<AttemptFailure>,
    pub(crate) last_answer: Option<Instant>,
    round_trips: Histogram<u64>,
}

impl Vitals {
    pub(crate) fn new() -> Self {
        Self {
            // It is asked before it was probed: the first request need not wait for that.
            breaker: Breaker::Closed,
            failed: 0,
            attempts: 0,
            answered: 0,
            failures: [0; Kind::ALL.len()],
            last_failure: None,
            last_answer: None,
            round_trips: Histogram::new_with_bounds(1, LONGEST_US, 2).expect("bounds and digits are allowed ones"),
        }
    }

    pub(crate) fn answer(&mut self, round_trip: Duration, now: Instant) {
        self.answered += 1;
        self.failed = 0;
        self.breaker = Breaker::Closed;
        self.last_answer = Some(now);
        self.round_trips.saturating_record(u64::try_from(round_trip.as_micros()).unwrap_or(LONGEST_US).max(1));
    }

    /// `most` failures in a row open the breaker; a failed probe, or a server that is not who it must be, does so at once.
    pub(crate) fn fail(&mut self, why: &AttemptFailure, probe: bool, most: u32) {
        self.count(why);
        if !counts(why) {
            return;
        }
        self.failed = self.failed.saturating_add(1);
        let identity = matches!(why, AttemptFailure::NotSent(NotSent::Connect(ConnectError::Identity(_))));
        if probe || identity || self.failed >= most {
            self.breaker = Breaker::Open;
        }
    }

    /// Nobody waited until its end. Only where the endpoint kept it waiting this counts against it.
    pub(crate) fn give_up(&mut self, expired: bool, by_endpoint: bool, probe: bool, most: u32) {
        let why = if expired { NotSent::Expired } else { NotSent::Cancelled };
        // Whoever gave it up says nothing about the endpoint: why it failed before stays told.
        let last = self.last_failure.take();
        self.count(&why.into());
        if !expired {
            self.last_failure = last;
        }
        if expired && by_endpoint {
            self.failed = self.failed.saturating_add(1);
            if probe || self.failed >= most {
                self.breaker = Breaker::Open;
            }
        }
    }

    pub(crate) fn round_trip(&self) -> RoundTrip {
        let trips = &self.round_trips;
        RoundTrip { count: trips.len(), p50: self.quantile(0.5), p99: self.quantile(0.99), p999: self.quantile(0.999) }
    }

    pub(crate) fn quantile(&self, quantile: f64) -> Option<Duration> {
        #[allow(clippy::cast_precision_loss, reason = "nobody counts to 2^52")]
        let beyond = self.round_trips.len() as f64 * (1.0 - quantile);
        (beyond >= BEYOND - 1e-6).then(|| Duration::from_micros(self.round_trips.value_at_quantile(quantile)))
    }

    pub(crate) fn failures(&self) -> Vec<(Kind, u64)> {
        Kind::ALL.into_iter().zip(self.failures).collect()
    }

    fn count(&mut self, why: &AttemptFailure) {
        let kind = Kind::from(why);
        let place = Kind::ALL.iter().position(|one| *one == kind).expect("each kind is among all of them");
        self.failures[place] += 1;
        self.last_failure = Some(why.clone());
    }
}

/// Whether a failure says something about the endpoint.
fn counts(why: &AttemptFailure) -> bool {
    match why {
        // The box's own files; and a connection that ended while nothing was on it: the next one tells more.
        AttemptFailure::NotSent(
            NotSent::Connect(ConnectError::Credentials(_))
            | NotSent::Lost
            | NotSent::Revoked
            | NotSent::Expired
            | NotSent::Cancelled,
        )
        | AttemptFailure::Sent(Failure::Revoked) => false,
        AttemptFailure::Sent(Failure::Status { code, .. }) => !code.is_permanent(),
        AttemptFailure::NotSent(NotSent::Connect(_))
        | AttemptFailure::Sent(
            Failure::Lost | Failure::Redirect(_) | Failure::Http(_) | Failure::NotGrpc | Failure::BadAnswer(_),
        ) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::{
        Code,
        error::{CredentialsError, IdentityError},
    };

    fn lost() -> AttemptFailure {
        Failure::Lost.into()
    }

    #[test]
    fn failures_in_a_row_open_the_breaker_and_an_answer_closes_it() {
        let mut vitals = Vitals::new();
        for _ in 0..2 {
            vitals.fail(&lost(), false, 3);
        }
        vitals.answer(Duration::from_millis(1), Instant::now());
        for _ in 0..2 {
            vitals.fail(&lost(), false, 3);
        }
        assert_eq!(vitals.breaker, Breaker::Closed, "never three in a row");
        vitals.fail(&lost(), false, 3);
        assert_eq!(vitals.breaker, Breaker::Open);
        vitals.answer(Duration::from_millis(1), Instant::now());
        assert_eq!(vitals.breaker, Breaker::Closed);
    }

    #[test]
    fn a_failed_probe_and_a_wrong_identity_open_it_at_once() {
        let mut vitals = Vitals::new();
        vitals.fail(&lost(), true, 3);
        assert_eq!(vitals.breaker, Breaker::Open);
        let mut vitals = Vitals::new();
        vitals.fail(&NotSent::from(ConnectError::from(IdentityError::WrongCa)).into(), false, 3);
        assert_eq!(vitals.breaker, Breaker::Open);
    }

    #[test]
    fn what_is_not_the_endpoints_fault_does_not_open_it() {
        let mut vitals = Vitals::new();
        let said = "".into();
        let own = CredentialsError::File { path: "".into(), kind: ErrorKind::NotFound };
        for why in [
            NotSent::from(ConnectError::from(own)).into(),
            Failure::Revoked.into(),
            AttemptFailure::from(Failure::Status { code: Code::InvalidArgument, said }),
            NotSent::Lost.into(),
        ] {
            vitals.fail(&why, false, 1);
        }
        vitals.give_up(true, false, false, 1); // the journal kept it waiting
        vitals.give_up(false, true, false, 1); // nobody wanted it any longer
        assert_eq!(vitals.breaker, Breaker::Closed);
        assert_eq!(vitals.failures().iter().map(|(_, count)| count).sum::<u64>(), 6, "they are counted all the same");
        vitals.give_up(true, true, false, 1);
        assert_eq!(vitals.breaker, Breaker::Open, "or the check above could not fail");
    }

    #[test]
    fn a_quantile_takes_ten_samples_beyond_it() {
        let mut vitals = Vitals::new();
        for sample in 1..=1_000 {
            vitals.answer(Duration::from_micros(sample), Instant::now());
            let trip = vitals.round_trip();
            assert_eq!(trip.p50.is_some(), sample >= 20, "{sample}");
            assert_eq!(trip.p99.is_some(), sample >= 1_000, "{sample}");
            assert_eq!(trip.p999, None);
        }
        let p50 = vitals.round_trip().p50.expect("a thousand samples");
        assert!((495..=505).contains(&p50.as_micros()), "{p50:?}");
    }
}
