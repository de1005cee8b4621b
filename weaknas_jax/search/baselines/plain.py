"""What baselines have in common: a random start, then what follows from the history alone."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core import history, keys
from weaknas_jax.core.types import Info, Method, Space
from weaknas_jax.search import sampling


class State(struct.PyTreeNode):
    """As `loop.State`, without a scorer."""

    key: jax.Array
    space: Space
    history: history.History


def method(
    propose: Callable[[State], jax.Array],
    sizes: Sequence[int],
    check: Callable[[Space], None] = lambda space: None,
) -> Method:
    """The method that asks for what ``propose`` says.

    Args:
      propose: ``propose(state) -> int32 [n]``, unseen rows for the next round, -1 = none; n is at
        most the largest round.
      sizes: of the rounds; the first is of random architectures, those of `loop.weaknas` under
        the same key.
      check: raises ValueError where a space lacks what is needed.
    """
    batch = max(sizes)

    def start(key: jax.Array, space: Space) -> State:
        check(space)
        return State(key, space, history.begin(space, sum(sizes)))

    def first(state: State) -> jax.Array:
        key = keys.key_for(state.key, keys.DESIGN, state.history.round)
        return sampling.draw(key, state.history.seen, batch)

    def later(state: State) -> jax.Array:
        indices = propose(state)
        return jnp.pad(indices, (0, batch - len(indices)), constant_values=-1)

    def ask(state: State) -> tuple[State, jax.Array]:
        indices = jax.lax.cond(state.history.round == 0, first, later, state)
        asked, indices = history.ask(state.history, indices, sizes)
        return state.replace(history=asked), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        return state.replace(history=history.tell(state.history, indices, scores)), Info()

    def expected_scores(state: State, indices: jax.Array) -> jax.Array:
        return jnp.full(len(indices), jnp.nan)  # nothing is known of what is under way

    def rebase(state: State, space: Space) -> State:
        return state.replace(space=space)

    return Method(start, ask, tell, expected_scores, rebase, tuple(sizes))
