"""LaNAS (Wang et al., TPAMI 2021): a learned partition of the space, searched by UCB.

A binary tree of fixed height. A node fits a ridge regression of the scores on the encodings of its
samples; architectures predicted above their mean go to the good child, the others to the bad one.
So every architecture of the space belongs to a leaf. Each query descends by
``value + 2 c sqrt(2 log n_parent / n_child)``, values being mean scores, scaled to [0, 1] over the
evaluated, and is drawn uniformly in the leaf. Known deviations: the tree is fitted anew in every
round; a node of fewer than ``least`` samples is not split; leaves that are all evaluated are
skipped; a descent draws one architecture (the published code draws a few from each leaf).
"""

import jax
import jax.numpy as jnp

from weaknas_jax.core import history as histories
from weaknas_jax.core import keys, scaling
from weaknas_jax.core.types import Method, Number
from weaknas_jax.search import sampling
from weaknas_jax.search.baselines import plain


def lanas(
    *,
    init: int = 50,
    per_round: int = 1,
    budget: int = 1000,
    height: int = 5,
    least: int = 10,
    exploration: Number = 0.05,
) -> Method:
    """LaNAS as `Method`.

    >>> lanas(init=50, per_round=20, budget=100).sizes
    (50, 20, 20, 10)

    Args:
      init: random architectures at the start.
      per_round: descents of a round; each counts as a visit for the next.
      budget: Q, all queries.
      height: of the tree, which has at most 2^height leaves.
      least: fewest samples of a node that is split.
      exploration: c of the bound; chosen among four on CIFAR-10 of NAS-Bench-201, runs 1000 to
        1009.

    Raises:
      ValueError: a size is below 1.
    """
    sizes = histories.round_sizes(init, per_round, budget)
    if min(height, least) < 1:
        raise ValueError(f"height={height}, least={least}: give at least 1")
    later = max(sizes[1:], default=1)

    def drawn(state: plain.State) -> jax.Array:
        history = state.history
        worth = sampling.scaled(history.scores)
        leaf = leaves(state.space.encoding, history.queried, worth, history.mask, height, least)
        at = jnp.where(history.queried >= 0, leaf[jnp.maximum(history.queried, 0)], 2**height)
        empty = jnp.zeros(2**height)
        visits = empty.at[at].add(1.0, mode="drop")
        counts, gains = _upwards(visits), _upwards(empty.at[at].add(worth, mode="drop"))
        value = [gain / jnp.maximum(n, 1.0) for gain, n in zip(gains, counts, strict=True)]
        key = keys.key_for(state.key, keys.SAMPLE, history.round)
        chance = jax.random.uniform(key, history.seen.shape)

        def descent(carry, _):
            visits, seen = carry
            counts = _upwards(visits)
            free = _upwards(empty.at[leaf].add(jnp.where(seen, 0.0, 1.0)))
            node = jnp.int32(0)
            for level in range(1, height + 1):
                kids = 2 * node + jnp.arange(2)
                n = counts[level][kids]
                parent = jnp.maximum(counts[level - 1][node], 1.0)
                bound = 2 * exploration * jnp.sqrt(2 * jnp.log(parent) / jnp.maximum(n, 1e-9))
                worth = jnp.where(free[level][kids] > 0, value[level][kids] + bound, -jnp.inf)
                node = kids[jnp.argmax(worth)]
            row = jnp.argmax(jnp.where((leaf == node) & ~seen, chance, -1.0)).astype(jnp.int32)
            row = jnp.where(jnp.all(seen), -1, row)
            seen = seen.at[jnp.where(row >= 0, row, len(seen))].set(True, mode="drop")
            return (visits.at[node].add(1.0), seen), row

        return jax.lax.scan(descent, (visits, history.seen), None, later)[1]

    return plain.method(drawn, sizes)


def leaves(
    encoding: jax.Array,
    queried: jax.Array,
    y: jax.Array,
    mask: jax.Array,
    height: int = 5,
    least: int = 10,
) -> jax.Array:
    """The leaf of every architecture, int32 [N] in [0, 2^height); the best are in leaf 0.

    Args:
      encoding: [N, D].
      queried, y, mask: row numbers, scores, and which of them are real, [Q].
      height, least: see `lanas`.
    """
    rows = jnp.where(mask, queried, 0)
    ones = jnp.ones((len(encoding), 1))
    x_all = jnp.hstack([scaling.columns_of(encoding)(encoding), ones])
    x = jnp.where(mask[:, None], x_all[rows], 0.0)
    y = jnp.where(mask, y, 0.0)
    small = 1e-3 * jnp.eye(x.shape[1]).at[-1, -1].set(1e-3)  # the last is the intercept
    node = jnp.zeros(len(encoding), jnp.int32)
    for level in range(height):
        members = (node[rows] == jnp.arange(2**level)[:, None]) & mask
        weighed = jnp.where(members[..., None], x, 0.0)
        count = jnp.sum(members, axis=1)
        slope = jnp.linalg.solve(
            weighed.transpose(0, 2, 1) @ x + small, weighed.transpose(0, 2, 1) @ y[:, None]
        )
        slope = slope[..., 0]
        predicted = x_all @ slope.T  # [N, nodes]
        of_members = jnp.where(members, predicted[rows].T, 0.0)
        threshold = jnp.sum(of_members, axis=1) / jnp.maximum(count, 1)
        threshold = jnp.where(count >= least, threshold, -jnp.inf)
        score = jnp.take_along_axis(predicted, node[:, None], axis=1)[:, 0]
        node = 2 * node + (score <= threshold[node])
    return node


def _upwards(leaf_values: jax.Array) -> list[jax.Array]:
    """Sum over the leaves of every node, [2^level] for each level from the root to the leaves."""
    sums = [leaf_values]
    while len(sums[0]) > 1:
        sums.insert(0, sums[0].reshape(-1, 2).sum(axis=1))
    return sums
