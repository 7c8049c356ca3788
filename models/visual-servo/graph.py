"""Puts eye, observer and the policy of ../ur5e-conveyor together into one ONNX graph."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import eye
from network import finished
from observer import OLDEST_S, PLACES
from scene import HEIGHT, TOOL_HEIGHT_M, WIDTH

OBSERVATION = 22
CLOCK_WRAPS_S = 64.0
SAME_M = 1e-5  # a place that differs by less is the same picture's


class Builder:
    """Nodes and constants, each by the name of what it makes."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, name, value):
        value = np.asarray(value)
        value = value.astype(np.int64 if value.dtype.kind == "i" else np.float32)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, kind, name, *inputs, **attributes):
        inputs = [x if isinstance(x, str) else self.constant(f"{name}_{k}", x) for k, x in enumerate(inputs)]
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def part(self, name, source, begin, end, axis=1):
        return self.add("Slice", name, source, np.array([begin]), np.array([end]), np.array([axis]))


def build(seer, observer, policy_path, note):
    b = Builder()
    place = _see(b, seer)
    clock = b.part("clock", "observation", 21, 22)
    history = _remember(b, place, clock)
    position, velocity = _observe(b, observer, history, clock)
    _act(b, position, velocity, policy_path)
    floats = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(
        b.nodes, "visual-servo",
        [floats("observation", [1, OBSERVATION]), floats("camera", [1, 3, HEIGHT, WIDTH]),
         floats("places", [1, PLACES, 4])],
        [floats("torque", [1, 6]), floats("next_places", [1, PLACES, 4])],
        b.constants,
    )
    return finished(graph, note)


