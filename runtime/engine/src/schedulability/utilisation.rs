//! The share of a worker's time that a set of connections asks for.
//!
//! It is rounded down, and nothing is accepted for it: with more than the whole time the busy period never ends,
//! which the test finds by itself. It only tells an overload by its name.

use super::{Asks, Demand};

/// A share of one worker's time, in 2⁻⁶⁴, rounded down for each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utilisation(u128);

const WHOLE_BITS: u32 = u64::BITS;

impl Utilisation {
    /// In millionths, rounded down.
    #[must_use]
    pub fn parts_per_million(self) -> u64 {
        const MILLION: u128 = 1_000_000;
        let whole = self.0.wrapping_shr(WHOLE_BITS).saturating_mul(MILLION);
        let rest = (self.0 & u128::from(u64::MAX)).saturating_mul(MILLION).wrapping_shr(WHOLE_BITS);
        u64::try_from(whole.saturating_add(rest)).unwrap_or(u64::MAX)
    }

    pub(super) fn of(set: &[Demand]) -> Self {
        let share = |demand: &Demand| {
            let Asks { period, execution, .. } = Asks::from(*demand);
            u128::from(execution).wrapping_shl(WHOLE_BITS).checked_div(u128::from(period)).unwrap_or(u128::MAX)
        };
        Self(set.iter().map(share).fold(0, u128::saturating_add))
    }

    /// Whether it is above so many workers' time, rounding aside.
    pub(super) fn is_surely_above(self, workers: u16) -> bool {
        self.0 > u128::from(workers).wrapping_shl(WHOLE_BITS)
    }
}
