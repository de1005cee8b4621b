"""Predictor quality in each round, against the truth (paper Figure 3), on device."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from weaknas_jax.core import ranking


class Dynamics(NamedTuple):
    """Predictor quality of one run after one fit; float32 scalars except the first.

    Attributes:
      predicted_top: int32, the best predicted of all architectures, evaluated before or not.
      kendall: Kendall's tau-b of prediction and truth over the space.
      kendall_top50: the same within the 50 truly best.
      top50_probability: share of the truly best 50 among the unseen of the predicted top N, the
        chance that a uniform draw there is one of them; NaN where nothing unseen is left.
    """

    predicted_top: jax.Array
    kendall: jax.Array
    kendall_top50: jax.Array
    top50_probability: jax.Array


def measure(scores: jax.Array, truth: jax.Array, seen: jax.Array, top: int, best: int = 50):
    """`Dynamics` of scores [N] against the truth [N] (NaN = unknown); ``seen`` bool [N].

    >>> scores, truth = jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0])
    >>> measure(scores, truth, jnp.zeros(3, bool), top=2, best=1).top50_probability.item()
    0.5
    """
    places = ranking.positions(scores)
    known = jnp.isfinite(truth)
    worst = jnp.where(known, truth, -jnp.inf)
    best = min(best, len(truth))
    good = jax.lax.top_k(worst, best)[1]
    is_good = jnp.zeros(len(truth), bool).at[good].set(True) & known
    candidates = (places < top) & ~seen
    count = jnp.sum(candidates)
    share = jnp.where(count > 0, jnp.sum(candidates & is_good) / jnp.maximum(count, 1), jnp.nan)
    return Dynamics(
        predicted_top=jnp.argmin(places).astype(jnp.int32),
        kendall=kendall_tau(scores, worst),
        kendall_top50=kendall_tau(scores[good], worst[good]),
        top50_probability=share,
    )


def kendall_tau(x: jax.Array, y: jax.Array) -> jax.Array:
    """Kendall's tau-b of x [n] and y [n] in O(n log^2 n); NaN where either is constant.

    Discordant pairs are the inversions of y after sorting by (x, y).

    >>> kendall_tau(jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 3.0, 2.0])).round(4).item()
    0.33329999446868896
    """
    n = len(x)
    x, y = jax.lax.sort((x, y), num_keys=2)
    discordant = _inversions(jnp.argsort(jnp.argsort(y, stable=True)))
    tied_x, tied_y = _tied_pairs(x), _tied_pairs(jnp.sort(y))
    tied_both = _tied_pairs(x, y)
    pairs = n * (n - 1) / 2
    concordant = pairs - tied_x - tied_y + tied_both - discordant
    scale = jnp.sqrt(pairs - tied_x) * jnp.sqrt(pairs - tied_y)
    return jnp.where(scale > 0, (concordant - discordant) / jnp.where(scale > 0, scale, 1), jnp.nan)


def _tied_pairs(*columns: jax.Array) -> jax.Array:
    """Pairs of equal rows of sorted columns."""
    n = len(columns[0])
    new = jnp.zeros(n, bool).at[0].set(True)
    for column in columns:
        new |= jnp.append(True, column[1:] != column[:-1])
    begin = jax.lax.cummax(jnp.where(new, jnp.arange(n), 0))
    return jnp.sum((jnp.arange(n) - begin).astype(jnp.float32))


def _inversions(order: jax.Array) -> jax.Array:
    """Pairs i < j with order[i] > order[j], of a permutation of 0..n-1, as float32.

    Goes through the bits of the values from high to low. Elements that agree in all higher bits
    form a group that stays together, in its first order; two of them are inverted if, at the first
    bit in which they differ, the one that has it stands first. The permutation is extended to a
    power of two, without further inversions, so that groups are of equal size with half their bits
    set.
    """
    bits = max(1, (len(order) - 1).bit_length())
    order = jnp.append(order, jnp.arange(len(order), 2**bits, dtype=order.dtype))
    total = jnp.float32(0)
    for bit in reversed(range(bits)):
        group = order.reshape(-1, 2 ** (bit + 1))
        one = (group >> bit) & 1
        ones_before = jnp.cumsum(one, axis=1) - one
        total += jnp.sum(jnp.where(one == 0, ones_before, 0).astype(jnp.float32))
        zeros_before = jnp.arange(group.shape[1]) - ones_before
        place = jnp.where(one == 0, zeros_before, 2**bit + ones_before)
        place += jnp.arange(len(group))[:, None] * group.shape[1]
        order = jnp.zeros_like(order).at[place].set(group, unique_indices=True)
    return total
