"""History of a run: its queries and their scores, the state that all methods share."""

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core.types import Space


class History(struct.PyTreeNode):
    """Queries and scores of a run, of fixed shapes, so that rounds are scanned and runs stacked.

    Attributes:
      queried: int32 [Q], evaluated architectures in order, -1 = free slot.
      scores: float32 [Q], their scores; NaN = failed evaluation, or free slot.
      told: int32, evaluated architectures: filled slots.
      asked: int32, architectures asked for.
      round: int32, rounds asked for.
      seen: bool [N], architectures asked for.
    """

    queried: jax.Array
    scores: jax.Array
    told: jax.Array
    asked: jax.Array
    round: jax.Array
    seen: jax.Array

    @property
    def mask(self) -> jax.Array:
        """bool [Q], the slots that hold a finite score."""
        return jnp.isfinite(self.scores)


def round_sizes(init: int, per_round: int, budget: int) -> tuple[int, ...]:
    """Queries of each round: M0 random ones, then M a round; the last round may be smaller.

    >>> round_sizes(10, 4, 21)
    (10, 4, 4, 3)
    """
    for name, number, least in (
        ("init", init, 1),
        ("per_round", per_round, 1),
        ("budget", budget, 1),
    ):
        if number < least:
            raise ValueError(f"{name}={number}: must be at least {least}")
    rounds, rest = divmod(max(0, budget - init), per_round)
    return (min(init, budget), *[per_round] * rounds, *[rest] * (rest > 0))


def begin(space: Space, budget: int) -> History:
    """An empty history with room for Q = ``budget`` queries.

    >>> begin(Space(jnp.eye(3)), 2).queried.tolist()
    [-1, -1]
    """
    return History(
        queried=jnp.full(budget, -1, jnp.int32),
        scores=jnp.full(budget, jnp.nan, jnp.float32),
        told=jnp.int32(0),
        asked=jnp.int32(0),
        round=jnp.int32(0),
        seen=jnp.zeros(space.size, bool),
    )


def quota(history: History, sizes: tuple[int, ...]) -> jax.Array:
    """How many architectures this round may ask for, int32.

    A search resumed with a larger budget had a smaller last round, and so one round more than
    ``sizes``.
    """
    extra = max(sizes[1:], default=0)
    size = jnp.asarray((*sizes, extra))[jnp.minimum(history.round, len(sizes))]
    return jnp.minimum(size, sum(sizes) - history.asked)


def ask(history: History, indices: jax.Array, sizes: tuple[int, ...]) -> tuple[History, jax.Array]:
    """Records the queries of a round: the first of ``indices`` [B] within its quota.

    Returns:
      The history, and ``indices`` with -1 beyond the quota.
    """
    indices = jnp.where(jnp.arange(len(indices)) < quota(history, sizes), indices, -1)
    slots = jnp.where(indices >= 0, indices, len(history.seen))
    history = history.replace(
        seen=history.seen.at[slots].set(True, mode="drop"),
        asked=history.asked + jnp.sum(indices >= 0),
        round=history.round + 1,
    )
    return history, indices


def tell(history: History, indices: jax.Array, scores: jax.Array) -> History:
    """Records the scores of ``indices`` [B] (-1 = none) in the next free slots."""
    real = indices >= 0
    size = len(history.queried)
    slots = jnp.where(real, history.told + jnp.cumsum(real) - 1, size)
    scores = jnp.where(jnp.isfinite(scores), scores, jnp.nan).astype(jnp.float32)
    return history.replace(
        queried=history.queried.at[slots].set(indices, mode="drop"),
        scores=history.scores.at[slots].set(scores, mode="drop"),
        told=jnp.minimum(history.told + jnp.sum(real), size),
    )
