"""Random search: architectures in a uniformly random order, no predictor.

Its initial round is that of `loop.weaknas` under the same key.
"""

import jax
import jax.numpy as jnp

from weaknas_jax.core import history, keys
from weaknas_jax.core.types import Method, Space
from weaknas_jax.search.baselines import plain


class State(plain.State):
    """As `plain.State`.

    Attributes:
      order: int32 [min(Q, N)], the rows that are to be asked for, one after another.
    """

    order: jax.Array


def random_search(*, init: int = 10, per_round: int = 10, budget: int = 200) -> Method:
    """Random search in rounds of the same sizes as `loop.weaknas`."""
    sizes = history.round_sizes(init, per_round, budget)

    def shuffled(key: jax.Array, size: int, count: int) -> jax.Array:
        chance = jax.random.uniform(keys.key_for(key, keys.DESIGN), (size,))
        return jax.lax.top_k(chance, count)[1].astype(jnp.int32)

    def first(key: jax.Array, space: Space) -> jax.Array:
        return shuffled(key, space.size, min(budget, space.size))

    def start(key: jax.Array, space: Space) -> State:
        return State(key, space, history.begin(space, budget), first(key, space))

    def ask(state: State) -> tuple[State, jax.Array]:
        known, size = state.history, state.space.size
        slots = jnp.arange(max(sizes))

        def unseen() -> jax.Array:  # others have asked as well, or all have been asked for
            order = shuffled(state.key, size, size)
            place = jnp.searchsorted(jnp.cumsum(~known.seen[order]), slots + 1)
            return jnp.where(place < size, order[jnp.minimum(place, size - 1)], -1)

        indices = jnp.take(state.order, known.asked + slots, mode="fill", fill_value=-1)
        fit = (indices >= 0) & ~known.seen[jnp.maximum(indices, 0)]
        usual = jnp.all(fit | (slots >= history.quota(known, sizes)))
        # A loop of one turn at most: of many lanes, a `cond` would do both of its sides each round.
        _, indices = jax.lax.while_loop(
            lambda carry: ~carry[0], lambda _: (jnp.bool_(True), unseen()), (usual, indices)
        )
        asked, indices = history.ask(known, indices, sizes)
        return state.replace(history=asked), indices

    def rebase(state: State, space: Space) -> State:
        return state.replace(space=space, order=first(state.key, space))

    method = plain.method(lambda state: state.order[:0], sizes)  # pyright: ignore[reportAttributeAccessIssue]
    return method._replace(init=start, ask=ask, rebase=rebase)
