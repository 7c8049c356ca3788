"""Models behind zenoh, as a Python user writes it: ONNX Runtime in a subscriber's callback.

    python3 zenoh_server.py tcp/127.0.0.1:7447 TASK=MODEL.onnx ...

A frame is an 8-byte number and the observation; the response is the same number and the action.
"""

import sys

import numpy as np
import onnxruntime
import zenoh


def serve(session, task, model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    policy = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def on_observation(sample):
        frame = sample.payload.to_bytes()
        observation = np.frombuffer(frame, "<f4", offset=8).reshape(1, -1)
        action, = policy.run(None, {"observation": observation})
        session.put(str(sample.key_expr).replace("/observation", "/response"), frame[:8] + action.tobytes())

    return session.declare_subscriber(f"bench/peers/*/{task}/observation", on_observation)


config = zenoh.Config.from_json5(
    f'{{mode: "peer", listen: {{endpoints: ["{sys.argv[1]}"]}}, scouting: {{multicast: {{enabled: false}}}}}}')
with zenoh.open(config) as session:
    subscribers = [serve(session, *pair.split("=", 1)) for pair in sys.argv[2:]]
    print("ready", flush=True)
    sys.stdin.read()  # ends with the bench
