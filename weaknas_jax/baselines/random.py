"""Random search: architectures in a uniformly random order, no predictor.

Its initial round is that of `search.weaknas` under the same key.
"""

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax import history, sampling, search
from weaknas_jax.types import Info, Method, Space


@struct.dataclass
class State:
    """As `search.State`, without a scorer."""

    key: jax.Array
    space: Space
    history: history.History


def random_search(*, init: int = 10, per_round: int = 10, budget: int = 200) -> Method:
    """Random search in rounds of the same sizes as `search.weaknas`."""
    sizes = history.round_sizes(init, per_round, budget)

    def start(key: jax.Array, space: Space) -> State:
        return State(key, space, history.begin(space, budget))

    def ask(state: State) -> tuple[State, jax.Array]:
        now = state.history.round
        key = search.key_for(state.key, search.DESIGN, now)
        indices = sampling.draw(key, state.history.seen, max(sizes))
        asked, indices = history.ask(state.history, indices, sizes)
        return state.replace(history=asked), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        return state.replace(history=history.tell(state.history, indices, scores)), Info()

    def believe(state: State, indices: jax.Array) -> jax.Array:
        return jnp.zeros(len(indices))  # it does not matter what it is told

    def move(state: State, space: Space) -> State:
        return state.replace(space=space)

    return Method(start, ask, tell, believe, move, sizes)
