"""Batch-norm statistics of a MobileNet sub-network, from images; see `supernets.recalibration`."""

from typing import Any

import jax
from flax import nnx

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.supernets import recalibration
from weaknas_jax.supernets.mobilenet.layers import Statistics
from weaknas_jax.supernets.mobilenet.modules import Norm
from weaknas_jax.supernets.mobilenet.subnet import Static
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, forward

pooled = recalibration.pooled


@with_conventions
def statistics(net: Supernet, arch: Arch, batches: jax.Array, how: How | None = None) -> Statistics:
    """Means over batches of each batch's own mean and biased variance, at each normalisation.

    Channels that the sub-network lacks keep the running statistics.

    Args:
      net: the supernet.
      arch: the sub-network, may be traced.
      batches: images [n, B, H, W, 3], with equal weights; `pooled` joins unequal ones.
      how: as of `supernet.forward`.
    """

    def of_batch(images: jax.Array) -> Statistics:
        return forward(net, images, arch, how, fresh=True)[1]

    tree = jax.tree.structure(jax.eval_shape(of_batch, batches[0]))
    running = [array for norm in norms(net) for array in (norm.mean[...], norm.var[...])]
    return recalibration.means(of_batch, jax.tree.unflatten(tree, running), batches)


def norms(net: Supernet | Static) -> list[Norm]:
    """All normalisations, in the order of `Statistics`."""
    ends, inner = net.ends, []
    for block in net.blocks:
        full: Any = getattr(block, "full", block)
        inner += [full.expand_norm, full.depthwise_norm, full.project_norm]
    return [ends.stem_norm, ends.depthwise_norm, ends.project_norm, *inner, ends.final_expand_norm]


@with_conventions
def with_statistics(net: Supernet, statistics: Statistics) -> Supernet:
    """A network that normalises by ``statistics``; its parameters are shared with ``net``."""
    leaves = jax.tree.leaves(statistics)
    copy = nnx.clone(net)
    for norm, mean, var in zip(norms(copy), leaves[::2], leaves[1::2], strict=True):
        norm.mean, norm.var = nnx.BatchStat(mean), nnx.BatchStat(var)
    return copy


@with_conventions
def recalibrated(net: Supernet, arch: Arch, batches: jax.Array, how: How | None = None) -> Supernet:
    """A supernet with the statistics of ``arch`` on ``batches``; may be called in `jax.jit`."""
    return with_statistics(net, statistics(net, arch, batches, how))
