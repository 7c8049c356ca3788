"""Makes the tiny models of these tests beside this file: `pip install onnx==1.19.1`, then run it."""

import hashlib
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
X, Y = "observation", "target"


def tensor(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def constant(name, array):
    return numpy_helper.from_array(numpy.asarray(array), name)


def model(file, nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(nodes, file, inputs, outputs, constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    onnx.save(made, HERE / (file + ".onnx"))


def double(file, x, y):
    """y = x + x."""
    model(file, [helper.make_node("Add", [x.name, x.name], [y.name])], [x], [y])


double("double", tensor(X, [1, 3]), tensor(Y, [1, 3]))
double("double_batch", tensor(X, ["batch", 3]), tensor(Y, ["batch", 3]))
double("double_long", tensor(X, [1, 4]), tensor(Y, [1, 4]))
double("double_f64", tensor(X, [1, 3], TensorProto.DOUBLE), tensor(Y, [1, 3], TensorProto.DOUBLE))
double("double_other_names", tensor("x", [1, 3]), tensor("y", [1, 3]))

model(
    "second_output",
    [helper.make_node("Add", [X, X], [Y]), helper.make_node("Neg", [X], ["second"])],
    [tensor(X, [1, 3])],
    [tensor(Y, [1, 3]), tensor("second", [1, 3])],
)
model(
    "second_input",
    [helper.make_node("Add", [X, "second"], [Y])],
    [tensor(X, [1, 3]), tensor("second", [1, 3])],
    [tensor(Y, [1, 3])],
)
# An input and an output of each type, one the other's copy: more of both than the binding keeps on its stack.
TYPES = {
    "f32": TensorProto.FLOAT,
    "f16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
    "i8": TensorProto.INT8,
    "i16": TensorProto.INT16,
    "i32": TensorProto.INT32,
    "i64": TensorProto.INT64,
    "u8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}
(HERE / "types").mkdir(exist_ok=True)
model(
    "types/model",
    [helper.make_node("Identity", ["in_" + name], ["out_" + name]) for name in TYPES],
    [tensor("in_" + name, ["batch", 3], dtype) for name, dtype in TYPES.items()],
    [tensor("out_" + name, ["batch", 3], dtype) for name, dtype in TYPES.items()],
)


def types_manifest():
    """The observation is f32, every other type is joined and comes out as a result."""
    digest = hashlib.sha256((HERE / "types/model.onnx").read_bytes()).hexdigest()
    yield f"""name = "types"
version = "1"
description = "An input and an output of each type, one the other's copy"
file = "model.onnx"
sha256 = "{digest}"
licence = "Apache-2.0"

[provenance]
source = "make.py"
data = "none"
trained = "never"
"""
    limits = ", min = -1.0, max = 1.0, max_change_per_s = 1.0, rest = 0.0, start = 0.0"
    for dtype in TYPES:
        control = dtype == "f32"
        for side, field, use in [
            ("input", "source", "observation" if control else "joined"),
            ("output", "role", "action" if control else "result"),
        ]:
            more = limits if control and side == "output" else ""
            elements = ",\n  ".join(f'{{ name = "{dtype}/{n}", unit = "1"{more} }}' for n in range(3))
            yield f"""
[[{side}]]
name = "{side.removesuffix("put")}_{dtype}"
{field} = "{use}"
dtype = "{dtype}"
shape = [1, 3]
elements = [
  {elements},
]
"""
    yield '\n[envelope]\ntoo_fast = "clamp"\nmax_step_us = 1000\n'


(HERE / "types/model.toml").write_text("".join(types_manifest()))

# target = observation + hidden_in as f16; hidden = hidden_in + observation.
model(
    "recurrent",
    [
        helper.make_node("Cast", [X], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Add", ["half", "hidden_in"], ["hidden"]),
        helper.make_node("Cast", ["hidden"], [Y], to=TensorProto.FLOAT),
    ],
    [tensor("hidden_in", ["batch", 3], TensorProto.FLOAT16), tensor(X, ["batch", 3])],
    [tensor(Y, ["batch", 3]), tensor("hidden", ["batch", 3], TensorProto.FLOAT16)],
)
# Two inputs of one open width.
model(
    "open_width",
    [helper.make_node("Add", [X, "second"], [Y])],
    [tensor(X, [1, "width"]), tensor("second", ["rows", "width"])],
    [tensor(Y, ["rows", "width"])],
)
# The graph leaves the width of its output open; it is 3.
model(
    "open_output",
    [helper.make_node("Add", [X, X], [Y])],
    [tensor(X, [1, 3])],
    [tensor(Y, [1, "width"])],
)

# Each row's answer depends on the other rows.
model(
    "mean_of_rows",
    [helper.make_node("ReduceMean", [X], ["mean"], axes=[0], keepdims=1), helper.make_node("Sub", [X, "mean"], [Y])],
    [tensor(X, ["batch", 3])],
    [tensor(Y, ["batch", 3])],
)


def gather(file, offset):
    """y[i] = (10, 20, 30)[int(x[i]) + offset]: fails at run where that is out of bounds."""
    nodes = [
        helper.make_node("Cast", [X], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "offset"], ["index"]),
        helper.make_node("Gather", ["table", "index"], [Y]),
    ]
    constants = [
        constant("offset", numpy.int64(offset)),
        constant("table", numpy.array([10, 20, 30], numpy.float32)),
    ]
    model(file, nodes, [tensor(X, [1, 3])], [tensor(Y, [1, 3])], constants)


gather("gather", 0)
gather("gather_never", 100)

# An operator of ONNX Runtime's own: target = 0.5 * (observation @ ones).
fused = helper.make_graph(
    [helper.make_node("FusedMatMul", [X, "ones"], [Y], domain="com.microsoft", alpha=0.5)],
    "fused",
    [tensor(X, [1, 3])],
    [tensor(Y, [1, 3])],
    [constant("ones", numpy.ones((3, 3), numpy.float32))],
)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
onnx.save(helper.make_model(fused, opset_imports=opsets, ir_version=8), HERE / "fused.onnx")

# The weights lie in a second file, which the tests write.
graph = helper.make_graph(
    [helper.make_node("MatMul", [X, "weights"], [Y])],
    "second_file",
    [tensor(X, [1, 3])],
    [tensor(Y, [1, 3])],
    [constant("weights", numpy.arange(9, dtype=numpy.float32).reshape(3, 3))],
)
external = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.save(external, HERE / "second_file.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
(HERE / "weights.bin").unlink()
