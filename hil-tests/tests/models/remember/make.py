"""Makes this folder's model.onnx and model.toml: `pip install onnx==1.19.1`, then run it.

A model that remembers, in whole numbers, so that what it must answer is known to the bit: the sums of the first two
of 21 numbers so far, the first number of the action before, the third number of the last three observations as digits,
and the phase. The 20th number must be 0 or 1: anything else is outside a table, and the model fails. The 21st is a
number of iterations for which it hangs.
"""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
INPUTS, OUTPUTS, SUMS, PAST, WIDTH = 21, 6, 2, 3, 64


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)


def floats(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def picks(rows, places):
    """A matrix that multiplies each of these places, by its factor, into a column of its own."""
    matrix = numpy.zeros((rows, len(places)), numpy.float32)
    for column, of in enumerate(places):
        for row, factor in of.items():
            matrix[row, column] = factor
    return matrix


def loop_body():
    # Any weights serve: the state stays zero, but only whoever runs the loop can know.
    weights = numpy.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(numpy.float32) / WIDTH
    return helper.make_graph(
        [node("Identity", ["go_on_before"], "go_on"), node("MatMul", ["state_before", "weights"], "state_after")],
        "hang_body",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on_before", TensorProto.BOOL, []),
            floats("state_before", [WIDTH, WIDTH]),
        ],
        [helper.make_tensor_value_info("go_on", TensorProto.BOOL, []), floats("state_after", [WIDTH, WIDTH])],
        [numpy_helper.from_array(weights, "weights")],
    )


constants = {
    "summed": picks(INPUTS, [{0: 1}, {1: 1}]),
    "first": picks(OUTPUTS, [{0: 1}]),
    "digits": picks(PAST * INPUTS, [{2: 1, INPUTS + 2: 10, 2 * INPUTS + 2: 100}]),
    "index_of": picks(INPUTS, [{19: 1}]),
    "hang_of": picks(INPUTS, [{20: 1}]),
    "flat": numpy.array([0, PAST * INPUTS]),
    "table": numpy.ones(2, numpy.float32),
    "resting": numpy.zeros((WIDTH, WIDTH), numpy.float32),
}
graph = helper.make_graph(
    [
        node("MatMul", ["observation", "index_of"], "place"),
        node("Cast", ["place"], "index", to=TensorProto.INT64),
        node("Gather", ["table", "index"], "one"),
        node("MatMul", ["observation", "hang_of"], "hang_column"),
        node("ReduceMax", ["hang_column"], "hang", keepdims=0),
        node("Cast", ["hang"], "trips", to=TensorProto.INT64),
        helper.make_node("Loop", ["trips", "", "resting"], ["rested"], body=loop_body(), name="hang"),
        node("ReduceSum", ["rested"], "nothing", keepdims=0),
        node("MatMul", ["observation", "summed"], "more"),
        node("Mul", ["more", "one"], "more_of_it"),
        node("Add", ["sum_before", "more_of_it"], "sum"),
        node("MatMul", ["action_before", "first"], "first_before"),
        node("Reshape", ["past", "flat"], "past_in_a_row"),
        node("MatMul", ["past_in_a_row", "digits"], "number"),
        node("Concat", ["sum", "first_before", "number", "clock"], "all", axis=1),
        node("Add", ["all", "nothing"], "target"),
    ],
    "remember",
    [
        floats("observation", ["batch", INPUTS]),
        floats("sum_before", ["batch", SUMS]),
        floats("action_before", ["batch", OUTPUTS]),
        floats("past", ["batch", PAST, INPUTS]),
        floats("clock", ["batch", 2]),
    ],
    [floats("target", ["batch", OUTPUTS]), floats("sum", ["batch", SUMS])],
    [numpy_helper.from_array(numpy.asarray(value), name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, HERE / "model.onnx")

digest = hashlib.sha256((HERE / "model.onnx").read_bytes()).hexdigest()
limits = "min = -1e9, max = 1e9, max_change_per_s = 1e15, rest = 0.0"
inputs = "\n".join(f'  {{ name = "x{place}", unit = "1" }},' for place in range(INPUTS))
starts = ["7.0"] + ["0.0"] * (OUTPUTS - 1)
outputs = "\n".join(
    f'  {{ name = "y{place}", unit = "1", {limits}, start = {start} }},' for place, start in enumerate(starts))
(HERE / "model.toml").write_text(f"""name = "remember"
version = "1.0.0"
description = "Sums, the action before, the last observations and the phase; fails or hangs where it is asked to."
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
name = "sum_before"
source = "recurrent"
output = "sum"
dtype = "f32"
shape = [1, {SUMS}]

[[input]]
name = "action_before"
source = "previous-action"
dtype = "f32"
shape = [1, {OUTPUTS}]

[[input]]
name = "past"
source = "history"
length = {PAST}
dtype = "f32"
shape = [1, {PAST}, {INPUTS}]

[[input]]
name = "clock"
source = "phase"
period_us = 600000000
dtype = "f32"
shape = [1, 2]

[[output]]
name = "target"
dtype = "f32"
shape = [1, {OUTPUTS}]
elements = [
{outputs}
]

[[output]]
name = "sum"
role = "state"
dtype = "f32"
shape = [1, {SUMS}]

[envelope]
too_fast = "clamp"
max_step_us = 1000000

[state]
max_gap_us = 60000000
""")
