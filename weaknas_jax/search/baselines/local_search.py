"""Local search (White et al., UAI 2021): all neighbours of the best, then on from the best of them.

It starts from the best of the initial round. When all neighbours of the centre are evaluated, the
best of them becomes the centre if it is better; if it is not, that was a local optimum, and the
search begins again from random architectures. Known deviations: neighbours already evaluated are
not asked for again, they count as they are; a round of M asks for M neighbours, or begins again
from the best of M; a failed evaluation is never the centre.
"""

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core import history, keys
from weaknas_jax.core.types import Info, Method, Space
from weaknas_jax.search import sampling


class State(struct.PyTreeNode):
    """As `loop.State`, without a scorer.

    Attributes:
      values: float32 [N], scores told; -inf = unknown or failed.
      centre: int32, whose neighbours are asked for; -1 = to be found among the next told.
    """

    key: jax.Array
    space: Space
    history: history.History
    values: jax.Array
    centre: jax.Array


def local_search(*, init: int = 10, per_round: int = 1, budget: int = 1000) -> Method:
    """Local search as `Method`; rounds as of `loop.weaknas`.

    Raises:
      ValueError: at the start, the space knows no neighbours.
    """
    sizes = history.round_sizes(init, per_round, budget)
    batch = max(sizes)

    def start(key: jax.Array, space: Space) -> State:
        space.need_neighbours("local_search")
        values = jnp.full(space.size, -jnp.inf)
        return State(key, space, history.begin(space, budget), values, jnp.int32(-1))

    def ask(state: State) -> tuple[State, jax.Array]:
        seen = state.history.seen
        key = keys.key_for(state.key, keys.DESIGN, state.history.round)
        near = sampling.draw_near(key, state.space, seen, state.centre, batch)
        indices = jax.lax.cond(near[0] >= 0, lambda: near, lambda: sampling.draw(key, seen, batch))
        asked, indices = history.ask(state.history, indices, sizes)
        return state.replace(history=asked), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        known = history.tell(state.history, indices, scores)
        space, real = state.space, (indices >= 0) & jnp.isfinite(scores)
        slots = jnp.where(real, indices, space.size)
        values = state.values.at[slots].set(scores, mode="drop")
        told = jnp.where(real, scores, -jnp.inf)
        best = jnp.where(jnp.any(real), indices[jnp.argmax(told)], -1)
        centre = jnp.where(state.centre < 0, best, state.centre)

        def stuck(centre: jax.Array) -> jax.Array:
            return (centre >= 0) & ~jnp.any(sampling.unseen_near(space, known.seen, centre))

        def onward(centre: jax.Array) -> jax.Array:
            near = space.neighbours[centre]
            worth = jnp.where(near >= 0, values[jnp.maximum(near, 0)], -jnp.inf)
            better = jnp.max(worth) > values[centre]
            return jnp.where(better, near[jnp.argmax(worth)], -1)

        centre = jax.lax.while_loop(stuck, onward, centre)
        return state.replace(history=known, values=values, centre=centre), Info()

    def expected_scores(state: State, indices: jax.Array) -> jax.Array:
        return jnp.full(len(indices), jnp.nan)  # nothing is known of what is under way

    def rebase(state: State, space: Space) -> State:
        return state.replace(space=space)

    return Method(start, ask, tell, expected_scores, rebase, sizes)
