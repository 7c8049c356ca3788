"""The arm, the belt and the wire between them: everything that PLANT.md describes, in code.

One control tick is 2 ms: observe, ask the policy, apply its torque once the latency is over.
The physics runs at 1 kHz in between, with the robot compensating gravity at every step.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np

HERE = Path(__file__).parent
JOINTS = [
    "shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint",
    "wrist_1_joint", "wrist_2_joint", "wrist_3_joint",
]
LIMITS_NM = np.array([150.0, 150.0, 150.0, 28.0, 28.0, 28.0])
TICK_MS = 2
SETTLE_S = 0.6  # the arm starts at rest on a moving target; errors count from here
LOST_M = 0.3  # further away than this, the arm is not tracking any more
MAX_STEP_MS = 10  # a rate limit measures at most this long a step

# The tool points down, with wrist_3 near 0 in the middle of the belt.
TOOL_DOWN = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
PART_BELOW_TCP_M = 0.05


@dataclass(frozen=True)
class Motion:
    """A part that rides a belt back and forth for ever: closed form, never outside the workspace."""

    reach_m: float = 0.35  # the belt's turning points are at y = ±reach_m
    rate: float = 0.8  # rad/s: mean speed of the belt's phase
    surge: float = 0.3  # depth of the belt's speed variation
    surge_rate: float = 2.9  # rad/s
    surge_phase: float = 0.0
    phase: float = 0.0  # where on the belt the part starts; 0 is a turning point
    jolt_m: float = 0.006  # how far the belt jumps and springs back
    jolt_s: float = 0.06  # how long that takes (standard deviation)
    jolt_every_s: float = 2.3
    jolt_phase: float = math.pi  # pi: the first jolt comes half a period after the start
    wobble_m: float = 0.02  # the part wanders across the belt
    wobble_rate: float = 2.2  # rad/s
    wobble_phase: float = 0.0

    def at(self, t_s):
        """Position in m and velocity in m/s of the tool's target."""
        turn = self.phase + self.rate * (
            t_s + self.surge / self.surge_rate * math.sin(self.surge_rate * t_s + self.surge_phase)
        )
        turn_rate = self.rate * (1 + self.surge * math.cos(self.surge_rate * t_s + self.surge_phase))
        jolt_rate = 2 * math.pi / self.jolt_every_s
        sharpness = 1 / (jolt_rate * self.jolt_s) ** 2
        jolt_turn = jolt_rate * t_s - self.jolt_phase
        jolt = self.jolt_m * math.exp(sharpness * (math.cos(jolt_turn) - 1))
        wobble_turn = self.wobble_rate * t_s + self.wobble_phase
        return (
            np.array([
                0.5 + self.wobble_m * math.cos(wobble_turn),
                -self.reach_m * math.cos(turn) + jolt,
                0.2,
            ]),
            np.array([
                -self.wobble_m * self.wobble_rate * math.sin(wobble_turn),
                self.reach_m * turn_rate * math.sin(turn)
                - jolt * sharpness * jolt_rate * math.sin(jolt_turn),
                0.0,
            ]),
        )


DEMO = Motion()


def random_motion(rng):
    """One of the family that the policy is trained for; DEMO lies inside it."""
    reach_m, peak_m_s = rng.uniform(0.2, 0.4), rng.uniform(0.12, 0.4)
    turn = lambda: rng.uniform(0, 2 * math.pi)
    return Motion(
        reach_m=reach_m, rate=peak_m_s / reach_m, phase=turn(),
        surge=rng.uniform(0, 0.5), surge_rate=rng.uniform(1, 6), surge_phase=turn(),
        jolt_m=rng.uniform(-0.01, 0.01), jolt_s=rng.uniform(0.05, 0.1),
        jolt_every_s=rng.uniform(1.5, 4), jolt_phase=turn(),
        wobble_m=rng.uniform(0, 0.025), wobble_rate=rng.uniform(1, 5), wobble_phase=turn(),
    )


@dataclass(frozen=True)
class Link:
    """What happens to torques between the policy and the motors."""

    latency_ms: int = 0
    drop: float = 0.0  # probability that a response never arrives
    outages_ms: tuple = ()  # (start, length) pairs in which none arrives
    rest_after_ms: int | None = None  # without news for longer, ramp to zero; None holds for ever
    max_change_per_s: np.ndarray | None = None  # rate limit on the normalised torque


@dataclass
class Run:
    """What one episode left behind."""

    errors_m: list = field(default_factory=list)  # one a tick, after SETTLE_S
    observations: list = field(default_factory=list)
    labels: list = field(default_factory=list)  # the teacher's torque for each observation
    torques: list = field(default_factory=list)  # the policy's, before any limit
    lost: bool = False

    def rms_mm(self):
        return 1e3 * float(np.sqrt(np.mean(np.square(self.errors_m))))

    def max_mm(self):
        return 1e3 * float(np.max(self.errors_m))


