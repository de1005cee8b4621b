"""Batch-norm statistics of a sub-network, from images (Once-for-all, section 3.2).

A sub-network without them is worthless: its share of the running statistics belongs to the
largest network.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.supernets.mobilenet.layers import Statistics
from weaknas_jax.supernets.mobilenet.modules import Norm
from weaknas_jax.supernets.mobilenet.subnet import Static
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, forward


def statistics(net: Supernet, arch: Arch, batches: jax.Array, how: How | None = None) -> Statistics:
    """Means over batches of each batch's own mean and biased variance, at each normalisation.

    Where the sub-network has no channel the running statistics stay.

    Args:
      net: the supernet.
      arch: the sub-network, may be traced.
      batches: images [n, B, H, W, 3]; all batches weigh the same, `pooled` joins other ones.
      how: as of `supernet.forward`.
    """

    before = [array for norm in norms(net) for array in (norm.mean[...], norm.var[...])]
    first = jax.eval_shape(lambda x: forward(net, x, arch, how, fresh=True)[1], batches[0])
    tree = jax.tree.structure(first)

    def add(carry, images):
        found = jax.tree.leaves(forward(net, images, arch, how, fresh=True)[1])
        return [
            (total + new, same & (new == old))
            for (total, same), new, old in zip(carry, found, before, strict=True)
        ], None

    nothing = [(jnp.zeros_like(old), jnp.ones(old.shape, bool)) for old in before]
    sums, _ = jax.lax.scan(add, nothing, batches)
    means = [
        jnp.where(same, old, total / len(batches))  # to the bit: three thirds may not be a whole
        for (total, same), old in zip(sums, before, strict=True)
    ]
    return jax.tree.unflatten(tree, means)


def pooled(parts: Iterable[tuple[int, Statistics]]) -> Statistics:
    """Statistics of several sets of images, each weighted by its number of images."""
    counts, found = zip(*parts, strict=True)
    share = jnp.asarray(counts, jnp.float32) / sum(counts)
    return jax.tree.map(lambda *arrays: jnp.tensordot(share, jnp.stack(arrays), 1), *found)


def norms(net: Supernet | Static) -> list[Norm]:
    """All normalisations, in the order of `Statistics`."""
    ends, found = net.ends, []
    for block in net.blocks:
        full: Any = getattr(block, "full", block)
        found += [full.expand_norm, full.depthwise_norm, full.project_norm]
    return [ends.stem_norm, ends.depthwise_norm, ends.project_norm, *found, ends.final_expand_norm]


def with_statistics(net: Supernet, found: Statistics) -> Supernet:
    """A network that normalises by them; its parameters are shared with ``net``."""
    leaves = jax.tree.leaves(found)
    copy = nnx.clone(net)
    for norm, mean, var in zip(norms(copy), leaves[::2], leaves[1::2], strict=True):
        norm.mean, norm.var = nnx.BatchStat(mean), nnx.BatchStat(var)
    return copy


def recalibrated(net: Supernet, arch: Arch, batches: jax.Array, how: How | None = None) -> Supernet:
    """A supernet with the statistics of ``arch`` on ``batches``; may be called in `jax.jit`."""
    return with_statistics(net, statistics(net, arch, batches, how))
