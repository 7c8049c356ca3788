"""How many bytes more than its payload a request puts on the wire, measured on the same cable with payloads of known size.

TLS, HTTP/2 and gRPC add to each payload; how much is not assumed. One request at a time is sent, of several sizes, and what
left the box in between is put beside what the server itself counted. Through these points goes a line:

    bytes on the wire = connection + request + (1 + per_byte) x payload [+ given_up]

`spread` is the furthest that any request lay from the line: frames and records are whole, so it is a staircase in truth. One
of the sizes should lie just beyond a step. `given_up` is what taking a request back says, by requests that the server never
answers.
"""

import bisect
import dataclasses
import json


# How HTTP/2 and TLS take leave: a GOAWAY of 17 bytes and an alert of 2, each in a record of 22 more. By their specifications, not
# measured: the connection that is measured is not closed so.
CLOSING = 17 + 22 + 2 + 22


class Unmeasured(Exception):
    """The measurement holds no line."""


@dataclasses.dataclass
class Allowance:
    connection: float
    request: float
    per_byte: float
    given_up: float
    spread: float
    samples: int
    sizes: list

    def opening(self):
        """The most bytes that a connection puts on the wire besides its requests, its end included."""
        return self.connection + self.spread + CLOSING

    def of(self, attempt):
        """The most bytes that an attempt puts on the wire."""
        more = self.given_up if attempt.given_up else 0
        return self.request + self.spread + (1 + self.per_byte) * attempt.allowed_bytes + more

    def bound(self, attempts):
        """The most bytes that a connection with these attempts puts on the wire."""
        return self.opening() + sum(map(self.of, attempts))


@dataclasses.dataclass
class Heard:
    """A request as the server counted it."""

    at_ns: int
    ended_ns: int
    bytes: int
    sha256: str
    model: str
    id: str
    connection: str


def heard(path):
    """All requests in a server's list, in their order."""
    with open(path, encoding="utf-8") as lines:
        return sorted((Heard(**json.loads(line)) for line in lines), key=lambda one: one.at_ns)


def measure(flows, received, unanswered):
    """`received`: what the server heard on these connections, in order; `unanswered`: the model that it never answers for."""
    samples, first, given_up = [], [], []
    for flow in flows:
        heard = [one for one in received if one.connection == flow.local]
        if not heard:
            raise Unmeasured(f"the server heard nothing on the connection from {flow.local}")
        # Everything up to the second request is the connection's and the first request's.
        edges = [pause(flow, one.ended_ns, next_one.at_ns) for one, next_one in zip(heard, heard[1:])] + [flow.last_ns]
        first.append((flow.total(edges[0]), heard[0].bytes))
        for one, begin, end in zip(heard[1:], edges, edges[1:]):
            (given_up if one.model == unanswered else samples).append((one.bytes, flow.grew(begin, end)))
    return fit(samples, first, given_up)


def pause(flow, ended_ns, at_ns):
    """The longest silence between two requests: what follows an answer leaves before it, what opens the next one after it."""
    times = [when for when, _ in flow.growth]
    between = times[max(bisect.bisect_right(times, ended_ns) - 1, 0):bisect.bisect_right(times, at_ns)]
    if len(between) < 2:
        raise Unmeasured(f"nothing left between two requests on the connection from {flow.local}")
    return max(zip(between, between[1:]), key=lambda edges: edges[1] - edges[0])[0]


def fit(samples, first, given_up):
    """A line through (payload, bytes on the wire) by least squares, and what a connection's first request takes more, and
    one that is given up."""
    sizes = sorted({payload for payload, _ in samples})
    if len(samples) < 10 or not first or not given_up or len(sizes) < 3 or sizes[-1] < 4 * sizes[0]:
        raise Unmeasured(f"{len(samples)} requests of {sizes} bytes are too few or too alike")
    mean_x = sum(payload for payload, _ in samples) / len(samples)
    mean_y = sum(wire for _, wire in samples) / len(samples)
    slope = (sum((payload - mean_x) * (wire - mean_y) for payload, wire in samples)
             / sum((payload - mean_x) ** 2 for payload, _ in samples))
    request = mean_y - slope * mean_x
    spread = max(abs(wire - request - slope * payload) for payload, wire in samples)
    connection = max(wire - request - slope * payload for wire, payload in first)
    back = max(max(wire - request - slope * payload for payload, wire in given_up), 0)
    return Allowance(connection, request, slope - 1, back, spread, len(samples), [sizes[0], sizes[-1]])
