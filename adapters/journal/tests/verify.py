"""Verifies a journal with nothing but Python: python3 verify.py KEY.pub FILE... [--anchor FILE]

Written from the description of the format, not from the Rust that writes it. Prints the number of the last record and
exits with 0, or says what is wrong and exits with 1.
"""

import hashlib
import json
import sys

# Ed25519 as RFC 8032 has it, in the plainest form.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT % P
    if (x * x - x2) % P:
        raise ValueError("not a point")
    return P - x if x % 2 != sign else x


def add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2)
    g, h = 2 * t1 * t2 * D, 2 * z1 * z2
    e, f, g, h = f - e, h - g, h + g, f + e
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def decompress(data):
    number = int.from_bytes(data, "little")
    y = number & (2**255 - 1)
    x = recover_x(y, number >> 255)
    return x, y, 1, x * y % P


BASE = decompress(bytes([0x58] + [0x66] * 31))


def signed(key, text, signature):
    try:
        point, r = decompress(key), decompress(signature[:32])
    except ValueError:
        return False
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    left, right = multiply(s, BASE), add(r, multiply(h, point))
    return s < L and not any((left[i] * right[2] - right[i] * left[2]) % P for i in (0, 1))


def fail(why):
    print(why)
    sys.exit(1)


def head(box, of, digest):
    return f"genba journal head\nbox {box}\nrecord {of}\nhash {digest}\n".encode()


def main(arguments):
    anchors = {}
    if "--anchor" in arguments:
        at = arguments.index("--anchor")
        for line in open(arguments[at + 1]):
            anchor = json.loads(line)
            anchors[anchor["of"]] = anchor
        del arguments[at : at + 2]
    key = bytes.fromhex(open(arguments[0]).read().strip())
    last, previous, box = 0, "0" * 64, None
    files = [[line for line in open(path, "rb")] for path in arguments[1:]]
    cuts = [json.loads(lines[0])["record"].get("recovered") if lines else None for lines in files]
    for number, lines in enumerate(files):
        until = min([cut["after"] for cut in cuts[number + 1 :] if cut], default=None)
        for line in lines:
            if until is not None and last >= until:
                break
            body, _, tail = line.rpartition(b',"hash":"')
            digest = hashlib.sha256(body).hexdigest()
            if tail != digest.encode() + b'"}\n':
                fail(f"record {last + 1}: its bytes do not have its hash")
            entry = json.loads(line)
            if entry["n"] != last + 1 or entry["prev"] != previous:
                fail(f"record {last + 1}: it does not follow the one before it")
            ((kind, record),) = entry["record"].items()
            if kind == "opened":
                box = record["box"]
                if record["public_key"] != key.hex():
                    fail(f"record {entry['n']}: another key")
            if kind == "head":
                text = head(box, record["of"], record["hash"])
                if (record["of"], record["hash"]) != (last, previous):
                    fail(f"record {entry['n']}: a head of something else")
                if not signed(key, text, bytes.fromhex(record["signature"])):
                    fail(f"record {entry['n']}: its signature is not the box's")
            if kind == "recovered":
                bytes_cut = "unknown" if record["bytes"] is None else record["bytes"]
                text = (
                    f"genba journal recovered\nbox {record['box']}\nfile {record['file']}\nafter {record['after']}\n"
                    f"hash {record['hash']}\nbytes {bytes_cut}\ncut {record['cut_sha256'] or 'unknown'}\n"
                )
                if not signed(key, text.encode(), bytes.fromhex(record["signature"])):
                    fail(f"record {entry['n']}: its signature is not the box's")
            last, previous = entry["n"], digest
            anchor = anchors.pop(last, None)
            if anchor and (anchor["hash"] != digest or anchor["box"] != box):
                fail(f"record {last}: an anchor has another hash for it")
            if anchor and not signed(key, head(box, last, digest), bytes.fromhex(anchor["signature"])):
                fail(f"record {last}: its anchor's signature is not the box's")
    if anchors:
        fail(f"cut after record {last}: an anchor vouches for record {max(anchors)}")
    print(last)


main(sys.argv[1:])
