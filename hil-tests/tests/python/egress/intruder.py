"""What must not go unnoticed: another program on the box's network that sends what no record has.

    python3 intruder.py scouting | exporter | look-up | smuggler  PEER ENDPOINT
"""

import http.client
import socket
import struct
import sys
import time


def scouting(_peer, _endpoint):
    """A zenoh session as zenoh's defaults have it: it looks for others by multicast."""
    import zenoh

    with zenoh.open(zenoh.Config.from_json5('{mode: "peer", listen: {endpoints: []}}')):
        time.sleep(2)


def exporter(peer, _endpoint):
    """Traces, sent to whoever collects them."""
    http.client.HTTPConnection(peer, 4318, timeout=5).request("POST", "/v1/traces", b'{"resourceSpans": []}')


def look_up(peer, _endpoint):
    """A question to a name server, which tells it what one is about to do."""
    name = b"".join(bytes([len(part)]) + part for part in b"collector.example.com".split(b"."))
    question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(question, (peer, 53))


def smuggler(_peer, endpoint):
    """Bytes to the very server that the box may speak with, while it does."""
    host, port = endpoint.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as stream:
        stream.sendall(b"a drawing of the part" * 100)
        time.sleep(0.2)


if __name__ == "__main__":
    {"scouting": scouting, "exporter": exporter, "look-up": look_up, "smuggler": smuggler}[sys.argv[1]](*sys.argv[2:])
