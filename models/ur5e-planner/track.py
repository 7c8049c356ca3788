"""The closed loop around plans: what the box plays, what the robot's law makes of it, and what else could be done.

One tick is 2 ms. The box is that of the design: step 0 is at the arrival of the observation that a plan was computed
from, what has expired is skipped, the next plan is asked for early, and each observation is answered at once, by the
step of its instant or by a fallback that holds. The robot's law runs at 1 kHz on the robot's own sensors.
"""

import math
from dataclasses import dataclass, field

import mujoco
import numpy as np

from ride import STEP_MS, STEPS, observe
from plant import LIMITS_NM, LOST_M, SETTLE_S, TICK_MS

STIFFNESS, DAMPING = 3600.0, 120.0  # 1/s² and 1/s: critically damped, 60 rad/s
LEAD_MS = 20  # a reference is led on by its velocity for as long as this, then holds
BLEND_MS, REFRESH_MS, RETRY_MS = 40, 40, 100
LIMIT = np.array([3.2] * 6 + [80.0] * 6)  # model.toml's max_change_per_s
PUSHED = "wrist_3_link"


@dataclass(frozen=True)
class Push:
    at_ms: int
    for_ms: int
    force_n: tuple


@dataclass
class Run:
    times_ms: list = field(default_factory=list)
    errors_m: list = field(default_factory=list)  # one a tick, after SETTLE_S
    kinds: list = field(default_factory=list)  # what answered, one a tick
    changes: list = field(default_factory=list)  # per second, of the references as planned
    lost_ms: int | None = None

    def rms_mm(self, within=lambda ms: True):
        kept = [e for ms, e in zip(self.times_ms, self.errors_m) if within(ms)]
        return 1e3 * float(np.sqrt(np.mean(np.square(kept)))) if kept else math.nan

    def max_mm(self):
        return 1e3 * float(np.max(self.errors_m))


class Plans:
    """The box: plans that come `latency_ms` after they were asked for, or never within `cut_ms`."""

    def __init__(self, model, latency_ms, cut_ms=()):
        self.model, self.latency_ms, self.cut_ms = model, latency_ms, cut_ms
        self.plan, self.before, self.asked, self.last = None, None, None, None

    def answer(self, now_ms, observation):
        """Twelve references and what they are; the last ones again where there is no plan."""
        if self.asked and self.asked[0] <= now_ms:
            _, begun_ms, plan = self.asked
            self.asked = None
            if plan is not None and now_ms - begun_ms < (STEPS - 1) * STEP_MS:
                self.before, self.plan = (self.plan, (begun_ms, now_ms, plan))
        if self.asked is None and (self.plan is None or now_ms - self.plan[0] >= REFRESH_MS):
            if any(start <= now_ms + self.latency_ms and now_ms < end for start, end in self.cut_ms):
                self.asked = (now_ms + max(self.latency_ms, RETRY_MS), now_ms, None)
            else:
                self.asked = (now_ms + self.latency_ms, now_ms, self.model(observation))
                if self.latency_ms == 0:
                    return self.answer(now_ms, observation)
        wanted = step_at(self.plan, now_ms)
        if wanted is None:
            return self._held(observation), "fallback"
        share = (now_ms - self.plan[1]) / BLEND_MS
        old = step_at(self.before, now_ms) if share < 1 else None
        if old is not None:
            wanted = old + (wanted - old) * share
        if self.last is not None:
            room = LIMIT * TICK_MS / 1000
            wanted = np.clip(wanted, self.last - room, self.last + room)
        self.last = wanted
        return wanted, "plan"

    def _held(self, observation):
        if self.last is None:
            self.last = np.concatenate([observation[:6], np.zeros(6)]).astype(np.float64)
        return self.last


