"""Makes this folder's model.onnx and model.toml: `pip install onnx==1.19.1`, then run it.

Twice the first six of 21 numbers, as `double` beside it, plus the newest sample of a camera: its first number is added to
the first five, its second to the sixth. So each action shows which sample it was computed from.
"""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
INPUTS, OUTPUTS, CAMERA = 21, 6, 2

twice = numpy.zeros((INPUTS, OUTPUTS), numpy.float32)
numpy.fill_diagonal(twice, 2)
shown = numpy.zeros((CAMERA, OUTPUTS), numpy.float32)
shown[0, :-1] = 1
shown[1, -1] = 1
graph = helper.make_graph(
    [
        helper.make_node("MatMul", ["observation", "twice"], ["doubled"]),
        helper.make_node("MatMul", ["camera", "shown"], ["seen"]),
        helper.make_node("Add", ["doubled", "seen"], ["target"]),
    ],
    "joined",
    [
        helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", INPUTS]),
        helper.make_tensor_value_info("camera", TensorProto.FLOAT, ["batch", CAMERA]),
    ],
    [helper.make_tensor_value_info("target", TensorProto.FLOAT, ["batch", OUTPUTS])],
    [numpy_helper.from_array(twice, "twice"), numpy_helper.from_array(shown, "shown")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, HERE / "model.onnx")

digest = hashlib.sha256((HERE / "model.onnx").read_bytes()).hexdigest()
limits = "min = -1e6, max = 1e6, max_change_per_s = 1e12, rest = 0.0, start = 0.0"
inputs = "\n".join(f'  {{ name = "x{place}", unit = "1" }},' for place in range(INPUTS))
camera = "\n".join(f'  {{ name = "c{place}", unit = "1" }},' for place in range(CAMERA))
outputs = "\n".join(f'  {{ name = "y{place}", unit = "1", {limits} }},' for place in range(OUTPUTS))
(HERE / "model.toml").write_text(f"""name = "joined"
version = "1.0.0"
description = "Twice the first six of 21 numbers plus a camera's two, for any number of observations at once."
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
name = "camera"
source = "joined"
dtype = "f32"
shape = [1, {CAMERA}]
elements = [
{camera}
]

[[output]]
name = "target"
dtype = "f32"
shape = [1, {OUTPUTS}]
elements = [
{outputs}
]

[envelope]
too_fast = "clamp"
max_step_us = 1000000
""")