def _see(b, params):
    """Where the part is in the picture, [1, 2] in m."""
    last = b.part("belt", "camera", *eye.ROWS, axis=2)
    high, wide = eye.ROWS[1] - eye.ROWS[0], WIDTH
    for k, (_, _, size, stride) in enumerate(eye.LAYERS):
        last = b.add("Conv", f"map_{k}", last, params[f"kernel_{k}"], params[f"bias_{k}"],
                     kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4)
        high, wide = -(-high // stride), -(-wide // stride)
        if k < len(eye.LAYERS) - 1:
            last = b.add("Relu", f"lit_{k}", last)
    last = b.add("Reshape", "cells", last, np.array([1, eye.MAPS, high * wide]))
    last = b.add("Softmax", "shares", b.add("Mul", "sharp", last, np.float32(eye.SHARP)), axis=2)
    last = b.add("MatMul", "middles", last, eye.grid(high, wide))
    last = b.add("Reshape", "middles_flat", last, np.array([1, 2 * eye.MAPS]))
    last = b.add("Tanh", "near", b.add("Gemm", "near_sum", last, params["near_weight"], params["near_bias"]))
    return b.add("Gemm", "place", last, params["far_weight"] * eye.SPAN_M,
                 params["far_bias"] * eye.SPAN_M + eye.MIDDLE_M)


def _remember(b, place, clock):
    """The state: newest first, each `known` (1), x, y, the robot's clock when it was first seen."""
    newest = b.part("newest", "places", 0, 1)
    newest = b.add("Reshape", "newest_flat", newest, np.array([1, 4]))
    moved = b.add("Sub", "moved", place, b.part("newest_place", newest, 1, 3))
    moved = b.add("ReduceMax", "most_moved", b.add("Abs", "moved_abs", moved), axes=[1], keepdims=1)
    moved = b.add("Greater", "has_moved", moved, np.float32(SAME_M))
    none = b.add("Less", "none_yet", b.part("newest_known", newest, 0, 1), np.float32(0.5))
    new = b.add("Reshape", "is_new", b.add("Or", "new_picture", moved, none), np.array([1, 1, 1]))
    row = b.add("Concat", "row_flat", np.ones((1, 1), np.float32), place, clock, axis=1)
    row = b.add("Reshape", "row", row, np.array([1, 1, 4]))
    shifted = b.add("Concat", "shifted", row, b.part("older", "places", 0, PLACES - 1), axis=1)
    return b.add("Where", "next_places", new, shifted, "places")


def _observe(b, params, history, clock):
    """The part's position and velocity now, [1, 2] each."""
    flat = lambda name, begin, end: b.add(
        "Reshape", name, b.part(f"{name}_part", history, begin, end, axis=2), np.array([1, PLACES * (end - begin)]))
    known, since = flat("known", 0, 1), flat("since", 3, 4)
    age = b.add("Sub", "age_raw", clock, since)
    wrapped = b.add("Add", "age_wrapped", age, np.float32(CLOCK_WRAPS_S))
    # a clock may step back by its rounding: that is no wrap
    age = b.add("Where", "age", b.add("Less", "wraps", age, np.float32(-CLOCK_WRAPS_S / 2)), wrapped, age)
    age = b.add("Clip", "age_clipped", age, np.float32(0), np.float32(OLDEST_S))
    age = b.add("Mul", "age_known", b.add("Mul", "age_scaled", age, np.float32(10)), known)
    h = b.add("Concat", "when", known, age, axis=1)
    for k in range(3):
        h = b.add("Gemm", f"weigh_{k}", h, params[f"weight_{k}"], params[f"bias_{k}"])
        if k < 2:
            h = b.add("Tanh", f"weighed_{k}", h)
    h = b.add("Reshape", "weights", h, np.array([1, 2, PLACES - 1]))
    spots = b.part("spots", history, 1, 3, axis=2)
    first = b.part("first_spot", spots, 0, 1)
    steps = b.add("Sub", "steps_raw", b.part("other_spots", spots, 1, PLACES), first)
    others = b.part("others", history, 1, PLACES)
    steps = b.add("Mul", "steps", steps, b.part("others_known", others, 0, 1, axis=2))
    sums = b.add("MatMul", "sums", h, steps)
    two = lambda name, begin: b.add("Reshape", name, b.part(f"{name}_part", sums, begin, begin + 1), np.array([1, 2]))
    position = b.add("Add", "position", two("ahead", 0), b.add("Reshape", "first_flat", first, np.array([1, 2])))
    velocity = b.add("Mul", "velocity", two("speed", 1), np.float32(10))
    return position, velocity


def _act(b, position, velocity, policy_path):
    """The policy of ../ur5e-conveyor, unchanged, with the errors that it was trained on."""
    policy = onnx.load(str(policy_path))
    target = b.add("Concat", "target", position, np.full((1, 1), TOOL_HEIGHT_M, np.float32), axis=1)
    error = b.add("Sub", "error", target, b.part("tool", "observation", 12, 15))
    error = b.add("Mul", "error_scaled", error, np.float32(10))
    target = b.add("Concat", "target_velocity", velocity, np.zeros((1, 1), np.float32), axis=1)
    speed = b.add("Sub", "speed_error", target, b.part("tool_velocity", "observation", 15, 18))
    b.add("Concat", "policy_observation", b.part("joints", "observation", 0, 12), error, speed,
          b.part("orientation", "observation", 18, 21), axis=1)
    for constant in policy.graph.initializer:
        constant.name = f"policy_{constant.name}"
        b.constants.append(constant)
    own = {constant.name for constant in policy.graph.initializer}
    for node in policy.graph.node:
        rename = lambda name: f"policy_{name}" if f"policy_{name}" in own or name == "observation" else name
        inputs = [rename(name) for name in node.input]
        renamed = [name if name == "torque" or name.startswith("policy_") else f"policy_{name}" for name in inputs]
        outputs = [name if name == "torque" else f"policy_{name}" for name in node.output]
        copy = helper.make_node(node.op_type, renamed, outputs)
        copy.attribute.extend(node.attribute)
        b.nodes.append(copy)
