"""Draws plans.svg and plans.png: the tool's distance from the part, by way of serving."""

import numpy as np

from ride import HERE

INK, MUTED, BLUE, RED, GREEN, ORANGE = "#1f2933", "#66727f", "#2f7fb5", "#c8452b", "#3d8b5f", "#d98e2b"
LINES = {
    "policy on the box": (GREEN, 1.4),
    "plans, 50 ms": (BLUE, 1.6),
    "plans, 300 ms": (INK, 1.4),
    "naive: chunk after chunk, 150 ms": (ORANGE, 1.2),
    "naive: policy, 50 ms": (RED, 1.6),
}


def draw(traces, ride, push, cut_ms):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "plans"  # the same file from the same figures
    matplotlib.rcParams.update({"font.size": 12, "axes.labelcolor": INK})
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 5.4), layout="constrained")
    for start, end in cut_ms:
        axes.axvspan(start / 1e3, end / 1e3, color=MUTED, alpha=0.12, lw=0)
        axes.text((start + end) / 2e3, 480, "no plans", ha="center", va="top", color=MUTED)
    marks = [(slip.at_s, "part slips") for slip in ride.slips]
    marks += [(push.at_ms / 1e3, "push"), (ride.speed.at_s, "faster belt")]
    for at_s, label in marks:
        axes.axvline(at_s, color=MUTED, lw=1, ls=(0, (4, 3)))
        axes.text(at_s + 0.06, 480, label, va="top", color=MUTED)
    for name, (colour, width) in LINES.items():
        run = traces[name]
        errors_mm = np.maximum(1e3 * np.array(run.errors_m), 0.02)
        axes.plot(np.array(run.times_ms) / 1e3, errors_mm, color=colour, lw=width, label=name)
        if run.lost_ms is not None and "plans" not in name:
            lost_s = max(run.lost_ms / 1e3, 0.66)  # before the picture begins, at its edge
            axes.plot(lost_s, 300, marker="x", ms=9, mew=2.4, color=colour, clip_on=False)
    axes.set(yscale="log", xlim=(0.6, 13), ylim=(0.02, 600), xlabel="time (s)", ylabel="tool to part")
    axes.set_yticks([0.1, 1, 10, 100], ["0.1 mm", "1 mm", "10 mm", "100 mm"])
    axes.minorticks_off()
    axes.grid(axis="y", color="#dfe4e8", lw=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.legend(loc="outside lower center", frameon=False, ncols=3)
    figure.savefig(HERE / "plans.svg", metadata={"Date": None})
    figure.savefig(HERE / "plans.png", dpi=120)
