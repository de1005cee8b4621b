"""Ranks of architectures by score."""

import jax
import jax.numpy as jnp


def positions(scores: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Rank of each architecture by score, int32 [N]; 0 = best.

    Ties go to the lower index, or, with a ``key``, in a random order; NaN ranks last.

    >>> positions(jnp.array([1.0, 3.0, jnp.nan, 3.0])).tolist()
    [2, 0, 3, 1]
    """
    places = jnp.arange(len(scores), dtype=jnp.int32)
    jitter = places if key is None else jax.random.permutation(key, places)
    *_, order = jax.lax.sort((-scores, jitter, places), num_keys=2)
    return jnp.zeros(len(scores), jnp.int32).at[order].set(places, unique_indices=True)