def step_at(plan, now_ms):
    """The step of this instant, by a cubic through the steps around it; None where there is none."""
    if plan is None:
        return None
    place = (now_ms - plan[0]) / STEP_MS
    k, steps = int(place), plan[2]
    if place > STEPS - 1:
        return None
    k = min(k, STEPS - 2)
    u, a, b = place - k, steps[k], steps[k + 1]
    slope_a = (b - steps[k - 1]) / 2 if k > 0 else b - a
    slope_b = (steps[k + 2] - a) / 2 if k + 2 < STEPS else b - a
    return (
        a * (1 + 2 * u) * (1 - u) ** 2 + slope_a * u * (1 - u) ** 2
        + b * u * u * (3 - 2 * u) - slope_b * u * u * (1 - u)
    )


class Naive:
    """Calls the model, waits for it, and holds what it said until the next answer is there."""

    def __init__(self, model, latency_ms, pick):
        self.model, self.latency_ms, self.pick = model, latency_ms, pick
        self.asked, self.held = None, None

    def answer(self, now_ms, observation):
        if self.asked is None:
            self.asked = (now_ms + self.latency_ms, self.pick(self.model(observation)))
        if self.asked[0] <= now_ms:
            self.held, self.asked = self.asked[1], None
        return self.held, "held"


class Chunks:
    """Plays each chunk from when it came to its end, then asks for the next and stands still meanwhile."""

    def __init__(self, model, latency_ms, play_ms):
        self.model, self.latency_ms, self.play_ms = model, latency_ms, play_ms
        self.asked, self.plan, self.held = None, None, None

    def answer(self, now_ms, observation):
        if self.plan is None or now_ms - self.plan[0] >= self.play_ms:
            if self.asked is None:
                self.asked = (now_ms + self.latency_ms, self.model(observation))
            if self.asked[0] <= now_ms:
                self.plan, self.asked = (now_ms, now_ms, self.asked[1]), None
        if self.plan is None:
            return None, "held"
        playing = self.asked is None
        if playing:
            self.held = step_at(self.plan, now_ms)
        return self.held, "plan" if playing else "fallback"


def law(cell, references, kind, since_ms):
    """Computed torque in N·m beyond gravity and Coriolis, which the robot compensates itself."""
    d = cell.data
    position, velocity = references[:6], references[6:]
    if kind != "plan":  # a typed fallback holds: it promises no motion
        velocity = np.zeros(6)
    position = position + velocity * min(since_ms, LEAD_MS) / 1000
    mujoco.mj_fullM(cell.model, d, cell.mass)
    wanted = STIFFNESS * (position - d.qpos) + DAMPING * (velocity - d.qvel)
    return cell.mass @ wanted - d.qfrc_passive


def episode(cell, ride, server, seconds, push=None, torques=False, observation_of=None, lost_m=LOST_M, watch=None):
    """Run the loop. `server` answers each observation with references, or with normalised torques."""
    run, d = Run(), cell.data
    cell.reset(ride.at(0.0)[0])
    answered, kind, answered_ms, before = None, "held", 0, None
    body = cell.model.body(PUSHED).id
    for now_ms in range(round(seconds * 1000)):
        mujoco.mj_step1(cell.model, d)
        target_m, _ = ride.at(now_ms / 1000)
        if now_ms % TICK_MS == 0:
            observation = (observation_of or observe)(d, ride, now_ms / 1000)
            answered, kind = server.answer(now_ms, observation)
            answered_ms = now_ms
            distance_m = float(np.linalg.norm(target_m - d.site_xpos[cell.tcp]))
            if now_ms >= SETTLE_S * 1000:
                run.times_ms.append(now_ms)
                run.errors_m.append(distance_m)
                run.kinds.append(kind)
            if not distance_m < lost_m and run.lost_ms is None:
                run.lost_ms = now_ms
                if lost_m == LOST_M:
                    break
        torque = np.zeros(6)
        if answered is not None:
            torque = np.clip(answered, -1, 1) * LIMITS_NM if torques else law(cell, answered, kind, now_ms - answered_ms)
        d.ctrl[:] = np.clip(torque + d.qfrc_bias, -LIMITS_NM, LIMITS_NM)
        d.xfrc_applied[:] = 0
        if push and push.at_ms <= now_ms < push.at_ms + push.for_ms:
            d.xfrc_applied[body, :3] = push.force_n
        if watch:
            watch(now_ms, answered)
        mujoco.mj_step2(cell.model, d)
    return run
