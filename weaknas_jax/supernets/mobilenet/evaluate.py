"""Accuracy that a sub-network inherits (WeakNAS, section 3.2): recalibrated, then counted."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.supernets.data.images import Batch, normalized
from weaknas_jax.supernets.mobilenet import recalibrate
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, forward


class Counts(NamedTuple):
    """Of images: how many, and how many of them had their class among the likeliest.

    Attributes:
      images, top1, top5: int32 [].
    """

    images: jax.Array | int
    top1: jax.Array | int
    top5: jax.Array | int


def count(net: Supernet, arch: Arch, batch: Batch, how: How | None = None) -> Counts:
    """Counts of one batch, of its valid images; may be traced. With five classes or fewer, top5
    is all of them."""
    logits, _ = forward(net, normalized(batch.images), arch, how)
    return counted(logits, batch.labels, batch.valid)


def counted(logits: jax.Array, labels: jax.Array, valid: jax.Array) -> Counts:
    """Counts by the logits [B, classes] of a batch, labels [B], bool [B]; may be traced."""
    _, likeliest = jax.lax.top_k(logits, min(5, logits.shape[-1]))
    # NaN is the largest of all to top_k: a network that gives them is right about nothing
    hit = (likeliest == labels[:, None]) & jnp.isfinite(logits).all(-1, keepdims=True)
    hit &= valid[:, None]
    return Counts(valid.sum(), hit[:, 0].sum(), hit.any(-1).sum())


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of the counts of batches, as numbers of the host."""
    whole = Counts(0, 0, 0)
    for found in counts:
        whole = Counts(*(a + int(b) for a, b in zip(whole, found, strict=True)))
    return whole


def statistics(net: Supernet, arch: Arch, images: jax.Array, how: How | None = None):
    """Batch-norm statistics of one batch of bytes [B, H, W, 3]; may be traced."""
    return recalibrate.statistics(net, arch, normalized(images)[None], how)


def recalibrated(
    net: Supernet,
    arch: Arch,
    batches: Iterable[Batch],
    of_batch: Callable = statistics,
) -> Supernet:
    """The supernet with the statistics of ``arch`` on images that can be read.

    Args:
      net: the supernet.
      arch: the sub-network.
      batches: of training images; one with images that do not count is made smaller.
      of_batch: `statistics`, usually under ``jax.jit``.
    """
    parts = []
    for batch in batches:
        images = batch.images[np.asarray(batch.valid)]
        if len(images):
            parts.append((len(images), of_batch(net, arch, images)))
    if not parts:
        raise ValueError("no image to recalibrate on can be read")
    return recalibrate.with_statistics(net, recalibrate.pooled(parts))


def inherited(
    net: Supernet, calibration: Sequence[Batch], validation: Sequence[Batch], how: How | None = None
) -> Callable[[Arch], dict[str, float]]:
    """A function from a sub-network to ``score`` and ``top5``, percent of what was counted.

    Args:
      net: the supernet.
      calibration, validation: batches that are read again for each sub-network.
      how: as of `supernet.forward`.
    """
    of_batch = jax.jit(functools.partial(statistics, how=how))
    of_validation = jax.jit(functools.partial(count, how=how))

    def evaluate(arch: Arch) -> dict[str, float]:
        own = recalibrated(net, arch, calibration, of_batch)
        # a list: all are under way before the first is waited for
        images, top1, top5 = total([of_validation(own, arch, batch) for batch in validation])
        if not images:
            raise ValueError("no validation image can be read")
        return {"score": 100 * top1 / images, "top5": 100 * top5 / images}

    return evaluate
