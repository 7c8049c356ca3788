#!/usr/bin/env python3
"""Fetches what cargo cannot: the native libraries, and the tests' Python packages.

    python3 runtime/native.py                                 native/lib: ONNX Runtime and MuJoCo
    python3 runtime/native.py --tests requirements.txt ...    also native/venv, with these packages
    python3 runtime/native.py --gpu                           only native/gpu: ONNX Runtime with CUDA and TensorRT

The libraries come out of the wheels on the Python package index that pip is configured for. Each is
checked against the SHA-256 below and moved into place whole: a killed run leaves nothing half, and
the next run repairs what is missing or damaged. Needs Python 3.8 or newer with pip, nothing else.
"""

import argparse
import collections
import errno
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The file `member` of the wheel of `package`, its SHA-256 by machine, and other names it goes by.
Library = collections.namedtuple("Library", "package version member sha256 links")

LIBRARIES = [
    Library(
        "onnxruntime",
        "1.31.1",
        "onnxruntime/capi/libonnxruntime.so.1.31.1",
        {
            "x86_64": "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
            # Taken from the wheel; never run by us.
            "aarch64": "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        },
        [],
    ),
    Library(
        "mujoco",
        "3.17.0",
        "mujoco/libmujoco.so.3.17.0",
        {
            "x86_64": "23496b023ee80fb61ab71167e94bc649f9941710fde96b18bb8204fb332523ad",
            # Taken from the wheel; never run by us.
            "aarch64": "e2edd0204fb9229f75f332a4fcd1a32345bb9f90651dc0fddfa20ec0670db789",
        },
        ["libmujoco.so"],  # what the linker asks for
    ),
]

# ONNX Runtime with the providers for Nvidia's GPUs, which must lie beside it: 315 MB, out of one wheel of 256 MB. It opens
# CUDA 13, cuDNN 9 and TensorRT 10, which are not fetched. For aarch64 the index has none that a Jetson could use.
GPU = [
    Library("onnxruntime-gpu", "1.31.1", "onnxruntime/capi/" + name, {"x86_64": sha256}, [])
    for name, sha256 in [
        (
            "libonnxruntime.so.1.31.1",
            "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
        ),
        (
            "libonnxruntime_providers_shared.so",
            "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
        ),
        (
            "libonnxruntime_providers_cuda.so",
            "8387867e857499e045caff5d13ac6a5de29571c801562fa2dde0e45f1f31de52",
        ),
        (
            "libonnxruntime_providers_tensorrt.so",
            "1882ee49fdb0e6fc2d272b00cfaf9a3310bf8580a34385c0eec4d82014ea172e",
        ),
    ]
]

# What these wheels are tagged with, newest first; the Python they are for does not matter.
MANYLINUX = ["manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014"]

# pip says these in several ways; each is one thing to do.
PIP_COMPLAINTS = [
    (["No module named pip"], "python3 has no pip; install it (Debian, Ubuntu: apt install python3-pip) and run again"),
    (["No module named venv", "No module named 'venv'", "ensurepip is not"],
     "python3 has no venv module; install it (Debian, Ubuntu: apt install python3-venv) and run again"),
    (["No space left on device", "Errno 28"], "the disk is full; free about 300 MB and run again"),
    (["connection broken", "NewConnectionError", "Max retries exceeded", "timed out", "SSLError", "ProxyError"],
     "the package index does not answer; check the network, the proxy and `python3 -m pip config list`, and run again"),
    (["(from versions: none)"],
     "the package index does not answer, or has no such package for this machine; "
     "check the network and `python3 -m pip config list`, and run again"),
    (["do not match the hashes", "HASHES ARE REQUIRED", "must have their versions pinned"],
     "the requirements and their hashes do not agree; make them again from the same package versions"),
]


class Failure(Exception):
    """What is wrong and what to do, in one line for a person."""


def main(arguments=None):
    options = parse(arguments)
    try:
        os.makedirs(options.folder, exist_ok=True)
        with open(os.path.join(options.folder, ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held until this process ends, however it ends
            if options.gpu:
                gpu_libraries(options.folder)
                return 0
            libraries(options.folder)
            if options.tests:
                environment(options.folder, options.tests)
    except Failure as failure:
        return complain(failure)
    except KeyboardInterrupt:
        return complain("interrupted; run again to finish")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return complain("the disk of %s is full; free about 300 MB and run again" % options.folder)
        return complain("%s: %s; correct that and run again" % (error.filename or options.folder, error.strerror or error))
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(description="Fetch the native libraries, and the tests' Python packages.")
    parser.add_argument("--tests", nargs="+", metavar="REQUIREMENTS", help="also make venv/ with these requirements files")
    parser.add_argument("--gpu", action="store_true", help="fetch ONNX Runtime with CUDA and TensorRT, and nothing else")
    parser.add_argument("--folder", default=os.path.join(ROOT, "native"), help="where to put it all (default: native)")
    return parser.parse_args(arguments)


def complain(reason):
    print("native: %s" % reason, file=sys.stderr)
    return 1


def libraries(folder):
    machine = supported_machine()
    target = os.path.join(folder, "lib")
    os.makedirs(target, exist_ok=True)
    remove_leftovers(folder)
    for library in LIBRARIES:
        path = os.path.join(target, os.path.basename(library.member))
        if not os.path.isfile(path) or digest(path) != library.sha256[machine]:
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
                wheel = download(library, machine, work)
                install(library, library.sha256[machine], wheel, path, work)
        for name in library.links:
            link(os.path.basename(path), os.path.join(target, name), folder)


def gpu_libraries(folder):
    machine = supported_machine()
    if any(machine not in library.sha256 for library in GPU):
        raise Failure("no ONNX Runtime with CUDA is known for %s; take your vendor's build" % machine)
    target = os.path.join(folder, "gpu")
    os.makedirs(target, exist_ok=True)
    remove_leftovers(folder)
    paths = [(library, os.path.join(target, os.path.basename(library.member))) for library in GPU]
    wrong = [(library, path) for library, path in paths if not os.path.isfile(path) or digest(path) != library.sha256[machine]]
    if wrong:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
            wheel = download(wrong[0][0], machine, work)
            for library, path in wrong:
                install(library, library.sha256[machine], wheel, path, work)


def supported_machine():
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine())
    if not sys.platform.startswith("linux") or any(machine not in library.sha256 for library in LIBRARIES):
        raise Failure("no libraries are known for %s on %s; use Linux on x86_64 or aarch64" % (sys.platform, machine))
    return machine


def remove_leftovers(folder):
    """What a killed run left; the lock says that no other run is using it."""
    for name in os.listdir(folder):
        if name.startswith(".fetch-"):
            path = os.path.join(folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.remove(path)


def download(library, machine, work):
    say("fetching %s %s for %s" % (library.package, library.version, machine))
    command = ["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp"]
    for tag in MANYLINUX:
        command += ["--platform", "%s_%s" % (tag, machine)]
    command += ["--dest", work, "%s==%s" % (library.package, library.version)]
    pip(sys.executable, command, work)
    wheels = [name for name in os.listdir(work) if name.endswith(".whl")]
    if len(wheels) != 1:
        raise Failure("pip downloaded %d wheels of %s instead of one; report this" % (len(wheels), library.package))
    return os.path.join(work, wheels[0])


def install(library, expected, wheel, path, work):
    part = os.path.join(work, "part")
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(library.member) as source, open(part, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise Failure("%s does not hold %s (%s); check the package index" % (os.path.basename(wheel), library.member, error))
    found = digest(part)
    if found != expected:
        raise Failure(
            "%s of %s %s has the SHA-256 %s instead of %s; it was not installed: check which package index pip uses"
            % (os.path.basename(path), library.package, library.version, found, expected)
        )
    os.chmod(part, 0o755)
    os.replace(part, path)
    say("%s is in place" % os.path.relpath(path))


def link(target, path, folder):
    if os.path.islink(path) and os.readlink(path) == target:
        return
    part = os.path.join(folder, ".fetch-link")
    os.symlink(target, part)
    os.replace(part, path)


def environment(folder, requirements):
    """The tests' packages in venv/. The stamp is written last: without it, it is made anew."""
    for path in requirements:
        if not os.path.isfile(path):
            raise Failure("there is no requirements file %s; correct the path" % path)
    venv = os.path.join(folder, "venv")
    stamp = os.path.join(venv, "requirements.sha256")
    wanted = hashlib.sha256("\n".join([sys.version] + [digest(path) for path in requirements]).encode()).hexdigest()
    if os.path.isfile(stamp):
        with open(stamp) as file:
            if file.read() == wanted:
                return
    say("making the tests' Python environment in %s" % os.path.relpath(venv))
    if os.path.isdir(venv):
        shutil.rmtree(venv)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as work:
        run([sys.executable, "-m", "venv", venv], work)
        files = [word for path in requirements for word in ("-r", path)]
        pip(os.path.join(venv, "bin", "python"), ["install", "--require-hashes", "--no-deps"] + files, work)
    with open(stamp, "w") as file:
        file.write(wanted)
    say("the tests' Python environment is in place")


def pip(python, command, work):
    bar = "on" if sys.stdout.isatty() else "off"
    run([python, "-m", "pip", "--disable-pip-version-check", "--no-input"] + command + ["--progress-bar", bar], work)


def run(command, work):
    """On a terminal pip's own bar is the progress; elsewhere the lines around it are enough."""
    out = None if sys.stdout.isatty() else subprocess.PIPE
    # Its temporary files belong to this run, and to the disk that was chosen.
    done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=work))
    if done.returncode == 0:
        return
    said = ((done.stdout or b"") + done.stderr).decode("utf-8", "replace")
    for signs, advice in PIP_COMPLAINTS:
        if any(sign.lower() in said.lower() for sign in signs):
            raise Failure(advice)
    last = [line for line in said.splitlines() if line.strip()][-1:] or ["exit code %d" % done.returncode]
    raise Failure("`python3 %s` failed: %s; correct that and run again" % (" ".join(command[1:3]), last[0].strip()))


def digest(path):
    sha256 = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            sha256.update(block)
    return sha256.hexdigest()


def say(what):
    print("native: %s" % what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
