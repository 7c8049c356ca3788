//! A `UR5e` that keeps its tool on a part on a conveyor belt, as `models/ur5e-conveyor/PLANT.md` says.

use std::f64::consts::FRAC_PI_2;
use std::path::{Path, PathBuf};

use mujoco_rs::prelude::{MjData, MjModel, MjModelError, MjtObjBase};
use thiserror::Error;

use crate::law::Reference;
use crate::motion::{Motion, Target};
use crate::ride::Ride;

/// The arm's joints, each with one motor.
pub const JOINTS: usize = 6;

/// The elements of an observation.
pub const OBSERVATION_ELEMENTS: usize = 21;

/// The elements of an observation of what the robot knows by itself.
pub const ALONE_ELEMENTS: usize = 22;

/// The elements of an observation for a planner: the joints, the part, and its track.
pub const TRACKED_ELEMENTS: usize = 16 + 2 * LAGS_MS.len();

/// The elements of one step of a plan: positions, then velocities.
pub const PLAN_ELEMENTS: usize = 2 * JOINTS;

/// Further away than this, in m, the arm does not track the part any more.
pub const LOST_M: f64 = 0.3;

/// The simulated arm with its target. It stands at the beginning of a millisecond: observe, apply a
/// torque if there is a new one, step.
pub struct Ur5eConveyor {
    data: MjData<Box<MjModel>>,
    tool: usize,
    /// What a push pushes.
    last_link: usize,
    /// Milliseconds of simulated time.
    now_ms: u32,
    ride: Ride,
    target: Target,
    drive: Drive,
}

/// What moves the arm.
#[derive(Debug, Clone, Copy)]
enum Drive {
    /// These torques, 1.0 being a joint's limit.
    Torque([f64; JOINTS]),
    /// The robot's own law, on its way to these references.
    Law(Reference),
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
        let Some(last_link) = model.name_to_id(MjtObjBase::mjOBJ_BODY, "wrist_3_link") else {
            return refuse("it has no body `wrist_3_link`");
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
        let ride = Ride::calm(Motion::DEMO);
        let (data, target) = (MjData::new(Box::new(model)), ride.at(0.0));
        let mut plant = Self { data, tool, last_link, now_ms: 0, ride, target, drive: FLOATING };
        plant.reset();
        Ok(plant)
    }

    /// Back to the start, with a part that rides like this from now on. The tool is where the demo's part starts.
    pub fn ride(&mut self, motion: Motion) {
        self.ride_upset(Ride::calm(motion));
    }

    /// The same, with what happens on the way.
    pub fn ride_upset(&mut self, ride: Ride) {
        self.ride = ride;
        self.reset();
    }

    /// Back to the start.
    pub fn reset(&mut self) {
        self.data.reset();
        self.data.qpos_mut().copy_from_slice(&START_RAD);
        self.drive = FLOATING;
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

    /// What a planner is told: joint positions (rad) and velocities (rad/s), where the part is across and along the belt
    /// (m), how fast it moves (m/s), and where it was, twelve times within the last 2.4 s.
    #[must_use]
    pub fn observe_track(&self) -> [f32; TRACKED_ELEMENTS] {
        let [x, y, _] = self.target.position_m;
        let [vx, vy, _] = self.target.velocity_m_s;
        let track = LAGS_MS.map(|lag_ms| {
            let [x, y, _] = self.ride.at(f64::from(self.now_ms) / 1000.0 - f64::from(lag_ms) / 1000.0).position_m;
            [x, y]
        });
        elements(&[self.data.qpos(), self.data.qvel(), &[x, y], &[vx, vy], track.as_flattened()])
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
        self.drive = Drive::Torque(torque.map(|value| f64::from(value).clamp(-1.0, 1.0)));
    }

    /// Lets the robot's own law follow one step of a plan from now on: positions in rad, then velocities in rad/s. It is
    /// the step of the millisecond `of_ms`, that of the observation it answers.
    pub fn follow(&mut self, step: &[f32; PLAN_ELEMENTS], of_ms: u32) {
        let [positions, velocities] = [0, JOINTS].map(|from| std::array::from_fn(|joint| step[from + joint].into()));
        self.drive = Drive::Law(Reference { positions, velocities, of_ms });
    }

    /// Lets the robot's own law hold the positions of this step, as a fallback does that promises no motion.
    pub fn hold(&mut self, step: &[f32; PLAN_ELEMENTS]) {
        let positions = std::array::from_fn(|joint| step[joint].into());
        self.drive = Drive::Law(Reference { positions, velocities: [0.0; JOINTS], of_ms: self.now_ms });
    }

    /// Steps the physics by 1 ms.
    pub fn step(&mut self) {
        let bias: [f64; JOINTS] = six(self.data.qfrc_bias());
        let torques = match self.drive {
            Drive::Torque(torque) => std::array::from_fn(|joint| torque[joint] * LIMITS_NM[joint]),
            Drive::Law(reference) => self.law_nm(&reference),
        };
        let motors = self.data.ctrl_mut();
        for (joint, limit) in LIMITS_NM.into_iter().enumerate() {
            motors[joint] = (torques[joint] + bias[joint]).clamp(-limit, limit);
        }
        self.data.xfrc_applied_mut()[self.last_link][..3].copy_from_slice(&self.ride.force_n(self.now_ms));
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
        self.target = self.ride.at(f64::from(now_ms) / 1000.0);
        self.data.step1();
    }

    /// The torques in N·m, beyond what gravity asks for, that give the joints what the law wants.
    fn law_nm(&self, reference: &Reference) -> [f64; JOINTS] {
        let wanted = reference.accelerations(self.now_ms, &self.joints_rad(), &self.joints_rad_s());
        let mut inertia = [[0.0; JOINTS]; JOINTS];
        self.data.full_m(inertia.as_flattened_mut()).expect("`load` refuses an arm without six joints");
        let passive = self.data.qfrc_passive();
        std::array::from_fn(|joint| {
            let row = inertia[joint].iter().zip(wanted).map(|(part, wanted)| part * wanted).sum::<f64>();
            row - passive[joint]
        })
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

/// How long ago the part was where an observation's track says, in ms.
const LAGS_MS: [u32; 12] = [40, 80, 120, 180, 260, 360, 500, 700, 950, 1_300, 1_800, 2_400];

/// No torque: the arm floats.
const FLOATING: Drive = Drive::Torque([0.0; JOINTS]);

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
