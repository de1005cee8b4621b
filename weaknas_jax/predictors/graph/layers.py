"""Layers of graph networks, as functions of their parameters.

Arrays of nodes are [B, V, C]; ``weight`` says which nodes (or rows) count, [B, V] or [B, 1].
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


def uniform(key: jax.Array, shape: tuple[int, ...], bound: float) -> jax.Array:
    """Values uniform in +-bound."""
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def glorot(key: jax.Array, fan_in: int, fan_out: int) -> jax.Array:
    """A weight [fan_in, fan_out] uniform in +-sqrt(6 / (fan_in + fan_out))."""
    return uniform(key, (fan_in, fan_out), (6 / (fan_in + fan_out)) ** 0.5)


class Dense(NamedTuple):
    """A linear layer: weight [fan_in, fan_out], bias [fan_out]."""

    weight: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        return x @ self.weight + self.bias


def dense(key: jax.Array, fan_in: int, fan_out: int) -> Dense:
    """A layer as PyTorch begins it: weight and bias uniform in +-1 / sqrt(fan_in)."""
    of_weight, of_bias = jax.random.split(key)
    bound = fan_in**-0.5
    return Dense(uniform(of_weight, (fan_in, fan_out), bound), uniform(of_bias, (fan_out,), bound))


class Norm(NamedTuple):
    """Scale and shift of a normalisation, [C] each."""

    scale: jax.Array
    shift: jax.Array


class Moments(NamedTuple):
    """Moving mean and variance of a batch normalisation, [C] each."""

    mean: jax.Array
    variance: jax.Array


def norm(width: int) -> Norm:
    """The identity."""
    return Norm(jnp.ones(width), jnp.zeros(width))


def moments(width: int) -> Moments:
    """Mean 0 and variance 1."""
    return Moments(jnp.zeros(width), jnp.ones(width))


def batch_norm(
    params: Norm, state: Moments, x: jax.Array, weight: jax.Array | None, momentum: float = 0.1
) -> tuple[jax.Array, Moments]:
    """Batch normalisation as PyTorch has it, over all axes but the last.

    >>> x = jnp.array([[[1.0]], [[3.0]], [[99.0]]])
    >>> y, after = batch_norm(norm(1), moments(1), x, jnp.array([[1.0], [1.0], [0.0]]))
    >>> y[:2, 0, 0].round(3).tolist(), round(float(after.mean[0]), 3)
    ([-1.0, 1.0], 0.2)

    Args:
      params, state: of the layer.
      x: [B, V, C].
      weight: [B, V] or [B, 1], 1 = counts for the moments; None = the moving ones are used.
      momentum: share of a batch in the moving moments.

    Returns:
      The normalised array, and the moving moments after this batch (variance unbiased).
    """
    if weight is None:
        mean, variance = state
    else:
        weight = jnp.broadcast_to(weight, x.shape[:-1])[..., None]
        axes = tuple(range(x.ndim - 1))
        count = jnp.maximum(jnp.sum(weight), 1.0)
        mean = jnp.sum(weight * x, axes) / count
        variance = jnp.sum(weight * (x - mean) ** 2, axes) / count
        unbiased = variance * count / jnp.maximum(count - 1, 1.0)
        state = Moments(
            (1 - momentum) * state.mean + momentum * mean,
            (1 - momentum) * state.variance + momentum * unbiased,
        )
    return params.scale * (x - mean) / jnp.sqrt(variance + 1e-5) + params.shift, state


def layer_norm(params: Norm, x: jax.Array) -> jax.Array:
    """Normalisation of each node's channels."""
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, -1, keepdims=True)
    return params.scale * (x - mean) / jnp.sqrt(variance + 1e-5) + params.shift


def dropout(key: jax.Array | None, x: jax.Array, rate: float) -> jax.Array:
    """Sets a share of the values to 0 and scales the others; no key = does nothing."""
    if key is None:
        return x
    kept = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(kept, x / (1 - rate), 0.0)


def count(params: object) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
