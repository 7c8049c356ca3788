//! How long each scene may take, so that all together keep to the time that was asked for.

use std::time::{Duration, Instant};

use crate::timing::Quantile;

/// Every scene gets this part of the whole: what is rare in short scenes is the machine's, and shows with time.
const LEAST: u32 = 40;

/// What is left of a measurement's time.
pub(super) struct Budget {
    whole: Duration,
    begun: Instant,
    /// How many samples every scene should have.
    wanted: u64,
}

/// One scene's share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    least: Duration,
    most: Duration,
    wanted: u64,
}

impl Budget {
    /// From now on.
    pub(super) fn new(whole: Duration, quantile: Quantile) -> Self {
        Self { whole, begun: Instant::now(), wanted: quantile.needs() }
    }

    /// The share of a scene whose samples come this far apart, with so many scenes after it.
    pub(super) fn share(&self, apart: Duration, after: u32) -> Share {
        let left = self.whole.saturating_sub(self.begun.elapsed());
        share(self.whole, left, self.wanted, apart, after)
    }

    /// When it is over, at the latest.
    pub(super) fn ends(&self) -> Instant {
        self.begun + self.whole
    }
}

/// All that can be spared if that is enough, else as much as each of the others.
fn share(whole: Duration, left: Duration, wanted: u64, apart: Duration, after: u32) -> Share {
    let least = whole / LEAST;
    let spare = left.saturating_sub(least * after);
    let needs = apart.saturating_mul(u32::try_from(wanted).unwrap_or(u32::MAX));
    let most = if needs <= spare { spare } else { left / (after + 1) };
    Share { least, most: most.max(least), wanted }
}

impl Share {
    /// Neither more nor less.
    pub(super) fn exactly(span: Duration) -> Self {
        Self { least: span, most: span, wanted: 0 }
    }

    /// Whether a median can be expected of samples that come this far apart.
    pub(super) fn suffices(self, apart: Duration) -> bool {
        let needs = u32::try_from(Quantile::STATED[0].needs()).expect("a median takes twenty");
        self.most >= apart * needs
    }

    /// Whether a scene is over.
    pub(super) fn is_over(&self, samples: u64, elapsed: Duration) -> bool {
        elapsed >= self.most || (samples >= self.wanted && elapsed >= self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const US: fn(u64) -> Duration = Duration::from_micros;

    #[test]
    fn scene_that_can_be_finished_may_take_what_the_others_can_spare() {
        let share = share(S(40), S(20), 10_000, US(1_050), 4);
        assert_eq!((share.least, share.most), (S(1), S(16)));
        assert!(share.is_over(10_000, S(11)) && share.is_over(9_000, S(16)));
        assert!(!share.is_over(9_999, S(11)) && !share.is_over(50_000, S(1) / 2));
    }

    #[test]
    fn scene_that_cannot_be_finished_takes_no_more_than_the_others() {
        assert_eq!(share(S(40), S(20), 10_000, US(105_000), 4).most, S(4));
        assert_eq!(share(S(40), S(0), 10_000, US(105_000), 4).most, S(1), "the least");
    }
}
