"""Members of a predictor that weighs several models: their names, and how each predicts a label.

A predictor whose state has ``weights``, float32 [M], gives these in its `PredictorRecord`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from weaknas_jax.core.types import Space
from weaknas_jax.predictors.mixture import State, centred, in_order, left_out, members


class Members(NamedTuple):
    """The members of a predictor.

    Attributes:
      names: ``names(space)``, a name of each of the M members.
      left_out: ``left_out(state, y [Q], mask [Q]) -> float32 [M, Q]``, the log density (nats) of
        each label, predicted by each member from the others; 0 outside the mask. The state is that
        after the update with these labels.
    """

    names: Callable[[Space], tuple[str, ...]]
    left_out: Callable[[Any, jax.Array, jax.Array], jax.Array]


def _names(space: Space) -> tuple[str, ...]:
    return tuple(f"{member.name} {member.noise:g}" for member in members(space))


def _left_out(state: State, y: jax.Array, mask: jax.Array) -> jax.Array:
    process = state.processes[0]  # all have the same labels in the same order
    labels, n = in_order(process, centred(y, mask)), process.size
    _, density = jax.vmap(left_out, in_axes=(0, None, None))(state.inverse, labels, n)
    density -= 0.5 * jnp.log(2 * jnp.pi)
    place = jnp.where(jnp.arange(len(labels)) < n, process.slots, len(y))
    return jnp.zeros((len(density), len(y))).at[:, place].set(density, mode="drop")


MIXTURE = Members(_names, _left_out)
