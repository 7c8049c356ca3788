"""The client for servers whose own clients are Python's, and for genba beside them: the same loop for both.

It does what `genba-bench peer-client` does, takes the same options and leaves the same file.
"""

import argparse
import bisect
import json
import os
import queue
import secrets
import struct
import time

PATIENCE_S = 2.0  # what has not come so long after the last request will not come
WARM_S = 0.5  # between two requests before the first answer; longer than any inference takes
INPUTS = [index % 97 / 97 for index in range(48)]
MODEL, FALLBACK, REFUSAL = 1, 2, 3


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["genba", "dora"], required=True)
    parser.add_argument("--name", required=True, help="the name of the files that are left in the folder")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--address", help="where to connect, such as tcp/127.0.0.1:7447")
    parser.add_argument("--task", required=True)
    parser.add_argument("--contract", help="the digest of the task's contract, in hexadecimal")
    parser.add_argument("--robots", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0, help="requests a second of all robots; 0: one after another")
    parser.add_argument("--delay-s", type=float, default=0)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--deadline-us", type=int, required=True)
    parser.add_argument("--core", type=int)
    parser.add_argument("--fifo", type=int)
    return parser.parse_args()


class Genba:
    """Observations and responses over zenoh, as the box's messages lay them out."""

    def __init__(self, given):
        import zenoh

        self.task, self.contract = given.task, bytes.fromhex(given.contract)
        self.epoch = secrets.randbits(63)
        self.last = [0] * given.robots
        self.arrived = queue.SimpleQueue()
        self.session = zenoh.open(zenoh.Config.from_json5(
            f'{{mode: "peer", connect: {{endpoints: ["{given.address}"], timeout_ms: 60000, exit_on_failure: true}}, '
            'listen: {endpoints: []}, scouting: {multicast: {enabled: false}, gossip: {enabled: false}}}'))
        self.publishers, self.subscribers = [], []
        for robot in range(given.robots):
            key = f"bench/peers/r{robot}/{self.task}"
            self.subscribers.append(self.session.declare_subscriber(key + "/response", self.receiver(robot)))
            self.publishers.append(self.session.declare_publisher(
                key + "/observation", priority=zenoh.Priority.REAL_TIME,
                congestion_control=zenoh.CongestionControl.DROP, express=True))

    def receiver(self, robot):
        def on_response(sample):
            at = time.perf_counter_ns()
            self.arrived.put((at, robot, sample.payload.to_bytes()))
        return on_response

    def request(self, robot, sequence):
        head = struct.pack(
            "<4sII16sQQQQI", b"\0\1\0\0", 0x5E460099, crc32c(f"r{robot}/{self.task}".encode()), self.contract,
            self.epoch, sequence, sequence, self.last[robot], 0)
        values = struct.pack(f"<I{len(INPUTS)}f", 4 * len(INPUTS), *INPUTS)
        return head + struct.pack("<I", crc32c(head + values)) + values

    def send(self, robot, frame):
        self.publishers[robot].put(frame)

    def receive(self, timeout):
        try:
            at, robot, frame = self.arrived.get(timeout=timeout) if timeout > 0 else self.arrived.get_nowait()
        except queue.Empty:
            return None
        epoch, sequence = struct.unpack_from("<QQ", frame, 36)
        age_us, = struct.unpack_from("<I", frame, 104)
        kind = frame[118]
        if epoch != self.epoch or not sequence:
            return None
        if kind != REFUSAL:
            self.last[robot] = sequence
        return at, robot, sequence, kind, age_us, list(struct.unpack_from(f"<{(len(frame) - 128) // 4}f", frame, 128))


class Dora:
    """A node of the dataflow that this process was started in."""

    def __init__(self, given):
        import pyarrow
        from dora import Node

        self.pyarrow, self.node, self.task = pyarrow, Node(), given.task
        self.observation = pyarrow.array(INPUTS, pyarrow.float32())

    def request(self, robot, sequence):
        return {"sequence": sequence, "robot": robot}

    def send(self, _robot, metadata):
        self.node.send_output("observation", self.observation, metadata)

    def receive(self, timeout):
        event = self.node.next(timeout=max(timeout, 0.0))
        if event is None or event["type"] != "INPUT":
            return None
        metadata = event["metadata"]
        return (time.perf_counter_ns(), metadata["robot"], metadata["sequence"], MODEL, 0,
                event["value"].to_pylist())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def crc_table():
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        yield crc


