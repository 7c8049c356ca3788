"""A client of one-off requests: asks the box each 100 ms and prints what it answers.

    python3 client.py tcp/127.0.0.1:7447 demo/cell-1/inspection/track CONTRACT [COUNT]

CONTRACT is the digest that `genba check` prints for the task. Needs nothing but eclipse-zenoh.
"""

import struct
import sys
import time

import zenoh

ENDPOINT, KEY, CONTRACT = sys.argv[1:4]
COUNT = int(sys.argv[4]) if len(sys.argv) > 4 else 50
VALUES = [0.0] * 22  # one for each input element of the contract, in its order


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def request(number, budget_us=0):
    """One frame, as adapters/message/msg/InferRequestV1.msg lays it out."""
    client_and_task = "/".join(KEY.split("/")[-2:])
    head = struct.pack(
        "<4sII16sQQI", b"\0\1\0\0", 0xB8E5305F, crc32c(client_and_task.encode()), bytes.fromhex(CONTRACT),
        number, time.monotonic_ns(), budget_us)
    values = struct.pack(f"<I{len(VALUES)}f", 4 * len(VALUES), *VALUES)
    return head + struct.pack("<I", crc32c(head + values)) + values


def said(frame):
    """InferReplyV1.msg; a client in earnest also checks the CRC and its request's number."""
    age_us, = struct.unpack_from("<I", frame, 68)
    reason, kind = struct.unpack_from("<HB", frame, 76)
    values = struct.unpack_from(f"<{(len(frame) - 88) // 4}f", frame, 88)
    return f"result {age_us} us " + " ".join(f"{value:.3f}" for value in values) if kind == 1 else f"refusal E-{reason}"


config = zenoh.Config.from_json5(f'{{mode: "client", connect: {{endpoints: ["{ENDPOINT}"]}}}}')
with zenoh.open(config) as session:
    for number in range(1, COUNT + 1):
        replies = list(session.get(KEY + "/infer", payload=request(number), timeout=5.0))
        for reply in replies:
            print(number, said((reply.ok or reply.err).payload.to_bytes()), flush=True)
        if not replies:  # its queue in the box was full
            print(number, "dropped", flush=True)
        time.sleep(0.1)
