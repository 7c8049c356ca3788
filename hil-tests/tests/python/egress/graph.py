"""The smallest ONNX graph that says what the box is told of a picture's model: the mean of each colour. Only the cluster
would compute it."""

from server import put, varint

FLOAT = 1


def number(field, value):
    return varint(field << 3) + varint(value)


def tensor(name, shape):
    """A ValueInfoProto."""
    dimensions = b"".join(put(1, number(1, size)) for size in shape)
    return put(1, name) + put(2, put(1, number(1, FLOAT) + put(2, dimensions)))


def mean(shape):
    """A ModelProto: `x` of that shape to `mean`, one number a channel."""
    node = put(1, b"x") + put(2, b"mean") + put(4, b"GlobalAveragePool")
    graph = put(1, node) + put(2, b"mean") + put(11, tensor(b"x", shape)) + put(12, tensor(b"mean", [*shape[:2], 1, 1]))
    return number(1, 8) + put(7, graph) + put(8, put(1, b"") + number(2, 17))
