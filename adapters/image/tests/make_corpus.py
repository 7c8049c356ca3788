"""Writes corpus/: small pictures as Pillow encodes them, some of them of kinds that are refused. And a
camera's picture for examples/cost.rs.

    python3 make_corpus.py        needs pillow and numpy as pinned in requirements.txt
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

CORPUS = Path(__file__).parent / "corpus"


def picture(width, height, seed):
    """Ramps, an edge and some noise: all of JPEG's paths."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)]
    values = np.stack(planes, axis=-1).astype(np.int32)
    values[height // 3 : height // 2, width // 4 : width // 2] = (250, 10, 60)
    return np.clip(values + random.integers(-12, 13, values.shape), 0, 255).astype(np.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, inflated, interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(inflated, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def camera():
    """640 by 480 as a camera sends it, for examples/cost.rs: the arm's picture, with a sensor's noise."""
    arm = Image.open(Path(__file__).parents[3] / "models/ur5e-conveyor/picture.png").convert("RGB").resize((640, 480))
    noise = np.random.default_rng(4).normal(0, 4, (480, 640, 3))
    return Image.fromarray(np.clip(np.asarray(arm) + noise, 0, 255).astype(np.uint8))


def main():
    camera().save(Path(__file__).parents[1] / "examples/camera.jpg", "JPEG", quality=85, subsampling="4:2:0")
    CORPUS.mkdir(exist_ok=True)
    colour = Image.fromarray(picture(61, 43, 1))
    grey = Image.fromarray(picture(50, 37, 2)[..., 0])
    deep = Image.fromarray((picture(40, 30, 3)[..., 0].astype(np.uint16) * 257 + 3).astype(np.uint16))
    jpegs = {
        "444": (colour, {"subsampling": "4:4:4"}),
        "422": (colour, {"subsampling": "4:2:2"}),
        "420": (colour, {"subsampling": "4:2:0"}),
        "420-restarts": (colour, {"subsampling": "4:2:0", "restart_marker_blocks": 2}),
        "420-optimised": (colour, {"subsampling": "4:2:0", "optimize": True}),
        "420-exif": (colour, {"subsampling": "4:2:0", "exif": b"Exif\0\0" + bytes(64), "comment": b"a camera"}),
        "rgb": (colour, {"keep_rgb": True}),
        "grey": (grey, {}),
        "tiny": (colour.resize((1, 1)), {}),
        "progressive": (colour, {"progressive": True}),
        "cmyk": (colour.convert("CMYK"), {}),
    }
    for name, (image, options) in jpegs.items():
        image.save(CORPUS / f"{name}.jpg", "JPEG", quality=85, **options)
    pngs = {
        "rgb": colour,
        "grey": grey,
        "grey16": deep,
        "tiny": colour.resize((1, 1)),
        "alpha": colour.convert("RGBA"),
        "palette": colour.convert("P"),
        "bits": grey.convert("1"),
    }
    for name, image in pngs.items():
        image.save(CORPUS / f"{name}.png", "PNG")
    frames = [colour, colour.rotate(90), colour.rotate(180)]
    colour.save(CORPUS / "animated.png", "PNG", save_all=True, append_images=frames[1:])
    # Interlaced as to its header; the walk ends there.
    (CORPUS / "interlaced.png").write_bytes(png(8, 8, 8, 0, bytes(9 * 8), interlace=1))
    # 65535 by 65535 in 41 bytes of header, and 64 by 64 that inflates to 16 MB.
    (CORPUS / "bomb-size.png").write_bytes(png(65535, 65535, 8, 2, bytes(65536)))
    (CORPUS / "bomb-inflate.png").write_bytes(png(64, 64, 8, 2, bytes(16 << 20)))
    # A header that promises more pixels than it holds.
    (CORPUS / "short.png").write_bytes(png(64, 64, 8, 2, bytes(65 * 64)))
    # A progressive picture whose scans repeat: each is decoded over the whole picture.
    data = io.BytesIO()
    colour.save(data, "JPEG", progressive=True)
    data = data.getvalue()
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xc4", first)
    (CORPUS / "bomb-scans.jpg").write_bytes(data[:second] + data[first:second] * 200 + data[second:])
    for path in sorted(CORPUS.iterdir()):
        print(path.name, path.stat().st_size)


main()
