"""Asks a server with gRPC's own client and MLServer's own messages: no code of the box's.

    python3 ask.py PORT ready MODEL [CERTIFICATE KEY CA]   asks until MODEL, an `echo`, answers rightly
    python3 ask.py PORT scale MODEL [CERTIFICATE KEY CA]   asks a `scale` once

Prints what was answered, one tensor a line.
"""

import importlib.util
import pathlib
import sys
import time

import grpc
import numpy

TYPES = {"FP32": numpy.float32, "UINT8": numpy.uint8, "INT64": numpy.int64}
PATIENCE_S = 180  # a machine under load
WAITS_S = 10.0
SHOWN = 64
METHOD = "/inference.GRPCInferenceService/ModelInfer"


def messages():
    """That file alone: the package around it takes two seconds to import."""
    package = pathlib.Path(importlib.util.find_spec("mlserver").origin).parent
    found = importlib.util.spec_from_file_location("dataplane_pb2", package / "grpc" / "dataplane_pb2.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


PROTOCOL = messages()


def channel(port, files):
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 1 << 30),
               ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
    if not files:
        return grpc.insecure_channel(f"127.0.0.1:{port}", options)
    certificate, key, ca = (open(path, "rb").read() for path in files)
    return grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca, key, certificate), options)


def request(model, **tensors):
    asked = PROTOCOL.ModelInferRequest(model_name=model, id="asked")
    for name, (datatype, values) in tensors.items():
        values = numpy.array(values, TYPES[datatype])
        asked.inputs.add(name=name, datatype=datatype, shape=values.shape)
        asked.raw_input_contents.append(values.tobytes())
    return asked


def answer(response):
    for place, output in enumerate(response.outputs):
        if response.raw_output_contents:
            values = numpy.frombuffer(response.raw_output_contents[place], TYPES[output.datatype])
            values = values.tolist() if len(values) <= SHOWN else values
        else:
            contents = output.contents
            values = [*contents.fp32_contents, *contents.uint_contents, *contents.int64_contents]
        yield output.name, output.datatype, list(output.shape), values if len(values) <= SHOWN else f"{len(values)} values"


def main(port, what, model, *files):
    asked = {"ready": lambda: request(model, values=("FP32", [1, 2, 3, 4])),
             "scale": lambda: request(model, values=("FP32", [1.5]), picture=("UINT8", [7, 255]),
                                      counts=("INT64", [-(1 << 40)]))}[what]()
    until = time.monotonic() + PATIENCE_S
    with channel(port, files) as opened:
        ask = opened.unary_unary(METHOD, PROTOCOL.ModelInferRequest.SerializeToString,
                                 PROTOCOL.ModelInferResponse.FromString)
        while True:
            try:
                response = ask(asked, timeout=WAITS_S)
                break
            except grpc.RpcError as error:
                if what != "ready" or time.monotonic() > until:
                    sys.exit(f"{error.code()}: {error.details()}")
                time.sleep(0.05)
    rows = list(answer(response))
    if what == "ready" and rows != [("same", "FP32", [4], [1.0, 2.0, 3.0, 4.0])]:
        sys.exit(f"a wrong answer: {rows}")
    for row in rows:
        print(*row, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
