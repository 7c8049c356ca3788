"""Makes and examines the policy that keeps a UR5e's tool on a part that rides a conveyor.

A teacher that sees the whole physics (plant.py) is imitated by a small network (network.py) that sees
21 numbers: behaviour cloning, then five rounds of DAgger, in which the network drives and the teacher
says what it would have done. Seeds are fixed; on one machine the result is the same file every time.

    python train.py train      a few minutes on one core: model.onnx, golden.json, then `toml`
    python train.py check      arm.xml against the DH table, hashes, golden torques, errors at 0, 8 and 20 ms
    python train.py sweep      cliff.json, cliff.svg, cliff.png: what latency and lost responses cost
    python train.py outages    what 200 ms without torques cost, and how fast torques normally change
    python train.py picture    picture.png; needs MUJOCO_GL=egl or osmesa on a machine without a display
    python train.py demo       ../ur5e-conveyor-demo: the same policy, which hangs when it is asked to
    python train.py toml       refresh both model.toml files' hashes
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

from network import Network
from plant import DEMO, HERE, Cell, Link, episode, random_motion

DEMO_DIR = HERE.parent / "ur5e-conveyor-demo"
ROUNDS, EPISODES, SECONDS = 6, 32, 3.0


def train():
    begun, cell = time.monotonic(), Cell()
    rng = np.random.default_rng(0)
    network, observations, labels = Network(rng), [], []
    for turn in range(ROUNDS):
        student = network.policy() if turn else None
        for k in range(EPISODES):
            run = lesson(cell, student, seed=1000 * (turn + 1) + k)
            observations += run.observations
            labels += run.labels
        last = turn == ROUNDS - 1
        loss = network.fit(
            np.array(observations), np.array(labels, np.float32), rng, epochs=75 if last else 25
        )
        test = episode(cell, DEMO, network.policy(), 8.0)
        print(f"round {turn}: {len(labels)} samples, loss {loss:.5f}, demo {test.rms_mm():.3f} mm RMS,"
              f" {time.monotonic() - begun:.0f} s", flush=True)
    onnx.save(network.to_onnx("UR5e conveyor tracking, see PLANT.md"), HERE / "model.onnx")
    golden(cell)
    toml()


def lesson(cell, student, seed):
    """One roll-out to learn from: a fifth are the teacher's own, half suffer an outage."""
    rng = np.random.default_rng(seed)
    motion, teacher_drives = random_motion(rng), rng.random() < 0.2
    longest_ms = rng.choice([0, 0, 250, 1500])
    link = Link(
        latency_ms=int(rng.choice([0, 0, 4, 8])),
        outages_ms=((rng.integers(200, 1500), rng.integers(longest_ms + 1)),),
        rest_after_ms=50 if longest_ms > 250 or rng.random() < 0.5 else None,
    )
    offset_rad = rng.uniform(-1, 1, 6) * rng.choice([0.003, 0.03, 0.1, 0.25])
    return episode(
        cell, motion, None if teacher_drives else student, SECONDS, link,
        teach=True, offset_rad=offset_rad, seed=seed, lost_m=1.0,
    )


def golden(cell):
    """Observations of one rough ride with the torques expected for them, for tests in any language."""
    answer = policy()
    run = episode(cell, DEMO, answer, 10.0, Link(latency_ms=4, outages_ms=((5000, 150),)), teach=True)
    rows = [
        {"observation": [float(x) for x in o], "torque": [float(x) for x in answer(o)]}
        for o in run.observations[::250]
    ]
    write_json(HERE / "golden.json", {"absolute_tolerance": 1e-5, "vectors": rows})


def policy(path=HERE / "model.onnx"):
    session = open_session(path)
    return lambda o: session.run(None, {"observation": o[None]})[0][0].astype(np.float64)


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def test_runs(cell, answer, link, seconds=8.0, motions=3):
    """The demo's motion for 20 s and a few that training never saw."""
    unseen = [random_motion(np.random.default_rng(k)) for k in range(motions)]
    return [episode(cell, DEMO, answer, 20.0, link)] + [
        episode(cell, motion, answer, seconds, link, seed=k) for k, motion in enumerate(unseen)
    ]


def sweep():
    import figures

    cell, answer = Cell(), policy()

    def row(link):
        runs = test_runs(cell, answer, link)
        return {
            "demo_rms_mm": round(runs[0].rms_mm(), 3), "demo_max_mm": round(runs[0].max_mm(), 2),
            "rms_mm": round(1e3 * float(np.sqrt(np.mean([e * e for r in runs for e in r.errors_m]))), 3),
            "lost": sum(r.lost for r in runs), "runs": len(runs),
        }

    table = {
        "latency": [{"latency_ms": ms} | row(Link(latency_ms=ms)) for ms in figures.LATENCIES_MS],
        "drops": [
            {"latency_ms": 2, "drop": p} | row(Link(latency_ms=2, drop=p)) for p in (0.3, 0.6, 0.8, 0.9)
        ],
    }
    for line in table["latency"] + table["drops"]:
        print(line)
    write_json(HERE / "cliff.json", table)
    figures.cliff(table["latency"])


