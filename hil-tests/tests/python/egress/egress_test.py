"""The comparison of wire and ledger, on made-up packets and journals, and once on real ones with a stand-in for the box."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

import allowance
import capture
import compare
import ledger
import packets
import pki
import pretender
from namespaces import CLUSTER, Joined, NoNamespace

HERE = pathlib.Path(__file__).resolve().parent
CABLE, BOX, PEER = "cable", "10.99.0.1", "10.99.0.2"
ENDPOINT, LISTEN = f"{PEER}:8001", "10.98.0.1:7447"
S = 1_000_000_000
MEASURED = allowance.Allowance(connection=2000, request=100, per_byte=0.003, given_up=35, spread=10, samples=20, sizes=[1000, 9000])


class Packets:
    """A capture that never was."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(suffix=".pcap")
        self.file.write(capture.header())

    def add(self, at_ns, packet, protocol=packets.IPV4, outgoing=True, interface=CABLE, length=None):
        address = (interface, protocol, packets.OUTGOING if outgoing else 0, 1, b"\2\0\0\0\0\1")
        self.file.write(capture.record(packet[:capture.SNAP], length or len(packet), at_ns, address,
                                       {"lo": 1, CABLE: 2}.get))

    def tcp(self, at_ns, sequence, payload, flags=packets.ACK, ends=(f"{BOX}:40000", ENDPOINT), **how):
        (source, source_port), (target, target_port) = (end.split(":") for end in ends)
        segment = struct.pack(">HHIIBBHHH", int(source_port), int(target_port), sequence & packets.MASK, 0, 5 << 4, flags,
                              0, 0, 0)
        packet = ip4(packets.TCP, segment, source, target, payload)
        self.add(at_ns, packet, length=len(packet) + payload, **how)

    def opened(self, at_ns=S, sequence=0, **how):
        self.tcp(at_ns, sequence - 1, 0, packets.SYN, **how)
        ends = how.pop("ends", (f"{BOX}:40000", ENDPOINT))
        within = how.get("interface") == "lo"  # where an answer is seen as it leaves, too
        self.tcp(at_ns, 999, 0, packets.SYN | packets.ACK, ends=ends[::-1], outgoing=within, **how)

    def read(self):
        self.file.flush()
        return packets.read(self.file.name, {1: "lo", 2: CABLE})


def ip4(protocol, payload, source, target, more=0):
    addresses = b"".join(bytes(map(int, address.split("."))) for address in [source, target])
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload) + more, 0, 0, 64, protocol, 0) + addresses + payload


def udp(port, target):
    return ip4(packets.UDP, struct.pack(">HHHH", 50000, port, 12, 0) + b"ask!", BOX, target)


