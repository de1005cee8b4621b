"""Samplers: the next queries from the scores of all architectures (paper eq. 4-6, Table 2).

A `Sampler` draws ``batch`` unseen architectures from scores [N], larger is better. One that is
registered in `SAMPLINGS` is a value of the flag. Those that draw in the top N continue down the
ranking where fewer than ``batch`` unseen remain there, as the published code does.

With N and M fixed, M uniform draws from the top N hit the M best with chance M / N each: the paper
reads M / N as the greedy share of an epsilon-greedy search (section 2.3). `epsilon_greedy` is that
search itself.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core import ranking
from weaknas_jax.core.history import History
from weaknas_jax.core.types import Number, Space, numbers

_NEAR = 4096  # candidates to sort in place of all: on a CPU that is 50 times as fast


class Sampler(NamedTuple):
    """A way to draw the queries of a round.

    ``draw(key, scores [N], seen bool [N], top, batch) -> int32 [batch]``, none twice, -1 = nothing
    unseen is left; ``top`` is N of the paper and may be traced.
    ``greedy``: it takes the best, which a scorer's own `select` may choose jointly instead.
    """

    draw: Callable[..., jax.Array]
    greedy: bool = False


def uniform() -> Sampler:
    """Uniform draws in the top N, the paper's choice (eq. 5-6)."""
    return _in_the_top(lambda place: jnp.zeros_like(place))


def linear(*, slope: Number = 1.0) -> Sampler:
    """Linear decay in the top N: the i-th best (from 0) with probability ~ ``1 - slope i / N``."""
    return _in_the_top(lambda place: jnp.log(jnp.maximum(1 - slope * place, 1e-9)))


def exponential(*, rate: Number = 5.0) -> Sampler:
    """Exponential decay in the top N: the i-th best (from 0) with weight ``exp(-rate i / N)``."""
    return _in_the_top(lambda place: -rate * place)


def greedy() -> Sampler:
    """The best unseen architectures.

    >>> scores, seen = jnp.array([1.0, 9.0, 5.0]), jnp.array([False, True, False])
    >>> greedy().draw(None, scores, seen, top=3, batch=2).tolist()
    [2, 0]
    """
    return Sampler(lambda key, scores, seen, top, batch: best(scores, seen, batch), greedy=True)


def epsilon_greedy(*, epsilon: Number = 0.1) -> Sampler:
    """The best unseen, each replaced by any unseen one with probability ``epsilon``."""

    def drawn(key, scores, seen, top, batch):
        del top
        chance, which = jax.random.split(key)
        good = best(scores, seen, batch)
        taken = seen.at[jnp.where(good >= 0, good, len(seen))].set(True, mode="drop")
        anything = draw(which, taken, batch)
        explores = (jax.random.uniform(chance, (batch,)) < epsilon) & (anything >= 0)
        return jnp.where(explores, anything, good[jnp.cumsum(~explores) - 1])

    return Sampler(drawn)


