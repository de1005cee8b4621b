"""Methods whose queries follow from the history alone, after a random start."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core import history as histories
from weaknas_jax.core import keys
from weaknas_jax.core.types import Info, Method, Space
from weaknas_jax.search import sampling


class State(struct.PyTreeNode):
    """State of a run, see `loop.State`."""

    key: jax.Array
    space: Space
    history: histories.History


def method(
    propose: Callable[[State], jax.Array],
    sizes: Sequence[int],
    check: Callable[[Space], None] = lambda space: None,
) -> Method:
    """The method whose queries are those of ``propose``.

    Args:
      propose: ``propose(state) -> int32 [n]``, unseen rows for the next round, -1 = none; n is at
        most the largest round.
      sizes: of the rounds; the first has the same random architectures as `loop.weaknas` with the
        same key.
      check: raises ValueError where a space lacks neighbours or prefixes.
    """
    batch = max(sizes)

    def start(key: jax.Array, space: Space) -> State:
        check(space)
        return State(key, space, histories.begin(space, sum(sizes)))

    def first(state: State) -> jax.Array:
        key = keys.key_for(state.key, keys.DESIGN, state.history.round)
        return sampling.draw(key, state.history.seen, batch)

    def later(state: State) -> jax.Array:
        indices = propose(state)
        return jnp.pad(indices, (0, batch - len(indices)), constant_values=-1)

    def ask(state: State) -> tuple[State, jax.Array]:
        indices = jax.lax.cond(state.history.round == 0, first, later, state)
        history, indices = histories.ask(state.history, indices, sizes)
        return state.replace(history=history), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        return state.replace(history=histories.tell(state.history, indices, scores)), Info()

    def expected_scores(state: State, indices: jax.Array) -> jax.Array:
        return jnp.full(len(indices), jnp.nan)  # there are no predictions

    def rebase(state: State, space: Space) -> State:
        return state.replace(space=space)

    return Method(start, ask, tell, expected_scores, rebase, tuple(sizes))
