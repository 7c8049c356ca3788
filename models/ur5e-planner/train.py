"""Makes and examines the planner that foresees where a UR5e's joints have to be for the next 1.2 s.

A small network learns to foresee the part from its track (lessons.py); the arm's inverse kinematics and a calm way back
make a plan of that (planner.py), in one graph. track.py plays its plans as a box does. Seeds are fixed; on one machine the
result is the same file every time.

    python train.py train      a few minutes on one core: model.onnx, golden.json, then `toml`
    python train.py check      hash, golden plans, the error at 0 to 300 ms, and what fails without plans
    python train.py figures    plans.json, plans.svg, plans.png: the error beside the policy's and naive callers'
    python train.py limits     what model.toml's limits are from; prints only
    python train.py toml       refresh model.toml's hashes
"""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy: one core, and one result
    os.environ[name] = "1"

import hashlib
import json
import re
import sys
import time

import numpy as np
import onnx
import onnxruntime

import figures as pictures
from lessons import lessons
from planner import Planner
from ride import HERE, Ride, Slip, Speed
from track import Chunks, Naive, Plans, Push, episode

sys.path.append(str(HERE.parent / "ur5e-conveyor"))
from plant import DEMO, Cell, Link, random_motion  # noqa: E402
from plant import episode as policy_episode  # noqa: E402

LESSONS, MOMENTS, EPOCHS = 8, 20_000, 12
LATENCIES_MS = (0, 50, 150, 300)

CALM = Ride(DEMO)
UPSET = Ride(DEMO, (Slip(4.0, 0.01, 0.04, 0.15),), Speed(7.0, 1.4, 0.3))
PUSH = Push(5_500, 100, (25.0, 25.0, 0.0))
UPSET_FROM_MS, CUT_FROM_MS, SECONDS = 4_000, 9_000, 13.0
CUT_MS = ((CUT_FROM_MS, CUT_FROM_MS + 2_000),)  # longer than the horizon
BACK_AFTER_MS = 1_000  # once plans come again


def train():
    begun = time.monotonic()
    tell = lambda line: print(f"{line}, {time.monotonic() - begun:.0f} s", flush=True)
    taught = [lessons(MOMENTS, seed) for seed in range(1, LESSONS + 1)]
    seen, places = (np.concatenate(parts) for parts in zip(*taught))
    tell(f"{len(seen)} moments")
    rng = np.random.default_rng(0)
    planner = Planner(rng)
    planner.fit(seen, places, rng, EPOCHS, tell)
    onnx.save(planner.to_onnx("UR5e conveyor plans, see PLANT.md"), HERE / "model.onnx")
    golden()
    toml()


def golden():
    """Observations of a ride with a slip and a push, and the plans expected for them, for tests in any language."""
    answer, rows = model(), []

    def keep(observation):
        plan = answer(observation)
        if len(seen) % 20 == 0:
            rows.append({"observation": observation, "plan": plan.ravel()})
        seen.append(plan)
        return plan

    seen = []
    episode(Cell(), UPSET, Plans(keep, 20), 7.0, PUSH)
    rows = [{name: [float(f"{x:.7g}") for x in values] for name, values in row.items()} for row in rows]
    for row in rows:  # of what is written, not of what it was rounded from
        row["plan"] = [float(f"{x:.7g}") for x in answer(np.array(row["observation"], np.float32)).ravel()]
    write_json(HERE / "golden.json", {"absolute_tolerance": 1e-4, "vectors": rows})


def model(path=HERE / "model.onnx"):
    session = open_session(path)
    return lambda observation: session.run(None, {"observation": observation[None]})[0][0].astype(np.float64)


def policy():
    """The torque policy of ../ur5e-conveyor, which runs on the box."""
    session = open_session(HERE.parent / "ur5e-conveyor" / "model.onnx")
    return lambda observation: session.run(None, {"observation": observation[None]})[0][0].astype(np.float64)


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Torques:
    """The local policy in the place of plans: each observation at once, or naively, after `latency_ms`."""

    def __init__(self, cell, ride, latency_ms):
        self.answerer, self.cell, self.ride = Naive(policy(), latency_ms, lambda torque: torque), cell, ride

    def answer(self, now_ms, _):
        observation, *_ = self.cell.observe(*self.ride.at(now_ms / 1000))
        torque, kind = self.answerer.answer(now_ms, observation)
        return np.zeros(6) if torque is None else torque, kind


def held_step(plan):
    """What a naive caller takes out of a plan: the step after now, to be gone to and held."""
    return np.concatenate([plan[1, :6], np.zeros(6)])


