"""Random search: architectures in a uniformly random order, no predictor.

Its initial round is that of `loop.weaknas` with the same key.
"""

import jax
import jax.numpy as jnp

from weaknas_jax.core import history as histories
from weaknas_jax.core import keys
from weaknas_jax.core.types import Method, Space
from weaknas_jax.search.baselines import plain


class State(plain.State):
    """State of a run, see `plain.State`.

    Attributes:
      order: int32 [min(Q, N)], all queries of the run in order.
    """

    order: jax.Array


def random_search(*, init: int = 10, per_round: int = 10, budget: int = 200) -> Method:
    """Random search as `Method`; rounds as in `loop.weaknas`.

    >>> random_search(init=5, per_round=10, budget=30).sizes
    (5, 10, 10, 5)
    """
    sizes = histories.round_sizes(init, per_round, budget)

    def shuffled(key: jax.Array, size: int, count: int) -> jax.Array:
        chance = jax.random.uniform(keys.key_for(key, keys.DESIGN), (size,))
        return jax.lax.top_k(chance, count)[1].astype(jnp.int32)

    def first(key: jax.Array, space: Space) -> jax.Array:
        return shuffled(key, space.size, min(budget, space.size))

    def start(key: jax.Array, space: Space) -> State:
        return State(key, space, histories.begin(space, budget), first(key, space))

    def ask(state: State) -> tuple[State, jax.Array]:
        history, size = state.history, state.space.size
        slots = jnp.arange(max(sizes))

        def unseen() -> jax.Array:  # where others queried some of them, or all are queried
            order = shuffled(state.key, size, size)
            place = jnp.searchsorted(jnp.cumsum(~history.seen[order]), slots + 1)
            return jnp.where(place < size, order[jnp.minimum(place, size - 1)], -1)

        indices = jnp.take(state.order, history.asked + slots, mode="fill", fill_value=-1)
        unused = (indices >= 0) & ~history.seen[jnp.maximum(indices, 0)]
        in_order = jnp.all(unused | (slots >= histories.quota(history, sizes)))
        # A loop of at most one turn: under `vmap`, a `cond` would run both branches each round.
        _, indices = jax.lax.while_loop(
            lambda carry: ~carry[0], lambda _: (jnp.bool_(True), unseen()), (in_order, indices)
        )
        updated, indices = histories.ask(history, indices, sizes)
        return state.replace(history=updated), indices

    def rebase(state: State, space: Space) -> State:
        return state.replace(space=space, order=first(state.key, space))

    method = plain.method(lambda state: state.order[:0], sizes)  # pyright: ignore[reportAttributeAccessIssue]
    return method._replace(init=start, ask=ask, rebase=rebase)
