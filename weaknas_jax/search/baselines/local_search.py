"""Local search (White et al., UAI 2021): evaluates all neighbours, and moves to the best of them.

It starts from the best of the initial round. When all neighbours of the centre are evaluated, the
best of them becomes the centre if it is better; if it is not, that was a local optimum, and the
search begins again from random architectures. Known deviations: neighbours already evaluated are
not evaluated again; a round of M queries M neighbours, or begins again from the best of M; a failed
evaluation is never the centre.
"""

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core import history as histories
from weaknas_jax.core import keys
from weaknas_jax.core.types import Info, Method, Space
from weaknas_jax.search import sampling


class State(struct.PyTreeNode):
    """State of a run, see `loop.State`.

    Attributes:
      values: float32 [N], evaluated scores; -inf = none, or failed.
      centre: int32, row whose neighbours are queried; -1 = the best of the next round.
    """

    key: jax.Array
    space: Space
    history: histories.History
    values: jax.Array
    centre: jax.Array


def local_search(*, init: int = 10, per_round: int = 1, budget: int = 1000) -> Method:
    """Local search as `Method`; rounds as in `loop.weaknas`.

    >>> local_search(init=5, per_round=2, budget=10).sizes
    (5, 2, 2, 1)

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no neighbours.
    """
    sizes = histories.round_sizes(init, per_round, budget)
    batch = max(sizes)

    def start(key: jax.Array, space: Space) -> State:
        space.need_neighbours("local_search")
        values = jnp.full(space.size, -jnp.inf)
        return State(key, space, histories.begin(space, budget), values, jnp.int32(-1))

    def ask(state: State) -> tuple[State, jax.Array]:
        seen = state.history.seen
        key = keys.key_for(state.key, keys.DESIGN, state.history.round)
        near = sampling.draw_near(key, state.space, seen, state.centre, batch)
        indices = jax.lax.cond(near[0] >= 0, lambda: near, lambda: sampling.draw(key, seen, batch))
        history, indices = histories.ask(state.history, indices, sizes)
        return state.replace(history=history), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        history = histories.tell(state.history, indices, scores)
        space, real = state.space, (indices >= 0) & jnp.isfinite(scores)
        slots = jnp.where(real, indices, space.size)
        values = state.values.at[slots].set(scores, mode="drop")
        worth = jnp.where(real, scores, -jnp.inf)
        best = jnp.where(jnp.any(real), indices[jnp.argmax(worth)], -1)
        centre = jnp.where(state.centre < 0, best, state.centre)

        def stuck(centre: jax.Array) -> jax.Array:
            return (centre >= 0) & ~jnp.any(sampling.unseen_near(space, history.seen, centre))

        def onward(centre: jax.Array) -> jax.Array:
            near = space.neighbours[centre]
            worth = jnp.where(near >= 0, values[jnp.maximum(near, 0)], -jnp.inf)
            better = jnp.max(worth) > values[centre]
            return jnp.where(better, near[jnp.argmax(worth)], -1)

        centre = jax.lax.while_loop(stuck, onward, centre)
        return state.replace(history=history, values=values, centre=centre), Info()

    def expected_scores(state: State, indices: jax.Array) -> jax.Array:
        return jnp.full(len(indices), jnp.nan)  # there are no predictions

    def rebase(state: State, space: Space) -> State:
        return state.replace(space=space)

    return Method(start, ask, tell, expected_scores, rebase, sizes)
