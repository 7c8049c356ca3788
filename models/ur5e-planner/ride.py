"""What the planner is tried on: a part on the belt, and what upsets it.

A ride is a motion of ../ur5e-conveyor with slips of the part and changes of the belt's speed. The robot's side knows
the part's place, velocity and track so far.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "ur5e-conveyor"))
from plant import Motion  # noqa: E402

STEPS, STEP_MS = 60, 20  # a plan: 1.2 s at 50 Hz, its first step at the observation
LAGS_MS = (40, 80, 120, 180, 260, 360, 500, 700, 950, 1300, 1800, 2400)  # of the part's track


@dataclass(frozen=True)
class Slip:
    """The part slides on the belt: a smooth step that begins at `at_s` and takes `for_s`."""

    at_s: float
    x_m: float
    y_m: float
    for_s: float

    def offset(self, t_s):
        done = min(max((t_s - self.at_s) / self.for_s, 0.0), 1.0)
        far = np.array([self.x_m, self.y_m, 0.0])
        return far * done * done * (3 - 2 * done), far * 6 * done * (1 - done) / self.for_s


@dataclass(frozen=True)
class Speed:
    """The belt's drive goes over to `factor` times its speed: linearly, from `at_s`, within `for_s`."""

    at_s: float
    factor: float
    for_s: float

    def time(self, t_s):
        """How far the drive has come, and how fast it runs."""
        since = t_s - self.at_s
        if since <= 0:
            return t_s, 1.0
        ramp = min(since, self.for_s)
        rate = 1 + (self.factor - 1) * ramp / self.for_s
        return self.at_s + ramp * (1 + rate) / 2 + (since - ramp) * self.factor, rate


@dataclass(frozen=True)
class Ride:
    motion: Motion
    slips: tuple = ()
    speed: Speed | None = None

    def at(self, t_s):
        """Position in m and velocity in m/s of the tool's target."""
        drive_s, rate = self.speed.time(t_s) if self.speed else (t_s, 1.0)
        position, velocity = self.motion.at(drive_s)
        velocity = velocity * rate
        for slip in self.slips:
            far, fast = slip.offset(t_s)
            position, velocity = position + far, velocity + fast
        return position, velocity


def observe(data, ride, t_s):
    """The 40 numbers of PLANT.md: joints, the part across and along the belt, its velocity and its track."""
    position, velocity = ride.at(t_s)
    track = [ride.at(t_s - lag / 1000)[0][:2] for lag in LAGS_MS]
    return np.concatenate([data.qpos, data.qvel, position[:2], velocity[:2], *track]).astype(np.float32)
