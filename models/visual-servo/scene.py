"""The arm and the belt of ../ur5e-conveyor with a camera, and what the camera sees.

Without a display the pictures need MUJOCO_GL=egl or osmesa.
"""

import sys
from pathlib import Path

import mujoco
import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "ur5e-conveyor"))

from plant import PART_BELOW_TCP_M, Cell  # noqa: E402

WIDTH, HEIGHT = 96, 64
MIDDLE_M = 0.5  # of the belt, in x
TOOL_HEIGHT_M = 0.2


class Scene(Cell):
    """The plant of ../ur5e-conveyor, seen by a camera."""

    def __init__(self):
        super().__init__()
        self.model = mujoco.MjModel.from_xml_path(str(HERE / "scene.xml"))
        self.data = mujoco.MjData(self.model)
        self.tcp = self.model.site("tcp").id
        self.renderer = mujoco.Renderer(self.model, HEIGHT, WIDTH)
        self.lights = self.model.light_diffuse.copy(), self.model.light_dir.copy()
        self.colour = self.model.mat("part").rgba.copy()

    def look(self):
        """The picture of this moment: H x W x 3 bytes."""
        self.renderer.update_scene(self.data, camera="belt")
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            self.renderer.scene.flags[flag] = 0
        return self.renderer.render()

    def relight(self, rng):
        """Another lamp, another part's paint: what the eye must not mind."""
        diffuse, direction = self.lights
        self.model.light_diffuse[:] = diffuse * rng.uniform(0.5, 1.3, (len(diffuse), 1))
        self.model.light_dir[:] = direction + rng.uniform(-0.2, 0.2, direction.shape)
        self.model.mat("part").rgba[:3] = np.clip(self.colour[:3] + rng.uniform(-0.06, 0.06, 3), 0, 1)

    def restore(self):
        self.model.light_diffuse[:], self.model.light_dir[:] = self.lights
        self.model.mat("part").rgba[:] = self.colour

    def reach(self, target_m, steps):
        """Moves the arm's tool to a point, by damped least squares from where it is."""
        d = self.data
        for _ in range(steps):
            mujoco.mj_kinematics(self.model, d)
            mujoco.mj_comPos(self.model, d)
            mujoco.mj_jacSite(self.model, d, self.jac_pos, self.jac_rot, self.tcp)
            error = np.concatenate(self.tool_error(target_m))
            jac = np.vstack([self.jac_pos, self.jac_rot])
            d.qpos += 0.5 * jac.T @ np.linalg.solve(jac @ jac.T + 1e-4 * np.eye(6), error)

    def pose(self, rng):
        """A random part with the tool near it or anywhere over the belt; returns where the part is, x and y in m."""
        part = np.array([MIDDLE_M + rng.uniform(-0.035, 0.035), rng.uniform(-0.43, 0.43)])
        tool = np.append(part, TOOL_HEIGHT_M)
        if rng.random() < 0.3:
            tool[:2] += rng.uniform(-0.3, 0.3, 2) * [0.2, 1.0]
        tool[2] += abs(rng.normal(0, 0.01))
        if np.abs(self.data.qpos).max() > 4 or rng.random() < 0.01:
            mujoco.mj_resetDataKeyframe(self.model, self.data, self.model.key("home").id)
            self.reach(tool, 60)
        self.reach(tool, 12)
        self.data.qpos += rng.normal(0, 0.01, 6)
        self.data.mocap_pos[0] = [*part, TOOL_HEIGHT_M - PART_BELOW_TCP_M]
        mujoco.mj_forward(self.model, self.data)
        return part


def pictures(count, seed):
    """Random scenes with where the part is in them."""
    scene, rng = Scene(), np.random.default_rng(seed)
    seen = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    parts = np.empty((count, 2), np.float32)
    for k in range(count):
        if k % 20 == 0:
            scene.relight(rng)
        parts[k] = scene.pose(rng)
        seen[k] = scene.look()
    return seen, parts
