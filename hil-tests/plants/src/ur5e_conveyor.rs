//! A `UR5e` that keeps its tool on a part on a conveyor belt, as `models/ur5e-conveyor/PLANT.md` says.

use std::f64::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

use mujoco_rs::prelude::{MjData, MjModel, MjModelError, MjtObjBase};
use thiserror::Error;

use crate::motion::{Motion, Target};

/// The arm's joints, each with one motor.
pub const JOINTS: usize = 6;

/// The elements of an observation.
pub const OBSERVATION_ELEMENTS: usize = 21;

/// The elements of an observation of what the robot knows by itself.
pub const ALONE_ELEMENTS: usize = 22;

/// Further away than this, in m, the arm does not track the part any more.
pub const LOST_M: f64 = 0.3;

/// The simulated arm with its target. It stands at the beginning of a millisecond: observe, apply a
/// torque if there is a new one, step.
pub struct Ur5eConveyor {
    data: MjData<Box<MjModel>>,
    tool: usize,
    /// Milliseconds of simulated time.
    now_ms: u32,
    motion: Motion,
    target: Target,
    torque: [f64; JOINTS],
}

/// What a camera can see of a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// The joints' positions in rad.
    pub joints_rad: [f64; JOINTS],
    /// The middle of the part in m.
    pub part_m: [f64; 3],
}

/// Why the arm could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// `MuJoCo` refused the file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What `MuJoCo` said.
        source: MjModelError,
    },
    /// The file describes another machine.
    #[error("{}: not the arm of PLANT.md: {what}", path.display())]
    NotThisArm {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
}

impl Ur5eConveyor {
    /// Loads `arm.xml` and puts the arm to its start: at rest, with its tool on the target.
    ///
    /// # Errors
    /// [`LoadError`] where the file cannot be read or is not this arm.
    pub fn load(arm_xml: &Path) -> Result<Self, LoadError> {
        let path = || arm_xml.to_owned();
        let model = MjModel::from_xml(arm_xml).map_err(|source| LoadError::File { path: path(), source })?;
        let refuse = |what| Err(LoadError::NotThisArm { path: path(), what });
        let Some(tool) = model.name_to_id(MjtObjBase::mjOBJ_SITE, "tcp") else {
            return refuse("it has no site `tcp`");
        };
        let sizes = model.ffi();
        if [sizes.nq, sizes.nv, sizes.nu].iter().any(|count| usize::try_from(*count) != Ok(JOINTS)) {
            return refuse("it has not six joints and six motors");
        }
        if sizes.nmocap != 1 {
            return refuse("it has no mocap body for the part");
        }
        if (model.opt().timestep - STEP_S).abs() > 1e-12 {
            return refuse("its time step is not 1 ms");
        }
        let motion = Motion::DEMO;
        let (data, target) = (MjData::new(Box::new(model)), motion.at(0.0));
        let mut plant = Self { data, tool, now_ms: 0, motion, target, torque: [0.0; JOINTS] };
        plant.reset();
        Ok(plant)
    }

    /// Back to the start, with a part that rides like this from now on. The tool is where the demo's part starts.
    pub fn ride(&mut self, motion: Motion) {
        self.motion = motion;
        self.reset();
    }

    /// Back to the start.
    pub fn reset(&mut self) {
        self.data.reset();
        self.data.qpos_mut().copy_from_slice(&START_RAD);
        self.torque = [0.0; JOINTS];
        self.begin(0);
    }

    /// Simulated milliseconds since the start.
    #[must_use]
    pub fn now_ms(&self) -> u32 {
        self.now_ms
    }

    /// The observation of this moment: joint positions (rad) and velocities (rad/s), 10 × the tool's
    /// position error (m), its velocity error (m/s), 3 × its orientation error (rad).
    #[must_use]
    pub fn observe(&self) -> [f32; OBSERVATION_ELEMENTS] {
        let position = self.position_error_m().map(|error| 10.0 * error);
        let orientation = self.orientation_error().map(|error| 3.0 * error);
        let velocity = self.velocity_error_m_s();
        elements(&[self.data.qpos(), self.data.qvel(), &position, &velocity, &orientation])
    }

    /// What the robot knows by itself: joint positions (rad) and velocities (rad/s), where the tool is (m) and its
    /// velocity (m/s), 3 × its orientation error (rad), and the robot's clock (s), which begins anew after 64.
    #[must_use]
    pub fn observe_alone(&self) -> [f32; ALONE_ELEMENTS] {
        let orientation = self.orientation_error().map(|error| 3.0 * error);
        let clock = [f64::from(self.now_ms % CLOCK_WRAPS_MS) / 1000.0];
        let (tool, velocity) = (self.tool_m(), self.tool_m_s());
        elements(&[self.data.qpos(), self.data.qvel(), &tool, &velocity, &orientation, &clock])
    }

    /// What a camera can see of this moment.
    #[must_use]
    pub fn pose(&self) -> Pose {
        Pose { joints_rad: self.joints_rad(), part_m: self.part_m() }
    }

