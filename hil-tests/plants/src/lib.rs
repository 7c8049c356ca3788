//! Simulated machines that genba is connected to: the only user of `MuJoCo`.
//!
//! A plant is stepped by hand and knows no clock: the same calls give the same states, bit for bit.
//! It never talks to a model or a box; who closes the loop decides when and with what latency.

mod camera;
mod ur5e_conveyor;

mod egl;
mod law;
mod motion;
mod ride;

pub use camera::{Camera, CameraError, HEIGHT, PICTURE_BYTES, WIDTH};
pub use egl::NoRenderer;
pub use law::{LEAD_S, Reference};
pub use motion::{Motion, Target, target_at};
pub use ride::{Push, Ride, Slip, Speed};
pub use ur5e_conveyor::{
    ALONE_ELEMENTS, JOINTS, LOST_M, LoadError, OBSERVATION_ELEMENTS, PLAN_ELEMENTS, Pose, TRACKED_ELEMENTS,
    Ur5eConveyor,
};
