"""Label transforms: from observed scores to the labels that a predictor is fitted on.

A label transform is ``transform(scores [Q], mask [Q]) -> y [Q]``: pure, increasing, and blind to
padding. Rows outside the mask come out as 0.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp


def standardize_observed(scores: jax.Array, mask: jax.Array) -> jax.Array:
    """Zero mean and unit deviation over the evaluated architectures (our default).

    Constant labels come out as zeros.

    >>> y = standardize_observed(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False]))
    >>> y.tolist()
    [-1.0, 1.0, 0.0]
    """
    n = jnp.maximum(jnp.sum(mask), 1)
    scores = jnp.where(mask, scores, 0.0)
    centred = jnp.where(mask, scores - jnp.sum(scores) / n, 0.0)
    scale = jnp.sqrt(jnp.sum(centred**2) / n)
    least = 1e-6 * jnp.minimum(jnp.max(jnp.abs(scores)), 1.0)  # labels may all be of 1e-9
    return jnp.where(scale > least, centred / jnp.where(scale > least, scale, 1.0), 0.0)


def standardize_by(mean: float, std: float):
    """The reference's transform, by mean and deviation of the whole table, a mild leak.

    >>> standardize_by(50.0, 10.0)(jnp.array([60.0, 0.0]), jnp.array([True, False])).tolist()
    [1.0, 0.0]
    """
    std = std if std > 0 else 1.0
    return lambda scores, mask: jnp.where(mask, (jnp.where(mask, scores, mean) - mean) / std, 0.0)


def rank_normal(scores: jax.Array, mask: jax.Array) -> jax.Array:
    """Normal quantiles of the ranks of evaluated scores; equal scores share their mean rank.

    Constant labels come out as zeros.

    >>> y = rank_normal(jnp.array([5.0, 9.0, 7.0, 0.0]), jnp.arange(4) < 3)
    >>> [f"{label:.3f}" for label in y + 0.0]
    ['-0.967', '0.967', '0.000', '0.000']
    """
    n = jnp.maximum(jnp.sum(mask), 1)
    below = jnp.sum(mask & (scores < scores[:, None]), axis=1)
    equal = jnp.sum(mask & (scores == scores[:, None]), axis=1)
    share = (below + equal / 2) / n
    return jnp.where(mask, jax.scipy.special.ndtri(jnp.where(mask, share, 0.5)), 0.0)


def inverse(mean: jax.Array, y: jax.Array, scores: jax.Array) -> jax.Array:
    """Scores of predicted labels, interpolated between the evaluated ones, float32 [n].

    Args:
      mean: predicted labels [n].
      y, scores: evaluated labels and scores [Q], NaN = none. Labels beyond theirs give the worst or
        best score; without any, all give 0.

    >>> inverse(jnp.array([0.5, 9.0]), jnp.array([1.0, 0.0, 7.0]), jnp.array([90.0, 80.0, jnp.nan]))
    Array([85., 90.], dtype=float32)
    """
    mask = jnp.isfinite(scores)
    order = jnp.argsort(jnp.where(mask, y, jnp.inf))
    last = order[jnp.maximum(jnp.sum(mask) - 1, 0)]
    order = jnp.where(mask[order], order, last)
    result = jnp.interp(mean, y[order], jnp.where(mask, scores, 0.0)[order])
    return jnp.where(jnp.any(mask), result, 0.0)


class TransformRecord(NamedTuple):
    """A label transform by name; calling a record applies it.

    Attributes:
      apply: ``apply(scores [Q], mask [Q]) -> y [Q]``.
      title: a description of one line.
      by_table: ``by_table(mean, deviation)``, the transform by those of a whole table's labels
        (``normalize=table`` of `protocol.Protocol`); None = it does not depend on them.
    """

    apply: Callable[[jax.Array, jax.Array], jax.Array]
    title: str
    by_table: Callable[[float, float], Callable[[jax.Array, jax.Array], jax.Array]] | None = None

    def __call__(self, scores: jax.Array, mask: jax.Array) -> jax.Array:
        return self.apply(scores, mask)


TRANSFORMS: dict[str, TransformRecord] = {
    "standardize": TransformRecord(
        standardize_observed, "zero mean and unit deviation", standardize_by
    ),
    "rank": TransformRecord(rank_normal, "normal quantiles of the ranks"),
}
