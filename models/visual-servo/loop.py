"""The closed loop: arm and belt, a camera that is late and may stall, the model, and what a box does without it."""

import math
from collections import deque
from dataclasses import dataclass, field

import mujoco
import numpy as np
import onnxruntime

import eye
from graph import CLOCK_WRAPS_S
from observer import PLACES
from plant import LIMITS_NM, PART_BELOW_TCP_M, TICK_MS, random_motion

SETTLE_S = 1.0  # the model begins without any place
LOST_M = 0.3
MAX_AGE_MS = 80  # of the newest picture, from its arrival; an older one is answered by the fallback
HOLD_MS = 50
MAX_CHANGE_PER_S = np.array([50.0, 40.0, 20.0, 5.0, 10.0, 20.0])


@dataclass(frozen=True)
class Camera:
    """What happens to pictures between the lens and the box."""

    period_ms: float = 1000 / 30
    latency_ms: float = 8.0
    jitter_ms: float = 2.0  # the mean of what comes on top
    stalls_ms: tuple = ()  # (start, length) pairs in which none is taken
    blind: bool = False  # the first picture again and again
    wear: float = 0.008  # noise of the pixels, of 1


@dataclass
class Run:
    errors_m: list = field(default_factory=list)  # one a tick, after SETTLE_S
    times_ms: list = field(default_factory=list)
    seen_m: list = field(default_factory=list)
    fallbacks: int = 0
    lost_ms: int | None = None
    samples: list = field(default_factory=list)

    def rms_mm(self):
        return 1e3 * float(np.sqrt(np.mean(np.square(self.errors_m))))

    def max_mm(self):
        return 1e3 * float(np.max(self.errors_m))

    def text(self):
        lost = "" if self.lost_ms is None else f", lost at {self.lost_ms / 1000:.1f} s"
        return f"{self.rms_mm():7.2f} mm RMS {self.max_mm():7.2f} mm max, {self.fallbacks} fallbacks{lost}"


class Servo:
    """The model with the memory that a box keeps for it."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.reset()

    def reset(self):
        self.places = np.zeros((1, PLACES, 4), np.float32)

    def __call__(self, observation, picture):
        feed = {"observation": observation[None], "camera": picture[None], "places": self.places}
        torque, self.places = self.session.run(["torque", "next_places"], feed)
        return torque[0].astype(np.float64)


def observe(scene, now_ms):
    """What the robot knows by itself: 22 numbers, see PLANT.md."""
    d = scene.data
    mujoco.mj_jacSite(scene.model, d, scene.jac_pos, scene.jac_rot, scene.tcp)
    _, turn = scene.tool_error(np.zeros(3))
    clock = math.fmod(now_ms / 1000, CLOCK_WRAPS_S)
    parts = [d.qpos, d.qvel, d.site_xpos[scene.tcp], scene.jac_pos @ d.qvel, 3 * turn, [clock]]
    return np.concatenate(parts).astype(np.float32)


def episode(scene, servo, motion, seconds, camera=Camera(), answer_ms=2, seed=0, keep_every=0):
    rng, run, d = np.random.default_rng(seed), Run(), scene.data
    scene.reset(motion.at(0.0)[0])
    servo.reset()
    underway, in_flight, torque = deque(), deque(), np.zeros(6)
    shown, shown_ms, next_ms, heard_ms, first = None, -math.inf, 0.0, 0, None
    for now_ms in range(round(seconds * 1000)):
        mujoco.mj_step1(scene.model, d)
        target_m, _ = motion.at(now_ms / 1000)
        d.mocap_pos[0] = target_m - [0, 0, PART_BELOW_TCP_M]
        if now_ms >= next_ms:
            next_ms += camera.period_ms
            if not any(start <= now_ms < start + length for start, length in camera.stalls_ms):
                mujoco.mj_kinematics(scene.model, d)
                taken = eye.tensor(scene.look())
                first = taken if first is None else first
                taken = first if camera.blind else taken
                taken = np.clip(taken + rng.normal(0, camera.wear, taken.shape), 0, 1).astype(np.float32)
                underway.append((now_ms + camera.latency_ms + rng.exponential(camera.jitter_ms), taken))
        if now_ms % TICK_MS == 0:
            while underway and underway[0][0] <= now_ms:
                shown_ms, shown = underway.popleft()
            observation = observe(scene, now_ms)
            if now_ms - shown_ms <= MAX_AGE_MS:
                before = servo.places
                answer = servo(observation, shown)
                in_flight.append((now_ms + answer_ms, answer))
                run.seen_m.append((now_ms, *servo.places[0, 0, 1:3]))
                if keep_every and (now_ms // TICK_MS) % keep_every == 0:
                    run.samples.append((observation, shown, before, answer))
            else:
                run.fallbacks += 1
            error_m = float(np.linalg.norm(target_m - d.site_xpos[scene.tcp]))
            if now_ms >= SETTLE_S * 1000:
                run.errors_m.append(error_m)
                run.times_ms.append(now_ms)
            if not error_m < LOST_M:
                run.lost_ms = now_ms
                run.errors_m = run.errors_m or [error_m]
                break
        while in_flight and in_flight[0][0] <= now_ms:
            _, answer = in_flight.popleft()
            step = MAX_CHANGE_PER_S * min(now_ms - heard_ms, 10) / 1000
            torque, heard_ms = np.clip(np.clip(answer, -1, 1), torque - step, torque + step), now_ms
        if now_ms - heard_ms > HOLD_MS:
            torque = np.clip(0.0, torque - MAX_CHANGE_PER_S / 1000, torque + MAX_CHANGE_PER_S / 1000)
        d.ctrl[:] = np.clip(torque * LIMITS_NM + d.qfrc_bias, -LIMITS_NM, LIMITS_NM)
        mujoco.mj_step2(scene.model, d)
    return run


def unseen(count):
    """Motions that training never saw."""
    return [random_motion(np.random.default_rng(10_000 + k)) for k in range(count)]
