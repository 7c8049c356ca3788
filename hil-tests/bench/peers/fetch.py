"""Makes the Python environment of `make bench-peers`: Triton, dora, ONNX Runtime and zenoh, about 750 MB on disk.

    python3 hil-tests/bench/peers/fetch.py [FOLDER]            default: native/peers
    python3 hil-tests/bench/peers/fetch.py --short [FOLDER]    ONNX Runtime and zenoh alone; default: native/peers-short

A killed run leaves no stamp, and the next one begins again.
"""

import hashlib
import os
import platform
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, os.path.join(ROOT, "runtime"))

import native  # noqa: E402: it knows pip's complaints

ALL = [os.path.join(HERE, "requirements.txt")]
SHORT = [os.path.join(HERE, "requirements-short.txt")] + [
    os.path.join(ROOT, path, "requirements.txt") for path in ["adapters/message/tests", "hil-tests/tests/python"]]
# Older ones have no dora, newer ones no numpy that Triton's python backend can read.
PYTHONS = [(3, 11), (3, 12)]


def main(arguments):
    short = arguments[:1] == ["--short"]
    folder = (arguments[short:] or [os.path.join(ROOT, "native", "peers-short" if short else "peers")])[0]
    try:
        if short:
            if environment(os.path.abspath(folder), SHORT):
                done(folder, SHORT)
            return 0
        if sys.version_info[:2] not in PYTHONS or platform.machine() != "x86_64":
            raise native.Failure(
                "Triton and dora work on Python 3.11 and 3.12 on x86-64; "
                "name such an interpreter: make bench-peers PEERS_PYTHON=python3.12")
        folder = os.path.abspath(folder)
        if environment(folder, ALL):
            libraries = os.path.join(folder, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
            os.chmod(os.path.join(libraries, "pytriton", "tritonserver", "bin", "tritonserver"), 0o755)
            done(folder, ALL)
    except native.Failure as failure:
        return native.complain(failure)
    except OSError as error:
        return native.complain(f"{error.filename or folder}: {error.strerror or error}; correct that and run again")
    return 0


def environment(folder, requirements):
    """Makes it unless it is there; whether it was made."""
    if os.path.isfile(stamp(folder)):
        with open(stamp(folder)) as file:
            if file.read() == wanted(requirements):
                return False
    native.say("making a Python environment in %s" % os.path.relpath(folder))
    if os.path.isdir(folder):
        shutil.rmtree(folder)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=os.path.dirname(folder)) as work:
        native.run([sys.executable, "-m", "venv", folder], work)
        files = [word for path in requirements for word in ("-r", path)]
        python = os.path.join(folder, "bin", "python3")
        native.pip(python, ["install", "--no-deps", "--require-hashes", *files], work)
    return True


def stamp(folder):
    return os.path.join(folder, "requirements.sha256")


def wanted(requirements):
    return hashlib.sha256("\n".join([sys.version] + [native.digest(path) for path in requirements]).encode()).hexdigest()


def done(folder, requirements):
    with open(stamp(folder), "w") as file:
        file.write(wanted(requirements))
    native.say("the Python environment is in place")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
