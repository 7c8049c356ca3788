"""Makes the tiny models of these tests beside this file: `pip install onnx==1.19.1`, then run it."""

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
    "two_outputs",
    [helper.make_node("Add", [X, X], [Y]), helper.make_node("Neg", [X], ["second"])],
    [tensor(X, [1, 3])],
    [tensor(Y, [1, 3]), tensor("second", [1, 3])],
)
model(
    "two_inputs",
    [helper.make_node("Add", [X, "second"], [Y])],
    [tensor(X, [1, 3]), tensor("second", [1, 3])],
    [tensor(Y, [1, 3])],
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

# The weights lie in a second file, which need not be there: the model is refused before.
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
