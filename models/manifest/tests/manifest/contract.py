"""The contract digest as a controller in Python computes it, from the standard library alone.

Reads {"task": …, "inputs": [[name, unit], …], "outputs": [[name, unit, min, max, max_change_per_s], …]}
as JSON from its input, prints the digest in hexadecimal.
"""

import hashlib
import json
import struct
import sys


def f32(number):
    """The shortest decimal that reads back as the same 32-bit float, as the contract writes it."""
    for digits in range(1, 10):
        short = float("%.*g" % (digits, number))
        if struct.pack("<f", short) == struct.pack("<f", number):
            return repr(short).replace("e+", "e").replace("e-0", "e-")


def digest(task, inputs, outputs):
    lines = ["genba-contract-v1", "task\t" + task]
    lines += ["in\t%s\t%s" % (name, unit) for name, unit in inputs]
    lines += ["out\t%s\t%s\t" % (name, unit) + "\t".join(map(f32, limits)) for name, unit, *limits in outputs]
    text = "".join(line + "\n" for line in lines)
    return hashlib.sha256(text.encode("utf-8")).digest()[:16]


if __name__ == "__main__":
    print(digest(**json.load(sys.stdin)).hex())
