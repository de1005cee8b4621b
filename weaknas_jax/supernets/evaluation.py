"""Accuracy of networks, and the accuracy that a sub-network inherits (WeakNAS, section 3.2)."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets.data.images import Batch, normalized
from weaknas_jax.supernets.training import Data


class Counts(NamedTuple):
    """Numbers of images, and of those whose class is the likeliest or among the five likeliest.

    Attributes:
      images, top1, top5: int32 [].
    """

    images: jax.Array | int
    top1: jax.Array | int
    top5: jax.Array | int


@with_conventions
def counted(logits: jax.Array, labels: jax.Array, valid: jax.Array) -> Counts:
    """Counts by the logits [B, classes] of a batch, labels [B], bool [B]; may be traced.

    With five classes or fewer, top5 counts all valid images.
    """
    _, likeliest = jax.lax.top_k(logits, min(5, logits.shape[-1]))
    # top_k takes NaN as the largest: a network that returns NaN has no hits
    hit = (likeliest == labels[:, None]) & jnp.isfinite(logits).all(-1, keepdims=True)
    hit &= valid[:, None]
    return Counts(valid.sum(), hit[:, 0].sum(), hit.any(-1).sum())


@with_conventions
def count(predict: Callable[[jax.Array], jax.Array], batch: Batch) -> Counts:
    """Counts of the valid images of a batch; may be traced.

    Args:
      predict: normalised images [B, H, W, 3] -> logits [B, classes], e.g. a network.
      batch: bytes and labels.
    """
    return counted(predict(normalized(batch.images)), batch.labels, batch.valid)


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of the counts of batches, as Python numbers.

    >>> total([Counts(4, 2, 3), Counts(1, 1, 1)])
    Counts(images=5, top1=3, top5=4)
    """
    whole = Counts(0, 0, 0)
    for part in counts:
        whole = Counts(*(a + int(b) for a, b in zip(whole, part, strict=True)))
    return whole


@with_conventions
def accuracy(predict: Callable[[jax.Array], jax.Array], tested: Data) -> jax.Array:
    """Top-1 accuracy on ``tested``, percent, float32 []; may be traced.

    Args:
      predict: as in `count`.
      tested: images in memory, in batches [m, B, ...].
    """

    def add(hits, batch: Data):
        everything = jnp.ones(len(batch.labels), bool)
        logits = predict(normalized(batch.images))
        return hits + counted(logits, batch.labels, everything).top1, None

    hits, _ = jax.lax.scan(add, jnp.int32(0), tested)
    return 100 * hits / tested.labels.size


def inherited(
    recalibrate: Callable[[Any, Sequence[Batch]], Any],
    count: Callable[[Any, Any, Batch], Counts],
    calibration: Sequence[Batch],
    validation: Sequence[Batch],
) -> Callable[[Any], dict[str, float]]:
    """A function from a sub-network to ``score`` (top-1) and ``top5``, percent.

    Args:
      recalibrate: (sub-network, batches) -> the network with the statistics of the sub-network.
      count: (that network, sub-network, batch) -> counts, usually under ``jax.jit``.
      calibration, validation: batches that are read again for each sub-network.
    """

    @with_conventions
    def evaluate(arch: Any) -> dict[str, float]:
        network = recalibrate(arch, calibration)
        # a list: dispatches all batches before waiting for the first
        images, top1, top5 = total([count(network, arch, batch) for batch in validation])
        if not images:
            raise ValueError("no validation image can be read")
        return {"score": 100 * top1 / images, "top5": 100 * top5 / images}

    return evaluate
