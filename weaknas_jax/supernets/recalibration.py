"""Batch-norm statistics of a sub-network, from images (Once-for-all, section 3.2).

A sub-network needs its own: the running statistics of a supernet are those of the largest network.
*Statistics* are a tree of arrays, (mean, biased variance) of each normalisation, in an order that
the caller defines.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets.data.images import Batch

Statistics = Any


@with_conventions
def means(
    of_batch: Callable[[jax.Array], Statistics], before: Statistics, batches: jax.Array
) -> Statistics:
    """Means of the statistics of batches; may be traced.

    Values that no batch changes stay bit-identical: a sub-network has no statistics where it has
    no channels.

    Args:
      of_batch: statistics of images [B, H, W, 3] alone.
      before: the network's own, as ``of_batch`` returns them.
      batches: images [n, B, H, W, 3], with equal weights; `pooled` joins unequal ones.
    """
    old, tree = jax.tree.flatten(before)

    def add(carry, images):
        new = jax.tree.leaves(of_batch(images))
        return [
            (total + a, unchanged & (a == b))
            for (total, unchanged), a, b in zip(carry, new, old, strict=True)
        ], None

    initial = [(jnp.zeros_like(b), jnp.ones(b.shape, bool)) for b in old]
    sums, _ = jax.lax.scan(add, initial, batches)
    averages = [
        jnp.where(
            unchanged, b, total / len(batches)
        )  # exact: the mean of equal values may be rounded
        for (total, unchanged), b in zip(sums, old, strict=True)
    ]
    return jax.tree.unflatten(tree, averages)


@with_conventions
def pooled(parts: Iterable[tuple[int, Statistics]]) -> Statistics:
    """Statistics of several sets of images, each weighted by its number of images."""
    counts, statistics = zip(*parts, strict=True)
    share = jnp.asarray(counts, jnp.float32) / sum(counts)
    return jax.tree.map(lambda *arrays: jnp.tensordot(share, jnp.stack(arrays), 1), *statistics)


def of_readable(
    of_batch: Callable[[np.ndarray], Statistics], batches: Iterable[Batch]
) -> Statistics:
    """Statistics of the readable images of batches.

    Args:
      of_batch: statistics of bytes [B, H, W, 3], usually under ``jax.jit``.
      batches: images marked invalid are removed.

    Raises:
      ValueError: no image can be read.
    """
    parts = []
    for batch in batches:
        images = batch.images[np.asarray(batch.valid)]
        if len(images):
            parts.append((len(images), of_batch(images)))
    if not parts:
        raise ValueError("no image to recalibrate on can be read")
    return pooled(parts)
