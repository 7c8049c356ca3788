"""A sensor beside a robot: sends a sample of a joined input every 10 ms.

    python3 sensor.py tcp/127.0.0.1:7447 demo/cell-1/ur5e/track/input/camera CONTRACT [COUNT]

CONTRACT is the digest that `genba check` prints for the task. Needs nothing but eclipse-zenoh.
"""

import secrets
import struct
import sys
import time

import zenoh

ENDPOINT, KEY, CONTRACT = sys.argv[1:4]
COUNT = int(sys.argv[4]) if len(sys.argv) > 4 else 500
VALUES = [1.0, 2.0]  # one for each element of the joined input in the contract, in its order


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sample(source, sequence):
    """One frame, as adapters/message/msg/InputV1.msg lays it out."""
    robot, task, _, name = KEY.split("/")[-4:]
    head = struct.pack(
        "<4sII16sQQQ", b"\0\1\0\0", 0xC0BD816A, crc32c(f"{robot}/{task}/{name}".encode()), bytes.fromhex(CONTRACT),
        source, sequence, time.time_ns())
    values = struct.pack(f"<I{len(VALUES)}f", 4 * len(VALUES), *VALUES)
    return head + struct.pack("<I", crc32c(head + values)) + values


config = zenoh.Config.from_json5(f'{{mode: "client", connect: {{endpoints: ["{ENDPOINT}"]}}}}')
with zenoh.open(config) as session:
    source = secrets.randbits(64)
    for sequence in range(1, COUNT + 1):
        session.put(KEY, sample(source, sequence))
        time.sleep(0.01)
