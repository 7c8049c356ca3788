"""Proves that what leaves a box is what its journal says, by a capture of every frame; and that this proof can fail.

    python3 prove.py [--short] [--seconds N] [--genba PATH] [--json FILE] [--keep FOLDER]

Exits with 0 (the wire agrees with the ledger, and each thing planted was found), 1 (it does not), or 3 (this machine lets
nobody make a network namespace, or is too busy for the box to begin: nothing is proven).
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time

import allowance
import boxes
import compare
import ledger
import report
from namespaces import CLUSTER, NoNamespace
from pki import NoCertificates
from scene import AT_LEAST_S, HERE, Busy, Failed, Scene, Stage, interpreter

# What is planted, and what must be found then. Scouting comes last: leaving its multicast group is told for seconds.
INTRUDERS = {"exporter": "OTLP exporter", "look-up": "DNS look-up", "smuggler": "a connection without a record",
             "scouting": "zenoh scouting"}


class Proof:
    def __init__(self, stage, seconds, repeats):
        self.stage, self.seconds, self.repeats = stage, seconds, repeats
        self.scenes, self.controls = [], []

    def measure(self):
        """Pictures of known size, one at a time; nothing else is asked in between but the probe of the other endpoint."""
        scene = Scene(self.stage, "measure", boxes.pictures, 60_000, lambda scene: scene.ask_pictures(450, self.repeats))
        first = [flow for flow in scene.wire.flows if flow.remote == boxes.ENDPOINTS[0]]
        heard = [one for one in scene.heard if one.connection in {flow.local for flow in first}]
        self.allowance = allowance.measure(first, heard, boxes.UNANSWERED)
        return scene

    def scene(self, title, name, write_box, play, withdrawn=False):
        """A scene in which all must agree."""
        scene = Scene(self.stage, name, write_box, 1000, play, AT_LEAST_S)
        findings, carried = compare.compare(scene.wire, scene.attempts, scene.heard, self.allowance, boxes.LISTEN, scene.ready_ns)
        findings += enough(scene)
        if withdrawn:
            at_ns = ledger.withdrawn(scene.folder / "journal")
            findings += compare.after_withdrawal(scene.wire, carried, at_ns, self.allowance)
        verified = verify(scene, scene.folder / "journal", scene.folder / "anchor")
        if verified["finding"] != "intact":
            findings.append(compare.Finding("audit verify", json.dumps(verified)))
        self.scenes.append(report.SceneFound(title, scene, carried, findings, verified))
        return scene

    def pictures(self):
        count = max(int(self.seconds / 0.9), 4)
        return self.scene("a camera asks for pictures", "pictures", boxes.pictures,
                          lambda scene: scene.ask_pictures(50, count))

    def robots(self):
        """In the middle the first server dies, and comes back; at last the policy is withdrawn, and the robot goes on."""
        def play(scene):
            count = int(self.seconds * 100)
            playing = [scene.run_robot(task, count) for task in ["track", "advise"]]
            time.sleep(self.seconds / 3)
            self.stage.kill(boxes.ENDPOINTS[0])
            time.sleep(self.seconds / 3)
            self.stage.revive(boxes.ENDPOINTS[0])
            time.sleep(self.seconds / 6)
            scene.withdraw_policy()
            for robot in playing:
                if robot.wait(timeout=60 + 2 * self.seconds) != 0:
                    raise Failed(f"a robot failed: {scene.said('controller.py')[-2000:]}")
        return self.scene("a robot at 100 Hz; a server dies; at last the policy is withdrawn", "robots", boxes.robots, play,
                          withdrawn=True)

    def intrude(self, intruders):
        """The same comparison, with something planted."""
        def play(scene):
            planted = [scene.beside(self.stage.joined.box, HERE / "intruder.py", intruder, CLUSTER,
                                    boxes.ENDPOINTS[0]) for intruder in intruders]
            scene.ask_pictures(100, 3)
            if any(one.wait(timeout=60) != 0 for one in planted):
                raise Failed(f"nothing was planted: {scene.said('intruder.py')[-2000:]}")
        scene = Scene(self.stage, f"planted-{'-'.join(intruders)}", boxes.pictures, 1000, play)
        findings, _ = compare.compare(scene.wire, scene.attempts, scene.heard, self.allowance, boxes.LISTEN, scene.ready_ns)
        self.controls += [report.Control(intruder, INTRUDERS[intruder], findings) for intruder in intruders]

    def forge(self, scene, name, must, change):
        """A true capture with a journal that somebody changed who has the files and not the box's key. `audit verify` gets
        no head from outside: the signatures in the files must show it."""
        folder = scene.folder / f"forged-{name.replace(' ', '-')}"
        ledger.forge(scene.folder / "journal", folder, change)
        findings, _ = compare.compare(scene.wire, ledger.read(folder), None, self.allowance, boxes.LISTEN, scene.ready_ns)
        verified = verify(scene, folder)
        if verified["finding"] != "intact":
            findings.append(compare.Finding("audit verify", json.dumps(verified)))
        self.controls.append(report.Control(f"a forged journal: {name}", must, findings, also="audit verify"))

    def forgeries(self, scene):
        """The largest picture whose record the box's signature covers."""
        delivered = [attempt for attempt in scene.attempts if attempt.outcome == "delivered" and not attempt.synthetic]
        victim = max(delivered[:len(delivered) // 2], key=lambda attempt: attempt.payload_bytes)

        def removed(n, _kind, said):
            return None if victim.n in (n, said.get("intent")) else said

        def lowered(n, _kind, said):
            return {**said, "payload_bytes": said["payload_bytes"] // 2} if n == victim.n else said

        self.forge(scene, "a hand-off removed", "more left than is recorded", removed)
        self.forge(scene, "a size lowered", "more left than is recorded", lowered)


def enough(scene):
    """A scene in which next to nothing left would prove next to nothing."""
    delivered = [attempt for attempt in scene.attempts if attempt.outcome == "delivered"]
    of_tasks = [attempt for attempt in delivered if not attempt.synthetic]
    findings = []
    if len(of_tasks) < 10:
        findings.append(compare.Finding("too little left", f"{len(of_tasks)} hand-offs of tasks were delivered"))
    if not any(attempt.given_up for attempt in scene.attempts) and boxes.UNANSWERED in scene.models():
        findings.append(compare.Finding("too little left", "no hand-off was given up"))
    if len(of_tasks) == len(delivered):
        findings.append(compare.Finding("too little left", "no probe was delivered"))
    return findings


def verify(scene, journal, *anchors):
    """What `genba audit verify` says of a journal's files, by the key that the box made and the heads that are given."""
    heads = [word for anchor in anchors for word in ("--anchor", anchor)]
    said = scene.ask("audit", "verify", journal, "--key", scene.folder / "journal/box.key.pub", *heads)
    if said is None:
        raise Failed("genba audit verify says nothing")
    return {"finding": said["finding"]["finding"], **{name: said[name] for name in ["last", "signed", "anchored"]}}


def prove(stage, options):
    seconds = options.seconds or (6 if options.short else 60)
    proof = Proof(stage, seconds, 4 if options.short else 20)
    say("measures what is added to a payload")
    measured = proof.measure()
    say(f"compares, {seconds} s with a camera")
    pictures = proof.pictures()
    say(f"compares, {seconds} s with a robot")
    proof.robots()
    proof.forgeries(pictures)
    # Each box takes seconds to start: the short form plants all at once, and each must still be found as what it is.
    for intruders in [list(INTRUDERS)] if options.short else [[intruder] for intruder in INTRUDERS]:
        say(f"plants: {', '.join(intruders)}")
        proof.intrude(intruders)
    return report.Report(proof.allowance, measured, proof.scenes, proof.controls)


def say(what):
    print(what, file=sys.stderr, flush=True)


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("--short", action="store_true")
    parse.add_argument("--seconds", type=float)
    parse.add_argument("--genba", type=pathlib.Path, default=boxes.TREE / "target/release/genba")
    parse.add_argument("--json", type=pathlib.Path, default=pathlib.Path("egress.json"))
    parse.add_argument("--keep", type=pathlib.Path, help="where captures and journals stay; else they are deleted")
    options = parse.parse_args()
    folder = options.keep or pathlib.Path(tempfile.mkdtemp(prefix="egress-"))
    folder.mkdir(parents=True, exist_ok=True)
    stage = None
    try:
        stage = Stage(folder, options.genba.resolve(), interpreter())
        found = prove(stage, options)
    except NoNamespace as why:
        print(f"skipped: no network namespace: {why}")
        return 3
    except Busy as why:
        print(f"skipped: inconclusive: the box leaves itself no room on this machine: {why}")
        return 3
    except NoCertificates as why:
        print(f"skipped: no certificates: {why}")
        return 3
    except (Failed, allowance.Unmeasured) as why:
        print(f"nothing is proven: {why}")
        return 1
    finally:
        if stage:
            stage.close()
        if not options.keep:
            shutil.rmtree(folder)
    options.json.write_text(json.dumps(found.json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(found.text())
    return 0 if found.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
