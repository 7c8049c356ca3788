"""Pictures and tensors as software that is not ours makes them: messages by rosbags, JPEG and PNG and
resizing by Pillow, the rest by numpy.

    pictures.py FOLDER < cases

A case is one line: name, encoding, left, top, width and height of the crop, filter, width and height of
the tensor, channels, layout, scale, mean and std. FOLDER/name.cdr is the message, FOLDER/name.f32 the tensor.
"""

import io
import sys
from pathlib import Path

try:
    import numpy as np
    from PIL import Image
    from rosbags.typesys import Stores, get_typestore
except ImportError as error:
    sys.exit(f"{error}: run `make native`")

WIDTH, HEIGHT = 320, 240
FILTERS = {
    "Nearest": Image.Resampling.NEAREST,
    "Area": Image.Resampling.BOX,
    "Bilinear": Image.Resampling.BILINEAR,
    "Bicubic": Image.Resampling.BICUBIC,
    "Lanczos": Image.Resampling.LANCZOS,
}
STORE = get_typestore(Stores.ROS2_HUMBLE)


def picture():
    """Ramps, waves, edges and a little noise, as RGB. Far enough from 0 and 255 that no filter overshoots them:
    what a resizer cuts off between its two passes depends on their order."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [50 + x * 150 / WIDTH, 127 + 70 * np.sin(x / 9) * np.cos(y / 7), 60 + (x + y) * 140 / (WIDTH + HEIGHT)]
    values = np.stack(planes, axis=-1)
    values[60:120, 90:200] = (190, 60, 80)
    return np.clip(values + random.normal(0, 3, values.shape), 0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def sources():
    """Of each encoding: what is sent, and the picture that a receiver should see."""
    colour = picture()
    grey = colour[..., 1]
    deep = (grey.astype(np.uint16) * 199 + colour[..., 0]).astype(np.uint16)
    padded = np.pad(grey, ((0, 0), (0, 5)), constant_values=99)
    found = {
        "rgb8": (raw("rgb8", colour.tobytes(), 3 * WIDTH), colour),
        "bgr8": (raw("bgr8", colour[..., ::-1].tobytes(), 3 * WIDTH), colour),
        "mono8": (raw("mono8", padded.tobytes(), WIDTH + 5), grey),
        "16UC1": (raw("16UC1", deep.astype("<u2").tobytes(), 2 * WIDTH), deep),
        "16UC1-big": (raw("16UC1", deep.astype(">u2").tobytes(), 2 * WIDTH, 1), deep),
    }
    for name, image, options in [
        ("jpeg-444", colour, {"subsampling": "4:4:4"}),
        ("jpeg-422", colour, {"subsampling": "4:2:2"}),
        ("jpeg-420", colour, {"subsampling": "4:2:0"}),
        ("jpeg-rgb", colour, {"keep_rgb": True}),
        ("jpeg-grey", grey, {}),
    ]:
        data = encoded(Image.fromarray(image), "JPEG", quality=90, **options)
        decoded = np.asarray(Image.open(io.BytesIO(data)))
        found[name] = (compressed("rgb8; jpeg compressed bgr8", data), decoded)
    for name, image in [("png-rgb", colour), ("png-grey", grey), ("png-16", deep)]:
        found[name] = (compressed("png", encoded(Image.fromarray(image), "PNG")), image)
    return found


def header():
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=1_700_000_000, nanosec=123_456_789)
    return STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera_optical_frame")


def raw(encoding, data, step, is_bigendian=0):
    name = "sensor_msgs/msg/Image"
    message = STORE.types[name](
        header=header(),
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=step,
        data=np.frombuffer(data, dtype=np.uint8),
    )
    return bytes(STORE.serialize_cdr(message, name))


def compressed(form, data):
    name = "sensor_msgs/msg/CompressedImage"
    message = STORE.types[name](header=header(), format=form, data=np.frombuffer(data, dtype=np.uint8))
    return bytes(STORE.serialize_cdr(message, name))


def resized(plane, width, height, kind):
    if plane.shape == (height, width):
        return plane.astype(np.float64)
    if kind == "FourPixels":
        return np.rint(four_pixels(plane.astype(np.float64), width, height))
    # In floating point: what 8 or 16 bits round to is ours to answer for.
    values = Image.fromarray(plane.astype(np.float32)).resize((width, height), FILTERS[kind])
    most = np.iinfo(plane.dtype).max
    return np.clip(np.rint(np.asarray(values, dtype=np.float64)), 0, most)


def four_pixels(plane, width, height):
    """cv2.INTER_LINEAR, by its definition: pixel centres, and edges repeated."""
    for axis, size in ((0, height), (1, width)):
        at = (np.arange(size) + 0.5) * plane.shape[axis] / size - 0.5
        first = np.floor(at).astype(int)
        share = (at - first).reshape([-1, 1] if axis == 0 else [1, -1])
        last = plane.shape[axis] - 1
        low, high = (np.take(plane, np.clip(first + step, 0, last), axis) for step in (0, 1))
        plane = low * (1 - share) + high * share
    return plane


def tensor(image, left, top, width, height, kind, to_width, to_height, channels, layout, scale, mean, std):
    cut = image[top : top + height, left : left + width]
    planes = [cut] * 3 if cut.ndim == 2 else [cut[..., channel] for channel in range(3)]
    planes = {"Rgb": planes, "Bgr": planes[::-1], "Mono": planes[:1], "Depth": planes[:1]}[channels]
    values = np.stack([resized(plane, to_width, to_height, kind) for plane in planes])
    values = (values * scale - mean) / std
    return values if layout == "Nchw" else np.moveaxis(values, 0, -1)


def main():
    folder = Path(sys.argv[1])
    made = sources()
    for line in sys.stdin.read().splitlines():
        name, encoding, left, top, width, height, kind, to_width, to_height, channels, layout, *numbers = line.split()
        message, image = made[encoding]
        sizes = [int(word) for word in (left, top, width, height)]
        to = [int(to_width), int(to_height)]
        expected = tensor(image, *sizes, kind, *to, channels, layout, *map(float, numbers))
        (folder / f"{name}.cdr").write_bytes(message)
        (folder / f"{name}.f32").write_bytes(np.ascontiguousarray(expected, dtype="<f4").tobytes())


main()
