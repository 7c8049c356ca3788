//! Where the part is: the demo's motion, in the closed form of `models/ur5e-conveyor/PLANT.md`.

use std::f64::consts::{PI, TAU};

/// Where the tool should be, and how fast it should move, in the world's axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// Position in m.
    pub position_m: [f64; 3],
    /// Velocity in m/s.
    pub velocity_m_s: [f64; 3],
}

/// The target at this many seconds: the part rides the belt back and forth, and the belt jolts.
#[must_use]
pub fn target_at(t_s: f64) -> Target {
    let turn = RATE * (t_s + SURGE / SURGE_RATE * (SURGE_RATE * t_s).sin());
    let turn_rate = RATE * (1.0 + SURGE * (SURGE_RATE * t_s).cos());
    let jolt_rate = TAU / JOLT_EVERY_S;
    let sharpness = 1.0 / (jolt_rate * JOLT_S).powi(2);
    let jolt_turn = jolt_rate * t_s - PI;
    let jolt_m = JOLT_M * (sharpness * (jolt_turn.cos() - 1.0)).exp();
    let wobble = WOBBLE_RATE * t_s;
    Target {
        position_m: [MIDDLE_M + WOBBLE_M * wobble.cos(), -REACH_M * turn.cos() + jolt_m, HEIGHT_M],
        velocity_m_s: [
            -WOBBLE_M * WOBBLE_RATE * wobble.sin(),
            REACH_M * turn_rate * turn.sin() - jolt_m * sharpness * jolt_rate * jolt_turn.sin(),
            0.0,
        ],
    }
}

/// Half the way that the part rides, in y.
const REACH_M: f64 = 0.35;
/// Mean speed of the belt's phase in rad/s, and how much and how fast it surges.
const RATE: f64 = 0.8;
const SURGE: f64 = 0.3;
const SURGE_RATE: f64 = 2.9;
/// How far the belt jolts, for how long (standard deviation), how often.
const JOLT_M: f64 = 0.006;
const JOLT_S: f64 = 0.06;
const JOLT_EVERY_S: f64 = 2.3;
/// How far and how fast (rad/s) the part wanders across the belt.
const WOBBLE_M: f64 = 0.02;
const WOBBLE_RATE: f64 = 2.2;
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
        for step in 0..2000 {
            let t = f64::from(step) * 0.01;
            let (before, now, after) = (target_at(t - 1e-5), target_at(t), target_at(t + 1e-5));
            for axis in 0..3 {
                let slope = (after.position_m[axis] - before.position_m[axis]) / 2e-5;
                assert!((slope - now.velocity_m_s[axis]).abs() < 1e-6, "axis {axis} at {t} s");
            }
        }
    }
}
