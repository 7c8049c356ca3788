//! How fast a series of memory sizes grows, and how sure that is.
//!
//! The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968): an allocator's steps and
//! single outliers do not move it. Its interval is Sen's, from the variance of Kendall's statistic. Sizes follow their
//! predecessors, so the points are medians of blocks, and the variance is raised by what the correlation of neighbours
//! that is left costs in independent points (Yue and Wang 2004).

use std::time::Duration;

use serde::Serialize;

/// How large something was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Since the begin.
    pub at: Duration,
    /// In KiB.
    pub kib: u32,
}

/// A growth in percent of the median size, an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Slope {
    /// The median of the slopes between all pairs.
    pub percent_per_hour: f64,
    /// The lower end of its interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What a slope says about a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// The whole interval is below.
    Below,
    /// The whole interval is above.
    Above,
    /// The limit lies inside.
    Unresolved,
}

/// How many points are compared at most.
const BLOCKS: usize = 60;
/// Fewer say nothing.
const FEWEST: usize = 10;
/// Of the standard normal distribution: both ends of the interval together are wrong once in 20 times.
const Z: f64 = 1.96;
/// Beyond it neighbours are as good as one point.
const MOST_CORRELATED: f64 = 0.95;

impl Slope {
    /// Fits a series in the order of time; `None`: it is too short.
    #[must_use]
    pub fn of(series: &[Size]) -> Option<Self> {
        let points = blocks(series);
        if points.len() < FEWEST {
            return None;
        }
        let mut slopes: Vec<f64> = pairs(&points).map(|(a, b)| (b.1 - a.1) / (b.0 - a.0)).collect();
        slopes.sort_by(f64::total_cmp);
        let slope = middle(&slopes);
        let half = Z * (variance(points.len()) * inflation(&points, slope)).sqrt();
        let (count, last) = (count(slopes.len()), slopes.len() - 1);
        let at = |place: f64| slopes[place_of(place).min(last)];
        let mut sizes: Vec<_> = points.iter().map(|point| point.1).collect();
        sizes.sort_by(f64::total_cmp);
        let percent_per_hour = 100.0 * 3600.0 / middle(&sizes);
        Some(Self {
            percent_per_hour: slope * percent_per_hour,
            low: at((count - half) / 2.0) * percent_per_hour,
            high: at(f64::midpoint(count, half)) * percent_per_hour,
        })
    }

    /// Holds it against a limit in percent an hour.
    #[must_use]
    pub fn against(self, limit: f64) -> Growth {
        if self.high < limit {
            Growth::Below
        } else if self.low > limit {
            Growth::Above
        } else {
            Growth::Unresolved
        }
    }
}

/// The medians of blocks of the series: seconds and KiB.
fn blocks(series: &[Size]) -> Vec<(f64, f64)> {
    let length = series.len().div_ceil(BLOCKS).max(1);
    let median = |block: &[Size]| {
        let mut times: Vec<_> = block.iter().map(|size| size.at.as_secs_f64()).collect();
        let mut sizes: Vec<_> = block.iter().map(|size| f64::from(size.kib)).collect();
        times.sort_by(f64::total_cmp);
        sizes.sort_by(f64::total_cmp);
        (middle(&times), middle(&sizes))
    };
    series.chunks(length).map(median).collect()
}

fn pairs(points: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> + '_ {
    let after = |place: usize| points.iter().skip(place + 1);
    points.iter().enumerate().flat_map(move |(place, a)| after(place).map(move |b| (*a, *b)))
}

/// Of Kendall's statistic over so many points.
fn variance(points: usize) -> f64 {
    let n = count(points);
    n * (n - 1.0) * (2.0 * n + 5.0) / 18.0
}

/// How many correlated points stand for one.
fn inflation(points: &[(f64, f64)], slope: f64) -> f64 {
    let level = points.iter().map(|(at, size)| size - slope * at).sum::<f64>() / count(points.len());
    let rest: Vec<_> = points.iter().map(|(at, size)| size - slope * at - level).collect();
    let squares: f64 = rest.iter().map(|one| one * one).sum();
    let products: f64 = rest.iter().zip(rest.iter().skip(1)).map(|(a, b)| a * b).sum();
    let correlation = if squares > 0.0 { (products / squares).clamp(0.0, MOST_CORRELATED) } else { 0.0 };
    (1.0 + correlation) / (1.0 - correlation)
}

