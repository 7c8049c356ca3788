"""MLServer in plain text on 127.0.0.1: it has nothing else.

    python3 mlserver_start.py FOLDER PORT [--typed] NAME=MODEL ...

As triton.py takes them. It answers raw to whoever asks raw, as the box does; with `--typed` it answers typed to everybody, as
the protocol allows and as servers do that know no raw contents. Its HTTP side listens beside it, on a port that the kernel chooses. It is started without its own
command line, which would need the packages of a client for Triton.
"""

import asyncio
import pathlib
import socket
import sys

from mlserver import MLServer, ModelSettings, Settings
from mlserver.grpc.servicers import InferenceServicer
from mlserver.settings import ModelParameters
from mlserver_model import Model


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def main(folder, port, *models):
    folder = pathlib.Path(folder).resolve()
    if models[:1] == ("--typed",):
        models = models[1:]
        InferenceServicer._GetReturnRaw = staticmethod(lambda request: False)
    for name in ["faults", "received"]:
        (folder / name).mkdir(exist_ok=True)
    settings = Settings(
        host="127.0.0.1", grpc_port=int(port), http_port=free_port(), metrics_endpoint=None, parallel_workers=0,
        debug=False, environments_dir=str(folder / "environments"), metrics_dir=str(folder / "metrics"))
    served = []
    for given in models:
        name, source = given.split("=", 1)
        parameters = ModelParameters(extra={"folder": str(folder), "source": source})
        served.append(ModelSettings(name=name, implementation=Model, parameters=parameters))
    asyncio.run(MLServer(settings).start(served))


if __name__ == "__main__":
    main(*sys.argv[1:])
