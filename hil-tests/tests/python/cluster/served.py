"""What the tests' clusters compute, in whichever server it runs: a model's answer, its faults on demand, and a list of
what arrived.

FOLDER/faults/NAME     one line, read at each request of model NAME: see `fault`; none or empty: it answers rightly
FOLDER/received/NAME   one JSON object a line, written before anything is computed: what no box can forget
"""

import json
import os
import pathlib
import signal
import time

import numpy

LARGE = 100 << 20


class Scale:
    """Several inputs of several types: floats doubled, bytes plus one, whole numbers with the other sign."""

    inputs = {"values": ("FP32", [-1]), "picture": ("UINT8", [-1]), "counts": ("INT64", [-1])}
    outputs = {"doubled": ("FP32", [-1]), "next": ("UINT8", [-1]), "negated": ("INT64", [-1])}

    def answer(self, given):
        # Bytes wrap around: 255 becomes 0.
        return {"doubled": given["values"] * 2, "next": given["picture"] + numpy.uint8(1), "negated": -given["counts"]}


class Echo:
    """What a probe asks: four floats and the same again."""

    inputs = {"values": ("FP32", [4])}
    outputs = {"same": ("FP32", [4])}

    def answer(self, given):
        return {"same": given["values"]}


class Onnx:
    """A model as a factory's engineers would serve it: one session, one thread."""

    NAMES = {"tensor(float)": "FP32", "tensor(uint8)": "UINT8", "tensor(int64)": "INT64"}

    def __init__(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.inputs = {taken.name: self.described(taken) for taken in self.session.get_inputs()}
        self.outputs = {given.name: self.described(given) for given in self.session.get_outputs()}

    def described(self, tensor):
        return self.NAMES[tensor.type], [edge if isinstance(edge, int) else -1 for edge in tensor.shape]

    def answer(self, given):
        return dict(zip(self.outputs, self.session.run(None, given)))


def model(source):
    """By name, or by the path of an ONNX file."""
    known = {"echo": Echo, "scale": Scale}
    return known[source]() if source in known else Onnx(source)


class Served:
    def __init__(self, folder, name, source):
        self.model = model(source)
        folder = pathlib.Path(folder)
        self.faults = folder / "faults" / name
        # One write a line, at the end: several processes may do so at once.
        self.received = os.open(folder / "received" / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def answer(self, request, given):
        """Arrays by name. Whoever asks for an exception gets one, whoever asks for a crash gets no answer."""
        line = {"id": request, "bytes": sum(values.nbytes for values in given.values()), "at_ns": time.monotonic_ns()}
        os.write(self.received, (json.dumps(line) + "\n").encode())
        answered = self.model.answer(given)
        try:
            wish = self.faults.read_text().split()
        except FileNotFoundError:
            wish = []
        return fault(answered, *wish)


def fault(answered, kind="none", argument="0"):
    first = next(iter(answered))
    if kind == "delay":
        time.sleep(float(argument) / 1000)
    elif kind == "shape":
        answered[first] = numpy.concatenate([answered[first].ravel(), answered[first].ravel()[:1]])
    elif kind == "nan":
        answered[first] = answered[first].copy()
        answered[first].flat[0] = numpy.nan
    elif kind == "large":
        answered[first] = numpy.zeros(LARGE // 4, numpy.float32)
    elif kind == "exception":
        raise RuntimeError("asked to fail")
    elif kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind != "none":
        raise ValueError(f"no such fault: {kind}")
    return answered
