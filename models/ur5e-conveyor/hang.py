"""Adds a hang on demand to the policy, to show what a runtime does when a model does not come back.

The demo model's 22nd input is a number of loop iterations, each a 64×64 matrix product on a state of
exact zeros. The state's sum, exactly zero, is added to the torques, so no optimiser may drop the loop,
and with any number of iterations the torques are bit for bit those of the plain policy.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from network import finished

WIDTH = 64


def build(source, target):
    plain = onnx.load(source)
    inputs = plain.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    nodes = [
        node("Slice", ["observation", "zero", "inputs", "one"], "policy_observation"),
        node("Slice", ["observation", "inputs", "inputs_and_one", "one"], "hang_column"),
        node("Reshape", ["hang_column", "scalar"], "hang_iterations"),
        node("Max", ["hang_iterations", "none"], "hang_at_least_none"),
        node("Cast", ["hang_at_least_none"], "trips", to=TensorProto.INT64),
        helper.make_node("Loop", ["trips", "", "resting"], ["state"], body=loop_body(), name="hang"),
        node("ReduceSum", ["state"], "nothing", keepdims=0),
    ]
    for step in plain.graph.node:
        step.input[0] = step.input[0].replace("observation", "policy_observation")
        step.output[0] = step.output[0].replace("torque", "policy_torque")
        nodes.append(step)
    nodes.append(node("Add", ["policy_torque", "nothing"], "torque"))
    constants = {
        "zero": np.array([0]), "one": np.array([1]), "inputs": np.array([inputs]),
        "inputs_and_one": np.array([inputs + 1]), "scalar": np.array([], np.int64),
        "none": np.float32(0), "resting": np.zeros((WIDTH, WIDTH), np.float32),
    }
    graph = helper.make_graph(
        nodes, "ur5e-conveyor-demo",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [1, inputs + 1])],
        [helper.make_tensor_value_info("torque", TensorProto.FLOAT, [1, 6])],
        list(plain.graph.initializer)
        + [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(finished(graph, plain.doc_string + "; hangs for as many iterations as its last input says"), target)


def loop_body():
    # any weights serve: the state stays zero, but only whoever runs the loop can know
    weights = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32) / WIDTH
    shape = [WIDTH, WIDTH]
    return helper.make_graph(
        [node("Identity", ["go_on_before"], "go_on"), node("MatMul", ["state_before", "weights"], "state_after")],
        "hang_body",
        [
            helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on_before", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_before", TensorProto.FLOAT, shape),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_after", TensorProto.FLOAT, shape),
        ],
        [numpy_helper.from_array(weights, "weights")],
    )


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)