/// The median of what is sorted.
fn middle(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], sorted[half]) } else { sorted[half] }
}

#[allow(clippy::cast_precision_loss, reason = "there are some thousand pairs")]
fn count(of: usize) -> f64 {
    of as f64
}

/// A place in a list; in front of it: the first.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place is small, and it saturates at 0")]
fn place_of(place: f64) -> usize {
    place.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: f64 = 1.0;

    /// A size each second, 200 MB, growing so many percent an hour, with noise of some pages that follows itself.
    fn series(seconds: u32, percent_per_hour: f64, noise_kib: f64) -> Vec<Size> {
        noisy(seconds, percent_per_hour, noise_kib, 1)
    }

    fn noisy(seconds: u32, percent_per_hour: f64, noise_kib: f64, seed: u64) -> Vec<Size> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut noise = 0.0;
        let sizes = (0..seconds).map(|second| {
            noise = 0.9 * noise + (random.f64() - 0.5) * noise_kib;
            let kib = 200_000.0 * (1.0 + percent_per_hour / 100.0 * f64::from(second) / 3600.0) + noise;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred thousand")]
            let kib = kib.round() as u32;
            Size { at: Duration::from_secs(second.into()), kib }
        });
        sizes.collect()
    }

    fn growth(series: &[Size]) -> Growth {
        Slope::of(series).expect("it is long enough").against(LIMIT)
    }

    #[test]
    fn what_does_not_grow_is_below() {
        assert_eq!(growth(&series(1_500, 0.0, 100.0)), Growth::Below);
        assert_eq!(growth(&series(1_500, 0.0, 0.0)), Growth::Below);
        assert_eq!(growth(&series(1_500, -5.0, 100.0)), Growth::Below);
        assert_eq!(growth(&series(1_500, 0.5, 50.0)), Growth::Below);
    }

    /// The negative control: a planted leak of twice the limit.
    #[test]
    fn a_leak_of_two_percent_an_hour_is_above() {
        assert_eq!(growth(&series(1_500, 2.0, 100.0)), Growth::Above);
        let slope = Slope::of(&series(1_500, 2.0, 0.0)).expect("it is long enough");
        assert!((slope.percent_per_hour - 2.0).abs() < 0.02, "{slope:?}");
    }

    #[test]
    fn a_leak_in_steps_is_above() {
        // 64 KiB at a time, as an allocator takes its memory.
        let mut stepped = series(1_500, 4.0, 0.0);
        for size in &mut stepped {
            size.kib = size.kib / 64 * 64;
        }
        assert_eq!(growth(&stepped), Growth::Above);
    }

    #[test]
    fn too_few_points_say_nothing() {
        assert_eq!(Slope::of(&series(9, 0.0, 0.0)), None);
        assert_eq!(growth(&series(60, 0.0, 0.0)), Growth::Below);
    }

    #[test]
    fn the_verdict_does_not_depend_on_the_noise() {
        for seed in 0..20 {
            assert_eq!(growth(&noisy(1_500, 0.0, 100.0, seed)), Growth::Below, "seed {seed}");
            assert_eq!(growth(&noisy(1_500, 2.0, 100.0, seed)), Growth::Above, "seed {seed}");
        }
    }

    #[test]
    fn outliers_and_a_sawtooth_are_no_leak() {
        let mut spikes = series(1_500, 0.0, 50.0);
        for size in spikes.iter_mut().step_by(97) {
            size.kib += 20_000;
        }
        assert_eq!(growth(&spikes), Growth::Below);
        let mut sawtooth = series(1_500, 0.0, 50.0);
        for (at, size) in (0_u32..).zip(&mut sawtooth) {
            size.kib += at % 50 * 20;
        }
        assert_eq!(growth(&sawtooth), Growth::Below);
    }

    #[test]
    fn neighbours_that_are_alike_widen_the_interval() {
        let width = |noise: Vec<Size>| {
            let slope = Slope::of(&noise).expect("it is long enough");
            slope.high - slope.low
        };
        // The same sizes, in an order in which neighbours have nothing in common.
        let alike = series(60, 0.0, 500.0);
        let mut mixed = alike.clone();
        let place = |at: usize| at * 37 % 60;
        for at in 0..60 {
            mixed[at].kib = alike[place(at)].kib;
        }
        assert!(width(alike) > 1.5 * width(mixed));
    }
}
