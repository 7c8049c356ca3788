"""The eye: a small convolutional network that finds the part in a picture.

Three convolutions make maps of what they look for; where a map is bright on average (a soft argmax) says where it
is to a fraction of a pixel, and a small network turns that into metres. Trained with jax on one core.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from scene import HEIGHT, WIDTH

MAPS = 3
LAYERS = [(8, 3, 5, 2), (8, 8, 3, 1), (MAPS, 8, 3, 1)]  # outputs, inputs, kernel, stride
HIDDEN = 32
ROWS = (16, 48)  # of the picture: the belt's, and room above and below
MIDDLE_M, SPAN_M = np.array([0.5, 0.0], np.float32), np.array([0.05, 0.4], np.float32)
SHARP = 10.0  # how much brighter a map must be to draw the average


def fresh(seed):
    """PyTorch's default initialisation: uniform in ±1/sqrt(inputs)."""
    rng, params = np.random.default_rng(seed), {}
    for k, (outputs, inputs, size, _) in enumerate(LAYERS):
        bound = (inputs * size * size) ** -0.5
        params[f"kernel_{k}"] = rng.uniform(-bound, bound, (outputs, inputs, size, size))
        params[f"bias_{k}"] = rng.uniform(-bound, bound, outputs)
    for name, inputs, outputs in (("near", 2 * MAPS, HIDDEN), ("far", HIDDEN, 2)):
        bound = inputs**-0.5
        params[f"{name}_weight"] = rng.uniform(-bound, bound, (inputs, outputs))
        params[f"{name}_bias"] = rng.uniform(-bound, bound, outputs)
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def see(params, seen):
    """Where the part is in pictures N x 3 x H x W of 0 to 1: x and y in m."""
    return see_twice(params, seen)[0]


def see_twice(params, seen):
    """The same, and where the first map is bright: across and down, -1 to 1."""
    h = seen[:, :, ROWS[0]:ROWS[1]]
    for k, (_, _, size, stride) in enumerate(LAYERS):
        pad = [(size // 2, size // 2)] * 2
        h = jax.lax.conv_general_dilated(h, params[f"kernel_{k}"], (stride, stride), pad)
        h = h + params[f"bias_{k}"][None, :, None, None]
        if k < len(LAYERS) - 1:
            h = jax.nn.relu(h)
    count, maps, high, wide = h.shape
    weights = jax.nn.softmax(SHARP * h.reshape(count, maps, high * wide), axis=-1)
    places = weights @ grid(high, wide)
    h = jnp.tanh(places.reshape(count, 2 * maps) @ params["near_weight"] + params["near_bias"])
    return MIDDLE_M + SPAN_M * (h @ params["far_weight"] + params["far_bias"]), places[:, 0]


def projected(parts):
    """Where parts at x and y in m are in the picture, -1 to 1 across and down the rows that are looked at."""
    x, y = parts[:, 0] - 1.2, parts[:, 1]  # scene.xml: the camera's place and axes, the part's middle at z = 0.15
    z = 0.15 - 1.0
    depth = -(0.636 * x + 0.772 * z)
    pixels = HEIGHT / 2 / np.tan(np.radians(34 / 2))
    across, down = pixels * y / depth, -pixels * (-0.772 * x + 0.636 * z) / depth
    middle, half = (ROWS[0] + ROWS[1] - HEIGHT) / 2, (ROWS[1] - ROWS[0]) / 2
    return jnp.stack([across / (WIDTH / 2), (down - middle) / half], axis=1)


def grid(high, wide):
    """The middle of each cell of a map, from -1 to 1: across, down."""
    down, across = np.meshgrid(np.linspace(-1, 1, high), np.linspace(-1, 1, wide), indexing="ij")
    return np.stack([across.ravel(), down.ravel()], 1).astype(np.float32)


def worn(key, seen):
    """The same pictures by worse cameras: gain, white balance, offset and noise."""
    keys = jax.random.split(key, 4)
    count = len(seen)
    gain = jax.random.uniform(keys[0], (count, 1, 1, 1), minval=0.75, maxval=1.25)
    balance = jax.random.uniform(keys[1], (count, 3, 1, 1), minval=0.93, maxval=1.07)
    offset = jax.random.uniform(keys[2], (count, 1, 1, 1), minval=-0.04, maxval=0.04)
    noise = 0.015 * jax.random.normal(keys[3], seen.shape)
    return jnp.clip(seen * gain * balance + offset + noise, 0, 1)


def tensor(seen):
    """Pictures of bytes, H x W x 3, as the network takes them."""
    return (np.moveaxis(np.asarray(seen), -1, -3) / np.float32(255)).astype(np.float32)


@jax.jit
def _step(params, first, second, count, rate, key, seen, parts):
    seen = worn(key, jnp.moveaxis(seen, -1, -3).astype(jnp.float32) / 255)

    def loss(params):
        found, bright = see_twice(params, seen)
        miss = (found - parts) / SPAN_M * jnp.array([0.5, 2.0])
        # Without being told to, a map may settle for less than the part.
        hint = bright - projected(parts)
        return jnp.mean(jnp.sqrt(miss * miss + 1e-6)) + 0.3 * jnp.mean(jnp.sqrt(hint * hint + 1e-4))

    value, slopes = jax.value_and_grad(loss)(params)
    return value, *adam(params, first, second, slopes, count, rate)


def adam(params, first, second, slopes, count, rate):
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slopes)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, slopes)
    scale = rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    params = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), params, first, second)
    return params, first, second


def fit(seen, parts, steps, peak=3e-3, batch=64, seed=0, tell=print):
    """Trains an eye on pictures (bytes) and places (m); fixed seed, fixed result."""
    from network import one_cycle

    params, rng, key = fresh(seed), np.random.default_rng(seed), jax.random.key(seed)
    first = second = jax.tree.map(jnp.zeros_like, params)
    losses = []
    for k in range(steps):
        key, noise = jax.random.split(key)
        pick = np.sort(rng.choice(len(seen), batch, replace=False))
        rate = peak * one_cycle(k / steps)
        value, params, first, second = _step(
            params, first, second, k + 1.0, rate, noise, seen[pick], parts[pick])
        losses.append(value)
        if k % 500 == 499:
            tell(f"eye: step {k + 1}, loss {float(np.mean(losses[-500:])):.5f}")
    return jax.tree.map(np.asarray, params)


def misses_mm(params, seen, parts, seed=1):
    """How far off the eye is on pictures that it never saw, by a worse camera: mm, x and y."""
    look, key, found = jax.jit(functools.partial(see, params)), jax.random.key(seed), []
    for k in range(0, len(seen), 100):
        key, noise = jax.random.split(key)
        found.append(np.asarray(look(worn(noise, tensor(seen[k:k + 100])))))
    return 1e3 * (np.concatenate(found) - parts)
