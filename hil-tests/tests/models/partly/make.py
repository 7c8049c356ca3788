"""Makes this folder's model.onnx and model.toml: `pip install onnx==1.19.1`, then run it.

The determinant of four numbers: an operator that CUDA does not have among others that it does.
"""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent

graph = helper.make_graph(
    [
        helper.make_node("Mul", ["observation", "half"], ["halved"], name="halve"),
        helper.make_node("Reshape", ["halved", "square"], ["matrix"], name="into_square"),
        helper.make_node("Det", ["matrix"], ["determinant"], name="determinant"),
        helper.make_node("Reshape", ["determinant", "row"], ["target"], name="into_row"),
    ],
    "partly",
    [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, 4])],
    [helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 1])],
    [
        numpy_helper.from_array(numpy.array([0.5], numpy.float32), "half"),
        numpy_helper.from_array(numpy.array([1, 2, 2], numpy.int64), "square"),
        numpy_helper.from_array(numpy.array([1, 1], numpy.int64), "row"),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, HERE / "model.onnx")

digest = hashlib.sha256((HERE / "model.onnx").read_bytes()).hexdigest()
inputs = "\n".join(f'  {{ name = "x{place}", unit = "1" }},' for place in range(4))
(HERE / "model.toml").write_text(f"""name = "partly"
version = "1.0.0"
description = "The determinant of four numbers, for which CUDA has no operator."
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
shape = [1, 4]
elements = [
{inputs}
]

[[output]]
name = "target"
dtype = "f32"
shape = [1, 1]
elements = [
  {{ name = "y", unit = "1", min = -1e6, max = 1e6, max_change_per_s = 1e12, rest = 0.0, start = 0.0 }},
]

[envelope]
too_fast = "clamp"
max_step_us = 1000000
""")
