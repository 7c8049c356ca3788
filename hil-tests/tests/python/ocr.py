"""Reads labels through a box that runs PP-OCRv6: detection, then recognition, each a one-off request.

    python3 ocr.py models FOLDER                        two models' folders, out of the rapidocr package
    python3 ocr.py read ENDPOINT DETECT RECOGNISE COUNT labels, COUNT times; DETECT and RECOGNISE are KEY=CONTRACT

Prints each line that was drawn, what was read, and whether it is the same; then how long the box took.
"""

import hashlib
import importlib.util
import math
import shutil
import struct
import sys
import time
import unicodedata
from pathlib import Path

import numpy
from crc32c import crc32c
from PIL import Image, ImageDraw, ImageFont

SIDE = 320
RECOGNISED = (48, 320)  # height and width of one line
# Left out: 検, which this model reads as the Chinese 检.
LABELS = [["現場 第３ライン", "部品番号：４７１２", "ネジ カバー", "GENBA-42"],
          ["出荷済 良品", "ロット２０２６", "コンベア速度", "UR5e 500Hz"]]


def package(name):
    return Path(importlib.util.find_spec(name).origin).parent


def model(name):
    return package("rapidocr") / "models" / f"PP-OCRv6_{name}_small.onnx"


def models(folder):
    shapes = {"det": ([1, 3, SIDE, SIDE], [1, 1, SIDE, SIDE]),
              "rec": ([1, 3, *RECOGNISED], [1, RECOGNISED[1] // 8, 18710])}
    for name, (taken, given) in shapes.items():
        target = Path(folder) / name
        target.mkdir()
        shutil.copyfile(model(name), target / "model.onnx")
        digest = hashlib.sha256((target / "model.onnx").read_bytes()).hexdigest()
        (target / "model.toml").write_text(f"""name = "PP-OCRv6 {name}"
version = "6.0.0"
description = "PP-OCRv6, small, as the rapidocr package has it"
file = "model.onnx"
sha256 = "{digest}"
licence = "Apache-2.0"

[provenance]
source = "rapidocr 3.10.0"
data = "not told"
trained = "not told"

[[input]]
name = "x"
dtype = "f32"
shape = {taken}

[[output]]
name = "fetch_name_0"
role = "result"
dtype = "f32"
shape = {given}
""")


def drawn(lines):
    """A label: black on white, a line every 76 pixels."""
    label = Image.new("RGB", (SIDE, SIDE), "white")
    font = ImageFont.truetype(str(package("matplotlib_fontja") / "fonts/ipaexg.ttf"), 32)
    draw = ImageDraw.Draw(label)
    for place, line in enumerate(lines):
        draw.text((14, 20 + 76 * place), line, font=font, fill="black")
    return label


def tensor(picture):
    """Height, width, colour in 0..255 to 1, colour, height, width in -1..1."""
    values = (numpy.asarray(picture, numpy.float32) / 255 - 0.5) / 0.5
    return numpy.ascontiguousarray(values.transpose(2, 0, 1)[None])


class Asker:
    """InferRequestV1.msg, and InferResultV1.msg or a refusal."""

    def __init__(self, session, where):
        self.session, self.number = session, 0
        self.key, contract = where.rsplit("=", 1)
        self.contract = bytes.fromhex(contract)
        self.address = crc32c("/".join(self.key.split("/")[-2:]).encode())
        self.ages = []

    def ask(self, values):
        self.number += 1
        head = struct.pack("<4sII16sQQI", b"\0\1\0\0", 0xB8E5305F, self.address, self.contract, self.number,
                           time.monotonic_ns(), 0)
        body = struct.pack("<I", values.nbytes) + values.astype("<f4").tobytes()
        frame = head + struct.pack("<I", crc32c(head + body)) + body
        reply, = self.session.get(self.key + "/infer", payload=frame, timeout=30.0)
        if reply.err:
            sys.exit("refused: E-%d" % struct.unpack_from("<H", reply.err.payload.to_bytes(), 76))
        result = reply.ok.payload.to_bytes()
        kind, address, _boot, request = struct.unpack_from("<IIQQ", result, 4)
        crc, length = struct.unpack_from("<II", result, 80)
        assert (kind, address, request) == (3959159865, self.address, self.number), "another's result"
        assert crc == crc32c(result[:80] + result[84:]) and length == len(result) - 88, "a damaged result"
        self.ages.append(struct.unpack_from("<I", result, 68)[0] / 1000)
        return numpy.frombuffer(result, "<f4", offset=88)


def found(heat):
    """The boxes of lines, top to bottom: rows of heat, then its columns; DB shrinks a box, so it is widened."""
    hot = heat.reshape(SIDE, SIDE) > 0.3
    rows = hot.any(axis=1)
    edges = numpy.flatnonzero(numpy.diff(numpy.concatenate([[0], rows.view(numpy.int8), [0]])))
    for top, bottom in edges.reshape(-1, 2):
        if bottom - top < 5:
            continue
        columns = numpy.flatnonzero(hot[top:bottom].any(axis=0))
        more = round(0.5 * (bottom - top))
        yield (max(columns[0] - more, 0), max(top - more, 0), min(columns[-1] + more, SIDE), min(bottom + more, SIDE))


def line_of(label, box):
    """One line as the recognition wants it: its height, and grey behind its end."""
    height, width = RECOGNISED
    line = label.crop([int(edge) for edge in box])
    wanted = min(math.ceil(height * line.width / line.height), width)
    values = numpy.zeros((1, 3, height, width), numpy.float32)
    values[:, :, :, :wanted] = tensor(line.resize((wanted, height), Image.Resampling.BILINEAR))
    return values


def spelled(result, characters):
    """CTC: the likeliest character of each step, repeats once, without blanks."""
    steps = result.reshape(-1, len(characters)).argmax(axis=1)
    kept = [step for place, step in enumerate(steps) if step and (place == 0 or step != steps[place - 1])]
    return "".join(characters[step] for step in kept)


def plain(text):
    """Without spaces, and with one width for digits: the model writes full-width ones as either."""
    return unicodedata.normalize("NFKC", text).replace(" ", "")


def characters():
    import onnx
    listed, = (entry.value for entry in onnx.load(model("rec")).metadata_props if entry.key == "character")
    return ["", *listed.split("\n"), " "]


def read(endpoint, detect, recognise, count):
    import zenoh
    known = characters()
    config = zenoh.Config.from_json5(f'{{mode: "client", connect: {{endpoints: ["{endpoint}"]}}}}')
    with zenoh.open(config) as session:
        detect, recognise = Asker(session, detect), Asker(session, recognise)
        for turn in range(int(count)):
            lines = LABELS[turn % len(LABELS)]
            label = drawn(lines)
            boxes = list(found(detect.ask(tensor(label))))
            texts = [spelled(recognise.ask(line_of(label, box)), known) for box in boxes]
            for place, line in enumerate(lines):
                text = texts[place] if place < len(texts) else ""
                print(line, text, "same" if plain(line) == plain(text) else "other", sep="\t", flush=True)
    for name, asker in [("detection", detect), ("recognition", recognise)]:
        print(f"{name}: {sorted(asker.ages)[len(asker.ages) // 2]:.1f} ms", flush=True)


if __name__ == "__main__":
    {"models": models, "read": read}[sys.argv[1]](*sys.argv[2:])
