"""What a capture holds: TCP connections with the bytes that left on each, and everything else by its name.

What is not understood is never left out: it becomes a `Stray` with what it looks like.
"""

import bisect
import dataclasses
import ipaddress
import struct

OUTGOING = 4
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
TCP, UDP, ICMP, IGMP, ICMP6, HOP_BY_HOP = 6, 17, 1, 2, 58, 0
SYN, ACK = 2, 16
MASK = 0xFFFFFFFF
LOOPBACK = "lo"
# What the kernel says by itself to find its neighbours; nothing that a program wrote is in it.
KERNEL_ICMP6 = {133: "router solicitation", 135: "neighbour solicitation", 136: "neighbour advertisement",
                143: "multicast listener report"}
OTHER = {ICMP: "ICMP", ICMP6: "ICMPv6", IGMP: "IGMP, joins a multicast group"}
UDP_NAMES = {53: "DNS look-up", 67: "DHCP", 123: "NTP", 5353: "mDNS", 7446: "zenoh scouting", 7447: "zenoh"}
TCP_NAMES = {53: "DNS look-up", 80: "HTTP", 443: "HTTPS", 4317: "OTLP exporter", 4318: "OTLP exporter"}


@dataclasses.dataclass
class Flow:
    """One TCP connection: what left on it, each byte counted once, whatever was sent again."""

    interface: str
    local: str
    remote: str
    opened_by_box: bool
    first_ns: int
    last_ns: int = 0
    answered: bool = False  # the other side accepted it
    out_bytes: int = 0
    again_bytes: int = 0
    # (time, bytes that had left by then), wherever some left for the first time.
    growth: list = dataclasses.field(default_factory=list)
    begin: int = None  # the sequence number of the first byte
    next: int = None

    def take(self, at_ns, segment):
        """A segment that left. What left unseen before it, if the capture has a hole, is counted as well."""
        first = segment.sequence + bool(segment.flags & SYN)
        if self.begin is None:
            self.begin = self.next = first & MASK
        # Signed distance, so that it holds where the numbers wrap around.
        new = (first + segment.payload - self.next + (1 << 31)) % (1 << 32) - (1 << 31)
        if segment.payload and new > 0:
            self.next = (first + segment.payload) & MASK
            self.out_bytes += new
            self.growth.append((at_ns, self.out_bytes))
        self.again_bytes += max(segment.payload - max(new, 0), 0)

    def grew(self, after_ns, until_ns):
        """Bytes that left for the first time within a span."""
        return self.total(until_ns) - self.total(after_ns)

    def total(self, at_ns):
        """Bytes that had left by then."""
        place = bisect.bisect_right(self.growth, at_ns, key=lambda step: step[0])
        return self.growth[place - 1][1] if place else 0


@dataclasses.dataclass
class Stray:
    """Frames that left and belong to no TCP connection."""

    interface: str
    name: str
    to: str
    from_kernel: bool
    first_ns: int
    frames: int = 0
    out_bytes: int = 0


@dataclasses.dataclass
class Wire:
    """All that passed the interfaces of a namespace."""

    flows: list
    strays: list
    frames: int


def read(path, interfaces):
    """Sorts a capture; `interfaces` are the names by their numbers."""
    sorter, frames = Sorter(), 0
    for at_ns, index, outgoing, protocol, packet, length in records(path):
        frames += 1
        interface = interfaces[index]
        # On loopback each frame is seen as it leaves and as it arrives.
        if interface != LOOPBACK or outgoing:
            sorter.take(at_ns, interface, outgoing, parse(protocol, packet, length), length)
    return Wire(sorter.ended + list(sorter.flows.values()), list(sorter.strays.values()), frames)


@dataclasses.dataclass
class Segment:
    source: str
    target: str
    sequence: int
    flags: int
    payload: int


def records(path):
    """Time, interface, whether it left, protocol, packet and its true length of each frame."""
    with open(path, "rb") as capture:
        magic, = struct.unpack("<I", capture.read(24)[:4])
        if magic != 0xA1B23C4D:
            raise ValueError(f"{path} is no capture")
        while head := capture.read(16):
            seconds, nanos, kept, length = struct.unpack("<IIII", head)
            data = capture.read(kept)
            if len(data) != kept:
                raise ValueError(f"{path} is cut short")
            protocol, _, index, _, kind = struct.unpack_from(">HHIHB", data)
            yield seconds * 1_000_000_000 + nanos, index, kind == OUTGOING, protocol, data[20:], length - 20


