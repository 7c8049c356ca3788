"""Triton out of the nvidia-pytriton wheel, on 127.0.0.1 alone.

    python3 triton.py FOLDER PORT [--mutual CERTIFICATE KEY CA] NAME=MODEL ...

MODEL is `echo`, `scale` or an ONNX file. See served.py for what FOLDER holds. With `--mutual` only who has a certificate
of CA is served; without, everybody in plain text. The process becomes the server, so its id is the server's.
"""

import os
import pathlib
import shutil
import sys
import sysconfig

from served import model

HERE = pathlib.Path(__file__).resolve().parent

CONFIG = """name: "{name}"
backend: "python"
max_batch_size: 0
{tensors}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "folder" value: {{ string_value: "{folder}" }} }}
parameters {{ key: "source" value: {{ string_value: "{source}" }} }}
"""


def put_model(folder, name, source):
    version = folder / "models" / name / "1"
    version.mkdir(parents=True)
    # The stub looks for modules beside the model, and nowhere else of ours.
    shutil.copy(HERE / "triton_model.py", version / "model.py")
    shutil.copy(HERE / "served.py", version)
    served = model(source)
    tensors = [f'{kind} {{ name: "{tensor}" data_type: TYPE_{datatype} dims: {shape} }}'
               for kind, listed in [("input", served.inputs), ("output", served.outputs)]
               for tensor, (datatype, shape) in listed.items()]
    config = CONFIG.format(name=name, tensors="\n".join(tensors), folder=folder, source=source)
    (folder / "models" / name / "config.pbtxt").write_text(config)


def backend(folder, triton):
    """The python backend with the stub of this Python. Linked, not copied: 29 MB for each start would be much."""
    target = folder / "backends" / "python"
    target.mkdir(parents=True)
    stub = triton / "python_backend_stubs" / ("%d.%d" % sys.version_info[:2])
    for file in [*(triton / "backends" / "python").iterdir(), *stub.iterdir()]:
        (target / file.name).symlink_to(file)


def main(folder, port, *arguments):
    folder = pathlib.Path(folder).resolve()
    packages = pathlib.Path(sysconfig.get_path("purelib"))
    triton = packages / "pytriton" / "tritonserver"
    shutil.rmtree(folder / "models", ignore_errors=True)
    shutil.rmtree(folder / "backends", ignore_errors=True)
    for name in ["faults", "received"]:
        (folder / name).mkdir(exist_ok=True)
    backend(folder, triton)
    security = []
    if arguments[:1] == ("--mutual",):
        certificate, key, ca = arguments[1:4]
        security = ["--grpc-use-ssl=true", "--grpc-use-ssl-mutual=true", f"--grpc-server-cert={certificate}",
                    f"--grpc-server-key={key}", f"--grpc-root-cert={ca}"]
        arguments = arguments[4:]
    for given in arguments:
        put_model(folder, *given.split("=", 1))
    libraries = [str(packages / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    environment = dict(
        os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(packages), PYTHONDONTWRITEBYTECODE="1",
        PATH=os.path.dirname(sys.executable) + ":" + os.environ["PATH"], LD_LIBRARY_PATH=":".join(libraries))
    server = str(triton / "bin" / "tritonserver")
    os.execve(server, [
        server, f"--model-repository={folder}/models", f"--backend-directory={folder}/backends",
        "--grpc-address=127.0.0.1", f"--grpc-port={port}", "--allow-http=false", "--allow-metrics=false",
        "--allow-gpu-metrics=false", "--exit-timeout-secs=2", "--log-info=false", *security,
    ], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
