"""A model as a dora node, as its user writes it: answers each input that is named after a task.

    dora_policy.py MODEL.onnx [CORE PRIORITY]
"""

import os
import sys

import onnxruntime
import pyarrow
from dora import Node

if len(sys.argv) > 2:
    core, priority = map(int, sys.argv[2:])
    os.sched_setaffinity(0, {core})
    if priority:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
policy = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

node = Node()
for event in node:
    if event["type"] == "INPUT":
        observation = event["value"].to_numpy().reshape(1, -1)
        action, = policy.run(None, {"observation": observation})
        node.send_output(event["id"], pyarrow.array(action.ravel()), event["metadata"])
    elif event["type"] == "STOP":
        break