def attempt(n, at_ns, size, **changed):
    known = {"n": n, "at_ns": at_ns, "task": "inspect", "model": "large", "classes": ["image/internal"], "rule": "r",
             "jurisdiction": "jp", "cluster": "tokyo", "endpoint": ENDPOINT, "spiffe_id": "s", "payload_bytes": size,
             "payload_sha256": str(n), "outcome": "delivered", "ended_ns": at_ns + S // 2}
    return ledger.Attempt(**{**known, **changed})


class Sorting(unittest.TestCase):
    def test_a_byte_counts_once_however_often_it_is_sent(self):
        seen = Packets()
        seen.opened(sequence=packets.MASK - 500)  # and the numbers wrap around
        for at, sequence, size in [(2, 0, 1000), (3, 0, 1000), (4, 500, 1000), (5, 1500, 64_000)]:
            seen.tcp(at * S, packets.MASK - 500 + sequence, size)
        flow, = seen.read().flows
        self.assertEqual((flow.out_bytes, flow.again_bytes, flow.remote), (65_500, 1500, ENDPOINT))
        self.assertTrue(flow.opened_by_box and flow.answered)
        self.assertEqual((flow.total(2 * S), flow.grew(3 * S, 4 * S), flow.total(9 * S)), (1000, 500, 65_500))

    def test_what_the_capture_missed_counts_as_left(self):
        seen = Packets()
        seen.opened()
        seen.tcp(2 * S, 5000, 100)
        self.assertEqual(seen.read().flows[0].out_bytes, 5100)

    def test_ports_that_are_used_again_are_another_connection(self):
        seen = Packets()
        for begin in [0, 70_000]:
            seen.opened(sequence=begin)
            seen.tcp(2 * S, begin, 10)
        self.assertEqual([flow.out_bytes for flow in seen.read().flows], [10, 10])

    def test_loopback_is_told_once_and_incoming_bytes_are_not_the_boxs(self):
        seen = Packets()
        ends = ("127.0.0.1:40000", "127.0.0.1:7447")
        for outgoing in [True, False]:
            seen.tcp(S, 0, 0, packets.SYN, ends=ends, interface="lo", outgoing=outgoing)
            seen.tcp(2 * S, 1, 300, ends=ends, interface="lo", outgoing=outgoing)
            seen.tcp(3 * S, 5, 900, ends=ends[::-1], interface="lo", outgoing=outgoing)
        seen.tcp(4 * S, 0, 0, packets.SYN, ends=(f"{PEER}:50000", f"{BOX}:22"), outgoing=False)
        local, inward = seen.read().flows
        self.assertEqual((local.out_bytes, local.remote), (300, ends[1]))
        self.assertEqual((inward.out_bytes, inward.opened_by_box), (0, False))

    def test_everything_that_is_no_connection_has_a_name(self):
        seen = Packets()
        seen.add(S, bytes(24) + bytes([10, 99, 0, 2]), packets.ARP)
        seen.add(S, b"\x60\0\0\0\0\x08\x3a\xff" + bytes(32) + b"\x87" + bytes(7), packets.IPV6)
        seen.add(S, b"\x60\0\0\0\0\x08\x3a\xff" + bytes(32) + b"\x80" + bytes(7), packets.IPV6)
        seen.add(S, udp(53, PEER))
        seen.add(S, udp(7446, "224.0.0.224"))
        seen.add(S, udp(53, PEER), outgoing=False)
        seen.add(S, b"??", 0x88CC)
        seen.add(S, b"\x45")
        found = {(stray.name, stray.from_kernel) for stray in seen.read().strays}
        self.assertEqual(found, {
            ("ARP", True), ("neighbour solicitation", True), ("ICMPv6", False), ("DNS look-up", False),
            ("zenoh scouting", False), ("Ethernet protocol 0x88cc", False), ("broken frame of 1 bytes", False)})


class Ledgers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.journal = pretender.Journal(self.path / "true")
        self.addCleanup(self.journal.file.close)

    def test_an_attempt_is_an_intent_and_its_outcome(self):
        first = self.journal.intent(ENDPOINT, "aa", 100, at_ns=5 * S)
        self.journal.intent(ENDPOINT, "bb", 200, at_ns=6 * S)
        self.journal.outcome(first, at_ns=7 * S)
        one, two = ledger.read(self.path / "true")
        self.assertEqual((one.payload_bytes, one.outcome, one.at_ns, one.ended_ns), (100, "delivered", 5 * S, 7 * S))
        self.assertEqual((two.outcome, two.allowed_bytes), (None, 200))

    def test_a_policy_is_withdrawn_until_another_one_is_committed(self):
        self.assertIsNone(ledger.withdrawn(self.path / "true"))
        self.journal.add("policy", {"withdrawn": {"why": "it is gone"}}, at_ns=5 * S)
        self.assertEqual(ledger.withdrawn(self.path / "true"), 5 * S)
        self.journal.add("policy", {"committed": {"version": 2, "digest": "00"}})
        self.assertIsNone(ledger.withdrawn(self.path / "true"))

    def test_a_line_that_was_touched_is_found(self):
        self.journal.intent(ENDPOINT, "aa", 100)
        file = self.path / "true" / "journal-000001.jsonl"
        file.write_text(file.read_text().replace('"payload_bytes":100', '"payload_bytes":10'))
        with self.assertRaises(ledger.Broken):
            ledger.read(self.path / "true")

    def test_a_forger_without_the_key_makes_numbers_and_hashes_fit(self):
        for size in [100, 200, 300]:
            self.journal.outcome(self.journal.intent(ENDPOINT, f"{size}", size))
        self.journal.add("head", {"of": 6, "hash": self.journal.prev, "signature": "00"})
        without = {3, 4}
        ledger.forge(self.path / "true", self.path / "forged", lambda n, kind, said: None if n in without else said)
        self.assertEqual([(one.n, one.payload_bytes, one.outcome) for one in ledger.read(self.path / "forged")],
                         [(1, 100, "delivered"), (3, 300, "delivered")])


class Comparing(unittest.TestCase):
    """One connection that carried two recorded payloads, and what makes it suspicious."""

    def setUp(self):
        self.seen = Packets()
        self.seen.opened()
        self.seen.tcp(2 * S, 0, 2000)  # handshake
        self.seen.tcp(3 * S, 2000, 1103)
        self.seen.tcp(5 * S, 3103, 9127)
        self.attempts = [attempt(1, 3 * S - 1000, 1000), attempt(3, 5 * S - 1000, 9000)]
        self.heard = None

    def found(self):
        findings, self.carried = compare.compare(self.seen.read(), self.attempts, self.heard, MEASURED, LISTEN, S)
        return [finding.kind for finding in findings]

    def test_what_is_recorded_is_no_finding(self):
        self.seen.add(S, bytes(24) + bytes([10, 99, 0, 2]), packets.ARP)
        self.seen.tcp(S, 0, 0, packets.SYN, ends=("10.98.0.2:50000", LISTEN), outgoing=False)
        self.seen.tcp(S, 0, 60_000, ends=(LISTEN, "10.98.0.2:50000"))
        self.assertEqual(self.found(), [])
        self.assertEqual([len(connection.attempts) for connection in self.carried], [2])

    def test_a_look_up_scouting_and_an_exporter_are_found(self):
        self.seen.add(S, udp(53, PEER))
        self.seen.add(S, udp(7446, "224.0.0.224"))
        self.seen.tcp(S, 0, 0, packets.SYN, ends=(f"{BOX}:40001", f"{PEER}:4318"))
        self.assertEqual(sorted(self.found()), ["DNS look-up", "OTLP exporter", "zenoh scouting"])

    def test_a_connection_that_comes_in_elsewhere_or_stays_within_is_found(self):
        self.seen.tcp(S, 0, 0, packets.SYN, ends=(f"{PEER}:50000", f"{BOX}:22"), outgoing=False)
        ends = ("127.0.0.1:40000", "127.0.0.1:4318")
        self.seen.opened(at_ns=S // 2, ends=("127.0.0.1:40000", "127.0.0.1:40100"), interface="lo")  # measures its margin
        self.seen.opened(at_ns=S + 1, ends=ends, interface="lo")
        self.assertEqual(sorted(self.found()), ["a connection into the box", "a connection within the machine"])

    def test_a_removed_record_is_found(self):
        del self.attempts[1]
        self.assertEqual(self.found(), ["more left than is recorded"])

    def test_a_lowered_size_is_found(self):
        self.attempts[1].payload_bytes = 8000
        self.assertEqual(self.found(), ["more left than is recorded"])

    def test_a_record_of_what_never_left_is_found(self):
        self.attempts.append(attempt(5, 8 * S, 5000))
        self.assertEqual(self.found(), ["a record of what did not leave"])

    def test_a_payload_before_its_record_is_found(self):
        self.attempts[1] = attempt(3, 5 * S + 100_000_000, 9000, ended_ns=6 * S)
        self.seen.tcp(6 * S, 12_230, 0)
        self.assertEqual(self.found(), ["a record of what did not leave", "left before its record"])

    def test_another_connection_to_the_same_server_is_found(self):
        for place, size in [(1, 40), (2, 50_000)]:
            ends = (f"{BOX}:4100{place}", ENDPOINT)
            self.seen.opened(at_ns=3 * S, ends=ends)
            self.seen.tcp(4 * S, 0, size, ends=ends)
        self.assertEqual(self.found(), ["a connection without a record"] * 2)

    def test_a_connection_that_sends_as_much_at_the_same_time_takes_nobodys_record(self):
        ends = (f"{BOX}:41000", ENDPOINT)
        self.seen.opened(at_ns=3 * S, ends=ends)
        self.seen.tcp(5 * S, 0, 9500, ends=ends)
        self.heard = [allowance.Heard(0, 0, one.payload_bytes, one.payload_sha256, "large", "", f"{BOX}:40000")
                      for one in self.attempts]
        self.assertEqual(self.found(), ["a connection without a record"])

    def test_what_the_servers_heard_is_held_to_the_records(self):
        self.heard = [allowance.Heard(0, 0, size, digest, "large", "", f"{BOX}:40000")
                      for size, digest in [(1000, "1"), (9000, "altered")]]
        self.assertEqual(self.found(), ["a server heard what no record has", "no server heard what is recorded"])

    def test_what_leaves_after_the_policy_was_withdrawn_is_found(self):
        self.assertEqual(self.found(), [])
        wire = self.seen.read()
        for at_ns, kinds in [(4 * S, ["left after the policy was withdrawn"]), (6 * S, []),
                             (None, ["no record of the withdrawal"])]:
            carried = compare.compare(wire, self.attempts, None, MEASURED, LISTEN, S)[1]
            findings = compare.after_withdrawal(wire, carried, at_ns, MEASURED)
            self.assertEqual([finding.kind for finding in findings], kinds)

    def test_what_was_not_sent_allows_nothing(self):
        self.attempts[1].outcome = ledger.NOT_SENT
        self.assertEqual(self.found(), ["more left than is recorded"])

    def test_a_server_that_is_gone_is_knocked_at_without_a_word(self):
        self.seen.tcp(9 * S, 0, 0, packets.SYN, ends=(f"{BOX}:42000", ENDPOINT))
        self.assertEqual(self.found(), [])


class Measuring(unittest.TestCase):
    def test_a_line_is_found_with_its_spread(self):
        samples = [(size, 100 + size * 1.01 + off) for size in [1000, 9000, 50_000]
                   for off in [-2, 0, 2] * 2]
        found = allowance.fit(samples, [(2000 + 100 + 1010, 1000)], [(1000, 1110 + 35)])
        for have, want in [(found.request, 100), (found.per_byte, 0.01), (found.connection, 2000), (found.spread, 2),
                           (found.given_up, 35)]:
            self.assertAlmostEqual(have, want, places=6)
        answered, expired = (attempt(n, S, 1000, outcome=outcome) for n, outcome in [(1, "delivered"), (3, "expired")])
        self.assertAlmostEqual(found.bound([answered, expired]), 2002 + 63 + 2 * (102 + 1010) + 35)

    def test_sizes_that_are_alike_show_no_line(self):
        with self.assertRaises(allowance.Unmeasured):
            allowance.fit([(1000, 1100)] * 20, [(2000, 1000)], [(1000, 1100)])


class OnACable(unittest.TestCase):
    """Real frames: the stand-in sends to the counting server, and what is captured is compared with its journal."""

    @classmethod
    def setUpClass(cls):
        cls.why_not = None
        try:
            cls.joined = Joined()
            cls.prepare()
        except (NoNamespace, pki.NoCertificates) as why:
            cls.why_not = f"{'no network namespace' if isinstance(why, NoNamespace) else 'no certificates'}: {why}"

    def setUp(self):
        if self.why_not:
            if "GENBA_SKIPS" in os.environ:
                with open(os.environ["GENBA_SKIPS"], "a", encoding="utf-8") as skips:
                    print(f"{self.id()}: {self.why_not}", file=skips)
            self.skipTest(self.why_not)

    @classmethod
    def prepare(cls):
        cls.addClassCleanup(cls.joined.close)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.keys = pki.make(cls.folder)
        cls.start(cls.joined.cluster, "server.py", ENDPOINT, cls.folder / "heard", cls.keys / "server.pem",
                  cls.keys / "server.key", cls.keys / "ca.pem", json.dumps({"large": [["mean", "FP32", [1, 3]]]}))
        cls.measured = cls.measure()

    @classmethod
    def start(cls, namespace, script, *words):
        command = namespace.command(sys.executable, HERE / script, *words)
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        cls.addClassCleanup(cls.end, process)
        if process.stdout.readline() != "ready\n":
            raise AssertionError(f"{script} does not start")
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.communicate()

    @classmethod
    def seen(cls, name, *sizes):
        """What the stand-in did on the wire, in its journal, and at the server."""
        heard = cls.heard()
        capturing = cls.start(cls.joined.box, "capture.py", cls.folder / f"{name}.pcap")
        command = cls.joined.box.command(sys.executable, HERE / "pretender.py", ENDPOINT, cls.folder / name,
                                         cls.keys / "box.pem", cls.keys / "box.key", cls.keys / "ca.pem", *sizes)
        subprocess.run(list(map(str, command)), check=True)
        counted = json.loads(capturing.communicate("", timeout=10)[0])
        assert counted["lost"] == 0, counted
        names = {int(number): interface for number, interface in counted["interfaces"].items()}
        wire = packets.read(cls.folder / f"{name}.pcap", names)
        return wire, ledger.read(cls.folder / name), cls.heard()[len(heard):]

    @classmethod
    def heard(cls):
        path = cls.folder / "heard"
        return allowance.heard(path) if path.exists() else []

    @classmethod
    def measure(cls):
        wire, _, heard = cls.seen("measure", *["2000", "16400", "300000", "given-up", "2000"] * 5)
        return allowance.measure([flow for flow in wire.flows if flow.remote == ENDPOINT], heard, "never")

    def found(self, name, *sizes):
        wire, attempts, heard = self.seen(name, *sizes)
        findings, _ = compare.compare(wire, attempts, heard, self.measured, LISTEN, 0)
        return [finding.kind for finding in findings]

    def test_a_true_journal_agrees_with_the_wire_and_the_server(self):
        self.assertEqual(self.found("true", "500", "70000", "given-up", "500", "200000"), [])

    def test_a_body_without_a_record_is_found_on_the_wire_and_by_the_server(self):
        self.assertEqual(self.found("unrecorded", "500", "unrecorded", "4000", "500"),
                         ["more left than is recorded", "a server heard what no record has"])

    def test_a_body_larger_than_its_record_is_found(self):
        self.assertEqual(self.found("inflated", "500", "inflated", "9000"), ["more left than is recorded"])


if __name__ == "__main__":
    unittest.main()
