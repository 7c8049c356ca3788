"""The wire format as an encoder that is not ours sees it: rosbags, from the .msg files alone.

    rosbags_vectors.py MSG_DIR < frames > lines

Standard input holds our frames, one `<type> <frame in hex>` a line. Standard output, one line a fact:

    hash <type> <RIHS01 hash>
    constant <type> <name> <number>
    offset <type> <field> <offset after the encapsulation> <bytes>
    theirs <type> <field>=<value> ... <frame in hex>      a sample that rosbags encoded
    ours <type> <field>=<value> ... <frame in hex>        our frame as rosbags read it and wrote it again

The CRC is computed here, bit by bit, so that it does not depend on ours either.
"""

import random
import re
import sys
from pathlib import Path

try:
    import numpy
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore
except ImportError as error:
    sys.exit(f"{error}: run `make native`")

SAMPLES = 40
SEED = 7
LINE = re.compile(r"^(uint8|uint16|uint32|uint64)(\[(<=)?(\d+)\])? (\w+)(=(\d+))?$")
BYTES = {"uint8": 1, "uint16": 2, "uint32": 4, "uint64": 8}


class Type:
    """One .msg file: its constants, its fields, and rosbags' codec for it."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.full_name = f"genba_msgs/msg/{path.stem}"
        self.constants = {}
        self.fields = {}  # name -> (bytes of an element, elements or None, bounded)
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line or line.startswith("#"):
                continue
            kind, _, bounded, count, name, _, value = LINE.match(line).groups()
            if value is None:
                self.fields[name] = (BYTES[kind], count and int(count), bool(bounded))
            else:
                self.constants[name] = int(value)
        self.store = get_typestore(Stores.EMPTY)
        self.store.register(get_types_from_msg(path.read_text(encoding="utf-8"), self.full_name))
        self.message = self.store.types[self.full_name]
        for name, value in self.constants.items():
            assert getattr(self.message, name) == value, f"rosbags reads {name} otherwise"

    def encode(self, values: dict) -> bytes:
        arrays = {
            name: numpy.frombuffer(value, dtype=numpy.uint8) if isinstance(value, bytes) else value
            for name, value in values.items()
        }
        return bytes(self.store.serialize_cdr(self.message(**arrays), self.full_name))

    def decode(self, frame: bytes) -> dict:
        message = self.store.deserialize_cdr(frame, self.full_name)
        fields = {name: getattr(message, name) for name in self.fields}
        return {
            name: value.tobytes() if isinstance(value, numpy.ndarray) else int(value)
            for name, value in fields.items()
        }

    def zero(self) -> dict:
        return {
            name: 0 if count is None else bytes(0 if bounded else count)
            for name, (_, count, bounded) in self.fields.items()
        }

    def offset(self, name: str) -> tuple[int, int]:
        """Where the bytes lie that a field changes, and how many they are.

        Of a bounded sequence: where its length lies.
        """
        size, count, bounded = self.fields[name]
        if bounded:
            most = bytes([0xFF])
        elif count is None:
            most = (1 << 8 * size) - 1
        else:
            most = bytes([0xFF]) * count
        zero = self.encode(self.zero())
        full = self.encode({**self.zero(), name: most})
        changed = [at for at, (a, b) in enumerate(zip(zero, full)) if a != b]
        return changed[0] - 4, 4 if bounded else changed[-1] - changed[0] + 1

    def sealed(self, values: dict) -> dict:
        frame = self.encode({**values, "crc": 0})
        at = 4 + self.offset("crc")[0]
        return {**values, "crc": crc32c(frame[:at] + frame[at + 4 :])}

    def sample(self, chance: random.Random) -> dict:
        """A message that is as it should be, whose fields are otherwise arbitrary."""
        values = {}
        for name, (size, count, bounded) in self.fields.items():
            if count is None:
                edge = chance.choice([1, (1 << 8 * size) - 1])
                values[name] = chance.choice([edge, chance.randint(1, (1 << 8 * size) - 1)])
            else:
                values[name] = chance.randbytes(chance.randint(0, min(count, 1600)) if bounded else count)
        values["type_id"] = self.constants["TYPE_ID"]
        if self.name == "ObservationV1":
            values["last_response"] = chance.choice([0, values["last_response"]])
        elif self.name == "ResponseV1":
            values["kind"] = chance.choice([1, 2, 3])
            values["place"] = chance.choice([1, 2]) if values["kind"] == 1 else 0
            values["reason"] *= values["kind"] != 1
            values["sequence"] *= values["kind"] != 3 or chance.choice([0, 1])
            values["values"] = values["values"] if values["kind"] != 3 else b""
            values["status"] &= 0b111111
        elif self.name == "InferReplyV1":
            values["kind"] = chance.choice([1, 2])
            values["place"] = chance.choice([1, 2]) if values["kind"] == 1 else 0
            values["reason"] *= values["kind"] != 1
            values["values"] = values["values"] if values["kind"] == 1 else b""
            values["status"] &= 0b111111
        elif self.name == "InferResultV1":
            values["kind"], values["reason"], values["place"] = 1, 0, chance.choice([1, 2])
            values["status"] &= 0b111111
        elif self.name == "NoticeV1":
            values["kind"], values["reserved"], values["detail"] = 1, 0, b""
        elif self.name == "ResetV1":
            values["detail"] = b""
        elif self.name == "InferStoredV1":
            values["detail"] = b""
            values["status"] &= 0b100100
        return self.sealed(values)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def shown(values: dict) -> str:
    return " ".join(
        f"{name}={value.hex() if isinstance(value, bytes) else value}" for name, value in values.items()
    )


def main() -> None:
    assert crc32c(b"123456789") == 0xE3069283, "the check value of CRC-32C"
    types = {path.stem: Type(path) for path in sorted(Path(sys.argv[1]).glob("*.msg"))}
    frames = [line.split() for line in sys.stdin]
    for kind in types.values():
        print("hash", kind.name, kind.store.hash_rihs01(kind.full_name))
        for name, value in kind.constants.items():
            print("constant", kind.name, name, value)
        for name in kind.fields:
            print("offset", kind.name, name, *kind.offset(name))
        chance = random.Random(SEED)
        for _ in range(SAMPLES):
            values = kind.sample(chance)
            print("theirs", kind.name, shown(values), kind.encode(values).hex())
    for name, frame in frames:
        kind = types[name]
        values = kind.decode(bytes.fromhex(frame))
        print("ours", name, shown(values), kind.encode(kind.sealed(values)).hex())


main()
