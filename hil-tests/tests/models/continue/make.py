"""Makes this folder's model.onnx and model.toml: `pip install onnx==1.19.1`, then run it.

A planner that continues: behind the steps that are committed its first element goes on from the last of them by one a
step, so that what is played over any number of plans is one straight line in time, and its second is one more than
there, which counts plans. The third says how many steps were committed; the others are idle. In the place of what is
committed it gives nonsense that must never be played.
"""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
NAMES = ["line", "plans", "committed", "idle0", "idle1", "idle2"]
INPUTS, STEPS, ELEMENTS, RATE_HZ, NONSENSE = 21, 50, 6, 50, -1000.0


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def column(*values):
    return numpy.array(values + (0, 0, 0), numpy.float32).reshape(1, 1, ELEMENTS)


constants = {
    "one": numpy.array([1], numpy.int64),
    "none": numpy.array([0], numpy.int64),
    "rows": numpy.arange(STEPS, dtype=numpy.int64).reshape(1, STEPS, 1),
    "goes_on": column(1, 1, 0),
    "a_step": column(1, 0, 0),
    "a_plan": column(0, 1, 0),
    "told": column(0, 0, 1),
    "nonsense": numpy.full((1, 1, 1), NONSENSE, numpy.float32),
    "nothing": numpy.zeros((INPUTS, 1), numpy.float32),
}
graph = helper.make_graph(
    [
        node("Sub", ["committed_steps", "one"], "last_or_before"),
        node("Max", ["last_or_before", "none"], "last"),
        node("Gather", ["committed_plan", "last"], "from", axis=1),
        node("Mul", ["from", "goes_on"], "base"),
        # One behind the last committed row, two in the row after that.
        node("Sub", ["rows", "last_or_before"], "behind"),
        node("Cast", ["behind"], "steps_behind", to=TensorProto.FLOAT),
        node("Mul", ["steps_behind", "a_step"], "slope"),
        node("Cast", ["committed_steps"], "count", to=TensorProto.FLOAT),
        node("Mul", ["count", "told"], "counted"),
        node("Sum", ["base", "slope", "a_plan", "counted"], "own"),
        node("GreaterOrEqual", ["rows", "committed_steps"], "is_own"),
        node("Where", ["is_own", "own", "nonsense"], "without_observation"),
        node("MatMul", ["observation", "nothing"], "zero"),
        node("Add", ["without_observation", "zero"], "plan"),
    ],
    "continue",
    [
        floats("observation", [1, INPUTS]),
        floats("committed_plan", [1, STEPS, ELEMENTS]),
        helper.make_tensor_value_info("committed_steps", TensorProto.INT64, [1]),
    ],
    [floats("plan", [1, STEPS, ELEMENTS])],
    [numpy_helper.from_array(numpy.asarray(value), name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, HERE / "model.onnx")

digest = hashlib.sha256((HERE / "model.onnx").read_bytes()).hexdigest()
limits = "min = -1e6, max = 1e6, max_change_per_s = 1e12, rest = 0.0, start = 0.0"
inputs = "\n".join(f'  {{ name = "x{place}", unit = "1" }},' for place in range(INPUTS))
outputs = "\n".join(f'  {{ name = "{name}", unit = "1", {limits} }},' for name in NAMES)
(HERE / "model.toml").write_text(f"""name = "continue"
version = "1.0.0"
description = "Plans that go on from what is played while they are computed, in one straight line."
file = "model.onnx"
sha256 = "{digest}"
licence = "Apache-2.0"

[provenance]
source = "make.py in this folder"
data = "none"
trained = "never"

[[input]]
name = "observation"
dtype = "f32"
shape = [1, {INPUTS}]
elements = [
{inputs}
]

[[input]]
name = "committed_plan"
source = "committed-plan"
dtype = "f32"
shape = [1, {STEPS}, {ELEMENTS}]

[[input]]
name = "committed_steps"
source = "committed-steps"
dtype = "i64"
shape = [1]

[[output]]
name = "plan"
role = "plan"
dtype = "f32"
shape = [1, {STEPS}, {ELEMENTS}]
elements = [
{outputs}
]

[plan]
steps = {STEPS}
rate_hz = {RATE_HZ}

[envelope]
too_fast = "clamp"
max_step_us = 1000000
""")
