"""One run of a real box on the cable, captured from before its start until after its end."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import allowance
import boxes
import ledger
import packets
import pki
from namespaces import CLUSTER, Joined

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE_S = 60
# How long the network is watched after the box has ended: what it left in the kernel's queues leaves by then.
AFTERWARDS_S = 0.5
# What reports home waits before it does: ONNX Runtime did for nine seconds.
AT_LEAST_S = 12


class Failed(Exception):
    """A scene did not come about, so nothing can be said."""


class Busy(Exception):
    """The machine is too busy for the box to begin: that is nobody's fault, and no proof."""


class Stage:
    """Namespaces, certificates and the cluster's servers: the same for every scene."""

    def __init__(self, folder, genba, python):
        self.folder, self.genba, self.python = pathlib.Path(folder).resolve(), genba, python
        self.open = contextlib.ExitStack()
        self.joined = Joined()
        self.open.callback(self.joined.close)
        self.keys = pki.make(self.folder / "keys")
        self.servers = {endpoint: self.serve(endpoint) for endpoint in boxes.ENDPOINTS}
        # Who listens where an exporter would send to: what is sent there arrives.
        self.start(self.joined.cluster, sys.executable, "-m", "http.server", "4318", "--bind", CLUSTER,
                   "--directory", self.keys)

    def start(self, namespace, *words, **how):
        command = list(map(str, namespace.command(*words)))
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, **how}
        process = subprocess.Popen(command, text=True, **how)
        self.open.callback(end, process)
        return process

    def serve(self, endpoint):
        keys = self.keys
        server = self.start(self.joined.cluster, sys.executable, HERE / "server.py", endpoint, self.heard_path(endpoint),
                            keys / "server.pem", keys / "server.key", keys / "ca.pem", json.dumps(boxes.OUTPUTS))
        ready(server, "server.py")
        return server

    def heard_path(self, endpoint):
        return self.folder / f"heard-{endpoint.replace(':', '-')}"

    def heard(self):
        """What all servers heard so far, in its order."""
        lists = [allowance.heard(self.heard_path(endpoint)) for endpoint in boxes.ENDPOINTS]
        return sorted((one for heard in lists for one in heard), key=lambda one: one.at_ns)

    def kill(self, endpoint):
        """As a power cut would end a server."""
        self.servers[endpoint].send_signal(signal.SIGKILL)
        self.servers[endpoint].wait()

    def revive(self, endpoint):
        self.servers[endpoint] = self.serve(endpoint)

    def close(self):
        self.open.close()


class Scene:
    """One box, from before its start until after its end. `play` is what happens meanwhile."""

    def __init__(self, stage, name, write_box, every_ms, play, at_least_s=0):
        self.stage, self.folder = stage, stage.folder / name
        self.config = write_box(self.folder, stage.keys, every_ms)
        heard_before = len(stage.heard())
        capturing = stage.start(stage.joined.box, sys.executable, HERE / "capture.py", self.folder / "wire.pcap")
        ready(capturing, "capture.py")
        self.log = self.folder / "log"
        clocks, began = clock_offset(), time.monotonic()
        with open(self.log, "w", encoding="utf-8") as log:
            self.box = stage.start(stage.joined.box, stage.genba, "run", "--config", self.config, stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL)
            try:
                self.wait_until_ready()
                play(self)
                time.sleep(max(at_least_s - (time.monotonic() - began), 0))
            finally:
                self.box.send_signal(signal.SIGTERM)
                self.code = self.box.wait(timeout=PATIENCE_S)
        time.sleep(AFTERWARDS_S)
        counted = json.loads(capturing.communicate("", timeout=PATIENCE_S)[0])
        if abs(clock_offset() - clocks) > 1_000_000:
            raise Failed("the wall clock was set meanwhile: times of frames and records cannot be compared")
        if counted["lost"]:
            raise Failed(f"the capture lost {counted['lost']} frames")
        if self.code != 0:
            raise Failed(f"the box ended with {self.code}: {self.log.read_text()[-2000:]}")
        names = {int(number): interface for number, interface in counted["interfaces"].items()}
        self.wire = packets.read(self.folder / "wire.pcap", names)
        self.attempts = ledger.read(self.folder / "journal")
        self.heard = stage.heard()[heard_before:]

    def wait_until_ready(self):
        until = time.monotonic() + PATIENCE_S
        while self.ask("status", "--config", self.config) is None:
            if "leaves no room before the margin" in self.log.read_text():
                raise Busy(self.log.read_text().splitlines()[-1])
            if self.box.poll() is not None or time.monotonic() > until:
                raise Failed(f"the box does not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.1)
        self.ready_ns = time.time_ns()
        found = self.ask("check", "--config", self.config)
        if found is None:
            raise Failed("genba check says nothing")
        self.tasks = {task["task"]: task for task in found["tasks"]}

    def ask(self, *words):
        """What the box's own command line says, in JSON."""
        done = subprocess.run(list(map(str, [self.stage.genba, *words, "--json"])), capture_output=True, text=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return None

    def withdraw_policy(self):
        (self.folder / "policy.toml").unlink()

    def beside(self, namespace, script, *words):
        """Starts a program on the robots' network, or on the box's own."""
        out = open(self.folder / f"{pathlib.Path(script).stem}.out", "a", encoding="utf-8")
        self.stage.open.callback(out.close)
        return self.stage.start(namespace, self.stage.python, script, *words, stdout=out, stderr=out)

    def models(self):
        return {attempt.model for attempt in self.attempts}

    def said(self, script):
        return (self.folder / f"{pathlib.Path(script).stem}.out").read_text(encoding="utf-8")

    def ask_pictures(self, pause_ms, count):
        """The camera asks for each size in turn."""
        asked = []
        for name, shape in boxes.PICTURES.items():
            task = self.tasks[f"look-{name}"]
            key = task["clients"][0]["infer_key"].removesuffix("/infer")
            values = shape[0] * shape[1] * shape[2] * shape[3]
            asked.append(f"{key}={task['contract']}={values}")
        asking = self.beside(self.stage.joined.robots, HERE / "asker.py", f"tcp/{boxes.LISTEN}", pause_ms, count, *asked)
        if asking.wait(timeout=PATIENCE_S + count * len(asked) * (pause_ms + 2000) / 1000) != 0:
            raise Failed(f"the camera failed: {self.said('asker.py')[-2000:]}")

    def run_robot(self, task, observations):
        """A controller at 100 Hz, of the README's kind."""
        key = self.tasks[task]["robots"][0]["observation_key"].removesuffix("/observation")
        return self.beside(self.stage.joined.robots, HERE.parent / "controller.py", f"tcp/{boxes.LISTEN}", key,
                           self.tasks[task]["contract"], observations)


def ready(process, what):
    if process.stdout.readline() != "ready\n":
        raise Failed(f"{what} does not start")


def end(process):
    if process.poll() is None:
        process.kill()
    for stream in [process.stdin, process.stdout]:
        if stream:
            stream.close()
    process.wait()


def clock_offset():
    return time.time_ns() - time.monotonic_ns()


def interpreter():
    """One with eclipse-zenoh: what `make test` fetched."""
    given = os.environ.get("GENBA_TEST_PYTHON")
    return given or str(boxes.TREE / "native/venv/bin/python3")
