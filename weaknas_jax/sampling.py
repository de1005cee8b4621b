"""From the predicted ranking to the next queries (paper eq. 4-6)."""

import jax
import jax.numpy as jnp


def draw(key: jax.Array, seen: jax.Array, batch: int) -> jax.Array:
    """``batch`` unseen architectures, uniform, none twice, int32 [batch]; -1 = none left."""
    return _largest(jax.random.uniform(key, seen.shape), seen, batch)


def top_uniform(
    key: jax.Array, places: jax.Array, seen: jax.Array, top: jax.Array | int, batch: int
) -> jax.Array:
    """Uniform without replacement among the unseen of the predicted top N (paper eq. 5-6).

    Where fewer than ``batch`` remain there, all of them come, and then the best of the rest in
    predicted order, as in the published code.

    Args:
      key: random key.
      places: int32 [N], `ranking.positions`.
      seen: bool [N], asked before.
      top: N of the paper, may be traced.
      batch: M.

    Returns:
      int32 [batch]; -1 = nothing unseen is left.
    """
    chance = jax.random.uniform(key, seen.shape)
    return _largest(jnp.where(places < top, chance, -1.0 - places), seen, batch)


def best(scores: jax.Array, seen: jax.Array, batch: int) -> jax.Array:
    """The ``batch`` unseen of the highest scores, int32 [batch]; -1 = nothing unseen is left.

    >>> best(jnp.array([1.0, 9.0, 5.0]), jnp.array([False, True, False]), 3).tolist()
    [2, 0, -1]
    """
    return _largest(jnp.nan_to_num(scores, nan=jnp.finfo(scores.dtype).min), seen, batch)


def best_first(indices: jax.Array, places: jax.Array, seen: jax.Array) -> jax.Array:
    """``indices`` with the best predicted unseen architecture as the first of them.

    If it was drawn anyway it moves to the front, otherwise it takes the place of the last.
    """
    best = jnp.argmin(jnp.where(seen, len(places), places)).astype(indices.dtype)
    at = jnp.argmax(jnp.append(indices[:-1] == best, True))
    slots = jnp.arange(len(indices))
    moved = jnp.where(slots == 0, best, jnp.where(slots <= at, jnp.roll(indices, 1), indices))
    return jnp.where(jnp.all(seen), indices, moved)


def _largest(priority: jax.Array, seen: jax.Array, batch: int) -> jax.Array:
    values, indices = jax.lax.top_k(jnp.where(seen, -jnp.inf, priority), min(batch, len(seen)))
    indices = jnp.where(values > -jnp.inf, indices, -1).astype(jnp.int32)
    return jnp.pad(indices, (0, batch - len(indices)), constant_values=-1)
