"""Compares arm.xml with the table that Universal Robots publishes for the UR5e.

The table is written out again here, in its own frames, so that a slip in arm.xml cannot hide.
"""

import mujoco
import numpy as np

from plant import JOINTS, LIMITS_NM, Cell

# a in m, d in m, alpha in rad, mass in kg, centre of mass in m in the link's own DH frame
DH = [
    (0.0, 0.1625, np.pi / 2, 3.761, (0.0, -0.02561, 0.00193)),
    (-0.425, 0.0, 0.0, 8.058, (0.2125, 0.0, 0.11336)),
    (-0.3922, 0.0, 0.0, 2.846, (0.15, 0.0, 0.0265)),
    (0.0, 0.1333, np.pi / 2, 1.37, (0.0, -0.0018, 0.01634)),
    (0.0, 0.0997, -np.pi / 2, 1.3, (0.0, 0.0018, 0.01634)),
    (0.0, 0.0996, 0.0, 0.365, (0.0, 0.0, -0.001159)),
]
FACING = np.diag([-1.0, -1.0, 1.0, 1.0])  # arm.xml turns the base by half a turn
NOZZLE_KG, NOZZLE_M = 0.2, (0.0, 0.0, 0.03)
G = 9.81


def run():
    cell = Cell()
    model, data = cell.model, cell.data
    assert [model.joint(k).name for k in range(model.njnt)] == JOINTS
    assert np.allclose(model.actuator_ctrlrange[:, 1], LIMITS_NM)
    assert np.allclose(model.body_mass.sum(), sum(row[3] for row in DH) + NOZZLE_KG)
    rng = np.random.default_rng(0)
    poses = [np.zeros(6), model.key("home").qpos] + list(rng.uniform(-np.pi, np.pi, (20, 6)))
    for joints in poses:
        data.qpos[:], data.qvel[:] = joints, 0
        mujoco.mj_forward(model, data)
        flange = frames(joints)[-1]
        assert np.allclose(data.body("wrist_3_link").xpos, flange[:3, 3], atol=1e-9), joints
        assert np.allclose(data.body("wrist_3_link").xmat.reshape(3, 3), flange[:3, :3], atol=1e-9), joints
        assert np.allclose(data.qfrc_bias, gravity_nm(joints), atol=1e-5), joints
    print(f"arm.xml agrees with the DH table at {len(poses)} poses: flange, and gravity in every joint")


def frames(joints):
    """The pose of each link's DH frame in the world."""
    pose, poses = FACING, []
    for theta, (a, d, alpha, _, _) in zip(joints, DH):
        c, s, ca, sa = np.cos(theta), np.sin(theta), np.cos(alpha), np.sin(alpha)
        pose = pose @ np.array([
            [c, -s * ca, s * sa, a * c], [s, c * ca, -c * sa, a * s], [0, sa, ca, d], [0, 0, 0, 1],
        ])
        poses.append(pose)
    return poses


def gravity_nm(joints, step=1e-5):
    """The slope of the potential energy: what the motors must hold."""
    slope = lambda k: energy_j(joints + step * np.eye(6)[k]) - energy_j(joints - step * np.eye(6)[k])
    return np.array([slope(k) / (2 * step) for k in range(6)])


def energy_j(joints):
    poses = frames(joints)
    lumps = [(mass, pose, centre) for pose, (_, _, _, mass, centre) in zip(poses, DH)]
    lumps.append((NOZZLE_KG, poses[-1], NOZZLE_M))
    return sum(mass * G * (pose @ np.append(centre, 1))[2] for mass, pose, centre in lumps)
