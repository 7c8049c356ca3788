"""What the box's journal says that left: each attempt with its payload, its endpoint and how it ended.

It is read as it is written, without the box's code. Whether it is the journal that the box wrote says `genba audit verify`.
"""

import dataclasses
import hashlib
import json
import math
import pathlib

HASH = ',"hash":"'
# Outcomes after which the other side has the whole payload.
ARRIVED = {"delivered", "bad-answer", "rejected"}
# It was taken back on a connection that goes on.
GIVEN_UP = {"expired", "cancelled"}
# Nothing of the payload left.
NOT_SENT = "not-sent"


class Broken(Exception):
    """The files are no chain of records."""


@dataclasses.dataclass
class Attempt:
    """An intent and its outcome."""

    n: int
    at_ns: int
    task: str
    model: str
    classes: list
    rule: str
    jurisdiction: str
    cluster: str
    endpoint: str
    spiffe_id: str
    payload_bytes: int
    payload_sha256: str
    outcome: str = None  # none: in doubt
    ended_ns: float = math.inf

    @property
    def allowed_bytes(self):
        return 0 if self.outcome == NOT_SENT else self.payload_bytes

    @property
    def given_up(self):
        return self.outcome in GIVEN_UP

    @property
    def synthetic(self):
        return all(given.startswith("synthetic/") for given in self.classes)


def lines(folder):
    """The text of each record, in order, each proven to be what its own hash says and to follow the one before it."""
    before, number = "0" * 64, 0
    for path in sorted(pathlib.Path(folder).glob("journal-*.jsonl"), key=lambda path: int(path.stem.split("-")[1])):
        for line in path.read_text(encoding="utf-8").splitlines():
            hashed, _, tail = line.rpartition(HASH)
            record = json.loads(line)
            number += 1
            if hashlib.sha256(hashed.encode()).hexdigest() != tail[:64]:
                raise Broken(f"record {number} is not what its hash says")
            if (record["n"], record["prev"]) != (number, before):
                raise Broken(f"record {number} does not follow the one before it")
            before = record["hash"]
            yield path, record


def read(folder):
    """All attempts, in the order of their intents."""
    attempts = {}
    for _, record in lines(folder):
        (kind, said), = record["record"].items()
        if kind == "intent":
            attempts[record["n"]] = attempt(record, said)
        elif kind == "outcome":
            ended = attempts[said["intent"]]
            ended.outcome, ended.ended_ns = said["outcome"], record["wall_ns"]
    return list(attempts.values())


def withdrawn(folder):
    """When the last policy was withdrawn; none if one is in force at the end, or never was."""
    at_ns = None
    for _, record in lines(folder):
        (kind, said), = record["record"].items()
        if kind == "policy":
            at_ns = record["wall_ns"] if "withdrawn" in said else None
    return at_ns


def attempt(record, said):
    peer = said["peer"]
    return Attempt(
        n=record["n"], at_ns=record["wall_ns"], task=said["task"], model=said["model"],
        classes=sorted({field["class"] for field in said["data"]}), rule=said["rule"], jurisdiction=said["jurisdiction"],
        cluster=said["cluster"], endpoint=said["endpoint"], spiffe_id=peer.get("proven", {}).get("spiffe_id", "insecure"),
        payload_bytes=said["payload_bytes"], payload_sha256=said["payload_sha256"])


def forge(source, target, change):
    """Writes a journal that was changed by someone who has the files and not the box's key: numbers and hashes are made
    to fit again, signatures are left as they were. `change` gives a record's new kind and content, or none to drop it."""
    target = pathlib.Path(target)
    target.mkdir(parents=True)
    before, numbers, hashes = "0" * 64, {}, {}
    for path, record in lines(source):
        (kind, said), = record["record"].items()
        changed = change(record["n"], kind, said)
        if changed is None:
            continue
        old = record["n"], record.pop("hash")
        refer(changed, numbers, hashes)
        numbers[old[0]] = record["n"] = len(numbers) + 1
        record["prev"], record["record"] = before, {kind: changed}
        body = json.dumps(record, separators=(",", ":"), ensure_ascii=False)[:-1]
        before = hashes[old[1]] = hashlib.sha256(body.encode()).hexdigest()
        with open(target / path.name, "a", encoding="utf-8") as out:
            out.write(f'{body}{HASH}{before}"}}\n')


def refer(said, numbers, hashes):
    """Lets a record speak of the records before it by their new numbers and hashes."""
    for field in ["intent", "of", "after"]:
        if field in said:
            said[field] = numbers.get(said[field], said[field])
    if "hash" in said:
        said["hash"] = hashes.get(said["hash"], said["hash"])
