"""Writes every frame of every interface of the namespace that it runs in, until its input ends.

    python3 capture.py FILE

FILE is a pcap file (LINKTYPE_LINUX_SLL2) that any network tool reads, each frame cut after SNAP bytes, its true length kept.
Prints `ready` when nothing can pass unseen any more and, at the end, one JSON object with what the kernel counted.
"""

import json
import select
import socket
import struct
import sys

SNAP = 256  # all headers, a look-up's name, a first line of HTTP; of a payload no more
LINKTYPE_LINUX_SLL2 = 276
ETH_P_ALL = 3
BUFFER = 64 << 20
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
# Even a frame that was not cut into the cable's size yet.
LARGEST = 1 << 17


def opened():
    """A socket that hears all, by the kernel's own time of each frame."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    heard.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    heard.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    heard.setblocking(False)
    return heard


def header():
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, SNAP + 20, LINKTYPE_LINUX_SLL2)


def record(frame, length, wall_ns, address, indices):
    """One frame as pcap has it: 20 bytes about the link before the packet."""
    name, protocol, kind, hardware, source = address
    link = struct.pack(">HHIHBB8s", protocol, 0, indices(name), hardware, kind, len(source), source[:8])
    seconds, nanos = divmod(wall_ns, 1_000_000_000)
    return struct.pack("<IIII", seconds, nanos, len(link) + len(frame), len(link) + length) + link + frame


def take(heard, out, indices):
    """All that is there now."""
    while True:
        try:
            frame, ancillary, flags, address = heard.recvmsg(SNAP, 128, socket.MSG_TRUNC)
        except BlockingIOError:
            return
        stamps = [data for level, kind, data in ancillary if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
        seconds, nanos = struct.unpack("qq", stamps[0])
        length = true_length(frame, address[1]) if flags & socket.MSG_TRUNC else len(frame)
        out.write(record(frame, length, seconds * 1_000_000_000 + nanos, address, indices))


def true_length(frame, protocol):
    """Of a frame that was cut, by its own header. One that does not tell is taken as what was seen."""
    if protocol == 0x0800:
        return struct.unpack_from(">H", frame, 2)[0] or len(frame)
    if protocol == 0x86DD:
        return 40 + struct.unpack_from(">H", frame, 4)[0]
    return len(frame)


def indices():
    """Names of interfaces to their numbers; those of the moment, and never forgotten."""
    known = {}

    def index(name):
        if name not in known:
            known[name] = socket.if_nametoindex(name)
        return known[name]

    return index


def main(path):
    heard = opened()
    index = indices()
    with open(path, "wb") as out:
        out.write(header())
        out.flush()
        print("ready", flush=True)
        while True:
            readable, _, _ = select.select([heard, sys.stdin], [], [])
            take(heard, out, index)
            if sys.stdin in readable and not sys.stdin.readline():
                break
        # What was sent before the end was asked for is in the socket's queue by now.
        take(heard, out, index)
    seen, lost = struct.unpack("II", heard.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    names = {number: name for number, name in socket.if_nameindex()}
    print(json.dumps({"frames": seen, "lost": lost, "interfaces": names}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
