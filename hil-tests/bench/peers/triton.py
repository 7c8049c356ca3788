"""Triton out of the nvidia-pytriton wheel: a model repository for its python backend, then the server itself.

    python3 triton.py FOLDER PORT plain|priority|timeout NAME=MODEL.onnx[@CORE:PRIORITY] ...

plain     a queue without priorities
priority  two priorities, 1 before 2
timeout   the same, and a request that has waited for longer than its deadline is rejected:
          10 ms at priority 1, 100 ms at priority 2
A model with a place runs there (SCHED_FIFO, if the priority is not 0), as its own process, the others where this does.
"""

import os
import shutil
import sys
import sysconfig

MODEL = '''"""A model of the python backend, as a user writes it."""
import json
import os

import onnxruntime
import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        place = json.loads(args["model_config"])["parameters"].get("place", {}).get("string_value", "")
        if place:
            core, priority = map(int, place.split(":"))
            os.sched_setaffinity(0, {core})
            if priority:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self.policy = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        responses = []
        for request in requests:
            observation = pb.get_input_tensor_by_name(request, "observation").as_numpy()
            action, = self.policy.run(None, {"observation": observation})
            responses.append(pb.InferenceResponse([pb.Tensor("action", action)]))
        return responses
'''

CONFIG = '''name: "{name}"
backend: "python"
max_batch_size: {batch}
input [ {{ name: "observation" data_type: TYPE_FP32 dims: {inputs} }} ]
output [ {{ name: "action" data_type: TYPE_FP32 dims: {outputs} }} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "place" value: {{ string_value: "{place}" }} }}
'''

# Triton has priorities in its dynamic batcher alone, which needs a batch size: of 1.
QUEUE = '''dynamic_batching {{
  max_queue_delay_microseconds: 0
  priority_levels: 2
  default_priority_level: 2
  {policies}
}}
'''

POLICY = "{{ timeout_action: REJECT default_timeout_microseconds: {us} allow_timeout_override: true }}"
TIMEOUTS = "default_queue_policy " + POLICY.format(us=100_000) + "\n  priority_queue_policy { key: 1 value: " + \
    POLICY.format(us=10_000) + " }"


def put_model(repository, queue, name, model, place):
    version = os.path.join(repository, name, "1")
    os.makedirs(version)
    shutil.copy(model, os.path.join(version, "model.onnx"))
    with open(os.path.join(version, "model.py"), "w") as file:
        file.write(MODEL)
    batch, inputs, outputs = (0, "[1, 48]", "[1, 12]") if queue == "plain" else (1, "[48]", "[12]")
    config = CONFIG.format(name=name, batch=batch, inputs=inputs, outputs=outputs, place=place)
    if queue != "plain":
        config += QUEUE.format(policies=TIMEOUTS if queue == "timeout" else "")
    with open(os.path.join(repository, name, "config.pbtxt"), "w") as file:
        file.write(config)


def main(folder, port, queue, *models):
    packages = sysconfig.get_path("purelib")
    triton = os.path.join(packages, "pytriton", "tritonserver")
    version = "%d.%d" % sys.version_info[:2]
    backend = os.path.join(folder, "backends", "python")
    shutil.copytree(os.path.join(triton, "backends", "python"), backend)
    shutil.copy(os.path.join(triton, "python_backend_stubs", version, "triton_python_backend_stub"), backend)
    for given in models:
        name, _, rest = given.partition("=")
        model, _, place = rest.partition("@")
        put_model(os.path.join(folder, "models"), queue, name, model, place)
    libraries = [os.path.join(packages, "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", PYTHONPATH=packages,
        PATH=os.path.dirname(sys.executable) + ":" + os.environ["PATH"], LD_LIBRARY_PATH=":".join(libraries))
    server = os.path.join(triton, "bin", "tritonserver")
    os.execve(server, [
        server, f"--model-repository={folder}/models", f"--backend-directory={folder}/backends",
        "--grpc-address=127.0.0.1", f"--grpc-port={port}", "--allow-http=false", "--allow-metrics=false",
        "--allow-gpu-metrics=false", "--exit-timeout-secs=2", "--log-info=false",
    ], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
