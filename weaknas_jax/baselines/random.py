"""Random search: architectures in a uniformly random order, no predictor.

Its initial round is that of `search.weaknas` under the same key.
"""

import jax

from weaknas_jax import history, sampling, search
from weaknas_jax.baselines import plain
from weaknas_jax.types import Method


def random_search(*, init: int = 10, per_round: int = 10, budget: int = 200) -> Method:
    """Random search in rounds of the same sizes as `search.weaknas`."""
    sizes = history.round_sizes(init, per_round, budget)

    def drawn(state: plain.State) -> jax.Array:
        key = search.key_for(state.key, search.DESIGN, state.history.round)
        return sampling.draw(key, state.history.seen, max(sizes))

    return plain.method(drawn, sizes)