def half_best() -> Sampler:
    """By turns the best unseen, and a uniform draw in the top N of those that are not drawn so.

    BRP-NAS (Dudziak et al., NeurIPS 2020, alpha = 1/2).

    >>> scores, seen = jnp.arange(6.0), jnp.arange(6) == 5
    >>> half_best().draw(jax.random.key(0), scores, seen, top=4, batch=4).tolist()[::2]
    [4, 3]
    """

    def drawn(key, scores, seen, top, batch):
        good = best(scores, seen, (batch + 1) // 2)
        taken = seen.at[jnp.where(good >= 0, good, len(seen))].set(True, mode="drop")
        others = uniform().draw(key, scores, taken, top, batch // 2)
        turns = jnp.arange(batch)
        return jnp.where(turns % 2 == 0, good[turns // 2], jnp.append(others, -1)[turns // 2])

    return Sampler(drawn)


def _in_the_top(log_weight: Callable[[jax.Array], jax.Array]) -> Sampler:
    """Draws without replacement, by a weight of the rank i / N in [0, 1)."""

    def priority(places, chance, top):
        # Gumbel noise on log weights: the largest are a draw without replacement.
        gumbel = -jnp.log(-jnp.log(jnp.maximum(chance, 1e-30)))
        weighed = jnp.maximum(log_weight(jnp.minimum(places / top, 1.0)), -500.0) + gumbel
        return jnp.where(places < top, weighed, -1e3 - places)

    def drawn(key, scores, seen, top, batch):
        chance = jax.random.uniform(key, seen.shape)

        def in_all():
            return _largest(priority(ranking.positions(scores), chance, top), seen, batch)

        if len(seen) < 4 * _NEAR:
            return in_all()
        near = jax.lax.top_k(jnp.nan_to_num(scores, nan=-jnp.inf), _NEAR)[1]

        def in_near():
            weighed = priority(jnp.arange(_NEAR), chance[near], top)
            places = _largest(weighed, seen[near], batch)
            return jnp.where(places >= 0, near[places], -1)

        enough = (top <= _NEAR) & (jnp.sum(~seen[near]) >= batch)
        return jax.lax.cond(enough, in_near, in_all)

    return Sampler(drawn)


def schedule(start: Number, end: Number, rounds: int) -> jax.Array:
    """N of each round, int32 [rounds], falling from ``start`` to ``end`` as in the reference.

    ``0.96^x`` at x evenly from 0 to 99, scaled to the two ends.

    >>> schedule(1000, 100, 4).tolist()
    [1000, 322, 145, 100]
    """
    fall = 0.96 ** np.linspace(0.0, 99.0, rounds)
    share = (fall - fall[-1]) / (fall[0] - fall[-1]) if rounds > 1 else np.ones(rounds)
    return jnp.floor(end + (start - end) * jnp.asarray(share, jnp.float32) + 1e-3).astype(jnp.int32)


def draw(key: jax.Array, seen: jax.Array, batch: int) -> jax.Array:
    """``batch`` unseen architectures, uniform, none twice, int32 [batch]; -1 = none left."""
    return _largest(jax.random.uniform(key, seen.shape), seen, batch)


def best(scores: jax.Array, seen: jax.Array, batch: int) -> jax.Array:
    """The ``batch`` unseen with the highest scores, int32 [batch]; -1 = nothing unseen is left.

    >>> best(jnp.array([1.0, 9.0, 5.0]), jnp.array([False, True, False]), 3).tolist()
    [2, 0, -1]
    """
    return _largest(jnp.nan_to_num(scores, nan=jnp.finfo(scores.dtype).min), seen, batch)


def unseen_near(space: Space, seen: jax.Array, centre: jax.Array) -> jax.Array:
    """Whether each neighbour of row ``centre`` is unseen, bool [d]; all False for -1."""
    near = space.neighbours[centre]
    return (centre >= 0) & (near >= 0) & ~seen[jnp.maximum(near, 0)]


def draw_near(
    key: jax.Array, space: Space, seen: jax.Array, centre: jax.Array, batch: int
) -> jax.Array:
    """`draw` among the neighbours of row ``centre``."""
    places = draw(key, ~unseen_near(space, seen, centre), batch)
    return jnp.where(places >= 0, space.neighbours[centre][places], -1)


def scaled(scores: jax.Array) -> jax.Array:
    """Finite scores scaled to [0, 1]; others, and all where they are equal, are 0.

    >>> scaled(jnp.array([4.0, jnp.nan, 2.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    real = jnp.isfinite(scores)
    least = jnp.min(jnp.where(real, scores, jnp.inf))
    width = jnp.max(jnp.where(real, scores, -jnp.inf)) - least
    return jnp.where(real & (width > 0), (scores - least) / jnp.where(width > 0, width, 1.0), 0.0)


def near_best(space: Space, history: History, parents: int, count: jax.Array | int) -> jax.Array:
    """Mask of the neighbours of the ``parents`` best evaluated, bool [N].

    All True where fewer than ``count`` of them are unseen.

    Args:
      space: with neighbours.
      history: with scores [Q]; of equal scores the first counts.
    """
    worth = jnp.where(history.mask, history.scores, -jnp.inf)
    worth, slots = jax.lax.top_k(worth, min(parents, len(worth)))
    near = jnp.where((worth > -jnp.inf)[:, None], space.neighbours[history.queried[slots]], -1)
    near = jnp.where(near >= 0, near, space.size)
    mask = jnp.zeros(space.size, bool).at[near].set(True, mode="drop")
    return mask | (jnp.sum(mask & ~history.seen) < count)


def best_first(indices: jax.Array, places: jax.Array, seen: jax.Array) -> jax.Array:
    """``indices`` with the best predicted unseen architecture first.

    If it was drawn it moves to the front, otherwise it replaces the last.
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


class SamplingRecord(NamedTuple):
    """A way to draw the queries of a round by name; calling a record calls its builder.

    Attributes:
      build: the builder; its keywords of type `Number` are numeric settings, and flags.
      title: a description of one line.
      in_top: it draws among the predicted top N; else it takes the best, whatever N is.
    """

    build: Callable[..., Sampler]
    title: str
    in_top: bool = True

    def __call__(self, **settings: Number) -> Sampler:
        return self.build(**settings)

    @property
    def numbers(self) -> Mapping[str, float]:
        """Its numeric settings with their defaults."""
        return numbers(self.build)


SAMPLINGS: dict[str, SamplingRecord] = {
    "uniform": SamplingRecord(uniform, "uniform in the top N (the paper)"),
    "linear": SamplingRecord(linear, "probability falls linearly with the rank"),
    "exponential": SamplingRecord(exponential, "probability falls exponentially with the rank"),
    "greedy": SamplingRecord(greedy, "the best", in_top=False),
    "epsilon_greedy": SamplingRecord(epsilon_greedy, "the best, or at times any", in_top=False),
    "half_best": SamplingRecord(half_best, "half the best, half uniform in the top N (BRP-NAS)"),
}
