"""What was found, for an auditor to read and for a program to read."""

import collections
import dataclasses
import datetime
import platform

import allowance
import boxes


@dataclasses.dataclass
class SceneFound:
    """A scene in which wire and ledger must agree."""

    title: str
    scene: object
    carried: list
    findings: list
    verified: dict


@dataclasses.dataclass
class Control:
    """Something was planted: the comparison must find it. `also`: and so must somebody else."""

    planted: str
    must: str
    findings: list
    also: str = None

    def found(self):
        kinds = {finding.kind for finding in self.findings}
        return self.must in kinds and (self.also is None or self.also in kinds)

    def shown(self):
        return [finding for finding in self.findings if finding.kind in (self.must, self.also)]


@dataclasses.dataclass
class Report:
    allowance: object
    measured: object
    scenes: list
    controls: list

    def holds(self):
        return not any(scene.findings for scene in self.scenes) and all(control.found() for control in self.controls)

    def text(self):
        lines = [*self.allowance_lines()]
        for scene in self.scenes:
            lines += ["", *self.scene_lines(scene)]
        lines += ["", "Planted, to show that this proof can fail", table(
            [["planted", "must be found as", "", "what was seen"]]
            + [[control.planted, control.must + (f", {control.also}" if control.also else ""),
                "found" if control.found() else "NOT FOUND", seen(control)] for control in self.controls])]
        lines += ["", "The wire agrees with the ledger." if self.holds() else "THE WIRE DOES NOT AGREE WITH THE LEDGER."]
        return "\n".join(lines)

    def allowance_lines(self):
        measured = self.allowance
        return [
            f"What TLS, HTTP/2 and gRPC add, measured on this cable with {measured.samples} requests of "
            f"{measured.sizes[0]:,} to {measured.sizes[1]:,} bytes:",
            f"  {measured.connection:,.0f} bytes a connection ({allowance.CLOSING} more where it is closed) + {measured.request:.0f} a request + "
            f"{100 * measured.per_byte:.3f} % of the payload, {measured.given_up:.0f} where one is given up;",
            f"  no request lay further than {measured.spread:.1f} bytes off",
            "  room: what could have left besides without being seen, at most",
        ]

    def scene_lines(self, found):
        yield f"{found.title}: {found.scene.wire.frames:,} frames"
        rows = [["what left", "to", "hand-offs", "in the journal", "on the wire", "room", "rule"]]
        for connection in sorted(found.carried, key=lambda one: one.flow.first_ns):
            rows += self.connection_rows(connection)
        for stray in found.scene.wire.strays:
            if stray.from_kernel:
                rows.append([f"{stray.name} (kernel)", stray.to, "", "", f"{stray.out_bytes:,} B", "", "finds neighbours"])
        yield table(rows, right={2, 3, 4, 5})
        robots = [flow for flow in found.scene.wire.flows if flow.local == boxes.LISTEN and not flow.opened_by_box]
        own = sum(flow.interface == "lo" and flow.last_ns <= found.scene.ready_ns for flow in found.scene.wire.flows)
        answers = sum(flow.out_bytes for flow in robots)
        yield f"  within the machine, before the box serves: connections to itself, by which it measures its margin: {own}"
        yield f"  robots and clients came to {boxes.LISTEN}: connections: {len(robots)}, answers to them: {answers:,} B"
        yield f"  genba audit verify: {found.verified['finding']}, {found.verified['last']} records, " \
              f"signed to {found.verified['signed']}, anchored to {found.verified['anchored']}"
        yield f"  the cluster's own count: {len(found.scene.heard):,} requests heard"
        for finding in found.findings:
            yield f"  FOUND {finding.kind}: {finding.says}"
        if not found.findings:
            yield "  agrees: every connection is a recorded one, every byte is explained, every record is on the wire,"
            yield "  every body that the cluster heard has a record with its digest"

    def connection_rows(self, connection):
        """One row a connection, and below it one for each kind of thing that it carried."""
        flow = connection.flow
        bound = self.allowance.bound(connection.attempts)
        yield [f"connection of {flow.local}", flow.remote, f"{len(connection.attempts):,}", f"{connection.payload:,} B",
               f"{flow.out_bytes:,} B", room(bound - flow.out_bytes), ""]
        kinds = collections.defaultdict(list)
        for attempt in connection.attempts:
            kinds[(", ".join(attempt.classes), attempt.task, attempt.rule)].append(attempt)
        for (classes, task, rule), attempts in sorted(kinds.items()):
            payload = sum(attempt.allowed_bytes for attempt in attempts)
            yield [f"  {classes}, {task}", attempts[0].jurisdiction, f"{len(attempts):,}", f"{payload:,} B", "", "", rule]

    def json(self):
        return {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
            "holds": self.holds(),
            "allowance": dataclasses.asdict(self.allowance),
            "scenes": [self.scene_json(found) for found in self.scenes],
            "controls": [{"planted": control.planted, "must_be_found_as": control.must, "found": control.found(),
                          "findings": [dataclasses.asdict(finding) for finding in control.findings]}
                         for control in self.controls],
        }

    def scene_json(self, found):
        outcomes = collections.Counter(attempt.outcome for attempt in found.scene.attempts)
        return {
            "title": found.title, "frames": found.scene.wire.frames, "audit_verify": found.verified,
            "outcomes": {str(outcome): count for outcome, count in outcomes.items()},
            "heard_by_the_cluster": len(found.scene.heard),
            "findings": [dataclasses.asdict(finding) for finding in found.findings],
            "connections": [{
                "from": connection.flow.local, "to": connection.flow.remote, "hand_offs": len(connection.attempts),
                "payload_bytes": connection.payload, "wire_bytes": connection.flow.out_bytes,
                "sent_again_bytes": connection.flow.again_bytes,
                "allowed_bytes": round(self.allowance.bound(connection.attempts)),
            } for connection in found.carried],
            "kernel": [{"name": stray.name, "to": stray.to, "bytes": stray.out_bytes}
                       for stray in found.scene.wire.strays if stray.from_kernel],
        }


def room(bytes_left):
    """What could hide below the bound."""
    return f"{bytes_left:,.0f} B" if bytes_left >= 0 else f"{-bytes_left:,.0f} B TOO MANY"


def seen(control):
    shown = control.shown() or control.findings
    return shown[0].says if shown else "nothing"


def table(rows, right=()):
    """Rows in columns, the first row as their heads; `right` are the columns of numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) if column in right else cell.ljust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join(lines)
