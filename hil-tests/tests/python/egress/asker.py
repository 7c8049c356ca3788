"""A camera that asks the box for what its cluster sees, one picture at a time.

    python3 asker.py ENDPOINT PAUSE_MS COUNT KEY=CONTRACT=VALUES ...

Asks each in turn, COUNT times, and prints `result` or the refusal. Needs nothing but eclipse-zenoh.
"""

import array
import struct
import sys
import time

import zenoh

TABLE = []
for value in range(256):
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    TABLE.append(value)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def request(key, contract, number, values):
    """One frame, as adapters/message/msg/InferRequestV1.msg lays it out."""
    address = crc32c("/".join(key.split("/")[-2:]).encode())
    head = struct.pack("<4sII16sQQI", b"\0\1\0\0", 0xB8E5305F, address, bytes.fromhex(contract), number,
                       time.monotonic_ns(), 0)
    body = struct.pack("<I", len(values)) + values
    return head + struct.pack("<I", crc32c(head + body)) + body


def main(endpoint, pause_ms, count, *asked):
    config = zenoh.Config.from_json5(
        f'{{mode: "client", connect: {{endpoints: ["{endpoint}"]}}, scouting: {{multicast: {{enabled: false}}}}}}')
    number = 0
    with zenoh.open(config) as session:
        for _ in range(int(count)):
            for key, contract, values in (one.split("=") for one in asked):
                number += 1
                values = array.array("f", [0.25]) * int(values)
                frame = request(key, contract, number, values.tobytes())
                for reply in session.get(key + "/infer", payload=frame, timeout=5.0):
                    refused = reply.err and f"refusal E-{struct.unpack_from('<H', reply.err.payload.to_bytes(), 76)[0]}"
                    print(refused or "result", flush=True)
                time.sleep(int(pause_ms) / 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
