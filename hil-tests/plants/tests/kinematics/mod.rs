//! The `UR5e`'s kinematics from the maker's DH table, without `MuJoCo`.

/// d, a, alpha of each joint.
const DH: [[f64; 3]; 6] = [
    [0.1625, 0.0, std::f64::consts::FRAC_PI_2],
    [0.0, -0.425, 0.0],
    [0.0, -0.3922, 0.0],
    [0.1333, 0.0, std::f64::consts::FRAC_PI_2],
    [0.0997, 0.0, -std::f64::consts::FRAC_PI_2],
    [0.0996, 0.0, 0.0],
];

/// The nozzle's length.
const TOOL_M: f64 = 0.08;

type Matrix = [[f64; 4]; 4];

/// Where the tool is.
pub(crate) struct Pose {
    pub(crate) tool_m: [f64; 3],
    /// Rotation matrix, by rows.
    rotation: [[f64; 3]; 3],
}

impl Pose {
    pub(crate) fn of(joints_rad: [f64; 6]) -> Self {
        // The DH base looks backwards: half a turn about z.
        let mut pose: Matrix =
            [[-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        for (angle, [d, a, alpha]) in joints_rad.into_iter().zip(DH) {
            let ((s, c), (sa, ca)) = (angle.sin_cos(), alpha.sin_cos());
            pose = product(
                pose,
                [[c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0.0, sa, ca, d], [0.0, 0.0, 0.0, 1.0]],
            );
        }
        Self {
            tool_m: [0, 1, 2].map(|row| pose[row][3] + TOOL_M * pose[row][2]),
            rotation: [0, 1, 2].map(|row| [pose[row][0], pose[row][1], pose[row][2]]),
        }
    }

    /// The tool's velocity, by differences along the motion.
    pub(crate) fn velocity_m_s(joints_rad: [f64; 6], joints_rad_s: [f64; 6]) -> [f64; 3] {
        let at = |t_s: f64| Self::of(std::array::from_fn(|joint| joints_rad[joint] + t_s * joints_rad_s[joint]));
        let (before, after) = (at(-1e-5), at(1e-5));
        [0, 1, 2].map(|axis| (after.tool_m[axis] - before.tool_m[axis]) / 2e-5)
    }

    /// Half the sum of a × b over the columns: a of the tool, b of the wanted orientation
    /// (0, −1, 0), (−1, 0, 0), (0, 0, −1).
    pub(crate) fn turn_to_down(&self) -> [f64; 3] {
        let [[r00, _, r02], [_, r11, r12], [r20, r21, _]] = self.rotation;
        let [x, y, z] = [
            // (r00, r10, r20) × (0, −1, 0)
            [r20, 0.0, -r00],
            // (r01, r11, r21) × (−1, 0, 0)
            [0.0, -r21, r11],
            // (r02, r12, r22) × (0, 0, −1)
            [-r12, r02, 0.0],
        ];
        [0, 1, 2].map(|axis| 0.5 * (x[axis] + y[axis] + z[axis]))
    }
}

fn product(a: Matrix, b: Matrix) -> Matrix {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..4).map(|k| a[row][k] * b[k][column]).sum()))
}
