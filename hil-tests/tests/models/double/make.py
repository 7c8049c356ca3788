"""Makes this folder's model.onnx and model.toml: `pip install onnx==1.19.1`, then run it.

Twice the first six of 21 numbers, for any number of observations at once: as many as the conveyor's robots send and
take, and whose answer is whose can be seen.
"""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
INPUTS, OUTPUTS = 21, 6

twice = numpy.zeros((INPUTS, OUTPUTS), numpy.float32)
numpy.fill_diagonal(twice, 2)
graph = helper.make_graph(
    [helper.make_node("MatMul", ["observation", "twice"], ["target"])],
    "double",
    [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", INPUTS])],
    [helper.make_tensor_value_info("target", TensorProto.FLOAT, ["batch", OUTPUTS])],
    [numpy_helper.from_array(twice, "twice")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, HERE / "model.onnx")

digest = hashlib.sha256((HERE / "model.onnx").read_bytes()).hexdigest()
limits = "min = -1e6, max = 1e6, max_change_per_s = 1e12, rest = 0.0, start = 0.0"
inputs = "\n".join(f'  {{ name = "x{place}", unit = "1" }},' for place in range(INPUTS))
outputs = "\n".join(f'  {{ name = "y{place}", unit = "1", {limits} }},' for place in range(OUTPUTS))
(HERE / "model.toml").write_text(f"""name = "double"
version = "1.0.0"
description = "Twice the first six of 21 numbers, for any number of observations at once."
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
