"""Makes model.onnx and model.toml here and in ../camera-compressed: `pip install onnx==1.19.1`, then run it.

Twice the first six of 21 numbers, as `double` beside it. To the first three are added the means of red, green and blue of
a camera's newest picture, 0 to 255; to the fourth how many actions the connection was sent. So each action shows which
picture it was computed from, and by which state.
"""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
INPUTS, OUTPUTS, SIDE = 21, 6, 4

twice = numpy.zeros((INPUTS, OUTPUTS), numpy.float32)
numpy.fill_diagonal(twice, 2)
seen = numpy.zeros((3, OUTPUTS), numpy.float32)
numpy.fill_diagonal(seen, 1)
counted = numpy.zeros((1, OUTPUTS), numpy.float32)
counted[0, 3] = 1


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["observation", "twice"], ["doubled"]),
        helper.make_node("GlobalAveragePool", ["camera"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "seen"], ["shown"]),
        helper.make_node("MatMul", ["count_in", "counted"], ["told"]),
        helper.make_node("Sum", ["doubled", "shown", "told"], ["target"]),
        helper.make_node("Add", ["count_in", "one"], ["count"]),
    ],
    "camera",
    [floats("observation", INPUTS), floats("camera", 3, SIDE, SIDE), floats("count_in", 1)],
    [floats("target", OUTPUTS), floats("count", 1)],
    [
        numpy_helper.from_array(twice, "twice"),
        numpy_helper.from_array(seen, "seen"),
        numpy_helper.from_array(counted, "counted"),
        numpy_helper.from_array(numpy.ones(1, numpy.float32), "one"),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)

limits = "min = -1e6, max = 1e6, max_change_per_s = 1e12, rest = 0.0, start = 0.0"
inputs = "\n".join(f'  {{ name = "x{place}", unit = "1" }},' for place in range(INPUTS))
outputs = "\n".join(f'  {{ name = "y{place}", unit = "1", {limits} }},' for place in range(OUTPUTS))
for folder, accept in [(HERE, '["rgb8", "bgr8"]'), (HERE.parent / "camera-compressed", '["jpeg", "png"]')]:
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "model.toml").write_text(f"""name = "camera"
version = "1.0.0"
description = "Twice the first six of 21 numbers plus a camera's colours and a count, for any number at once."
file = "model.onnx"
sha256 = "{digest}"
licence = "Apache-2.0"

[provenance]
source = "make.py in {'this folder' if folder == HERE else '../camera'}"
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
name = "camera"
source = "joined"
dtype = "f32"
shape = [1, 3, {SIDE}, {SIDE}]
[input.image]
accept = {accept}
max_width = 640
max_height = 480
resize = "area"
channels = "rgb"
scale = 1.0

[[input]]
name = "count_in"
source = "recurrent"
output = "count"
dtype = "f32"
shape = [1, 1]

[[output]]
name = "target"
role = "action"
dtype = "f32"
shape = [1, {OUTPUTS}]
elements = [
{outputs}
]

[[output]]
name = "count"
role = "state"
dtype = "f32"
shape = [1, 1]

[envelope]
too_fast = "clamp"
max_step_us = 1000000

[state]
max_gap_us = 60000000
""")
