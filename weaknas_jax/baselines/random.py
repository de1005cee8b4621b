"""Random search: architectures in a uniformly random order, no predictor.

Its initial round is that of `search.weaknas` under the same key.
"""

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax import history, search
from weaknas_jax.baselines import plain
from weaknas_jax.types import Method, Space


@struct.dataclass
class State(plain.State):
    """As `plain.State`.

    Attributes:
      order: int32 [N], all rows as they are to be asked for.
    """

    order: jax.Array


def random_search(*, init: int = 10, per_round: int = 10, budget: int = 200) -> Method:
    """Random search in rounds of the same sizes as `search.weaknas`."""
    sizes = history.round_sizes(init, per_round, budget)

    def shuffled(key: jax.Array, space: Space) -> jax.Array:
        chance = jax.random.uniform(search.key_for(key, search.DESIGN), (space.size,))
        return jnp.argsort(chance, descending=True).astype(jnp.int32)

    def start(key: jax.Array, space: Space) -> State:
        return State(key, space, history.begin(space, budget), shuffled(key, space))

    def ask(state: State) -> tuple[State, jax.Array]:
        order, seen, size = state.order, state.history.seen, state.order.size
        following = state.history.asked + jnp.arange(max(sizes))

        def rows_at(slots: jax.Array) -> jax.Array:
            return jnp.where(slots < size, order[jnp.minimum(slots, size - 1)], -1)

        def unseen() -> jax.Array:  # others have asked as well, or the end is near
            count = jnp.cumsum(~seen[order])
            return rows_at(jnp.searchsorted(count, jnp.arange(1, max(sizes) + 1)))

        indices = rows_at(following)
        usual = jnp.all((indices >= 0) & ~seen[jnp.maximum(indices, 0)])
        # A loop of one turn at most: of many lanes, a `cond` would do both of its sides each round.
        _, indices = jax.lax.while_loop(
            lambda carry: ~carry[0], lambda _: (jnp.bool_(True), unseen()), (usual, indices)
        )
        asked, indices = history.ask(state.history, indices, sizes)
        return state.replace(history=asked), indices

    def move(state: State, space: Space) -> State:
        return state.replace(space=space, order=shuffled(state.key, space))

    method = plain.method(lambda state: state.order[:0], sizes)
    return method._replace(init=start, ask=ask, move=move)
