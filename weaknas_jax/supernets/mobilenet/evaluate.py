"""Inherited accuracy of a MobileNet sub-network, after recalibration (`evaluation`)."""

import functools
from collections.abc import Callable, Iterable, Sequence

import jax

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.supernets import evaluation, recalibration
from weaknas_jax.supernets.data.images import Batch, normalized
from weaknas_jax.supernets.evaluation import Counts
from weaknas_jax.supernets.mobilenet import recalibrate
from weaknas_jax.supernets.mobilenet.layers import Statistics
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, forward
from weaknas_jax.supernets.training import Data


@with_conventions
def count(net: Supernet, arch: Arch, batch: Batch, how: How | None = None) -> Counts:
    """Counts of the valid images of one batch; may be traced."""
    return evaluation.count(lambda images: forward(net, images, arch, how)[0], batch)


@with_conventions
def statistics(net: Supernet, arch: Arch, images: jax.Array, how: How | None = None) -> Statistics:
    """Batch-norm statistics of one batch of bytes [B, H, W, 3]; may be traced."""
    return recalibrate.statistics(net, arch, normalized(images)[None], how)


@with_conventions
def recalibrated(
    net: Supernet,
    arch: Arch,
    batches: Iterable[Batch],
    of_batch: Callable[..., Statistics] = statistics,
) -> Supernet:
    """The supernet with the statistics of ``arch`` on the readable images.

    Args:
      net: the supernet.
      arch: the sub-network.
      batches: training images; those marked invalid are removed.
      of_batch: `statistics`, usually under ``jax.jit``.

    Raises:
      ValueError: no image can be read.
    """
    of_bytes = functools.partial(of_batch, net, arch)
    return recalibrate.with_statistics(net, recalibration.of_readable(of_bytes, batches))


def inherited(
    net: Supernet, calibration: Sequence[Batch], validation: Sequence[Batch], how: How | None = None
) -> Callable[[Arch], dict[str, float]]:
    """A function from a sub-network to ``score`` (top-1) and ``top5``, percent.

    Args:
      net: the supernet.
      calibration, validation: batches that are read again for each sub-network.
      how: as of `supernet.forward`.
    """
    of_batch = jax.jit(functools.partial(statistics, how=how))
    return evaluation.inherited(
        lambda arch, batches: recalibrated(net, arch, batches, of_batch),
        jax.jit(functools.partial(count, how=how)),
        calibration,
        validation,
    )


@with_conventions
def accuracy(
    net: Supernet, arch: Arch, calibration: jax.Array, tested: Data, how: How | None = None
) -> jax.Array:
    """Top-1 accuracy of a sub-network on images in memory, percent, float32 []; may be traced.

    Args:
      net: the supernet.
      arch: the sub-network.
      calibration: training images uint8 [n, B, H, W, 3] for its batch-norm statistics.
      tested: test images in batches, [m, B, ...].
      how: as of `supernet.forward`.
    """
    net = recalibrate.recalibrated(net, arch, normalized(calibration), how)
    return evaluation.accuracy(lambda images: forward(net, images, arch, how)[0], tested)
