//! The curve through a plan's steps: which value an element has at an instant.

use super::Interpolation;
use crate::time::Duration;

/// A place in a plan: a step, and how far it is on the way to the next, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct At {
    pub(super) step: u32,
    into: f32,
}

impl At {
    /// So long after the origin; `None`: behind the last step's time.
    pub(super) fn new(elapsed: Duration, period: Duration, steps: u16) -> Option<Self> {
        let step = elapsed.nanos().checked_div(period.nanos())?;
        let step = u32::try_from(step).ok().filter(|step| *step < u32::from(steps))?;
        let begins = u64::from(step).saturating_mul(period.nanos());
        let into = share(Duration::from_nanos(elapsed.nanos().saturating_sub(begins)), period).unwrap_or(1.0);
        Some(Self { step, into })
    }

    /// The end of the last step.
    pub(super) fn last(steps: u16) -> Self {
        Self { step: u32::from(steps).saturating_sub(1), into: 1.0 }
    }
}

/// Which share of `whole` has passed; `None`: all of it.
pub(super) fn share(passed: Duration, whole: Duration) -> Option<f32> {
    (passed < whole).then(|| passed.seconds() / whole.seconds())
}

/// This far from one value to another.
pub(super) fn towards(from: f32, to: f32, into: f32) -> f32 {
    from + (to - from) * into
}

/// The value of one element of so many at this place. `values`: step after step. The last step lasts for its whole period.
pub(super) fn value(
    interpolation: Interpolation,
    values: &[f32],
    (elements, element): (usize, usize),
    At { step, into }: At,
) -> f32 {
    let steps = values.len().checked_div(elements).unwrap_or(0);
    let step = usize::try_from(step).unwrap_or(usize::MAX);
    let of = |step: usize| {
        let step = step.min(steps.saturating_sub(1));
        values.get(step.saturating_mul(elements).saturating_add(element)).copied().unwrap_or(0.0)
    };
    let (here, next) = (of(step), of(step.saturating_add(1)));
    match interpolation {
        Interpolation::Hold => here,
        Interpolation::Linear => towards(here, next, into),
        Interpolation::Cubic => {
            // At the ends the step's own neighbour stands for the one that is missing.
            let slope = |before: f32, after: f32| (after - before) * 0.5;
            let leaves = slope(of(step.saturating_sub(1)), next);
            let arrives = slope(here, of(step.saturating_add(2)));
            hermite(here, next, (leaves, arrives), into)
        }
    }
}

fn hermite(from: f32, to: f32, (leaves, arrives): (f32, f32), into: f32) -> f32 {
    let (squared, cubed) = (into * into, into * into * into);
    (2.0 * cubed - 3.0 * squared + 1.0) * from
        + (cubed - 2.0 * squared + into) * leaves
        + (3.0 * squared - 2.0 * cubed) * to
        + (cubed - squared) * arrives
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_micros(10_000);

    fn at(micros: u64, steps: u16) -> Option<At> {
        At::new(Duration::from_micros(micros), PERIOD, steps)
    }

    fn along(interpolation: Interpolation, micros: u64) -> f32 {
        // Two elements, of which the second is looked at.
        let values = [9.0, 0.0, 9.0, 1.0, 9.0, 4.0];
        value(interpolation, &values, (2, 1), at(micros, 3).unwrap())
    }

    fn near(left: f32, right: f32) -> bool {
        (left - right).abs() < 1e-6
    }

    #[test]
    fn a_step_begins_at_its_time_and_the_last_one_ends_with_its_period() {
        let step = |micros| at(micros, 3).map(|at| at.step);
        assert_eq!([0, 9_999, 10_000, 29_999, 30_000].map(step), [Some(0), Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn each_interpolation_goes_through_the_steps() {
        for interpolation in [Interpolation::Hold, Interpolation::Linear, Interpolation::Cubic] {
            for (micros, wanted) in [(0, 0.0), (10_000, 1.0), (20_000, 4.0)] {
                assert!(near(along(interpolation, micros), wanted), "{interpolation:?} at {micros}");
            }
            assert!(near(along(interpolation, 29_000), 4.0) || interpolation == Interpolation::Cubic);
        }
    }

    #[test]
    fn between_steps_it_holds_goes_straight_or_curves() {
        assert!(near(along(Interpolation::Hold, 15_000), 1.0));
        assert!(near(along(Interpolation::Linear, 15_000), 2.5));
        // Slopes: 2 at the second step, 1.5 at the third, whose neighbour is itself.
        assert!(near(along(Interpolation::Cubic, 15_000), 2.5 + (2.0 - 1.5) / 8.0));
    }

    #[test]
    fn a_cubic_through_a_straight_line_is_that_line() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        for micros in (10_000..30_000).step_by(1_000) {
            let straight = value(Interpolation::Linear, &values, (1, 0), at(micros, 5).unwrap());
            let cubic = value(Interpolation::Cubic, &values, (1, 0), at(micros, 5).unwrap());
            assert!((straight - cubic).abs() < 1e-5, "{straight} and {cubic} at {micros}");
        }
    }

    #[test]
    fn a_share_ends_with_the_whole() {
        assert_eq!(share(PERIOD, PERIOD), None);
        assert_eq!(share(Duration::ZERO, Duration::ZERO), None, "no blend at all");
        assert!(near(share(Duration::from_micros(2_500), PERIOD).unwrap(), 0.25));
    }
}
