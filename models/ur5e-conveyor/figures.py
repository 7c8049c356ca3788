"""Draws the two pictures of the README: the latency cliff and the arm at work."""

import numpy as np

from plant import DEMO, HERE, Link, episode

LATENCIES_MS = [0, 2, 5, 8, 10, 12, 15, 20, 40]
DEADLINE_MS = 8
TOLERANCE_MM = 0.5
INK, MUTED, BLUE, RED, GREEN = "#1f2933", "#66727f", "#2f7fb5", "#c8452b", "#3d8b5f"


def cliff(rows):
    """RMS error against latency; `rows` are cliff.json's."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "cliff"  # the same file from the same figures
    matplotlib.rcParams.update({"font.size": 13, "axes.labelcolor": INK})
    import matplotlib.pyplot as plt

    latency = np.array([row["latency_ms"] for row in rows])
    error = np.array([row["rms_mm"] for row in rows])
    edge = edge_ms(rows)
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    axes.axvspan(0, DEADLINE_MS, color=GREEN, alpha=0.10, lw=0)
    axes.axvspan(edge, 42, color=RED, alpha=0.07, lw=0)
    axes.axvline(DEADLINE_MS, color=GREEN, lw=1.6, ls=(0, (5, 3)))
    axes.axvline(edge, color=RED, lw=1.6, ls=(0, (5, 3)))
    axes.plot(latency, error, color=BLUE, lw=2.6, marker="o", ms=7, mec="white", mew=1.3, zorder=3, clip_on=False)
    for row in rows:
        if row["lost"]:
            label = "part lost" if row["lost"] == row["runs"] else f"part lost in {row['lost']} of {row['runs']}"
            axes.annotate(label, (row["latency_ms"], row["rms_mm"]), (-4, 11), textcoords="offset points",
                          ha="right", color=RED)
    axes.set(yscale="log", xlim=(0, 42), ylim=(0.1, 1000), xlabel="latency from observation to torque (ms)", ylabel="tracking error (RMS)")
    axes.set_yticks([0.1, 1, 10, 100], ["0.1 mm", "1 mm", "10 mm", "100 mm"])
    axes.minorticks_off()
    axes.set_title("Late torques: how far the tool is from the part", loc="left", color=INK, weight="bold", pad=12)
    axes.text(DEADLINE_MS - 0.4, 380, f"deadline\n{DEADLINE_MS} ms", ha="right", va="center", color=GREEN)
    axes.text(edge + 0.5, 0.17, f"beyond {edge} ms: the cliff", ha="left", va="center", color=RED)
    axes.text(0.6, error[0] * 1.35, f"{error[0]:.2f} mm", color=BLUE)
    axes.grid(axis="y", color="#dfe4e8", lw=0.8)
    axes.tick_params(colors=MUTED, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    figure.savefig(HERE / "cliff.svg", metadata={"Date": None})
    figure.savefig(HERE / "cliff.png", dpi=200)


def edge_ms(rows):
    """The largest latency that still keeps the tolerance."""
    return max(row["latency_ms"] for row in rows if row["rms_mm"] < TOLERANCE_MM)


def picture(cell, answer, at_ms=3600):
    """The demo's arm with its tool over the part."""
    import mujoco
    from PIL import Image

    with mujoco.Renderer(cell.model, 1080, 1920) as renderer:

        def watch(now_ms):
            if now_ms == at_ms:
                renderer.update_scene(cell.data, camera="work")
                image = Image.fromarray(renderer.render())
                image.resize((960, 540), Image.LANCZOS).save(HERE / "picture.png", optimize=True)

        episode(cell, DEMO, answer, at_ms / 1000 + 0.01, Link(), watch=watch)