def rows():
    """One row a way of serving: calm at first, then upset by slip, push and speed, and for some cut off at last."""
    cell, answer = Cell(), model()
    ways = {"policy on the box": (Torques(cell, UPSET, 0), ())}
    for ms in LATENCIES_MS:
        ways[f"plans, {ms} ms"] = (Plans(answer, ms, CUT_MS), CUT_MS)
    for ms in LATENCIES_MS[1:]:
        ways[f"naive: policy, {ms} ms"] = (Torques(cell, UPSET, ms), ())
        ways[f"naive: a step at a time, {ms} ms"] = (Naive(answer, ms, held_step), ())
        ways[f"naive: chunk after chunk, {ms} ms"] = (Chunks(answer, ms, 400), ())
    for name, (server, cut) in ways.items():
        run = episode(cell, UPSET, server, SECONDS, PUSH, isinstance(server, Torques), lost_m=9.0 if cut else 0.3)
        back_ms = CUT_MS[0][1] + BACK_AFTER_MS + getattr(server, "latency_ms", 0)
        spans = {"calm": (1_000, UPSET_FROM_MS), "upset": (UPSET_FROM_MS, CUT_FROM_MS), "after_cut": (back_ms, 99_999)}
        row = {"way": name}
        for span, (start, end) in spans.items():
            rms_mm = run.rms_mm(lambda ms: start <= ms < end)
            row[f"{span}_rms_mm"] = round(rms_mm, 2) if run.lost_ms is None or run.lost_ms >= end or cut else None
        yield row | {"lost_ms": run.lost_ms, "fallbacks": run.kinds.count("fallback")}, run


def figures():
    table, traces = [], {}
    for row, run in rows():
        print(row, flush=True)
        table.append(row)
        traces[row["way"]] = run
    write_json(HERE / "plans.json", {"ways": table})
    pictures.draw(traces, UPSET, PUSH, CUT_MS)


def limits():
    """Figures behind model.toml's limits: how fast and how far references go, over unseen rides with pushes."""
    cell, answer = Cell(), model()
    lows, highs, changes = [], [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        played = []
        push = Push(3000, 100, tuple(rng.uniform(-30, 30, 3)))
        episode(cell, Ride(random_motion(rng)), Plans(answer, int(rng.choice([0, 50, 150, 300]))), 5.0, push, lost_m=9.0,
                watch=lambda now_ms, references: played.append(references) if now_ms % 2 == 0 else None)
        played = np.array(played[200:])
        lows.append(played.min(0)), highs.append(played.max(0))
        changes.append(np.abs(np.diff(played, axis=0)) * 500)
    print("lowest ", np.min(lows, 0).round(2))
    print("highest", np.max(highs, 0).round(2))
    print("change per s, p99.9", np.percentile(np.concatenate(changes), 99.9, axis=0).round(2))


def check():
    assert sha256(HERE / "model.onnx") in (HERE / "model.toml").read_text()
    vectors, answer, cell = json.loads((HERE / "golden.json").read_text()), model(), Cell()
    for row in vectors["vectors"]:
        observation = np.array(row["observation"], np.float32)
        plan = answer(observation)
        assert np.allclose(plan.ravel(), row["plan"], rtol=0, atol=vectors["absolute_tolerance"])
        assert np.allclose(plan[0], observation[:12], rtol=0, atol=1e-5), "a plan begins where the arm is"
    for latency_ms in LATENCIES_MS:
        run = episode(cell, CALM, Plans(answer, latency_ms), 10.0)
        print(f"plans, {latency_ms} ms: {run.rms_mm():.2f} mm RMS")
        assert run.lost_ms is None and run.rms_mm() < 3 + latency_ms / 12, (latency_ms, run.rms_mm())
    policy_run = policy_episode(cell, DEMO, policy(), 10.0, Link(latency_ms=50))
    print(f"naive: policy, 50 ms: {'lost' if policy_run.lost else f'{policy_run.rms_mm():.1f} mm'}, as it should be")
    assert policy_run.lost


def toml():
    manifest = HERE / "model.toml"
    for file in (HERE / "model.onnx", HERE / "golden.json"):
        if file.exists() and manifest.exists():
            named = rf'(?m)^(file = "{re.escape(file.name)}"\nsha256 = )".*"$'
            manifest.write_text(re.sub(named, rf'\g<1>"{sha256(file)}"', manifest.read_text()))


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_json(path, value):
    """One row a line: small differences stay small in a review."""
    lines = [
        f"  {json.dumps(key)}: " + (
            "[\n" + ",\n".join("    " + json.dumps(row) for row in part) + "\n  ]"
            if isinstance(part, list) else json.dumps(part)
        )
        for key, part in value.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    commands = {f.__name__: f for f in (train, check, figures, limits, golden, toml)}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
