"""Batch-norm statistics of a sub-network, from images (Once-for-all, section 3.2).

A sub-network without them is worthless: its share of the running statistics belongs to the
largest network. *Statistics* here are a tree of arrays, (mean, biased variance) of each
normalisation; what they belong to is the caller's to know.
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
    """Means over batches of each batch's own statistics; may be traced.

    What no batch changes stays as it was, to the bit: a sub-network has no statistics where it has
    no channels.

    Args:
      of_batch: statistics of images [B, H, W, 3] by themselves.
      before: the network's own, as ``of_batch`` returns them.
      batches: images [n, B, H, W, 3]; all batches weigh the same, `pooled` joins other ones.
    """
    old, tree = jax.tree.flatten(before)

    def add(carry, images):
        new = jax.tree.leaves(of_batch(images))
        return [
            (total + a, same & (a == b))
            for (total, same), a, b in zip(carry, new, old, strict=True)
        ], None

    nothing = [(jnp.zeros_like(b), jnp.ones(b.shape, bool)) for b in old]
    sums, _ = jax.lax.scan(add, nothing, batches)
    averages = [
        jnp.where(same, b, total / len(batches))  # to the bit: three thirds may not be a whole
        for (total, same), b in zip(sums, old, strict=True)
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
    """Statistics of all images of batches that can be read.

    Args:
      of_batch: statistics of bytes [B, H, W, 3], usually under ``jax.jit``.
      batches: one with images that do not count is made smaller.

    Raises:
      ValueError: none can be read.
    """
    parts = []
    for batch in batches:
        images = batch.images[np.asarray(batch.valid)]
        if len(images):
            parts.append((len(images), of_batch(images)))
    if not parts:
        raise ValueError("no image to recalibrate on can be read")
    return pooled(parts)
