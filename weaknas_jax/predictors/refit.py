"""Scoring the whole space and putting it in order (paper section 3.1).

Scoring goes through the space in chunks of equal size, so that no more than one chunk's
activations exist at a time; how large a chunk is belongs to the `plan`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.core import plan, scaling
from weaknas_jax.core.types import Prediction, Predictor, Scorer, Space


def score_in_chunks(
    predict: Callable[[Any, jax.Array], Prediction], params: Any, x: jax.Array, chunk: int
) -> Prediction:
    """``predict(params, x [N, D])``, ``chunk`` rows at a time."""
    size = len(x)
    padded = jnp.pad(x, ((0, -size % chunk), (0, 0))).reshape(-1, chunk, x.shape[1])
    scores = jax.lax.map(lambda rows: predict(params, rows), padded)

    def whole(a: jax.Array) -> jax.Array:  # [chunks, ..., chunk] -> [..., N]
        a = jnp.moveaxis(a, 0, -2)
        return a.reshape(*a.shape[:-2], -1)[..., :size]

    return jax.tree.map(whole, scores)


def refit(predictor: Predictor, chunk: int | None = None, *, block: str | None = None) -> Scorer:
    """The `Scorer` that fits ``predictor`` from scratch on everything known, each time.

    Columns of the encoding that are of another size than a choice's are scaled (`scaling`).

    Args:
      predictor: what is fitted.
      chunk: architectures scored at once, by default as many as fit (`plan.first`).
      block: the feature block that is learnt from, where the space has it; None = the encoding.
    """

    def init(space: Space, budget: int) -> tuple[()]:
        del space, budget
        return ()

    def update(key, state, space, queried, y, mask, indices):
        del indices
        described, scale = space.features.get(block), lambda x: x
        if described is None:
            described, scale = space.encoding, scaling.columns_of(space.encoding)
        x = jnp.where(mask[:, None], scale(described[jnp.maximum(queried, 0)]), 0.0)
        params = predictor.fit(key, x, y, mask)
        rows = chunk or plan.first(space.size).chunk

        def predict(params: Any, x: jax.Array) -> Prediction:
            return predictor.predict(params, scale(x))

        return state, score_in_chunks(predict, params, described, rows)

    return Scorer(init, update)