    /// Sets the torque from now on, 1.0 being a joint's limit; what is beyond ±1 is cut off.
    ///
    /// The arm adds the compensation of gravity itself: torque 0 makes it float.
    pub fn apply(&mut self, torque: &[f32; JOINTS]) {
        self.torque = torque.map(|value| f64::from(value).clamp(-1.0, 1.0));
    }

    /// Steps the physics by 1 ms.
    pub fn step(&mut self) {
        let bias: [f64; JOINTS] = six(self.data.qfrc_bias());
        let motors = self.data.ctrl_mut();
        for (joint, limit) in LIMITS_NM.into_iter().enumerate() {
            motors[joint] = (self.torque[joint] * limit + bias[joint]).clamp(-limit, limit);
        }
        self.data.mocap_pos_mut()[0] = self.part_m();
        self.data.step2();
        self.begin(self.now_ms + 1);
    }

    /// The distance from the tool to the target in m.
    #[must_use]
    pub fn error_m(&self) -> f64 {
        norm(self.position_error_m())
    }

    /// Whether the tool is so far off that nothing is tracked any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        // not `>=`: a distance that is no number is lost too
        !matches!(self.error_m().partial_cmp(&LOST_M), Some(std::cmp::Ordering::Less))
    }

    /// Where the tool should be at this moment.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// Where the tool is, in m.
    #[must_use]
    pub fn tool_m(&self) -> [f64; 3] {
        self.data.site_xpos()[self.tool]
    }

    /// The joints' positions in rad.
    #[must_use]
    pub fn joints_rad(&self) -> [f64; JOINTS] {
        six(self.data.qpos())
    }

    /// The joints' velocities in rad/s.
    #[must_use]
    pub fn joints_rad_s(&self) -> [f64; JOINTS] {
        six(self.data.qvel())
    }

    /// Computes what is seen of the present state.
    fn begin(&mut self, now_ms: u32) {
        self.now_ms = now_ms;
        self.target = self.motion.at(f64::from(now_ms) / 1000.0);
        self.data.step1();
    }

    fn position_error_m(&self) -> [f64; 3] {
        difference(self.target.position_m, self.tool_m())
    }

    fn part_m(&self) -> [f64; 3] {
        let [x, y, z] = self.target.position_m;
        [x, y, z - PART_BELOW_TOOL_M]
    }

    fn velocity_error_m_s(&self) -> [f64; 3] {
        difference(self.target.velocity_m_s, self.tool_m_s())
    }

    fn tool_m_s(&self) -> [f64; 3] {
        let (jacobian, _) = self.data.jac_site(true, false, self.tool);
        let velocities = self.data.qvel();
        let mut tool = [0.0; 3];
        for (axis, row) in tool.iter_mut().zip(jacobian.chunks_exact(JOINTS)) {
            *axis = row.iter().zip(velocities).map(|(part, velocity)| part * velocity).sum();
        }
        tool
    }

    /// The sine of the angle between the tool and straight down, about the world's axes.
    fn orientation_error(&self) -> [f64; 3] {
        let rows = self.data.site_xmat()[self.tool];
        let mut error = [0.0; 3];
        for (column, wanted) in TOOL_DOWN_COLUMNS.into_iter().enumerate() {
            let actual = [rows[column], rows[3 + column], rows[6 + column]];
            for (sum, part) in error.iter_mut().zip(cross(actual, wanted)) {
                *sum += 0.5 * part;
            }
        }
        error
    }
}

const STEP_S: f64 = 0.001;

/// The clock of an observation alone begins anew after this long, so that it keeps its resolution.
const CLOCK_WRAPS_MS: u32 = 64_000;

/// The joints that put the resting tool on the target at t = 0.
const START_RAD: [f64; JOINTS] = [-0.806_725, -1.179_320, 1.643_965, -2.035_442, -FRAC_PI_2, -0.806_725];

/// The motors' torques at 1.0, in N·m.
const LIMITS_NM: [f64; JOINTS] = [150.0, 150.0, 150.0, 28.0, 28.0, 28.0];

/// The wanted orientation of the tool, by columns: it points down.
const TOOL_DOWN_COLUMNS: [[f64; 3]; 3] = [[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]];

/// The part's middle hangs this far below the tool's target. Only for the eye.
const PART_BELOW_TOOL_M: f64 = 0.05;

/// These groups' values one after another, as many as there are elements.
fn elements<const COUNT: usize>(groups: &[&[f64]]) -> [f32; COUNT] {
    let mut elements = [0.0; COUNT];
    for (element, value) in elements.iter_mut().zip(groups.iter().copied().flatten()) {
        *element = single(*value);
    }
    elements
}

fn six(values: &[f64]) -> [f64; JOINTS] {
    values.try_into().expect("`load` refuses an arm without six joints")
}

fn difference(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn norm(vector: [f64; 3]) -> f64 {
    vector.iter().map(|part| part * part).sum::<f64>().sqrt()
}

#[allow(clippy::cast_possible_truncation, reason = "an observation's elements are 32-bit floats")]
fn single(value: f64) -> f32 {
    value as f32
}
