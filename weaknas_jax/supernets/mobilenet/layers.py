"""Layers of the network as pure functions of a module's arrays.

Batch normalisation uses the running statistics or, if ``fresh``, those of the batch
itself (biased variance), and returns the latter: `Statistics`, (mean, var) of each normalisation.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.spaces.mobilenet.config import Block
from weaknas_jax.supernets.mobilenet.modules import Ends, Inverted, Norm, Squeeze

Statistics = Any
EPSILON = 1e-5


def activation(block: Block):
    """The nonlinearity of a block."""
    return jax.nn.hard_swish if block.hard_swish else jax.nn.relu


def normalize(norm: Norm, x: jax.Array, fresh: bool) -> tuple[jax.Array, Statistics]:
    """x [B, H, W, C] normalised, in its own precision, and the (mean, var) used, float32."""
    mean, var, kind = norm.mean[...], norm.var[...], x.dtype
    x = x.astype(jnp.float32)
    if fresh:
        mean = jnp.mean(x, axis=(0, 1, 2))
        var = jnp.mean((x - mean) ** 2, axis=(0, 1, 2))
    factor = norm.scale[...] * jax.lax.rsqrt(var + EPSILON)
    return (x * factor + (norm.bias[...] - mean * factor)).astype(kind), (mean, var)


def depthwise(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """A depthwise convolution, padded by k // 2 on all sides.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C].
      stride: in both directions.
    """
    k, pad = len(kernel), len(kernel) // 2
    if jax.default_backend() != "cpu":
        return jax.lax.conv_general_dilated(
            x,
            kernel[:, :, None],
            (stride, stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )
    # XLA's grouped convolution takes several times as long there. A loop over the rows, because
    # all at once takes long to compile.
    high, wide = ((side - 1) // stride + 1 for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    end = stride * (wide - 1) + 1

    def add_row(i, total):
        rows = jax.lax.dynamic_slice_in_dim(x, i, stride * (high - 1) + 1, axis=1)[:, ::stride]
        return total + sum(rows[:, :, j : j + end : stride] * kernel[i, j] for j in range(k))

    total = jnp.zeros((len(x), high, wide, x.shape[-1]))
    return jax.lax.fori_loop(0, k, add_row, total).astype(x.dtype)


def elastic_kernel(stored: jax.Array, matrices: list[jax.Array], size: int) -> jax.Array:
    """The kernel [size, size, C] derived from a stored one [K, K, C].

    From each size to the next: its centre, flattened row by row, times a matrix shared by all
    channels (Once-for-all, section 3.3).
    """
    kernel = stored
    for matrix in matrices:
        if len(kernel) == size:
            break
        next_size = round(len(matrix) ** 0.5)
        cut = (len(kernel) - next_size) // 2
        centre = kernel[cut : cut + next_size, cut : cut + next_size]
        kernel = (matrix @ centre.reshape(len(matrix), -1)).reshape(centre.shape)
    return kernel


def squeeze_excite(squeeze: Squeeze, x: jax.Array, narrow: jax.Array | None = None) -> jax.Array:
    """x [B, H, W, M] scaled by channel; ``narrow``: which of the r channels count, bool [r]."""
    pooled = jnp.mean(x, axis=(1, 2))
    inner = jax.nn.relu(pooled @ squeeze.reduce[...] + squeeze.reduce_bias[...])
    inner = inner if narrow is None else jnp.where(narrow, inner, 0.0)
    gate = jax.nn.hard_sigmoid(inner @ squeeze.expand[...] + squeeze.expand_bias[...])
    return x * gate[:, None, None]


def inverted(
    weights: Inverted,
    block: Block,
    x: jax.Array,
    fresh: bool,
    kept: tuple[jax.Array, jax.Array | None] | None = None,
    spatial: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[jax.Array, Statistics]:
    """An inverted-residual block.

    Args:
      weights: its arrays.
      block: its geometry.
      x: [B, H, W, c_in].
      fresh: see the module.
      kept: masks of active channels, bool [M] of the middle and [r] of its squeeze; None = all.
      spatial: replaces the depthwise convolution.

    Returns:
      [B, H', W', c_out], and the statistics of its three normalisations.
    """
    act = activation(block)

    def cut(h: jax.Array) -> jax.Array:
        return h if kept is None else jnp.where(kept[0], h, 0.0)

    h, of_expand = normalize(weights.expand_norm, x @ weights.expand[...], fresh)
    h = cut(act(h))
    h = spatial(h) if spatial else depthwise(h, weights.depthwise[...], block.stride)
    h, of_depthwise = normalize(weights.depthwise_norm, h, fresh)
    h = cut(act(h))
    if weights.squeeze is not None:
        h = cut(squeeze_excite(weights.squeeze, h, kept and kept[1]))
    h, of_project = normalize(weights.project_norm, h @ weights.project[...], fresh)
    return h + x if block.residual else h, (of_expand, of_depthwise, of_project)


def beginning(ends: Ends, x: jax.Array, stride: int, fresh: bool) -> tuple[jax.Array, Statistics]:
    """Stem and fixed first block: images to the input of the first elastic block."""
    x = jax.lax.conv_general_dilated(
        x,
        ends.stem[...],
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x, of_stem = normalize(ends.stem_norm, x, fresh)
    x = jax.nn.hard_swish(x)
    h, of_depthwise = normalize(ends.depthwise_norm, depthwise(x, ends.depthwise[...], 1), fresh)
    h, of_project = normalize(ends.project_norm, jax.nn.relu(h) @ ends.project[...], fresh)
    h = h + x if h.shape == x.shape else h
    return h, (of_stem, of_depthwise, of_project)


def head(
    ends: Ends, x: jax.Array, fresh: bool, drop: jax.Array | None = None
) -> tuple[jax.Array, Statistics]:
    """Logits [B, classes] of the last block's output; ``drop`` scales the features (dropout)."""
    x, statistics = normalize(ends.final_expand_norm, x @ ends.final_expand[...], fresh)
    x = jnp.mean(jax.nn.hard_swish(x), axis=(1, 2))
    x = jax.nn.hard_swish(x @ ends.feature_mix[...])
    x = x if drop is None else x * drop
    return x @ ends.classifier[...] + ends.classifier_bias[...], statistics
