"""A cluster that counts: Open Inference Protocol over HTTP/2 and mutual TLS, and the digest of every body it was sent.

    python3 server.py ADDRESS:PORT LOG CERTIFICATE KEY CA OUTPUTS

It answers every request at once with zeros, or never where OUTPUTS does not have its model. OUTPUTS is a JSON object: for
each model a list of [name, datatype, shape].
Each request becomes a line of LOG: when its first and last bytes were heard, by whom, how many, their SHA-256. This is the
other end's own count, made by none of the box's code; that real servers work as well is shown by other tests.
"""

import hashlib
import json
import math
import socket
import ssl
import struct
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, PADDED, ACKNOWLEDGES = 1, 4, 8, 1
INITIAL_WINDOW = 4
# As much as a client may send before it hears anything: more than any request.
WINDOW = 64 << 20
SIZES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "FP16": 2, "BF16": 2, "INT32": 4, "FP32": 4, "INT64": 8}


class Connection:
    """One client's connection, in a thread of its own."""

    def __init__(self, stream, peer, outputs, log):
        self.stream, self.peer, self.outputs, self.log = stream, peer, outputs, log
        self.bodies, self.begun = {}, {}
        self.window, self.waiting = 65_535, []

    def serve(self):
        if self.exactly(len(PREFACE)) != PREFACE:
            return
        self.frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, WINDOW))
        self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW))
        while head := self.exactly(9):
            length, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big")
            self.take(kind, flags, stream, self.exactly(length) if length else b"")

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACKNOWLEDGES:
            self.frame(SETTINGS, ACKNOWLEDGES, 0)
        elif kind == PING and not flags & ACKNOWLEDGES:
            self.frame(PING, ACKNOWLEDGES, 0, payload)
        elif kind == WINDOW_UPDATE and stream == 0:
            self.window += int.from_bytes(payload, "big")
            self.send_waiting()
        elif kind == HEADERS:
            self.bodies[stream] = []
        elif kind == RESET:
            self.bodies.pop(stream, None)
        elif kind == DATA and stream in self.bodies:
            self.take_data(flags, stream, payload)

    def take_data(self, flags, stream, payload):
        self.begun.setdefault(stream, time.time_ns())
        if flags & PADDED:
            payload = payload[1:len(payload) - payload[0]]
        self.bodies[stream].append(payload)
        if payload:
            self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload)))
        if flags & END_STREAM:
            self.answer(stream, b"".join(self.bodies.pop(stream)))

    def answer(self, stream, body):
        asked = fields(body[5:])
        model, request = asked[1][0].decode(), asked.get(3, [b""])[0].decode()
        self.log({"at_ns": self.begun.pop(stream), "ended_ns": time.time_ns(), "bytes": len(body), "model": model,
                  "sha256": hashlib.sha256(body).hexdigest(), "id": request, "connection": self.peer})
        if model not in self.outputs:
            return
        answered = response(model, request, self.outputs[model])
        self.waiting.append((stream, b"\0" + struct.pack(">I", len(answered)) + answered))
        self.send_waiting()

    def send_waiting(self):
        """Answers are short: each is one frame, sent once the client's window has room for it."""
        while self.waiting and len(self.waiting[0][1]) <= self.window:
            stream, body = self.waiting.pop(0)
            self.window -= len(body)
            # `:status: 200` by its place in the static table; other fields as they are, in nobody's table.
            self.frame(HEADERS, END_HEADERS, stream, b"\x88" + field(b"content-type", b"application/grpc"))
            self.frame(DATA, 0, stream, body)
            self.frame(HEADERS, END_HEADERS | END_STREAM, stream, field(b"grpc-status", b"0"))

    def frame(self, kind, flags, stream, payload=b""):
        self.stream.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    def exactly(self, length):
        """That many bytes; none if the client is gone."""
        data = b""
        while len(data) < length:
            more = self.stream.recv(length - len(data))
            if not more:
                return b""
            data += more
        return data


def field(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def read_varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 128:
            return value, at


def fields(message):
    """A protobuf message's fields of bytes by their numbers."""
    found, at = {}, 0
    while at < len(message):
        tag, at = read_varint(message, at)
        length, at = read_varint(message, at)
        if tag & 7 == 2:
            found.setdefault(tag >> 3, []).append(message[at:at + length])
            at += length
    return found


def put(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def response(model, request, outputs):
    """A ModelInferResponse of zeros."""
    message = put(1, model.encode()) + put(3, request.encode())
    for name, datatype, shape in outputs:
        message += put(5, put(1, name.encode()) + put(2, datatype.encode()) + put(3, b"".join(map(varint, shape))))
    return message + b"".join(put(6, bytes(SIZES[datatype] * math.prod(shape))) for _, datatype, shape in outputs)


def secured(certificate, key, ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    return context


def serve(accepted, peer, context, outputs, log):
    try:
        with context.wrap_socket(accepted, server_side=True) as stream:
            Connection(stream, peer, outputs, log).serve()
    except OSError as error:
        print(f"{peer}: {error}", file=sys.stderr)


def main(address, path, certificate, key, ca, outputs):
    host, port = address.rsplit(":", 1)
    context, outputs, lock = secured(certificate, key, ca), json.loads(outputs), threading.Lock()
    with socket.create_server((host, int(port))) as listener, open(path, "a", encoding="utf-8") as out:
        def log(line):
            with lock:
                print(json.dumps(line), file=out, flush=True)

        print("ready", flush=True)
        while True:
            accepted, (host, port) = listener.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = f"{host}:{port}"
            threading.Thread(target=serve, args=(accepted, peer, context, outputs, log), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
