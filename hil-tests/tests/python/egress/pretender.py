"""A stand-in for a box, for the tests of this folder: sends bodies over HTTP/2 and mutual TLS, and keeps a journal of them.

    python3 pretender.py ENDPOINT FOLDER CERTIFICATE KEY CA [unrecorded | inflated | given-up] SIZE ...

`unrecorded` sends a body without a record; `inflated` sends more than its record says; `given-up` asks what is never answered,
and takes it back. The journal's form is the box's.
"""

import hashlib
import json
import pathlib
import socket
import ssl
import struct
import sys
import time

from server import DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RESET, SETTINGS, field, put

FRAME = 16_384


class Journal:
    """Records as the box writes them, without signatures."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.n, self.prev = open(folder / "journal-000001.jsonl", "w", encoding="utf-8"), 0, "0" * 64

    def add(self, kind, said, at_ns=None):
        self.n += 1
        body = json.dumps({"n": self.n, "prev": self.prev, "wall_ns": at_ns or time.time_ns(), "wall": "",
                           "monotonic_ns": 0, "clock": {"synchronised": True, "error_us": 1}, "record": {kind: said}},
                          separators=(",", ":"))[:-1]
        self.prev = hashlib.sha256(body.encode()).hexdigest()
        print(f'{body},"hash":"{self.prev}"}}', file=self.file, flush=True)
        return self.n

    def intent(self, endpoint, digest, size, at_ns=None, **changed):
        return self.add("intent", {
            "hand_off": "1", "attempt": 1, "parent": None, "task": "inspect", "model": "large", "version": "",
            "data": [{"field": "x", "class": "image/trade-secret"}], "rule": "jp-images", "policy": 1, "dropped": [],
            "payload_sha256": digest, "payload_bytes": size, "endpoint": endpoint, "cluster": "tokyo",
            "jurisdiction": "jp", "peer": {"proven": {"certificate_sha256": "0" * 64, "spiffe_id": "spiffe://x/y"}},
            **changed}, at_ns)

    def outcome(self, intent, outcome="delivered", at_ns=None, durable_us=0):
        self.add("outcome", {"intent": intent, "outcome": outcome, "answer_bytes": 10, "latency": {
            "connect_us": None, "durable_us": durable_us, "round_trip_us": 1}}, at_ns)


class Client:
    def __init__(self, endpoint, certificate, key, ca):
        context = ssl.create_default_context(cafile=ca)
        context.check_hostname = False
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["h2"])
        host, port = endpoint.rsplit(":", 1)
        raw = socket.create_connection((host, int(port)))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream, self.number = context.wrap_socket(raw), 1
        self.stream.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, body, given_up=False):
        """Sends it, and waits for the answer's end, or takes it back."""
        head = b"\x83\x86" + field(b":path", b"/inference.GRPCInferenceService/ModelInfer") + field(b"te", b"trailers")
        parts = [body[at:at + FRAME] for at in range(0, len(body), FRAME)]
        self.stream.sendall(frame(HEADERS, END_HEADERS, self.number, head))
        for part in parts[:-1]:
            self.stream.sendall(frame(DATA, 0, self.number, part))
        self.stream.sendall(frame(DATA, END_STREAM, self.number, parts[-1]))
        if given_up:
            time.sleep(0.1)
            self.stream.sendall(frame(RESET, 0, self.number, struct.pack(">I", 8)))
        while not given_up:
            length, kind, flags, stream = struct.unpack(">3sBBI", self.exactly(9))
            self.exactly(int.from_bytes(length, "big"))
            if (kind, stream) == (HEADERS, self.number) and flags & END_STREAM:
                break
        self.number += 2

    def exactly(self, length):
        data = b""
        while len(data) < length:
            data += self.stream.recv(length - len(data)) or sys.exit("the server is gone")
        return data


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def body(size, model=b"large"):
    """A request of about that size; the number makes it unlike any other."""
    message = put(1, model) + put(3, b"%032d" % time.monotonic_ns()) + put(7, bytes(size))
    return b"\0" + struct.pack(">I", len(message)) + message


def main(endpoint, folder, certificate, key, ca, *sizes):
    journal, client = Journal(folder), Client(endpoint, certificate, key, ca)
    kinds = iter(sizes)
    for size in kinds:
        kind = "recorded"
        if not size.isdigit():
            kind, size = size, next(kinds)
        given_up = kind == "given-up"
        sent = body(int(size), b"never" if given_up else b"large")
        recorded = len(sent) // 2 if kind == "inflated" else len(sent)
        intent = None
        if kind != "unrecorded":
            intent = journal.intent(endpoint, hashlib.sha256(sent).hexdigest(), recorded)
        client.send(sent, given_up)
        if intent:
            journal.outcome(intent, "expired" if given_up else "delivered")
        time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
