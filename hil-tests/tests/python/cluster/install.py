"""Makes the Python environment of the tests' clusters: Triton and MLServer.

    python3 hil-tests/tests/python/cluster/install.py [FOLDER]     default: native/clusters

Ends with 3, and the reason, where there are none for this Python: the tests of clusters are then skipped.
A killed run leaves no stamp, and the next one begins again.
"""

import os
import platform
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, *[os.pardir] * 4))
sys.path.insert(0, os.path.join(ROOT, "runtime"))
sys.path.insert(0, os.path.join(ROOT, "hil-tests", "bench", "peers"))

import native  # noqa: E402: it knows pip's complaints
from fetch import done, environment  # noqa: E402: of the peers', which needs the same

REQUIREMENTS = [os.path.join(HERE, "requirements.txt")]
PYTHONS = [(3, 11), (3, 12)]
SKIPPED = 3


def main(arguments):
    folder = os.path.abspath((arguments or [os.path.join(ROOT, "native", "clusters")])[0])
    if sys.version_info[:2] not in PYTHONS or platform.machine() != "x86_64":
        # Left from another Python: a test would start it.
        shutil.rmtree(folder, ignore_errors=True)
        print("no Triton and MLServer for Python %d.%d on %s" % (*sys.version_info[:2], platform.machine()))
        return SKIPPED
    try:
        if environment(folder, REQUIREMENTS):
            libraries = os.path.join(folder, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
            os.chmod(os.path.join(libraries, "pytriton", "tritonserver", "bin", "tritonserver"), 0o755)
            done(folder, REQUIREMENTS)
    except native.Failure as failure:
        return native.complain(failure)
    except OSError as error:
        return native.complain(f"{error.filename or folder}: {error.strerror or error}; correct that and run again")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
