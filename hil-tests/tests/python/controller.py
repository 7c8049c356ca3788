"""A robot's controller: sends an observation every 10 ms and prints what the box answers.

    python3 controller.py tcp/127.0.0.1:7447 demo/cell-1/ur5e/track CONTRACT [COUNT]

CONTRACT is the digest that `genba check` prints for the task. Needs nothing but eclipse-zenoh.
"""

import secrets
import struct
import sys
import time

import zenoh

ENDPOINT, KEY, CONTRACT = sys.argv[1:4]
COUNT = int(sys.argv[4]) if len(sys.argv) > 4 else 500
VALUES = [0.0] * 22  # one for each input element of the contract, in its order: your sensors


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def observation(epoch, sequence, last_response):
    """One frame, as adapters/message/msg/ObservationV1.msg lays it out."""
    robot_and_task = "/".join(KEY.split("/")[-2:])
    head = struct.pack(
        "<4sII16sQQQQI", b"\0\1\0\0", 0x5E460099, crc32c(robot_and_task.encode()), bytes.fromhex(CONTRACT),
        epoch, sequence, time.monotonic_ns(), last_response, 0)
    values = struct.pack(f"<I{len(VALUES)}f", 4 * len(VALUES), *VALUES)
    return head + struct.pack("<I", crc32c(head + values)) + values


def on_response(sample):
    """ResponseV1.msg; a controller in earnest also checks the CRC and its epoch."""
    frame = sample.payload.to_bytes()
    sequence, = struct.unpack_from("<Q", frame, 44)
    age_us, = struct.unpack_from("<I", frame, 104)
    reason, kind, _place = struct.unpack_from("<HBB", frame, 116)
    values = struct.unpack_from(f"<{(len(frame) - 128) // 4}f", frame, 128)
    said = {1: "action", 2: f"fallback E-{reason}", 3: f"refusal E-{reason}"}[kind]
    print(sequence, said, f"{age_us} us", *(f"{value:.3f}" for value in values), flush=True)
    if kind != 3:
        newest[0] = sequence


newest = [0]  # the last action or fallback seen; nothing in the first 100 ms: stop the robot
config = zenoh.Config.from_json5(f'{{mode: "client", connect: {{endpoints: ["{ENDPOINT}"]}}}}')
with zenoh.open(config) as session:
    subscriber = session.declare_subscriber(KEY + "/response", on_response)
    epoch = secrets.randbits(64)
    for sequence in range(1, COUNT + 1):
        session.put(KEY + "/observation", observation(epoch, sequence, newest[0]))
        time.sleep(0.01)
