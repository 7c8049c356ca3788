"""The observer: from a few late pictures' places to the part's position and velocity now.

It remembers the last PLACES different places with the robot's clock when each was first seen. A small network reads
how long ago that was and says how much each place counts: position and velocity are weighted sums of the places, so
what it has learned holds anywhere on the belt. It has to guess how late pictures are, and which frames are missing.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from eye import adam

PLACES = 8
HIDDEN = 48
OLDEST_S = 0.5  # older places all look alike
FRAME_S = 1 / 30
LATENCY_S = (0.002, 0.022)  # from the shutter to the observation that is first answered with the picture
TICK_S = 0.002


def fresh(seed):
    rng, params = np.random.default_rng(seed), {}
    sizes = [2 * PLACES, HIDDEN, HIDDEN, 2 * (PLACES - 1)]
    for k, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        bound = inputs**-0.5
        params[f"weight_{k}"] = rng.uniform(-bound, bound, (inputs, outputs))
        params[f"bias_{k}"] = rng.uniform(-bound, bound, outputs)
    return {name: jnp.asarray(value, jnp.float32) for name, value in params.items()}


def observe(params, known, places, ages):
    """Position in m and velocity in m/s now; newest place first, `known` 0 or 1, ages in s."""
    h = jnp.concatenate([known, known * jnp.minimum(ages, OLDEST_S) * 10], axis=-1)
    for k in range(3):
        h = h @ params[f"weight_{k}"] + params[f"bias_{k}"]
        if k < 2:
            h = jnp.tanh(h)
    steps = known[..., 1:, None] * (places[..., 1:, :] - places[..., :1, :])
    position = places[..., 0, :] + jnp.einsum("...k,...kc->...c", h[..., : PLACES - 1], steps)
    velocity = 10 * jnp.einsum("...k,...kc->...c", h[..., PLACES - 1:], steps)
    return position, velocity


def rides(rng, count):
    """As many motions of the family of ../ur5e-conveyor/plant.py at once; a function of times, count x n."""
    turn = lambda: rng.uniform(0, 2 * math.pi, (count, 1))
    uniform = lambda low, high: rng.uniform(low, high, (count, 1))
    reach, peak = uniform(0.2, 0.4), uniform(0.12, 0.4)
    rate, phase = peak / reach, turn()
    surge, surge_rate, surge_phase = uniform(0, 0.5), uniform(1, 6), turn()
    jolt_m, jolt_s, jolt_rate, jolt_phase = (
        uniform(-0.01, 0.01), uniform(0.05, 0.1), 2 * math.pi / uniform(1.5, 4), turn())
    wobble_m, wobble_rate, wobble_phase = uniform(0, 0.025), uniform(1, 5), turn()
    sharpness = 1 / (jolt_rate * jolt_s) ** 2

    def at(t):
        turned = phase + rate * (t + surge / surge_rate * np.sin(surge_rate * t + surge_phase))
        jolt = jolt_m * np.exp(sharpness * (np.cos(jolt_rate * t - jolt_phase) - 1))
        return np.stack(
            [0.5 + wobble_m * np.cos(wobble_rate * t + wobble_phase), -reach * np.cos(turned) + jolt], axis=-1)

    return at


def lessons(rng, count, noise_m):
    """What the observer would remember in as many moments, and what is true then."""
    at = rides(rng, count)
    now = rng.uniform(0, 20, (count, 1))
    gaps = np.full((count, PLACES), FRAME_S) * (1 + (rng.random((count, PLACES)) < 0.05))
    stalls = rng.random(count) < 0.3
    gaps[stalls, rng.integers(0, PLACES, stalls.sum())] += rng.uniform(0.03, 0.2, stalls.sum())
    gaps[:, 0] *= rng.random(count)  # how long the newest has been there
    first = now - np.cumsum(gaps, axis=1)  # when each was first seen; some are later than others
    shutter = first - rng.uniform(*LATENCY_S, (count, 1)) - rng.exponential(0.0015, first.shape)
    ages = np.maximum(np.floor((now - first) / TICK_S) * TICK_S, 0)
    known = (np.arange(PLACES) < np.where(rng.random(count) < 0.8, PLACES, rng.integers(1, PLACES + 1, count))[:, None])
    places = at(shutter) + rng.normal(0, 1, (*shutter.shape, 2)) * noise_m
    velocity = (at(now + 1e-4) - at(now - 1e-4))[:, 0] / 2e-4
    return [x.astype(np.float32) for x in (known, places, ages, at(now)[:, 0], velocity)]


@jax.jit
def _step(params, first, second, count, rate, known, places, ages, position, velocity):
    def loss(params):
        found, speed = observe(params, known, places, ages)
        return jnp.mean(((found - position) * 1e3) ** 2 + ((speed - velocity) * 5e1) ** 2)

    value, slopes = jax.value_and_grad(loss)(params)
    return value, *adam(params, first, second, slopes, count, rate)


def fit(noise_m, steps, peak=3e-3, batch=2048, seed=0, tell=print):
    from network import one_cycle

    params, rng = fresh(seed), np.random.default_rng(seed)
    first = second = jax.tree.map(jnp.zeros_like, params)
    losses = []
    for k in range(steps):
        value, params, first, second = _step(
            params, first, second, k + 1.0, peak * one_cycle(k / steps), *lessons(rng, batch, noise_m))
        losses.append(value)
        if k % 1000 == 999:
            tell(f"observer: step {k + 1}, loss {float(np.mean(losses[-1000:])):.4f}")
    return jax.tree.map(np.asarray, params)
