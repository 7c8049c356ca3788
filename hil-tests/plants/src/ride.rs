//! What upsets a motion: a part that slips on the belt, a belt that changes its speed, a hand that pushes the arm.
//!
//! The closed form of `models/ur5e-planner/PLANT.md`.

use crate::motion::{Motion, Target};

/// A motion, and what happens on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ride {
    /// How the part would ride if nothing happened.
    pub motion: Motion,
    /// The part slips.
    pub slip: Option<Slip>,
    /// The belt changes its speed.
    pub speed: Option<Speed>,
    /// The arm is pushed.
    pub push: Option<Push>,
}

/// The part slides on the belt, in a smooth step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slip {
    /// When it begins, in s.
    pub at_s: f64,
    /// How long it takes, in s.
    pub for_s: f64,
    /// How far, across and along the belt, in m.
    pub by_m: [f64; 2],
}

/// The belt's drive goes over to another speed, linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// When it begins, in s.
    pub at_s: f64,
    /// How long it takes, in s.
    pub for_s: f64,
    /// The new speed, of the old one.
    pub factor: f64,
}

/// A force on the arm's last link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Push {
    /// When it begins, in ms.
    pub at_ms: u32,
    /// How long it lasts, in ms.
    pub for_ms: u32,
    /// In the world's axes, in N.
    pub force_n: [f64; 3],
}

impl Ride {
    /// This motion, undisturbed.
    #[must_use]
    pub fn calm(motion: Motion) -> Self {
        Self { motion, slip: None, speed: None, push: None }
    }

    /// The target at this many seconds; before the start too.
    #[must_use]
    pub fn at(&self, t_s: f64) -> Target {
        let (drive_s, rate) = self.speed.map_or((t_s, 1.0), |speed| speed.drive(t_s));
        let mut target = self.motion.at(drive_s);
        target.velocity_m_s = target.velocity_m_s.map(|part| part * rate);
        if let Some(slip) = self.slip {
            let (far, fast) = slip.progress(t_s);
            for (axis, by_m) in slip.by_m.into_iter().enumerate() {
                target.position_m[axis] += by_m * far;
                target.velocity_m_s[axis] += by_m * fast;
            }
        }
        target
    }

    /// What pushes in this millisecond, in N.
    #[must_use]
    pub fn force_n(&self, now_ms: u32) -> [f64; 3] {
        let pushing = |push: &Push| (push.at_ms..push.at_ms + push.for_ms).contains(&now_ms);
        self.push.filter(pushing).map_or([0.0; 3], |push| push.force_n)
    }
}

impl Slip {
    /// How much of it is done, and how fast that grows.
    fn progress(self, t_s: f64) -> (f64, f64) {
        let done = ((t_s - self.at_s) / self.for_s).clamp(0.0, 1.0);
        (done * done * (3.0 - 2.0 * done), 6.0 * done * (1.0 - done) / self.for_s)
    }
}

impl Speed {
    /// The drive's own time, and how fast it goes.
    fn drive(self, t_s: f64) -> (f64, f64) {
        let since = t_s - self.at_s;
        if since <= 0.0 {
            return (t_s, 1.0);
        }
        let ramp = since.min(self.for_s);
        let rate = 1.0 + (self.factor - 1.0) * ramp / self.for_s;
        (self.at_s + ramp * (1.0 + rate) / 2.0 + (since - ramp) * self.factor, rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSET: Ride = Ride {
        motion: Motion::DEMO,
        slip: Some(Slip { at_s: 2.0, for_s: 0.15, by_m: [0.01, 0.04] }),
        speed: Some(Speed { at_s: 1.0, for_s: 0.3, factor: 1.4 }),
        push: Some(Push { at_ms: 10, for_ms: 2, force_n: [1.0, 2.0, 3.0] }),
    };

    #[test]
    fn the_velocity_is_the_positions_derivative_whatever_happens() {
        for step in -100..400 {
            let t = f64::from(step) * 0.01 + 0.003;
            let (before, now, after) = (UPSET.at(t - 1e-6), UPSET.at(t), UPSET.at(t + 1e-6));
            for axis in 0..3 {
                let slope = (after.position_m[axis] - before.position_m[axis]) / 2e-6;
                assert!((slope - now.velocity_m_s[axis]).abs() < 1e-5, "axis {axis} at {t} s");
            }
        }
    }

    #[test]
    fn before_it_happens_nothing_has_and_afterwards_all_of_it_has() {
        let calm = Ride::calm(Motion::DEMO);
        assert_eq!(UPSET.at(0.99), calm.at(0.99));
        let [across, along] = [0, 1].map(|axis| {
            let slipped = Ride { speed: None, ..UPSET };
            slipped.at(2.2).position_m[axis] - calm.at(2.2).position_m[axis]
        });
        assert!((across - 0.01).abs() < 1e-12 && (along - 0.04).abs() < 1e-12, "{across} {along}");
        let fast = Ride { slip: None, ..UPSET };
        // Half of 0.3 s at 0.4 more, then 0.7 s of it.
        let ahead = fast.at(2.0).position_m[1] - calm.at(2.0 + 0.06 + 0.28).position_m[1];
        assert!(ahead.abs() < 1e-12, "{ahead} m");
        assert_eq!([9, 10, 11, 12].map(|ms| UPSET.force_n(ms)[1] > 1.5), [false, true, true, false]);
    }
}
