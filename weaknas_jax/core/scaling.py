"""Scaling of encoding columns, for predictors that add or compare them.

The largest column dominates a network or a distance: beside one of 1e9, columns of 1 have no
effect. A column that exceeds [-1, 1], or that varies by less than a tenth, is scaled to [0, 1]; the
others stay as they are, to the last bit. These are all columns of NAS-Bench-101 and 201, of a
supernet's choices and of `spaces.Choices`, so that predictors see them exactly as published.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

_LARGEST, _LEAST_RANGE = 1.0, 0.1


def columns_of(encoding: jax.Array) -> Callable[[jax.Array], jax.Array]:
    """The scaling of a space's columns, a function of rows [n, D].

    >>> x = jnp.array([[0.0, 1e9, 1e-9], [1.0, 3e9, 2e-9], [0.0, 2e9, 3e-9]])
    >>> columns_of(x)(x).round(3).tolist()
    [[0.0, 0.0, 0.0], [1.0, 1.0, 0.5], [0.0, 0.5, 1.0]]

    Args:
      encoding: float [N, D], all rows. A constant column that is large becomes 0.
    """
    low, high = jnp.min(encoding, axis=0), jnp.max(encoding, axis=0)
    half_range = 0.5 * high - 0.5 * low  # the whole range may overflow
    large = jnp.maximum(-low, high) > _LARGEST
    small = (half_range > 0) & (half_range < 0.5 * _LEAST_RANGE)
    divisor = jnp.where(half_range > 0, half_range, 1.0)

    def scale(x: jax.Array) -> jax.Array:
        return jnp.where(large | small, (0.5 * x - 0.5 * low) / divisor, x)

    return scale


def to_float32(encoding: np.ndarray) -> np.ndarray:
    """Columns [N, D] as float32; less their minimum where that keeps values distinct.

    >>> to_float32(np.array([[1e9, 0.5], [1e9 + 1, 2.0]])).tolist()
    [[0.0, 0.5], [1.0, 2.0]]
    """
    encoding = np.asarray(encoding, np.float64)
    result = encoding.astype(np.float32)
    for at in np.flatnonzero((result != encoding).any(axis=0)):
        column = encoding[:, at]
        shifted = (column - column.min()).astype(np.float32)
        if len(np.unique(shifted)) > len(np.unique(result[:, at])):
            result[:, at] = shifted
    return result