def parse(protocol, packet, length):
    """A TCP segment, or what else it is, to whom, and whether the kernel sends it by itself."""
    try:
        if protocol == ARP:
            return "ARP", dotted(packet[24:28]), True
        if protocol == IPV4:
            return parse_ip4(packet)
        if protocol == IPV6:
            return parse_ip6(packet)
    except (struct.error, IndexError):
        return f"broken frame of {length} bytes", "", False
    return f"Ethernet protocol {protocol:#06x}", "", False


def parse_ip4(packet):
    head = (packet[0] & 15) * 4
    total, fragment = struct.unpack_from(">H", packet, 2)[0], struct.unpack_from(">H", packet, 6)[0] & 0x1FFF
    source, target = dotted(packet[12:16]), dotted(packet[16:20])
    if fragment:
        return "IP fragment", target, False
    return parse_transport(packet[9], packet[head:], total - head, source, target)


def parse_ip6(packet):
    length, kind = struct.unpack_from(">HB", packet, 4)
    source, target = coloned(packet[8:24]), coloned(packet[24:40])
    rest = packet[40:]
    if kind == HOP_BY_HOP:  # the router alert of a listener report
        kind, extra = rest[0], (rest[1] + 1) * 8
        rest, length = rest[extra:], length - extra
    if kind == ICMP6 and rest[0] in KERNEL_ICMP6:
        return KERNEL_ICMP6[rest[0]], target, True
    return parse_transport(kind, rest, length, source, target)


def parse_transport(kind, rest, length, source, target):
    if kind == TCP:
        source_port, target_port, sequence = struct.unpack_from(">HHI", rest)
        payload = length - (rest[12] >> 4) * 4
        return Segment(f"{source}:{source_port}", f"{target}:{target_port}", sequence, rest[13], payload)
    if kind == UDP:
        port, = struct.unpack_from(">H", rest, 2)
        return UDP_NAMES.get(port, "UDP"), f"{target}:{port}", False
    return OTHER.get(kind, f"IP protocol {kind}"), target, False


class Sorter:
    """Puts each frame to its connection, or to the strays of its name."""

    def __init__(self):
        self.flows, self.ended, self.strays = {}, [], {}

    def take(self, at_ns, interface, outgoing, parsed, length):
        if isinstance(parsed, Segment):
            self.take_segment(at_ns, interface, outgoing, parsed)
        elif outgoing:
            name, to, from_kernel = parsed
            stray = self.strays.setdefault((interface, name, to), Stray(interface, name, to, from_kernel, at_ns))
            stray.frames += 1
            stray.out_bytes += length

    def take_segment(self, at_ns, interface, outgoing, segment):
        local, remote = (segment.source, segment.target) if outgoing else (segment.target, segment.source)
        # Both ends of a connection over loopback are here: it is told once, from the end that opened it.
        if interface == LOOPBACK and (interface, remote, local) in self.flows:
            local, remote, outgoing = remote, local, False
        opens = bool(segment.flags & SYN and not segment.flags & ACK)
        key = (interface, local, remote)
        flow = self.flows.get(key)
        if flow is not None and opens and outgoing and flow.begin != (segment.sequence + 1) & MASK:
            self.ended.append(self.flows.pop(key))  # the same ports, used again
            flow = None
        if flow is None:
            # Who opened a connection that was there before the capture is not known: the box answers for it.
            flow = self.flows[key] = Flow(interface, local, remote, outgoing or not opens, at_ns)
        flow.last_ns = at_ns
        if outgoing:
            flow.take(at_ns, segment)
        else:
            flow.answered |= bool(segment.flags & SYN and segment.flags & ACK)


def dotted(address):
    return ".".join(str(byte) for byte in address[:4])


def coloned(address):
    return f"[{ipaddress.IPv6Address(bytes(address))}]"
