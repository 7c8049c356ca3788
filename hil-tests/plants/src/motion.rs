//! Where the part is: motions like the demo's, in the closed form of `models/ur5e-conveyor/PLANT.md`.

use std::f64::consts::{PI, TAU};

/// Where the tool should be, and how fast it should move, in the world's axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Position in m.
    pub position_m: [f64; 3],
    /// Velocity in m/s.
    pub velocity_m_s: [f64; 3],
}

/// How the part rides the belt back and forth for ever, while the belt jolts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// Half the way that the part rides, in y, in m.
    pub reach_m: f64,
    /// Mean speed of the belt's phase in rad/s.
    pub rate: f64,
    /// How much the belt surges, of 1.
    pub surge: f64,
    /// How fast it does, in rad/s.
    pub surge_rate: f64,
    /// How far the belt jolts, in m.
    pub jolt_m: f64,
    /// For how long (standard deviation), in s.
    pub jolt_s: f64,
    /// How often, in s.
    pub jolt_every_s: f64,
    /// How far the part wanders across the belt, in m.
    pub wobble_m: f64,
    /// How fast it does, in rad/s.
    pub wobble_rate: f64,
}

impl Motion {
    /// The demo's.
    pub const DEMO: Self = Self {
        reach_m: 0.35,
        rate: 0.8,
        surge: 0.3,
        surge_rate: 2.9,
        jolt_m: 0.006,
        jolt_s: 0.06,
        jolt_every_s: 2.3,
        wobble_m: 0.02,
        wobble_rate: 2.2,
    };

    /// The target at this many seconds.
    #[must_use]
    pub fn at(&self, t_s: f64) -> Target {
        let turn = self.rate * (t_s + self.surge / self.surge_rate * (self.surge_rate * t_s).sin());
        let turn_rate = self.rate * (1.0 + self.surge * (self.surge_rate * t_s).cos());
        let jolt_rate = TAU / self.jolt_every_s;
        let sharpness = 1.0 / (jolt_rate * self.jolt_s).powi(2);
        let jolt_turn = jolt_rate * t_s - PI;
        let jolt_m = self.jolt_m * (sharpness * (jolt_turn.cos() - 1.0)).exp();
        let wobble = self.wobble_rate * t_s;
        Target {
            position_m: [MIDDLE_M + self.wobble_m * wobble.cos(), -self.reach_m * turn.cos() + jolt_m, HEIGHT_M],
            velocity_m_s: [
                -self.wobble_m * self.wobble_rate * wobble.sin(),
                self.reach_m * turn_rate * turn.sin() - jolt_m * sharpness * jolt_rate * jolt_turn.sin(),
                0.0,
            ],
        }
    }
}

/// The demo's target at this many seconds.
#[must_use]
pub fn target_at(t_s: f64) -> Target {
    Motion::DEMO.at(t_s)
}

/// The middle of the belt, in x, and the tool's height over the mounting face.
const MIDDLE_M: f64 = 0.5;
const HEIGHT_M: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    /// t, x, y, vx, vy: the table in PLANT.md.
    const TABLE: [[f64; 5]; 4] = [
        [0.0, 0.52, -0.35, 0.0, 0.0],
        [0.5, 0.509_071_92, -0.310_099_11, -0.039_213_12, 0.134_526_8],
        [1.15, 0.483_625_31, -0.210_439_38, -0.025_263_57, 0.155_260_32],
        [7.25, 0.480_582_96, -0.320_276_66, 0.010_545_94, -0.093_661_35],
    ];

    #[test]
    fn the_motion_is_the_documented_one() {
        for [t, x, y, vx, vy] in TABLE {
            let target = target_at(t);
            for (ours, documented) in target.position_m.into_iter().zip([x, y, 0.2]) {
                assert!((ours - documented).abs() < 1e-8, "position at {t} s: {ours}");
            }
            for (ours, documented) in target.velocity_m_s.into_iter().zip([vx, vy, 0.0]) {
                assert!((ours - documented).abs() < 1e-8, "velocity at {t} s: {ours}");
            }
        }
    }

    #[test]
    fn the_velocity_is_the_positions_derivative() {
        let other = Motion { reach_m: 0.25, rate: 1.4, jolt_m: -0.01, wobble_rate: 4.0, ..Motion::DEMO };
        for motion in [Motion::DEMO, other] {
            for step in 0..2000 {
                let t = f64::from(step) * 0.01;
                let (before, now, after) = (motion.at(t - 1e-5), motion.at(t), motion.at(t + 1e-5));
                for axis in 0..3 {
                    let slope = (after.position_m[axis] - before.position_m[axis]) / 2e-5;
                    assert!((slope - now.velocity_m_s[axis]).abs() < 1e-6, "axis {axis} at {t} s");
                }
            }
        }
    }
}
