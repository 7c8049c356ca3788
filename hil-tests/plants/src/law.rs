//! The robot's own law: what makes the joints follow references, between one response of the box and the next.
//!
//! Computed torque, as `models/ur5e-planner/PLANT.md` says: it runs on the robot, at 1 kHz, on the robot's own sensors.

use crate::ur5e_conveyor::JOINTS;

/// A reference is led on by its velocity for as long as this, in s, and back as far; then it stands.
pub const LEAD_S: f64 = 0.020;

/// What the joints are to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// In rad.
    pub positions: [f64; JOINTS],
    /// In rad/s; zero in what is to be held.
    pub velocities: [f64; JOINTS],
    /// The simulated millisecond that it is of: that of the observation it answers.
    pub of_ms: u32,
}

impl Reference {
    /// The wanted accelerations in rad/s² of joints that are there and move so.
    pub(crate) fn accelerations(&self, now_ms: u32, at: &[f64; JOINTS], moving: &[f64; JOINTS]) -> [f64; JOINTS] {
        let lead_s = ((f64::from(now_ms) - f64::from(self.of_ms)) / 1000.0).clamp(-LEAD_S, LEAD_S);
        std::array::from_fn(|joint| {
            let position = self.positions[joint] + self.velocities[joint] * lead_s;
            STIFFNESS * (position - at[joint]) + DAMPING * (self.velocities[joint] - moving[joint])
        })
    }
}

/// In 1/s² and 1/s: critically damped, 60 rad/s.
const STIFFNESS: f64 = 3600.0;
const DAMPING: f64 = 120.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_that_grows_old_moves_on_for_a_while_and_then_stands() {
        let reference = Reference { positions: [1.0; JOINTS], velocities: [0.5; JOINTS], of_ms: 100 };
        let stands_at = |now_ms| {
            let wanted = reference.accelerations(now_ms, &[0.0; JOINTS], &reference.velocities);
            wanted[0] / STIFFNESS
        };
        for (now_ms, position) in [(0, 0.99), (90, 0.995), (100, 1.0), (110, 1.005), (120, 1.01), (500, 1.01)] {
            assert!((stands_at(now_ms) - position).abs() < 1e-12, "{now_ms} ms: {}", stands_at(now_ms));
        }
    }
}
