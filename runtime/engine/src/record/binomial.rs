//! How many of n trials may come out above, if each does with probability p and false alarms are to be rare.
//!
//! Without logarithms or powers, which `core` does not have: the weights of a binomial distribution relative to that of
//! its mode, each from its neighbour's. They are summed from the small end, and f64 keeps about fourteen digits of
//! that sum. What lies within its error of the limit counts as beyond, so that a false alarm is never more likely
//! than allowed.

pub(super) const MILLION: u32 = 1_000_000;
/// The longest window.
const MOST_TRIALS: u32 = MILLION;
/// A false alarm's probability in one window.
const FALSE_ALARM: f64 = 1e-6 * (1.0 - 1e-9);
/// Relative to the mode's: smaller weights add nothing that shows.
const NEGLIGIBLE: f64 = 1e-30;

/// The least k of which more than k come out above with a probability of at most 10⁻⁶; `None`: even all of them may.
pub(super) fn most_above(trials: u32, above_ppm: u32) -> Option<u32> {
    if trials == 0 || trials > MOST_TRIALS || above_ppm == 0 || above_ppm >= MILLION {
        return None;
    }
    let odds = f64::from(above_ppm) / f64::from(MILLION.saturating_sub(above_ppm));
    // The weight of k + 1 over that of k.
    let ratio = |k: u32| f64::from(trials.saturating_sub(k)) / f64::from(k.saturating_add(1)) * odds;
    let mode = u64::from(trials).saturating_add(1).saturating_mul(u64::from(above_ppm)).checked_div(u64::from(MILLION));
    let mode = mode.and_then(|mode| u32::try_from(mode).ok()).map_or(trials, |mode| mode.min(trials));

    let (mut sum, mut weight, mut k) = (1.0, 1.0, mode);
    while k > 0 && weight > NEGLIGIBLE {
        k = k.saturating_sub(1);
        weight /= ratio(k);
        sum += weight;
    }
    (weight, k) = (1.0, mode);
    while k < trials && weight > NEGLIGIBLE {
        weight *= ratio(k);
        sum += weight;
        k = k.saturating_add(1);
    }
    let mut tail = weight;
    while tail <= FALSE_ALARM * sum && k > 0 {
        k = k.saturating_sub(1);
        weight /= ratio(k);
        tail += weight;
    }
    (k < trials).then_some(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with exact integers: the least k with Σ_{j>k} C(n, j) aʲ bⁿ⁻ʲ · 10⁶ ≤ (a + b)ⁿ.
    const EXACT: [(u32, u32, Option<u32>); 44] = [
        (1_000, 1_000, Some(9)),
        (10_000, 1_000, Some(28)),
        (100, 1_000, Some(4)),
        (500, 100, Some(3)),
        (2_000, 1, Some(2)),
        (1_000, 10_000, Some(28)),
        (200, 50_000, Some(27)),
        (50, 200_000, Some(25)),
        (20, 50_000, Some(8)),
        (10, 100_000, Some(7)),
        (7, 100_000, Some(6)),
        (5, 100_000, None),
        (1, 2, None),
        (2, 1_001, None),
        (1_000, 500_000, Some(575)),
        (20, 500_000, Some(19)),
        (19, 500_000, None),
        (5_000, 100, Some(6)),
        (20_000, 1_000, Some(45)),
        (560, 2_068, Some(9)),
        (492, 14_729, Some(23)),
        (2_678, 199_028, Some(633)),
        (2_008, 12_774, Some(53)),
        (2_498, 70, Some(5)),
        (1_100, 378_295, Some(493)),
        (1_310, 16_038, Some(46)),
        (2_670, 302, Some(8)),
        (2_821, 113_561, Some(403)),
        (2_171, 14_349, Some(61)),
        (2_274, 122_204, Some(355)),
        (2_782, 15_061, Some(76)),
        (98, 218_199, Some(42)),
        (771, 329_963, Some(318)),
        (1_372, 16_411, Some(48)),
        (2_089, 6_221, Some(33)),
        (1_173, 16_364, Some(43)),
        (2_422, 1_132, Some(14)),
        (1_004, 13_248, Some(34)),
        (2_732, 12_030, Some(63)),
        (364, 230_143, Some(124)),
        (680, 12_887, Some(26)),
        (2_015, 970, Some(12)),
        (188, 19_438, Some(16)),
        (2_660, 89_313, Some(310)),
    ];

    #[test]
    fn critical_counts_are_those_of_exact_arithmetic() {
        for (trials, above_ppm, most) in EXACT {
            assert_eq!(most_above(trials, above_ppm), most, "{trials} trials, {above_ppm} ppm");
        }
    }

    #[test]
    fn on_the_very_limit_it_errs_to_fewer_alarms() {
        // All above has a probability of exactly 10⁻⁶, which exact arithmetic would allow.
        for (trials, above_ppm) in [(1, 1), (2, 1_000), (3, 10_000), (6, 100_000)] {
            assert_eq!(most_above(trials, above_ppm), None, "{trials} trials, {above_ppm} ppm");
        }
    }

    #[test]
    fn what_cannot_be_is_none() {
        for (trials, above_ppm) in [(0, 1_000), (100, 0), (100, MILLION), (MILLION + 1, 1_000), (5, 100_000)] {
            assert_eq!(most_above(trials, above_ppm), None, "{trials} trials, {above_ppm} ppm");
        }
    }
}
