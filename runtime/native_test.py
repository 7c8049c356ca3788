#!/usr/bin/env python3
"""Tests of native.py: `python3 runtime/native_test.py`. They need no network, and touch no `native` folder.

The package index is a folder of tiny wheels made here, the libraries are tiny files in them.
"""

import contextlib
import errno
import hashlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zipfile

import native

MACHINE = native.supported_machine()
SCRIPT = os.path.abspath(native.__file__)


def library(package, member, content, links=()):
    return native.Library(package, "1.0", member, {MACHINE: hashlib.sha256(content).hexdigest()}, list(links))


LIBRARIES = [
    library("genba-test-one", "one/libone.so.1.0", b"one", []),
    library("genba-test-two", "two/libtwo.so.1.0", b"two", ["libtwo.so"]),
]


def wheel(folder, package, files, tag="cp312-cp312-manylinux_2_28_" + MACHINE):
    name = package.replace("-", "_")
    info = "%s-1.0.dist-info/" % name
    path = os.path.join(folder, "%s-1.0-%s.whl" % (name, tag))
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: 1.0\n" % package)
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: %s\n" % tag)
        archive.writestr(info + "RECORD", "")
    return path


class Fetch(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.base)
        self.folder = os.path.join(self.base, "native")
        self.index = os.path.join(self.base, "index")
        os.mkdir(self.index)
        wheel(self.index, "genba-test-one", {"one/libone.so.1.0": b"one"})
        wheel(self.index, "genba-test-two", {"two/libtwo.so.1.0": b"two"})
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        clean.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=self.index, PIP_CONFIG_FILE=os.devnull, PIP_RETRIES="0")
        for patch in [
            unittest.mock.patch.object(native, "LIBRARIES", LIBRARIES),
            unittest.mock.patch.dict(os.environ, clean, clear=True),
        ]:
            patch.start()
            self.addCleanup(patch.stop)

    def fetch(self, *arguments):
        """Exit code, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = native.main(["--folder", self.folder] + list(arguments))
        return code, out.getvalue(), err.getvalue()

    def assert_refused(self, result, *words):
        """Exit code 1 and one clear line, and nothing left behind."""
        code, _, err = result
        self.assertEqual((code, err.count("\n")), (1, 1), err)
        self.assertTrue(err.startswith("native: "), err)
        for word in words:
            self.assertIn(word, err)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".fetch")], [])

    def installed(self):
        folder = os.path.join(self.folder, "lib")
        return {name: open_bytes(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}

    ALL = {"libone.so.1.0": b"one", "libtwo.so": b"two", "libtwo.so.1.0": b"two"}

    def test_a_first_run_fetches_and_the_next_one_asks_nobody(self):
        code, out, err = self.fetch()
        self.assertEqual((code, err), (0, ""))
        self.assertIn("native: fetching genba-test-one 1.0 for %s\n" % MACHINE, out)
        self.assertEqual(self.installed(), self.ALL)
        self.assertEqual(os.readlink(os.path.join(self.folder, "lib", "libtwo.so")), "libtwo.so.1.0")
        with unittest.mock.patch.object(native.subprocess, "run", side_effect=AssertionError("pip was asked")):
            self.assertEqual(self.fetch(), (0, "", ""))

    def test_a_damaged_library_and_a_lost_link_are_repaired(self):
        self.fetch()
        with open(os.path.join(self.folder, "lib", "libone.so.1.0"), "wb") as file:
            file.write(b"on")
        os.remove(os.path.join(self.folder, "lib", "libtwo.so"))
        code, out, _ = self.fetch()
        self.assertEqual((code, self.installed()), (0, self.ALL))
        self.assertNotIn("genba-test-two", out)

    def test_what_a_killed_run_left_is_removed(self):
        os.makedirs(os.path.join(self.folder, ".fetch-killed"))
        os.symlink("nowhere", os.path.join(self.folder, ".fetch-link"))
        with open(os.path.join(self.folder, ".fetch-killed", "part"), "wb") as file:
            file.write(b"o")
        self.assertEqual(self.fetch()[0], 0)
        self.assertEqual(sorted(os.listdir(self.folder)), [".lock", "lib"])

    def test_libraries_for_a_gpu_come_out_of_one_wheel_and_alone(self):
        members = {"gpu/libonnxruntime.so.1.0": b"gpu", "gpu/libproviders.so": b"providers"}
        wheel(self.index, "genba-test-gpu", members)
        with unittest.mock.patch.object(native, "GPU", [library("genba-test-gpu", *one) for one in members.items()]):
            code, out, err = self.fetch("--gpu")
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(out.count("native: fetching"), 1, out)
            target = os.path.join(self.folder, "gpu")
            self.assertEqual(sorted(os.listdir(target)), ["libonnxruntime.so.1.0", "libproviders.so"])
            self.assertFalse(os.path.exists(os.path.join(self.folder, "lib")))
            os.remove(os.path.join(target, "libproviders.so"))
            self.assertEqual(self.fetch("--gpu")[0], 0)
            self.assertEqual(sorted(os.listdir(target)), ["libonnxruntime.so.1.0", "libproviders.so"])
            with unittest.mock.patch.object(native.subprocess, "run", side_effect=AssertionError("pip was asked")):
                self.assertEqual(self.fetch("--gpu"), (0, "", ""))

    def test_libraries_for_a_gpu_are_not_known_for_every_machine(self):
        with unittest.mock.patch.object(native, "GPU", [native.Library("x", "1", "x/libx.so", {}, [])]):
            self.assert_refused(self.fetch("--gpu"), "take your vendor's build")

    def test_another_digest_is_not_installed(self):
        wheel(self.index, "genba-test-one", {"one/libone.so.1.0": b"another"})
        found = hashlib.sha256(b"another").hexdigest()
        self.assert_refused(self.fetch(), found, LIBRARIES[0].sha256[MACHINE], "not installed")
        self.assertEqual(self.installed(), {})

    def test_a_wheel_without_the_library_is_named(self):
        wheel(self.index, "genba-test-one", {"one/other": b"one"})
        self.assert_refused(self.fetch(), "genba_test_one-1.0-", "does not hold one/libone.so.1.0")

    def test_an_index_that_does_not_answer(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            address = "http://127.0.0.1:%d/simple" % listener.getsockname()[1]
            del os.environ["PIP_NO_INDEX"], os.environ["PIP_FIND_LINKS"]
            os.environ["PIP_INDEX_URL"] = address
            self.assert_refused(self.fetch(), "the package index does not answer")

    def test_a_version_that_the_index_does_not_have(self):
        newer = [LIBRARIES[0]._replace(version="2.0")]
        with unittest.mock.patch.object(native, "LIBRARIES", newer):
            self.assert_refused(self.fetch(), "No matching distribution found for genba-test-one==2.0")

    def test_a_full_disk(self):
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with unittest.mock.patch.object(native.shutil, "copyfileobj", side_effect=full):
            self.assert_refused(self.fetch(), "is full; free about")
        self.assertEqual(self.installed(), {})

    def test_a_full_disk_that_pip_meets(self):
        said = b"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
        failed = subprocess.CompletedProcess([], 1, b"", said)
        with unittest.mock.patch.object(native.subprocess, "run", return_value=failed):
            self.assert_refused(self.fetch(), "the disk is full")

    def test_a_folder_that_cannot_be_made(self):
        self.folder = os.path.join(self.index, "file")
        open(self.folder, "w").close()
        code, _, err = self.fetch()
        self.assertEqual((code, err.count("\n")), (1, 1), err)
        self.assertIn(self.folder, err)

    def test_a_python_without_pip(self):
        bare = os.path.join(self.base, "bare")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
        command = [os.path.join(bare, "bin", "python"), SCRIPT, "--folder", self.folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        self.assert_refused((done.returncode, done.stdout, done.stderr), "python3 has no pip; install it")

    def test_a_platform_without_libraries(self):
        with unittest.mock.patch.object(native.platform, "machine", return_value="riscv64"):
            self.assert_refused(self.fetch(), "riscv64", "x86_64 or aarch64")
        with unittest.mock.patch.object(native.sys, "platform", "darwin"):
            self.assert_refused(self.fetch(), "darwin")

    def requirements(self, sha256):
        path = os.path.join(self.base, "requirements.txt")
        with open(path, "w") as file:
            file.write("genba-test-three==1.0 --hash=sha256:%s\n" % sha256)
        return path

    def test_the_tests_environment_is_made_once_for_each_set_of_requirements(self):
        three = wheel(self.index, "genba-test-three", {"genba_test_three.py": "number = 3\n"}, "py3-none-any")
        path = self.requirements(native.digest(three))
        self.assertEqual(self.fetch("--tests", path)[::2], (0, ""))
        python = os.path.join(self.folder, "venv", "bin", "python")
        self.assertEqual(subprocess.check_output([python, "-c", "print(__import__('genba_test_three').number)"]), b"3\n")
        with unittest.mock.patch.object(native.subprocess, "run", side_effect=AssertionError("made again")):
            self.assertEqual(self.fetch("--tests", path), (0, "", ""))

        # Other requirements: it is made again, and one that fails is not taken for made.
        path = self.requirements("0" * 64)
        self.assert_refused(self.fetch("--tests", path), "the requirements and their hashes do not agree")
        self.assertFalse(os.path.exists(os.path.join(self.folder, "venv", "requirements.sha256")))

    def test_a_requirements_file_that_is_missing(self):
        self.assert_refused(self.fetch("--tests", "missing.txt"), "there is no requirements file missing.txt")

    def test_a_python_without_venv(self):
        hidden = os.path.join(self.base, "hidden")
        os.mkdir(hidden)
        with open(os.path.join(hidden, "venv.py"), "w") as file:
            file.write("raise ModuleNotFoundError(\"No module named 'venv'\")\n")
        self.fetch()
        os.environ["PYTHONPATH"] = hidden
        path = self.requirements("0" * 64)
        self.assert_refused(self.fetch("--tests", path), "python3 has no venv module; install it")


def open_bytes(path):
    with open(path, "rb") as file:
        return file.read()


if __name__ == "__main__":
    unittest.main()
