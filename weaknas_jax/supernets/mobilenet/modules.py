"""Parameters of the network as Flax NNX modules; their computation is in `layers`.

NNX rather than Linen: a sub-network is a slice of a supernet's arrays, and an NNX module is a tree
of arrays under plain attribute names, which can be sliced, stacked, mapped and handed to `jax.jit`.

Images are [B, H, W, 3]; kernels of 1x1 convolutions are matrices [in, out], those of depthwise
ones [k, k, C].
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from weaknas_jax.spaces.mobilenet.config import Block, SupernetConfig, squeezed


def _he(rngs: nnx.Rngs, shape: tuple[int, ...], fan_out: int) -> nnx.Param:
    """Normal with variance ``2 / fan_out``, OFA's."""
    # Drawn flat, in powers of two: outside of `jit` each other shape would be compiled for itself.
    size = math.prod(shape)
    drawn = jax.random.normal(rngs.params(), (2 ** math.ceil(math.log2(size)),))
    return nnx.Param(drawn[:size].reshape(shape) * math.sqrt(2 / fan_out))


class Norm(nnx.Module):
    """Batch normalisation of C channels: parameters and running statistics, each [C]."""

    def __init__(self, channels: int):
        self.scale, self.bias = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))


class Squeeze(nnx.Module):
    """Squeeze-excite of M channels through r."""

    def __init__(self, middle: int, rngs: nnx.Rngs):
        narrow = squeezed(middle)
        self.reduce, self.reduce_bias = _he(rngs, (middle, narrow), narrow), _zeros(narrow)
        self.expand, self.expand_bias = _he(rngs, (narrow, middle), middle), _zeros(middle)


def _zeros(channels: int) -> nnx.Param:
    return nnx.Param(jnp.zeros(channels))


class Inverted(nnx.Module):
    """An inverted-residual block of one middle M and one kernel size."""

    def __init__(self, block: Block, middle: int, kernel: int, rngs: nnx.Rngs):
        self.expand = _he(rngs, (block.c_in, middle), middle)
        self.expand_norm = Norm(middle)
        self.depthwise = _he(rngs, (kernel, kernel, middle), kernel**2 * middle)
        self.depthwise_norm = Norm(middle)
        self.squeeze = Squeeze(middle, rngs) if block.squeeze else None
        self.project = _he(rngs, (middle, block.c_out), block.c_out)
        self.project_norm = Norm(block.c_out)


class Matrices(nnx.Module):
    """The matrices that derive a kernel from the next larger one, [k^2, k^2], larger first."""

    def __init__(self, config: SupernetConfig):
        sizes = reversed(config.kernels[:-1])
        self.matrices = nnx.List([nnx.Param(jnp.eye(size**2)) for size in sizes])


class Ends(nnx.Module):
    """Parts that all sub-networks share: the stem, the fixed first block, and the head."""

    def __init__(self, config: SupernetConfig, rngs: nnx.Rngs):
        stem, first = config.channels(config.stem), config.channels(config.first)
        self.stem, self.stem_norm = _he(rngs, (3, 3, 3, stem), 9 * stem), Norm(stem)
        self.depthwise, self.depthwise_norm = _he(rngs, (3, 3, stem), 9 * stem), Norm(stem)
        self.project, self.project_norm = _he(rngs, (stem, first), first), Norm(first)
        c_in, last = config.blocks[-1].c_out, config.channels(config.final_expand)
        mixed = config.channels(config.feature_mix)
        self.final_expand, self.final_expand_norm = _he(rngs, (c_in, last), last), Norm(last)
        self.feature_mix = _he(rngs, (last, mixed), mixed)
        bound = 1 / math.sqrt(mixed)
        shape = (mixed, config.classes)
        weight = jax.random.uniform(rngs.params(), shape, minval=-bound, maxval=bound)
        self.classifier, self.classifier_bias = nnx.Param(weight), _zeros(config.classes)