def outages():
    """Figures behind model.toml's max_change_per_s and the choice of fallback; prints only."""
    cell, answer = Cell(), policy()
    normal = [run for ms in (0, 4, 8) for run in test_runs(cell, answer, Link(latency_ms=ms))]
    changes = np.concatenate([np.abs(np.diff(np.array(r.torques), axis=0, prepend=0)) for r in normal])
    print("change per 2 ms tick, p99.9", np.percentile(changes, 99.9, axis=0).round(5))
    print("                        max", changes.max(0).round(5))
    print("largest torque             ", np.max([np.abs(r.torques).max(0) for r in normal], 0).round(4))
    limit = max_change_per_s()
    gaps = tuple((start, 200) for start in range(2100, 20000, 2700))
    for label, link in {
        "no outage": Link(2), "no outage, rate limit": Link(2, max_change_per_s=limit),
        "8 ms, rate limit": Link(8, max_change_per_s=limit),
        "hold": Link(2, outages_ms=gaps), "hold, rate limit": Link(2, outages_ms=gaps, max_change_per_s=limit),
        "50 ms, then rest": Link(2, outages_ms=gaps, rest_after_ms=50, max_change_per_s=limit),
    }.items():
        run = episode(cell, DEMO, answer, 20.0, link)
        print(f"{label:24s} {run.rms_mm():8.3f} mm RMS {run.max_mm():8.2f} mm max{' LOST' * run.lost}")
    for label, rest_after_ms, length_ms in (("hold", None, 200), ("rest", 50, 200), ("rest", 50, 10000)):
        starts_ms = range(1000, 9000, 250)
        ends = [one_outage(cell, answer, start, length_ms, rest_after_ms, limit) for start in starts_ms]
        worst_mm, settled_mm = np.max(ends, axis=0)
        print(f"one outage of {length_ms} ms at any of {len(ends)} moments, {label}:"
              f" at worst {worst_mm:.1f} mm, 3 s later {settled_mm:.1f} mm")
    for part in (0.2, 0.5, 1.0):
        circling = sum(circles(cell, answer, part * limit, seed) for seed in range(48))
        print(f"{part} of the rate limit: {circling} of 48 starts beside the part end in circles")


def one_outage(cell, answer, start_ms, length_ms, rest_after_ms, limit):
    """The largest error in mm, and the largest of the last 0.5 s once answers came again for 3 s."""
    link = Link(2, 0.0, ((start_ms, length_ms),), rest_after_ms, limit)
    run = episode(cell, DEMO, answer, (start_ms + length_ms) / 1000 + 3, link, lost_m=9.0)
    return run.max_mm(), 1e3 * max(run.errors_m[-250:])


def circles(cell, answer, limit, seed):
    """Whether the arm, starting up to 0.25 rad a joint away, has not settled after 3 s."""
    rng = np.random.default_rng(seed)
    motion, offset_rad = random_motion(rng), rng.uniform(-1, 1, 6) * rng.choice([0.03, 0.1, 0.25])
    link = Link(latency_ms=(2, 8)[seed % 2], max_change_per_s=limit)
    run = episode(cell, motion, answer, 3.0, link, offset_rad=offset_rad, lost_m=9.0)
    return max(run.errors_m[-100:]) > 0.003


def max_change_per_s():
    import tomllib

    outputs = tomllib.loads((HERE / "model.toml").read_text())["output"]
    return np.array([element["max_change_per_s"] for element in outputs[0]["elements"]])


def check():
    import arm_check

    arm_check.run()
    for folder in (HERE, DEMO_DIR):
        assert sha256(folder / "model.onnx") in (folder / "model.toml").read_text(), folder
    cell, answer, hanging = Cell(), policy(), policy(DEMO_DIR / "model.onnx")
    golden_vectors = json.loads((HERE / "golden.json").read_text())
    for row in golden_vectors["vectors"]:
        observation = np.array(row["observation"], np.float32)
        torque = answer(observation)
        assert np.allclose(torque, row["torque"], rtol=0, atol=golden_vectors["absolute_tolerance"]), row
        for iterations in (0, 3):
            assert np.array_equal(torque, hanging(np.append(observation, np.float32(iterations)))), row
    for ms in (0, 8):
        run = episode(cell, DEMO, answer, 20.0, Link(latency_ms=ms))
        assert not run.lost and run.rms_mm() < 0.5, (ms, run.rms_mm())
        print(f"{ms} ms: {run.rms_mm():.3f} mm RMS")
    late = episode(cell, DEMO, answer, 20.0, Link(latency_ms=20))
    assert late.lost or late.rms_mm() > 10, late.rms_mm()
    print(f"20 ms: {'lost' if late.lost else f'{late.rms_mm():.1f} mm RMS'}, as it should be")


def picture():
    import figures

    figures.picture(Cell(), policy())


def demo():
    import hang

    hang.build(HERE / "model.onnx", DEMO_DIR / "model.onnx")
    toml()


def toml():
    for folder in (HERE, DEMO_DIR):
        manifest = folder / "model.toml"
        for file in (folder / "model.onnx", folder / "golden.json"):
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
    commands = {f.__name__: f for f in (train, check, sweep, outages, picture, demo, toml)}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
