"""Monte Carlo tree search (AlphaX, Wang et al., AAAI 2020): choices one after another, by UCT.

A node of the tree is a prefix of choices, its value the mean of the scores evaluated below it. Each
query descends from the root: to a child that has not been visited, if there is one, else to the
child of the largest ``value + c sqrt(2 log n_parent / n_child)``, with values scaled to [0, 1]
over the evaluated. Below the first new node the choices are random, which is the rollout. Known
deviations: it is the search of AlphaX alone, without its value network and transferred weights;
the actions are the choices of the table's rows in their order (`Space.prefixes`), not edits of a
network; subtrees that are all evaluated are skipped; a failed evaluation is a visit of value 0.
"""

import jax
import jax.numpy as jnp

from weaknas_jax.core import history as histories
from weaknas_jax.core import keys
from weaknas_jax.core.types import Method, Number
from weaknas_jax.search import sampling
from weaknas_jax.search.baselines import plain


def mcts(
    *, init: int = 1, per_round: int = 1, budget: int = 1000, exploration: Number = 0.01
) -> Method:
    """Monte Carlo tree search as `Method`.

    >>> mcts(per_round=4, budget=10).sizes
    (1, 4, 4, 1)

    Args:
      init: random architectures at the start.
      per_round: descents of a round; each counts as a visit for the next.
      budget: Q, all queries.
      exploration: c of UCT; chosen among seven on CIFAR-10 of NAS-Bench-201, runs 1000 to 1019.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no prefixes.
    """
    sizes = histories.round_sizes(init, per_round, budget)
    later = max(sizes[1:], default=1)

    def descents(state: plain.State) -> jax.Array:
        history, node = state.history, state.space.prefixes
        levels, size = node.shape
        visited = jnp.where(history.queried >= 0, node[:, jnp.maximum(history.queried, 0)], size)
        level = jnp.arange(levels)[:, None]
        empty = jnp.zeros((levels, size))
        visits = empty.at[level, visited].add(1.0, mode="drop")
        gains = empty.at[level, visited].add(sampling.scaled(history.scores), mode="drop")

        def descent(carry, key: jax.Array):
            visits, seen, total = carry
            chance = jax.random.uniform(key, seen.shape)

            def down(below, of_level):
                alive, parent = below
                group, visits, gains = of_level
                n = visits[group]
                bound = exploration * jnp.sqrt(2 * jnp.log(jnp.maximum(parent, 1.0)) / n)
                worth = jnp.where(n > 0, gains[group] / jnp.maximum(n, 1.0) + bound, jnp.inf)
                best = alive & (worth == jnp.max(jnp.where(alive, worth, -jnp.inf)))
                row = jnp.argmax(jnp.where(best, chance, -1.0))
                return (alive & (group == group[row]), n[row]), row

            (_, _), rows = jax.lax.scan(down, (~seen, total), (node, visits, gains))
            row = jnp.where(jnp.all(seen), -1, rows[-1]).astype(jnp.int32)
            path = jnp.where(row >= 0, node[:, row], size)
            visits = visits.at[jnp.arange(levels), path].add(1.0, mode="drop")
            seen = seen.at[jnp.where(row >= 0, row, size)].set(True, mode="drop")
            return (visits, seen, total + 1), row

        each = jax.random.split(keys.key_for(state.key, keys.SAMPLE, history.round), later)
        carry = visits, history.seen, history.told.astype(jnp.float32)
        return jax.lax.scan(descent, carry, each)[1]

    return plain.method(descents, sizes, lambda space: space.need_neighbours("mcts"))
