"""Writes the models that every server is measured with, the same files for all.

    python3 models.py FOLDER             policy and dense: needs nothing but Python
    python3 models.py FOLDER --resnet    also resnet, out of the onnx wheel: needs onnx==1.19.1

    python3 models.py FOLDER --crowd     crowd alone, for `genba-bench robots`

Each takes 48 numbers and gives 12, so that its inference is the work and not its transport:
policy  an MLP 48-256-256-12, as robot policies are: about 10 us
dense   the same with one 256x256 layer applied 160 times: half a millisecond, so that 100 requests a second are a
        twentieth of a worker's time, and one inference far more than its transport
crowd   an MLP 48-512-512-512-12 that takes any number of observations at once: some tens of us for one
resnet  light_resnet50: the 48 numbers are repeated to its picture, and 12 of its 1,000 outputs are given
The weights are pseudo-random from a fixed seed; light_resnet50's are the constants that its file declares.
"""

import array
import hashlib
import os
import random
import struct
import sys

INPUTS, OUTPUTS, WIDTH = 48, 12, 256
DENSE_LAYERS = 160
CROWD_WIDTHS = [512, 512, 512]
PICTURE = (3, 224, 224)
FLOAT, INT = 1, 7  # TensorProto.DataType


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(name, shape, values):
    data = array.array("f", values)
    if sys.byteorder == "big":
        data.byteswap()
    return b"".join(number(1, side) for side in shape) + number(2, FLOAT) + block(8, name) + block(9, data.tobytes())


def value_info(name, shape):
    """A side is a number, or the name of one that is left open."""
    sides = b"".join(block(1, number(1, side) if isinstance(side, int) else block(2, side)) for side in shape)
    return block(1, name) + block(2, block(1, number(1, FLOAT) + block(2, sides)))


def node(kind, inputs, output):
    return b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, kind)


class Network:
    """Layers of MatMul, Add and Tanh, one after another."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tensors, self.nodes, self.last = [], [], "observation"

    def weights(self, name, rows, columns):
        bound = (3.0 / rows) ** 0.5  # keeps the variance of what goes through
        values = [self.random.uniform(-bound, bound) for _ in range(rows * columns)]
        self.tensors.append(tensor(name + ".weight", (rows, columns), values))
        self.tensors.append(tensor(name + ".bias", (columns,), [self.random.uniform(-0.1, 0.1) for _ in range(columns)]))

    def layer(self, name, out, last=False):
        self.nodes.append(node("MatMul", [self.last, name + ".weight"], out + ".product"))
        self.nodes.append(node("Add", [out + ".product", name + ".bias"], "action" if last else out + ".sum"))
        if not last:
            self.nodes.append(node("Tanh", [out + ".sum"], out))
        self.last = out

    def model(self, name, batch=1):
        graph = b"".join(block(1, each) for each in self.nodes) + block(2, name)
        graph += b"".join(block(5, each) for each in self.tensors)
        graph += block(11, value_info("observation", (batch, INPUTS))) + block(12, value_info("action", (batch, OUTPUTS)))
        return number(1, 8) + block(2, "genba-bench") + block(7, graph) + block(8, block(1, "") + number(2, 17))


def mlp(name, seed, hidden):
    network = Network(seed)
    network.weights("first", INPUTS, WIDTH)
    network.weights("hidden", WIDTH, WIDTH)
    network.weights("last", WIDTH, OUTPUTS)
    network.layer("first", "h0")
    for turn in range(hidden):
        network.layer("hidden", f"h{turn + 1}")
    network.layer("last", "out", last=True)
    return network.model(name)


def crowd():
    network = Network(3)
    sides = [INPUTS, *CROWD_WIDTHS, OUTPUTS]
    for place, (rows, columns) in enumerate(zip(sides, sides[1:])):
        network.weights(f"w{place}", rows, columns)
        network.layer(f"w{place}", f"h{place}", last=columns == OUTPUTS)
    return network.model("crowd", batch="batch")


def resnet():
    """light_resnet50 with 48 numbers in and 12 out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    import numpy as np

    light = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", "light_resnet50.onnx")
    model = onnx.load(light)
    model.ir_version = 8  # before 4, every constant had to be an input as well
    graph = model.graph
    (picture,) = [each for each in graph.input if each.name not in {tensor.name for tensor in graph.initializer}]
    size = int(np.prod(PICTURE))
    constants = {
        "picture.repeats": np.array([1, size // INPUTS], np.int64), "picture.shape": np.array([1, *PICTURE], np.int64),
        "action.indices": np.arange(0, 1000, 1000 // OUTPUTS, dtype=np.int64)[:OUTPUTS],
    }
    graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in constants.items())
    for index, each in enumerate([
        helper.make_node("Tile", ["observation", "picture.repeats"], ["picture.flat"]),
        helper.make_node("Reshape", ["picture.flat", "picture.shape"], [picture.name]),
    ]):
        graph.node.insert(index, each)
    graph.node.append(helper.make_node("Gather", [graph.output[0].name, "action.indices"], ["action"], axis=1))
    used = {name for each in graph.node for name in each.input}
    for unused in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(unused)
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, INPUTS]))
    graph.output.append(helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, OUTPUTS]))
    return model.SerializeToString()


def manifest(name, onnx_bytes):
    """model.toml, for the box; nobody else reads it."""
    inputs = "\n".join(f'  {{ name = "in/{index}", unit = "1" }},' for index in range(INPUTS))
    limits = 'unit = "1", min = -1e6, max = 1e6, max_change_per_s = 1e9, rest = 0.0, start = 0.0'
    outputs = "\n".join(f'  {{ name = "out/{index}", {limits} }},' for index in range(OUTPUTS))
    return f'''name = "{name}"
version = "1.0.0"
description = "A load for benchmarks; it controls nothing."
file = "model.onnx"
sha256 = "{hashlib.sha256(onnx_bytes).hexdigest()}"
licence = "Apache-2.0"

[provenance]
source = "hil-tests/bench/peers/models.py"
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
name = "action"
dtype = "f32"
shape = [1, {OUTPUTS}]
elements = [
{outputs}
]

[envelope]
too_fast = "clamp"
max_step_us = 10000
'''


def write(folder, name, onnx_bytes):
    place = os.path.join(folder, name)
    os.makedirs(place, exist_ok=True)
    for file, content in [("model.onnx", onnx_bytes), ("model.toml", manifest(name, onnx_bytes).encode())]:
        part = os.path.join(place, "." + file)
        with open(part, "wb") as out:
            out.write(content)
        os.replace(part, os.path.join(place, file))


if __name__ == "__main__":
    if "--crowd" in sys.argv[2:]:
        write(sys.argv[1], "crowd", crowd())
        sys.exit()
    write(sys.argv[1], "policy", mlp("policy", 1, 1))
    write(sys.argv[1], "dense", mlp("dense", 2, DENSE_LAYERS))
    if "--resnet" in sys.argv[2:]:
        write(sys.argv[1], "resnet", resnet())
