"""Weights that networks begin with, for the ``kernel_init`` of NNX's layers.

They are drawn flat, in powers of two: outside of `jax.jit` each other shape would be compiled for
itself, and a network has dozens.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Even in +-1/sqrt(inputs), as PyTorch's layers begin."""
    return _drawn(jax.random.uniform, key, shape, dtype, minval=-1.0, maxval=1.0)


def normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Normal of variance 1/inputs, cut at two deviations, as TensorFlow's variance scaling."""
    limits = {"lower": -2.0, "upper": 2.0}
    return _drawn(jax.random.truncated_normal, key, shape, dtype, **limits) / _DEVIATION


_DEVIATION = 0.87962566103423978  # of a standard normal that is cut at two


def _drawn(
    draw: Callable[..., jax.Array], key: jax.Array, shape: tuple[int, ...], dtype: Any, **how: float
) -> jax.Array:
    """Draws over the square root of how many inputs an output has; the last axis are outputs."""
    size, inputs = math.prod(shape), math.prod(shape[:-1])
    drawn = draw(key, shape=(2 ** math.ceil(math.log2(size)),), dtype=dtype, **how)
    return drawn[:size].reshape(shape) / math.sqrt(inputs)
