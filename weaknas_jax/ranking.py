"""Scoring the whole space and putting it in order (paper section 3.1).

Scoring goes through the space in chunks of equal size, so that no more than one chunk's
activations exist at a time; the chunk comes from a plan that depends on the device's memory and
on the configuration, never on what happens to be free, because equal chunks are part of equal
results.
"""

import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.types import Prediction, Predictor, Scorer, Space

_CPU_CHUNK = 1024  # rows of 1000 activations stay in a CPU's cache
_SHARE = 0.25  # of the device's memory that one chunk's activations may take, all lanes together
_ROW_BYTES = 4 * 1000 * 4  # a few live float32 activations of the paper's width


def device_memory() -> int:
    """Bytes of memory of the first device; on a CPU, of the machine."""
    stats = jax.devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def plan_lanes(size: int, memory: int | None = None) -> int:
    """Runs side by side: 1 on a CPU, else as many, up to 32, as memory plainly holds.

    Args:
      size: N.
      memory: bytes of the device, by default its own.

    A lane of the paper's MLP holds four copies of 3.0 M parameters, and of each architecture a
    score, a label and a mark.
    """
    if jax.default_backend() == "cpu":
        return 1
    lane = 4 * 4 * 3_100_000 + 16 * size
    share = (device_memory() if memory is None else memory) // 4
    return max(1, min(32, share // lane))


def plan_chunk(size: int, lanes: int = 1, memory: int | None = None) -> int:
    """Rows to score at once: as many as memory allows, in equal chunks, a multiple of 8.

    Args:
      size: N.
      lanes: runs that are scored side by side.
      memory: bytes of the device, by default `device_memory`.

    >>> plan_chunk(15_625, lanes=100, memory=80 * 2**30)
    7816
    """
    rows = int((device_memory() if memory is None else memory) * _SHARE) // (_ROW_BYTES * lanes)
    if jax.default_backend() == "cpu" and memory is None:
        rows = min(rows, _CPU_CHUNK)
    chunks = math.ceil(size / max(8, min(rows, size)))
    return math.ceil(size / chunks / 8) * 8


def score_in_chunks(
    predict: Callable[[Any, jax.Array], Prediction], params: Any, x: jax.Array, chunk: int
) -> Prediction:
    """``predict(params, x [N, D])``, ``chunk`` rows at a time."""
    size = len(x)
    padded = jnp.pad(x, ((0, -size % chunk), (0, 0))).reshape(-1, chunk, x.shape[1])
    scores = jax.lax.map(lambda rows: predict(params, rows), padded)
    return jax.tree.map(lambda a: a.reshape(-1)[:size], scores)


def refit(predictor: Predictor, chunk: int | None = None) -> Scorer:
    """The `Scorer` that fits ``predictor`` from scratch on everything known, each time."""

    def init(space: Space, budget: int):
        x = jax.ShapeDtypeStruct((budget, space.encoding.shape[1]), jnp.float32)
        y = jax.ShapeDtypeStruct((budget,), jnp.float32)
        mask = jax.ShapeDtypeStruct((budget,), jnp.bool_)
        params = jax.eval_shape(
            predictor.fit, jax.eval_shape(lambda: jax.random.key(0)), x, y, mask
        )
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), params)

    def update(key, state, space, queried, y, mask, indices):
        del state, indices
        x = jnp.where(mask[:, None], space.encoding[jnp.maximum(queried, 0)], 0.0)
        return predictor.fit(key, x, y, mask)

    def score(state, space):
        rows = chunk or plan_chunk(space.size, plan_lanes(space.size))
        return score_in_chunks(predictor.predict, state, space.encoding, rows)

    return Scorer(init, update, score)


def positions(scores: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Each architecture's place in the predicted ranking, int32 [N]; 0 = best.

    Ties go to the lower index, or, with a ``key``, in a random order; NaN ranks last.

    >>> positions(jnp.array([1.0, 3.0, jnp.nan, 3.0])).tolist()
    [2, 0, 3, 1]
    """
    places = jnp.arange(len(scores), dtype=jnp.int32)
    jitter = places if key is None else jax.random.permutation(key, places)
    *_, order = jax.lax.sort((-scores, jitter, places), num_keys=2)
    return jnp.zeros(len(scores), jnp.int32).at[order].set(places, unique_indices=True)
