"""Losses of networks: of the labels themselves, or of their order only.

A loss is ``loss(scores [B], labels [B], real bool [B]) -> float32``, a mean over the real rows;
without any, it is 0.
"""

import jax
import jax.numpy as jnp


def squared(scores: jax.Array, labels: jax.Array, real: jax.Array) -> jax.Array:
    """Half the mean squared error, scikit-learn's.

    >>> squared(jnp.array([1.0, 2.0, 9.0]), jnp.array([1.0, 0.0, 0.0]), jnp.arange(3) < 2).item()
    1.0
    """
    error = jnp.where(real, scores - labels, 0.0)
    return 0.5 * jnp.sum(error**2) / jnp.maximum(jnp.sum(real), 1)


def pairwise(scores: jax.Array, labels: jax.Array, real: jax.Array) -> jax.Array:
    """RankNet (Burges et al., 2005): ``log(1 + exp(-(s_i - s_j)))``, mean over pairs y_i > y_j.

    >>> pairwise(jnp.array([3.0, 3.0, 9.0]), jnp.array([1.0, 0.0, 0.0]), jnp.arange(3) < 2).item()
    0.6931471824645996
    """
    counts = (labels[:, None] > labels) & real[:, None] & real
    lost = jnp.where(counts, jax.nn.softplus(scores - scores[:, None]), 0.0)
    return jnp.sum(lost) / jnp.maximum(jnp.sum(counts), 1)


def listwise(scores: jax.Array, labels: jax.Array, real: jax.Array) -> jax.Array:
    """ListMLE (Xia et al., 2008): Plackett-Luce likelihood of the labels' order, mean over rows.

    >>> listwise(jnp.array([3.0, 3.0, 9.0]), jnp.array([1.0, 0.0, 0.0]), jnp.arange(3) < 2).item()
    0.3465735912322998
    """
    order = jnp.argsort(jnp.where(real, -labels, jnp.inf))
    scores = jnp.where(real, scores, -1e9)[order]
    ahead = jax.lax.cumlogsumexp(scores, reverse=True) - scores
    return jnp.sum(jnp.where(real[order], ahead, 0.0)) / jnp.maximum(jnp.sum(real), 1)


LOSSES = {"squared": squared, "pairwise": pairwise, "listwise": listwise}
