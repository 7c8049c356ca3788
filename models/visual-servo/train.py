"""Makes and examines the visual servo: a camera over the belt and the robot's own joints in, torques out.

An eye finds the part in a picture (eye.py), an observer turns late pictures' places into position and velocity now
(observer.py), and the policy of ../ur5e-conveyor, as it is, turns those into torques. Eye and observer are trained
apart on simulated scenes, then all three become one graph (graph.py) whose memory is a recurrent state. Seeds are
fixed; on one machine the result is the same file every time.

    python train.py train      a quarter of an hour on one core: model.onnx, golden.json, then `toml`
    python train.py check      hashes, golden torques, errors with a camera, a stalled one, and none
    python train.py figures    servo.json, servo.svg, servo.png: the error with the camera, stalled, blind and absent
    python train.py picture    picture.png: what the camera sees
    python train.py toml       refresh model.toml's hash

Pictures need MUJOCO_GL=egl or osmesa on a machine without a display.
"""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy: one core, and one result
    os.environ[name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import hashlib
import json
import re
import sys
import time

import numpy as np
import onnx

import eye
import graph
import observer
from loop import Camera, Servo, episode, unseen
from plant import DEMO
from scene import HERE, Scene, pictures

POLICY = HERE.parent / "ur5e-conveyor" / "model.onnx"
PICTURES, UNSEEN_PICTURES = 16_000, 1_000
STALLS_MS = tuple((start, 100) for start in range(2_100, 20_000, 1_700))
SCENES = {
    "camera at 30 Hz": Camera(),
    "camera at 30 Hz, 20 ms late": Camera(latency_ms=20),
    "camera stalls for 100 ms": Camera(stalls_ms=STALLS_MS),
    "blind: always the first picture": Camera(blind=True),
    "absent: no picture at all": Camera(stalls_ms=((0, 10**9),)),
}


def train():
    begun = time.monotonic()
    tell = lambda line: print(f"{line}, {time.monotonic() - begun:.0f} s", flush=True)
    seen, parts = pictures(PICTURES, seed=1)
    tell(f"{PICTURES} pictures")
    seer = eye.fit(seen, parts, steps=5_000, tell=tell)
    misses = eye.misses_mm(seer, *pictures(UNSEEN_PICTURES, seed=2))
    noise_mm = np.sqrt(np.mean(misses**2, axis=0))
    tell(f"eye: {noise_mm[0]:.2f} mm across and {noise_mm[1]:.2f} mm along the belt, RMS, on unseen pictures")
    watcher = observer.fit(noise_mm / 1e3, steps=8_000, tell=tell)
    onnx.save(graph.build(seer, watcher, POLICY, "UR5e visual servo, see PLANT.md"), HERE / "model.onnx")
    golden()
    toml()


def golden():
    """A ride's inputs with the torques that a model without memory answers, for tests in any language."""
    servo, rows = Servo(HERE / "model.onnx"), []
    for observation, picture, _, _ in episode(Scene(), servo, DEMO, 2.0, keep_every=400).samples[1:]:
        seen = np.round(picture.astype(np.float64), 3)  # in few digits: a picture has 18,432 numbers
        servo.reset()
        torque = servo(observation, seen.astype(np.float32))
        numbers = {"observation": observation, "camera": seen.ravel(), "torque": torque}
        row = {name: [float(x) for x in values] for name, values in numbers.items()}
        rows.append({"observation": row["observation"], "joined": {"camera": row["camera"]}, "torque": row["torque"]})
    write_json(HERE / "golden.json", {"absolute_tolerance": 1e-4, "vectors": rows})


def runs(camera, seconds):
    """The demo's motion and three that training never saw."""
    scene, servo = Scene(), Servo(HERE / "model.onnx")
    return [episode(scene, servo, motion, seconds, camera, seed=k) for k, motion in enumerate([DEMO, *unseen(3)])]


def check():
    assert sha256(HERE / "model.onnx") in (HERE / "model.toml").read_text()
    vectors = json.loads((HERE / "golden.json").read_text())
    servo = Servo(HERE / "model.onnx")
    for row in vectors["vectors"]:
        servo.reset()
        picture = np.array(row["joined"]["camera"], np.float32).reshape(3, 64, 96)
        torque = servo(np.array(row["observation"], np.float32), picture)
        assert np.allclose(torque, row["torque"], rtol=0, atol=vectors["absolute_tolerance"]), row["torque"]
    for name, camera in SCENES.items():
        tracked = runs(camera, 8.0)
        for run in tracked:
            print(f"{name:34s} {run.text()}")
        sees = not camera.blind and "absent" not in name
        for run in tracked:
            assert (run.lost_ms is None and run.rms_mm() < 6) if sees else run.lost_ms is not None, name


def figures():
    rows, traces = [], {}
    for name, camera in SCENES.items():
        tracked = runs(camera, 10.0)
        rows.append({
            "scene": name,
            "demo_rms_mm": round(tracked[0].rms_mm(), 2), "demo_max_mm": round(tracked[0].max_mm(), 2),
            "rms_mm": round(1e3 * float(np.sqrt(np.mean([e * e for r in tracked for e in r.errors_m]))), 2),
            "max_mm": round(max(r.max_mm() for r in tracked), 2),
            "fallbacks": sum(r.fallbacks for r in tracked),
            "lost": sum(r.lost_ms is not None for r in tracked), "runs": len(tracked),
        })
        print(rows[-1], flush=True)
        traces[name] = tracked[0]
    write_json(HERE / "servo.json", {"scenes": rows})
    draw(traces)


def draw(traces):
    """The demo's error over time in each scene."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "servo"  # the same file from the same figures
    matplotlib.rcParams.update({"font.size": 12})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for start, length in STALLS_MS:
        axes.axvspan(start / 1e3, (start + length) / 1e3, color="#c8452b", alpha=0.15, lw=0)
    colours = {"camera at 30 Hz": "#2f7fb5", "camera stalls for 100 ms": "#c8452b",
               "blind: always the first picture": "#66727f", "absent: no picture at all": "#1f2933"}
    for name, colour in colours.items():
        run = traces[name]
        axes.plot(np.array(run.times_ms) / 1e3, 1e3 * np.array(run.errors_m)[:len(run.times_ms)], label=name,
                  color=colour, lw=1.6 if "30" in name else 1.2, ls="--" if "absent" in name else "-")
    axes.set(yscale="log", xlim=(1, 10), ylim=(0.3, 400), xlabel="time (s)", ylabel="tool to part")
    axes.set_yticks([1, 10, 100], ["1 mm", "10 mm", "100 mm"])
    axes.minorticks_off()
    axes.grid(axis="y", color="#dfe4e8", lw=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="upper right", frameon=False)
    figure.savefig(HERE / "servo.svg", metadata={"Date": None})
    figure.savefig(HERE / "servo.png", dpi=120)


def picture(at_ms=3600):
    """What the camera sees of the demo, four times as large."""
    from PIL import Image

    run = episode(Scene(), Servo(HERE / "model.onnx"), DEMO, at_ms / 1000 + 0.01, Camera(wear=0.0), keep_every=1)
    seen = np.moveaxis(run.samples[-1][1], 0, -1)
    image = Image.fromarray(np.rint(255 * seen).astype(np.uint8))
    image.resize((384, 256), Image.NEAREST).save(HERE / "picture.png", optimize=True)


def toml():
    model, manifest = HERE / "model.onnx", HERE / "model.toml"
    text = re.sub(r'(?m)^sha256 = ".*"$', f'sha256 = "{sha256(model)}"', manifest.read_text())
    manifest.write_text(text)


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
    commands = {f.__name__: f for f in (train, check, figures, picture, toml)}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
