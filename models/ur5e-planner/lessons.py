"""What the forecast learns from: where parts were and where they went, on the line that the demo is one ride of.

Each sample is a moment of another ride. What happens to the part after that moment nobody can know, so slips and changes of
speed lie behind it; jolts come when they come.
"""

import numpy as np

from ride import LAGS_MS, STEP_MS, STEPS

NOISE_M = 0.0001  # of an encoder and whatever else measures the track
HORIZON_S = np.arange(STEPS) * STEP_MS / 1000


def lessons(count, seed):
    """Part, its velocity and its track (28 numbers), and its 60 places from now on."""
    rng = np.random.default_rng(seed)
    line = _line(count, rng)
    now_s = rng.uniform(3, 13, (count, 1))
    events = _events(now_s, rng)
    at = lambda t_s: _places(line, events, t_s)
    part, track = at(now_s)[:, 0], at(now_s - np.array(LAGS_MS) / 1000)
    velocity = (at(now_s + 1e-4)[:, 0] - at(now_s - 1e-4)[:, 0]) / 2e-4
    track = track + rng.normal(0, NOISE_M, track.shape)
    seen = np.concatenate([part, velocity, track.reshape(count, -1)], axis=1)
    return seen.astype(np.float32), at(now_s + HORIZON_S).astype(np.float32)


def _line(count, rng):
    """Motions of ../ur5e-conveyor/plant.py around the demo's, which training never sees as such."""
    between = lambda low, high: rng.uniform(low, high, (count, 1))
    reach_m, peak_m_s = between(0.25, 0.38), between(0.15, 0.36)
    return {
        "reach_m": reach_m, "rate": peak_m_s / reach_m, "phase": between(0, 2 * np.pi),
        "surge": between(0, 0.4), "surge_rate": between(1.5, 4.5), "surge_phase": between(0, 2 * np.pi),
        "jolt_m": between(-0.008, 0.008), "jolt_s": between(0.05, 0.09), "jolt_every_s": between(1.8, 3.5),
        "jolt_phase": between(0, 2 * np.pi),
        "wobble_m": between(0, 0.025), "wobble_rate": between(1.2, 3.6), "wobble_phase": between(0, 2 * np.pi),
    }


def _events(now_s, rng):
    """At most one slip and one change of speed, in the last 2.4 s or long ago."""
    count = len(now_s)
    begun = lambda share: now_s - np.where(rng.random((count, 1)) < share, rng.uniform(0, 2.4, (count, 1)), 9.0)
    slip = np.stack([rng.uniform(-0.03, 0.03, (count, 1)), rng.uniform(-0.06, 0.06, (count, 1))], axis=-1)
    return {
        "slip_s": begun(0.4), "slip_for_s": rng.uniform(0.08, 0.25, (count, 1)), "slip_m": slip,
        "speed_s": begun(0.4), "speed_for_s": rng.uniform(0.1, 0.4, (count, 1)),
        "speed": rng.uniform(0.5, 1.5, (count, 1)),
    }


def _places(line, events, t_s):
    """x and y at these times: Ride.at for many rides at once."""
    since = np.maximum(t_s - events["speed_s"], 0)
    ramp = np.minimum(since, events["speed_for_s"])
    more = events["speed"] - 1
    drive_s = t_s + more * (ramp * ramp / (2 * events["speed_for_s"]) + since - ramp)
    turn = line["phase"] + line["rate"] * (
        drive_s + line["surge"] / line["surge_rate"] * np.sin(line["surge_rate"] * drive_s + line["surge_phase"])
    )
    jolt_rate = 2 * np.pi / line["jolt_every_s"]
    sharpness = 1 / (jolt_rate * line["jolt_s"]) ** 2
    jolt = line["jolt_m"] * np.exp(sharpness * (np.cos(jolt_rate * drive_s - line["jolt_phase"]) - 1))
    wobble = line["wobble_m"] * np.cos(line["wobble_rate"] * drive_s + line["wobble_phase"])
    places = np.stack([0.5 + wobble, -line["reach_m"] * np.cos(turn) + jolt], axis=-1)
    done = np.clip((t_s - events["slip_s"]) / events["slip_for_s"], 0, 1)
    return places + events["slip_m"] * (done * done * (3 - 2 * done))[..., None]
