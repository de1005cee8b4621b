"""Regularized Evolution (Real et al., AAAI 2019): tournaments of the youngest, and mutation.

The population is the last P evaluated architectures; each child is a random neighbour of the best
of a tournament of S, drawn from the population with replacement. Known deviations: there is no
crossover (nor in the paper); no architecture is evaluated twice, so that the mutation is drawn from
neighbours not yet evaluated, or else from all architectures; a failed evaluation is in the
population and never wins.
"""

import jax
import jax.numpy as jnp

from weaknas_jax.core import history as histories
from weaknas_jax.core import keys
from weaknas_jax.core.types import Method
from weaknas_jax.search import sampling
from weaknas_jax.search.baselines import plain


def evolution(
    *,
    init: int = 50,
    per_round: int = 1,
    budget: int = 1000,
    population: int = 50,
    tournament: int = 10,
) -> Method:
    """Regularized Evolution as `Method`.

    >>> evolution(init=50, per_round=20, budget=100).sizes
    (50, 20, 20, 10)

    Args:
      init: random architectures at the start.
      per_round: children of a round, each by its own tournament in the same population.
      budget: Q, all queries.
      population: P, size of the population.
      tournament: S, architectures drawn for each child.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no neighbours.
    """
    sizes = histories.round_sizes(init, per_round, budget)
    if min(population, tournament) < 1:
        raise ValueError(f"population={population}, tournament={tournament}: give at least 1")
    children = max(sizes[1:], default=1)

    def bred(state: plain.State) -> jax.Array:
        history = state.history

        def child(seen: jax.Array, key: jax.Array):
            arena, mutation = jax.random.split(key)
            alive = jnp.minimum(history.told, population)
            age = jax.random.randint(arena, (tournament,), 0, jnp.maximum(alive, 1))
            slots = jnp.maximum(history.told - 1 - age, 0)
            fitness = jnp.nan_to_num(history.scores[slots], nan=-jnp.inf)
            parent = history.queried[slots[jnp.argmax(fitness)]]
            mutated, anywhere = jax.random.split(mutation)
            index = sampling.draw_near(mutated, state.space, seen, parent, 1)[0]
            index = jax.lax.cond(
                index >= 0, lambda: index, lambda: sampling.draw(anywhere, seen, 1)[0]
            )
            return seen.at[jnp.where(index >= 0, index, len(seen))].set(True, mode="drop"), index

        each = jax.random.split(keys.key_for(state.key, keys.SAMPLE, history.round), children)
        return jax.lax.scan(child, history.seen, each)[1]

    return plain.method(bred, sizes, lambda space: space.need_neighbours("evolution"))
