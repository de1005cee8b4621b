"""The Once-for-all MobileNetV3 supernet: one program evaluates any of its sub-networks.

The choices are run-time integers. Two implementations give the same result:

``masks``     computes at full width and depth and sets inactive parts to zero; under ``vmap`` a
              population is one pass (GPU, TPU)
``branches``  switches among static slices: computes only the sub-network (CPU)

The blocks of a stage after its first are alike and processed by a scan, so that they share one set
of branches.

Reference: Cai et al., "Once-for-All: Train One Network and Specialize it for Efficient Deployment"
(ICLR 2020), and its published code; known deviations: none in the computation.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from weaknas_jax.core import conventions
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import Block, SupernetConfig, squeezed
from weaknas_jax.supernets.mobilenet import layers
from weaknas_jax.supernets.mobilenet.layers import Statistics
from weaknas_jax.supernets.mobilenet.modules import Ends, Inverted, Matrices, Norm

How = Literal["masks", "branches"]


class Elastic(nnx.Module):
    """An elastic block: arrays at full size, and the matrices of its kernel."""

    def __init__(self, config: SupernetConfig, block: Block, rngs: nnx.Rngs):
        self.full = Inverted(block, block.middles[-1], config.kernels[-1], rngs)
        self.smaller = Matrices(config)


class Supernet(nnx.Module):
    """All arrays of a supernet.

    Attributes:
      config: its geometry.
      ends: stem, first block and head.
      blocks: the elastic blocks in order.
    """

    def __init__(self, config: SupernetConfig, rngs: nnx.Rngs):
        self.config = config
        with conventions.scope():
            self.ends = Ends(config, rngs)
            self.blocks = nnx.List([Elastic(config, block, rngs) for block in config.blocks])

    def __call__(self, x: jax.Array, arch: Arch, how: How | None = None) -> jax.Array:
        """Logits [B, classes] of images [B, H, W, 3], normalised by the running statistics."""
        return forward(self, x, arch, how)[0]


def default_how() -> How:
    """The faster implementation for the backend."""
    return "branches" if jax.default_backend() == "cpu" else "masks"


@conventions.with_conventions
def forward(
    net: Supernet, x: jax.Array, arch: Arch, how: How | None = None, fresh: bool = False
) -> tuple[jax.Array, Statistics]:
    """Logits [B, classes] of one sub-network, and the statistics of all normalisations.

    Args:
      net: the supernet.
      x: images [B, H, W, 3].
      arch: choices, may be traced; not checked here (`arch.make` does).
      how: see the module; by default `default_how`.
      fresh: normalise by the batch's own statistics. They are returned at full length; channels
        that the sub-network lacks keep the running statistics.
    """
    config, how = net.config, how or default_how()
    config.check_image_size(min(x.shape[1:3]))
    x, of_beginning = layers.beginning(net.ends, x, config.stem_stride, fresh)
    kernels = jnp.searchsorted(jnp.asarray(config.kernels), jnp.asarray(arch.kernels))
    expansions = jnp.searchsorted(jnp.asarray(config.expansions), jnp.asarray(arch.expansions))
    one = _masked if how == "masks" else _switched
    of_blocks = []
    for stage in range(len(config.stages)):
        places = slice(stage * config.most, (stage + 1) * config.most)
        choices = jnp.asarray(arch.depths)[stage], kernels[places], expansions[places]
        x, of_stage = _stage(net, stage, x, *choices, one, fresh)
        of_blocks += of_stage
    x, of_head = layers.head(net.ends, x, fresh)
    return x, (of_beginning, of_blocks, of_head)


def _stage(net, stage: int, x, depth, kernels, expansions, one, fresh: bool):
    """The blocks of a stage: the first alone, the others, which are alike, by a scan."""
    config = net.config
    places = range(stage * config.most, (stage + 1) * config.most)
    block, *rest = (config.blocks[place] for place in places)
    weights, *others = (net.blocks[place] for place in places)
    x, of_first = one(config, block, weights, x, kernels[0], expansions[0], fresh)
    if not rest:
        return x, [of_first]
    graph, _ = nnx.split(others[0])

    def step(x, inputs):
        place, state, kernel, expansion = inputs
        weights = nnx.merge(graph, state)
        return jax.lax.cond(
            place < depth,
            lambda x: one(config, rest[0], weights, x, kernel, expansion, fresh),
            lambda x: (x, _running_statistics(weights)),
            x,
        )

    states = jax.tree.map(lambda *arrays: jnp.stack(arrays), *map(nnx.state, others))
    inputs = jnp.arange(1, config.most), states, kernels[1:], expansions[1:]
    x, stacked = jax.lax.scan(step, x, inputs)
    return x, [of_first, *(jax.tree.map(lambda a, i=i: a[i], stacked) for i in range(len(rest)))]


def _running_statistics(weights: Elastic) -> Statistics:
    """The running statistics of a block."""
    full = weights.full
    norms = full.expand_norm, full.depthwise_norm, full.project_norm
    return tuple((norm.mean[...], norm.var[...]) for norm in norms)


def _masked(config, block: Block, weights: Elastic, x, kernel, expansion, fresh: bool):
    """A block at full width, with inactive channels set to zero."""
    full, largest = weights.full, config.kernels[-1]

    def padded(small):
        pad = (largest - len(small)) // 2
        return jnp.pad(small, ((pad, pad), (pad, pad), (0, 0)))

    options = [padded(k) for k in kernels_of(config, weights, block.middles[-1]).values()]
    chosen = _replaced(full, depthwise=nnx.Param(jnp.stack(options)[kernel]))
    middle = jnp.arange(block.middles[-1]) < jnp.asarray(block.middles)[expansion]
    narrow = None
    if block.squeeze:
        sizes = jnp.asarray([squeezed(m) for m in block.middles])
        narrow = jnp.arange(squeezed(block.middles[-1])) < sizes[expansion]
    x, (*inner, last) = layers.inverted(chosen, block, x, fresh, (middle, narrow))
    if not fresh:
        return x, _running_statistics(weights)
    before = _running_statistics(weights)
    inner = jax.tree.map(lambda new, old: jnp.where(middle, new, old), tuple(inner), before[:2])
    return x, (*inner, last)


def _switched(config, block: Block, weights: Elastic, x, kernel, expansion, fresh: bool):
    """A block by branches: one for its expansion, one for its depthwise kernel size."""

    def branch(middle: int):
        def run(weights, x):
            part = narrowed(weights.full, middle)
            kernels = kernels_of(config, weights, middle)

            def spatial(h):
                def convolve(size):
                    return lambda h: layers.depthwise(h, kernels[size], block.stride)

                return jax.lax.switch(kernel, [convolve(size) for size in config.kernels], h)

            x, (*inner, last) = layers.inverted(part, block, x, fresh, spatial=spatial)
            before = _running_statistics(weights)
            if not fresh:
                return x, before

            def put(new, old):
                return old.at[:middle].set(new)

            return x, (*jax.tree.map(put, tuple(inner), before[:2]), last)

        return run

    return jax.lax.switch(expansion, [branch(middle) for middle in block.middles], weights, x)


def kernels_of(config: SupernetConfig, weights: Elastic, middle: int) -> dict[int, jax.Array]:
    """The first ``middle`` channels of the depthwise kernel at each size, [size, size, middle]."""
    matrices = [matrix[...] for matrix in weights.smaller.matrices]
    stored = weights.full.depthwise[..., :middle]
    return {size: layers.elastic_kernel(stored, matrices, size) for size in config.kernels}


def narrowed(full: Inverted, middle: int) -> Inverted:
    """A block with only the first ``middle`` channels; the depthwise kernel keeps its size."""
    narrow, squeeze = squeezed(middle), full.squeeze

    def first(norm: Norm) -> Norm:
        return jax.tree.map(lambda array: array[:middle], norm)

    if squeeze is not None:
        squeeze = _replaced(
            squeeze,
            reduce=nnx.Param(squeeze.reduce[:middle, :narrow]),
            reduce_bias=nnx.Param(squeeze.reduce_bias[:narrow]),
            expand=nnx.Param(squeeze.expand[:narrow, :middle]),
            expand_bias=nnx.Param(squeeze.expand_bias[:middle]),
        )
    return _replaced(
        full,
        expand=nnx.Param(full.expand[:, :middle]),
        expand_norm=first(full.expand_norm),
        depthwise=nnx.Param(full.depthwise[..., :middle]),
        depthwise_norm=first(full.depthwise_norm),
        squeeze=squeeze,
        project=nnx.Param(full.project[:middle]),
    )


def _replaced(module: nnx.Module, **attributes: Any) -> Any:
    """A shallow copy with other attributes."""
    copy = nnx.clone(module)
    for name, value in attributes.items():
        setattr(copy, name, value)
    return copy
