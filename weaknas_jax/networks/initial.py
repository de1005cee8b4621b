"""Initial weights of networks, for the ``kernel_init`` of NNX layers.

They are drawn as flat arrays of power-of-two sizes: outside `jax.jit` every other shape would be
compiled separately, and a network has dozens.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Uniform in +-1/sqrt(inputs), the initialization of PyTorch's layers."""
    return _drawn(jax.random.uniform, key, shape, dtype, minval=-1.0, maxval=1.0)


def normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Normal of variance 1/inputs, truncated at two deviations: TensorFlow's variance scaling."""
    limits = {"lower": -2.0, "upper": 2.0}
    return _drawn(jax.random.truncated_normal, key, shape, dtype, **limits) / _DEVIATION


_DEVIATION = 0.87962566103423978  # of a standard normal truncated at two


def _drawn(
    draw: Callable[..., jax.Array],
    key: jax.Array,
    shape: tuple[int, ...],
    dtype: Any,
    **limits: float,
) -> jax.Array:
    """Draws divided by the square root of the number of inputs; the last axis is the outputs."""
    size, inputs = math.prod(shape), math.prod(shape[:-1])
    drawn = draw(key, shape=(2 ** math.ceil(math.log2(size)),), dtype=dtype, **limits)
    return drawn[:size].reshape(shape) / math.sqrt(inputs)