class Cell:
    """The simulated arm with its target."""

    def __init__(self):
        self.model = mujoco.MjModel.from_xml_path(str(HERE / "arm.xml"))
        self.data = mujoco.MjData(self.model)
        self.tcp = self.model.site("tcp").id
        self.jac_pos, self.jac_rot, self.mass = np.zeros((3, 6)), np.zeros((3, 6)), np.zeros((6, 6))

    def reset(self, target_m, offset_rad=0.0):
        """At rest, with the tool on the target (found by damped least squares from `home`)."""
        d = self.data
        mujoco.mj_resetDataKeyframe(self.model, d, self.model.key("home").id)
        for _ in range(300):
            mujoco.mj_forward(self.model, d)
            mujoco.mj_jacSite(self.model, d, self.jac_pos, self.jac_rot, self.tcp)
            error = np.concatenate(self.tool_error(target_m))
            jac = np.vstack([self.jac_pos, self.jac_rot])
            d.qpos += 0.3 * jac.T @ np.linalg.solve(jac @ jac.T + 1e-4 * np.eye(6), error)
        d.qpos += offset_rad
        return d.qpos.copy()

    def tool_error(self, target_m):
        """Position error in m, orientation error (sine of the angle, about the world's axes)."""
        tool = self.data.site_xmat[self.tcp].reshape(3, 3)
        turn = 0.5 * sum(_cross(tool[:, k], TOOL_DOWN[:, k]) for k in range(3))
        return target_m - self.data.site_xpos[self.tcp], turn

    def observe(self, target_m, target_m_s):
        """The observation of PLANT.md, and the errors in SI units that the teacher uses."""
        d = self.data
        mujoco.mj_jacSite(self.model, d, self.jac_pos, self.jac_rot, self.tcp)
        position, turn = self.tool_error(target_m)
        velocity = target_m_s - self.jac_pos @ d.qvel
        observation = np.concatenate([d.qpos, d.qvel, 10 * position, velocity, 3 * turn])
        return observation.astype(np.float32), position, velocity, turn

    def teacher(self, position, velocity, turn):
        """Operational-space computed torque.

        The gains decide how much latency the arm bears; the bounds on the errors, how calmly it comes
        back from afar (without them a rate limit on the torques makes it circle the part).
        """
        d = self.data
        acceleration = np.concatenate([
            1600 * _no_longer_than(0.02, position) + 80 * velocity,
            900 * _no_longer_than(0.1, turn) - 60 * (self.jac_rot @ d.qvel),
        ])
        jac = np.vstack([self.jac_pos, self.jac_rot])
        joints = jac.T @ np.linalg.solve(jac @ jac.T + 1e-3 * np.eye(6), acceleration)
        mujoco.mj_fullM(self.model, d, self.mass)
        return np.clip((self.mass @ joints - d.qfrc_passive) / LIMITS_NM, -1, 1)


def episode(
    cell, motion, policy, seconds, link=Link(),
    teach=False, offset_rad=0.0, seed=0, lost_m=LOST_M, watch=None,
):
    """Run the loop. `policy` maps an observation to normalised torques; None lets the teacher drive."""
    rng, run, d = np.random.default_rng(seed), Run(), cell.data
    cell.reset(motion.at(0.0)[0], offset_rad)
    in_flight, torque, heard_ms = deque(), np.zeros(6), 0
    for now_ms in range(round(seconds * 1000)):
        mujoco.mj_step1(cell.model, d)
        target_m, target_m_s = motion.at(now_ms / 1000)
        if now_ms % TICK_MS == 0:
            observation, position, velocity, turn = cell.observe(target_m, target_m_s)
            if teach or policy is None:
                label = cell.teacher(position, velocity, turn)
            if teach:
                run.observations.append(observation)
                run.labels.append(label)
            answer = label if policy is None else policy(observation)
            run.torques.append(answer)
            out = any(start <= now_ms < start + length for start, length in link.outages_ms)
            if not out and rng.random() >= link.drop:
                in_flight.append((now_ms + link.latency_ms, answer))
            distance_m = float(np.linalg.norm(position))
            if now_ms >= SETTLE_S * 1000:
                run.errors_m.append(distance_m)
            if not distance_m < lost_m:
                run.lost = True
                run.errors_m = run.errors_m or [distance_m]
                break
        while in_flight and in_flight[0][0] <= now_ms:
            _, answer = in_flight.popleft()
            torque = _limited(torque, np.clip(answer, -1, 1), link, now_ms - heard_ms)
            heard_ms = now_ms
        if link.rest_after_ms is not None and now_ms - heard_ms > link.rest_after_ms:
            torque = _limited(torque, np.zeros(6), link, 1)
        d.ctrl[:] = np.clip(torque * LIMITS_NM + d.qfrc_bias, -LIMITS_NM, LIMITS_NM)
        d.mocap_pos[0] = target_m - [0, 0, PART_BELOW_TCP_M]
        if watch:
            watch(now_ms)
        mujoco.mj_step2(cell.model, d)
    return run


def _limited(before, wanted, link, elapsed_ms):
    if link.max_change_per_s is None:
        return wanted
    step = link.max_change_per_s * min(elapsed_ms, MAX_STEP_MS) / 1000
    return np.clip(wanted, before - step, before + step)


def _no_longer_than(bound, vector):
    return vector * min(1.0, bound / max(math.sqrt(vector @ vector), 1e-9))


def _cross(a, b):
    # np.cross costs more than the rest of an observation
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
