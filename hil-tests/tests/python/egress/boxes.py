"""The boxes of the proof: what they run, whom they serve, what they may hand off."""

import hashlib
import pathlib

from graph import mean
from namespaces import AT_THE_ROBOTS, CLUSTER, SECOND
from pki import SERVER

TREE = pathlib.Path(__file__).resolve().parents[4]
LISTEN = f"{AT_THE_ROBOTS}:7447"
PORT = 8001
ENDPOINTS = [f"{CLUSTER}:{PORT}", f"{SECOND}:{PORT}"]
# Pictures of known size, as FP32: a tiny one, a small one, one whose body lies just beyond a frame of HTTP/2, and a large one.
PICTURES = {"tiny": [1, 1, 4, 4], "small": [1, 3, 16, 16], "step": [1, 1, 64, 64], "large": [1, 3, 160, 160]}
# One that the cluster never answers for.
UNANSWERED = "unanswered"
PICTURES[UNANSWERED] = [1, 1, 4, 4]
# What the counting server answers, by model; the robots' model has the six torques of the conveyor's.
OUTPUTS = {**{name: [["mean", "FP32", [*shape[:2], 1, 1]]] for name, shape in PICTURES.items() if name != UNANSWERED}, "heavy": [["torque", "FP32", [1, 6]]]}

HEAD = """
[box]
name = "proof"
key_prefix = "proof/cell"
status_socket = "status.sock"

[link]
listen = ["tcp/{listen}"]

[realtime]
fifo_priority = 80

[journal]
folder = "journal"
anchors = ["anchor"]
sign_every = 16

[residency]
policy = "policy.toml"

[[cluster]]
name = "tokyo"
jurisdiction = "jp"
endpoints = {endpoints}
models = {models}
lanes = 2
ca = "{keys}/ca.pem"
certificate = "{keys}/box.pem"
key = "{keys}/box.key"
spiffe_ids = ["{spiffe}"]
probe = {{ model = "{probe}", every_ms = {every_ms}, timeout_ms = 1000 }}
"""

POLICY = """
version = 1
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["tokyo"]

[[rule]]
id = "probes"
kinds = ["synthetic"]
sensitivities = ["public"]
to = ["home"]
decision = "allow"
why = "made-up values"

[[rule]]
id = "views-home"
kinds = ["image", "joint-state"]
sensitivities = ["internal", "trade-secret"]
to = ["home"]
decision = "allow"
why = "to clusters at home only"
"""

PICTURE = """
[[model]]
name = "{name}"
folder = "{name}"

[[task]]
name = "look-{name}"
model = "{name}"
deadline_us = {deadline_us}
clients = [{{ name = "camera", min_period_us = 1000, queue = 4 }}]
data = {{ x = "image/trade-secret" }}
"""

ROBOTS = """
[[model]]
name = "policy"
folder = "{models}/ur5e-conveyor-demo"

[[model]]
name = "heavy"
folder = "{models}/ur5e-conveyor-demo"

[[worker]]
name = "first"

[[task]]
name = "track"
model = "policy"
deadline_us = 200000
min_period_us = 1000
arrival_jitter_us = 1000000
hold_ms = 250
robots = [{{ name = "arm" }}]

[[task]]
name = "advise"
model = "heavy"
deadline_us = 500000
min_period_us = 1000
arrival_jitter_us = 1000000
hold_ms = 250
robots = [{{ name = "arm" }}]
data = {{ observation = "joint-state/internal" }}
"""

MANIFEST = """name = "{name}"
version = "1.0.0"
description = "A picture of known size; the cluster answers for it."
file = "model.onnx"
sha256 = "{digest}"
licence = "Apache-2.0"

[provenance]
source = "boxes.py"
data = "none"
trained = "never"

[[input]]
name = "x"
dtype = "f32"
shape = {shape}

[[output]]
name = "mean"
role = "result"
dtype = "f32"
shape = {result}
"""


def head(keys, models, probe, every_ms):
    listed = "[" + ", ".join(f'"{model}"' for model in models) + "]"
    endpoints = "[" + ", ".join(f'"{endpoint}"' for endpoint in ENDPOINTS) + "]"
    return HEAD.format(listen=LISTEN, endpoints=endpoints, models=listed, keys=keys, spiffe=SERVER, probe=probe,
                       every_ms=every_ms)


def pictures(folder, keys, every_ms):
    """A box without robots, whose camera asks the cluster."""
    text = head(keys, PICTURES, "small", every_ms)
    for name, shape in PICTURES.items():
        text += PICTURE.format(name=name, deadline_us=200_000 if name == UNANSWERED else 2_000_000)
        model = folder / name
        model.mkdir(parents=True)
        graph = mean(shape)
        (model / "model.onnx").write_bytes(graph)
        digest = hashlib.sha256(graph).hexdigest()
        (model / "model.toml").write_text(MANIFEST.format(name=name, digest=digest, shape=shape, result=[*shape[:2], 1, 1]))
    return write(folder, text)


def robots(folder, keys, every_ms):
    """A box with a robot that is controlled on the box and advised by the cluster."""
    return write(folder, head(keys, ["heavy"], "heavy", every_ms) + ROBOTS.format(models=TREE / "models"))


def write(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.toml").write_text(POLICY, encoding="utf-8")
    (folder / "box.toml").write_text(text, encoding="utf-8")
    return folder / "box.toml"
