"""Does the wire agree with the ledger? Every byte that left is looked for in the journal, and every record on the wire."""

import collections
import dataclasses

from ledger import ARRIVED
from packets import LOOPBACK, TCP_NAMES

# A frame gets its time from the kernel, a record from the process: both read the same clock, at most so far apart.
GRACE_NS = 2_000_000


@dataclasses.dataclass
class Finding:
    """Something that left without a record, or a record of something that did not leave."""

    kind: str
    says: str


@dataclasses.dataclass
class Accounted:
    """A connection with the attempts that it carried."""

    flow: object
    attempts: list

    @property
    def payload(self):
        return sum(attempt.allowed_bytes for attempt in self.attempts)


def compare(wire, attempts, heard, allowance, listen, ready_ns):
    """All findings, and the connections to clusters with what they carried. `heard`: what the servers counted, none if
    nobody did; `listen`: where robots reach the box; `ready_ns`: when it began to serve them."""
    findings = [Finding(stray.name, f"{stray.frames} frames, {stray.out_bytes} bytes to {stray.to}")
                for stray in wire.strays if not stray.from_kernel]
    endpoints = {attempt.endpoint for attempt in attempts}
    to_clusters = []
    for flow in wire.flows:
        if flow.interface == LOOPBACK:
            # What listens within the machine could pass it on. Before the box serves anybody it measures its own margin, by a
            # connection to itself: there is no data yet.
            if flow.last_ns > ready_ns:
                findings.append(Finding("a connection within the machine", f"{flow.out_bytes} bytes to {flow.remote}"))
        elif not flow.opened_by_box:
            if flow.local != listen:
                findings.append(Finding("a connection into the box", f"{flow.remote} to {flow.local}"))
        elif flow.remote not in endpoints:
            findings.append(Finding(foreign(flow), f"{flow.out_bytes} bytes to {flow.remote}, where no record says that "
                                                   "anything went"))
        elif flow.out_bytes or flow.answered:
            to_clusters.append(flow)
    carried, lost = assign(to_clusters, attempts, heard)
    findings += [not_on_the_wire(attempt, grew) for attempt, grew in lost]
    for connection in carried:
        findings += judge(connection, allowance)
    return findings + ([] if heard is None else against_servers(attempts, heard)), carried


def foreign(flow):
    port = int(flow.remote.rpartition(":")[2])
    return TCP_NAMES.get(port, "an unrecorded connection")


def assign(flows, attempts, heard):
    """Each attempt to the connection on which a server heard its body; where none did, to the one of its endpoint on which
    most left while it was under way. And attempts whose payload is on none of them, with what there was."""
    carried = {id(flow): Accounted(flow, []) for flow in flows}
    known = {one.sha256: one.connection for one in heard or []}
    lost = []
    for attempt in attempts:
        until = attempt.ended_ns + GRACE_NS
        there = [flow for flow in flows if flow.remote == attempt.endpoint and flow.first_ns <= until]
        there = [flow for flow in there if flow.last_ns >= attempt.at_ns - GRACE_NS]
        where = known.get(attempt.payload_sha256)
        there = [flow for flow in there if flow.local == where] or there
        flow = max(there, key=lambda flow: flow.grew(attempt.at_ns - GRACE_NS, until), default=None)
        grew = flow.grew(attempt.at_ns - GRACE_NS, until) if flow else 0
        if attempt.outcome in ARRIVED and grew < attempt.payload_bytes:
            lost.append((attempt, grew))
        if flow:
            carried[id(flow)].attempts.append(attempt)
    return list(carried.values()), lost


def not_on_the_wire(attempt, grew):
    return Finding("a record of what did not leave", f"record {attempt.n} says that {attempt.payload_bytes} bytes went to "
                                                     f"{attempt.endpoint}; {grew} did in that time")


def judge(connection, allowance):
    """At no moment may more have left than what was allowed by records that had been made by then."""
    flow, attempts = connection.flow, sorted(connection.attempts, key=lambda attempt: attempt.at_ns)
    if not attempts:
        return [Finding("a connection without a record", f"{flow.local} to {flow.remote}: {flow.out_bytes} bytes, no intent "
                                                         "that it could have carried")]
    allowed, place = allowance.opening(), 0
    for at_ns, left in flow.growth:
        while place < len(attempts) and attempts[place].at_ns <= at_ns + GRACE_NS:
            allowed += allowance.of(attempts[place])
            place += 1
        if left > allowed:
            total = allowance.bound(attempts)
            if flow.out_bytes > total:
                return [Finding("more left than is recorded", f"{flow.local} to {flow.remote}: {flow.out_bytes} bytes, "
                                f"{connection.payload} recorded, {total - connection.payload:.0f} allowed beside them")]
            return [Finding("left before its record", f"{flow.local} to {flow.remote}: {left} bytes when records allowed "
                            f"{allowed:.0f}")]
    return []


def after_withdrawal(wire, carried, withdrawn_ns, allowance):
    """Once the record that there is no policy is on the disk, not one byte of a payload leaves: connections are only closed."""
    if withdrawn_ns is None:
        return [Finding("no record of the withdrawal", "the policy was withdrawn, and the journal does not say so")]
    findings = []
    for flow in wire.flows:
        left = flow.grew(withdrawn_ns + GRACE_NS, flow.last_ns)
        if any(connection.flow is flow for connection in carried) and left > allowance.request + allowance.spread:
            findings.append(Finding("left after the policy was withdrawn", f"{left} bytes to {flow.remote}"))
    return findings


def against_servers(attempts, received):
    """Every body that a server heard is a recorded one, by its digest, and every one that was answered was heard."""
    findings = []
    recorded = collections.Counter(attempt.payload_sha256 for attempt in attempts if attempt.allowed_bytes)
    heard = collections.Counter(one.sha256 for one in received)
    for one in received:
        if heard[one.sha256] > recorded[one.sha256]:
            findings.append(Finding("a server heard what no record has", f"{one.bytes} bytes, sha256 {one.sha256[:16]}..."))
    for attempt in attempts:
        if attempt.outcome in ARRIVED and heard[attempt.payload_sha256] == 0:
            findings.append(Finding("no server heard what is recorded", f"record {attempt.n}"))
    return findings