CRC = list(crc_table())


class Ledger:
    """What became of each request."""

    def __init__(self, robots, deadline_us, supersedes):
        self.deadline_us, self.supersedes = deadline_us, supersedes
        self.open = [[] for _ in range(robots)]  # of (sequence, time)
        self.counts = dict.fromkeys([
            "sent", "model", "model_late", "fallback", "fallback_late", "superseded", "superseded_late", "refused",
            "failed", "unanswered", "strays", "age_breaches"], 0)
        self.times_us, self.action = [], None
        self.not_on_time, self.fell_back = [], []  # from each such request to its deadline, CLOCK_MONOTONIC

    def sent(self, robot, sequence, at):
        self.counts["sent"] += 1
        self.open[robot].append((sequence, at))

    def arrived(self, at, robot, sequence, kind, age_us, values):
        waiting = self.open[robot]
        place = bisect.bisect_left(waiting, (sequence,))
        if place == len(waiting) or waiting[place][0] != sequence:
            self.counts["strays"] += 1
            return
        sent = waiting.pop(place)[1]
        if kind == REFUSAL:
            self.counts["refused"] += 1
            self.not_on_time.append(self.window(sent))
            return
        if self.supersedes:
            for _, older in waiting[:place]:
                self.count("superseded", older, at)
            del waiting[:place]
        self.times_us.append((at - sent) / 1e3)
        self.count("model" if kind == MODEL else "fallback", sent, at)
        self.counts["age_breaches"] += age_us > self.deadline_us
        if kind == MODEL and self.action is None:
            self.action = values

    def count(self, name, sent, at):
        late = (at - sent) / 1e3 > self.deadline_us
        self.counts[name + "_late" if late else name] += 1
        if late:
            self.not_on_time.append(self.window(sent))
        elif name == "fallback":
            self.fell_back.append(self.window(sent))

    def window(self, sent):
        return sent, sent + self.deadline_us * 1000

    def waits(self):
        return any(self.open)

    def close(self):
        unanswered = [self.window(sent) for waiting in self.open for _, sent in waiting]
        self.counts["unanswered"] = len(unanswered)
        return {**self.counts, "times_us": self.times_us, "action": self.action or [],
                "not_on_time": self.not_on_time + unanswered, "fell_back": self.fell_back}


def run(given):
    link = {"genba": Genba, "dora": Dora}[given.way](given)
    sequence = warm(link)
    with open(os.path.join(given.folder, given.name + ".ready"), "w"):
        pass
    while not os.path.exists(os.path.join(given.folder, "go")):
        link.receive(0.005)
    time.sleep(given.delay_s)
    ledger = Ledger(given.robots, given.deadline_us, given.way == "genba")
    begun = time.perf_counter_ns()
    end = begun + int(given.seconds * 1e9)
    turn, now = 0, begun
    while now < end:
        robot = turn % given.robots
        frame = link.request(robot, sequence + turn // given.robots)
        if given.rate:
            take_until(link, ledger, begun + int(turn / given.rate * 1e9))
        now = time.perf_counter_ns()
        ledger.sent(robot, sequence + turn // given.robots, now)
        link.send(robot, frame)
        turn += 1
        if not given.rate:
            take_until(link, ledger, now + int(PATIENCE_S * 1e9), once=True)
    take_until(link, ledger, time.perf_counter_ns() + int(PATIENCE_S * 1e9), once=True)
    return {**ledger.close(), "seconds": (now - begun) / 1e9}


def warm(link):
    """Asks until there is an answer; gives the next sequence."""
    sequence = 1
    while True:
        link.send(0, link.request(0, sequence))
        answer = link.receive(WARM_S)
        sequence += 1
        if answer and answer[3] == MODEL:
            while link.receive(WARM_S):  # answers to what was asked before belong to the warming up
                pass
            return sequence


def take_until(link, ledger, end, once=False):
    """Takes what arrives, until then; `once`: or until nothing is waited for."""
    while not once or ledger.waits():
        left = end - time.perf_counter_ns()
        if left <= 0:
            return
        answer = link.receive(left / 1e9)
        if answer:
            ledger.arrived(*answer)


if __name__ == "__main__":
    given = options()
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    if given.fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(given.fifo))
    found = run(given)
    part = os.path.join(given.folder, given.name + ".part")
    with open(part, "w") as file:
        json.dump(found, file)
    os.replace(part, os.path.join(given.folder, given.name + ".json"))
