"""Predictors fitted anew in each round, and scores of the whole space (paper section 3.1).

The space is scored in chunks of equal size, so that the activations of one chunk exist at a time;
the size of a chunk is part of the `plan`.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from weaknas_jax.core import plan, scaling
from weaknas_jax.core.types import Prediction, Predictor, Scorer, Space
from weaknas_jax.spaces.graph_arrays import CellGraphs


def need_graphs(space: Space) -> CellGraphs:
    """The graphs of a space; ValueError where it has none."""
    if space.graphs is None:
        raise ValueError(
            "this predictor reads graphs, which the space does not have; of a table: "
            "task.space(table, graphs=True); others need none, such as mixture, gp, mlp or gbrt"
        )
    return space.graphs


def score_in_chunks(
    predict: Callable[[Any, Any], Prediction], params: Any, x: Any, chunk: int
) -> Prediction:
    """``predict(params, x)`` ``chunk`` rows at a time; ``x`` is [N, D], or a tree of such.

    >>> score_in_chunks(lambda w, x: Prediction(x @ w), jnp.ones(2), jnp.eye(3, 2), 2).mean.tolist()
    [1.0, 1.0, 0.0]
    """
    size = len(x)

    def chunks(a: jax.Array) -> jax.Array:
        padding = ((0, -size % chunk), *[(0, 0)] * (a.ndim - 1))
        return jnp.pad(a, padding).reshape(-1, chunk, *a.shape[1:])

    padded = jax.tree.map(chunks, x)
    scores = jax.lax.map(lambda rows: predict(params, rows), padded)

    def whole(a: jax.Array) -> jax.Array:  # [chunks, ..., chunk] -> [..., N]
        a = jnp.moveaxis(a, 0, -2)
        return a.reshape(*a.shape[:-2], -1)[..., :size]

    return jax.tree.map(whole, scores)


def refit(
    predictor: Predictor,
    chunk: int | None = None,
    *,
    block: str | None = None,
    graphs: Literal["whole", "contracted"] | None = None,
) -> Scorer:
    """The `Scorer` that fits ``predictor`` from scratch on all labels in each round.

    Large columns of the encoding, and those that hardly vary, are scaled (`scaling`).

    >>> from weaknas_jax.predictors.knn import knn
    >>> scorer, space = refit(knn(1)), Space(jnp.eye(3))
    >>> queried, y, mask = jnp.array([2, 0]), jnp.array([1.0, 2.0]), jnp.array([True, True])
    >>> state, prediction = scorer.update(None, (), space, queried, y, mask, queried)
    >>> prediction.mean.tolist()
    [2.0, 1.0, 1.0]

    Args:
      predictor: to be fitted.
      chunk: architectures scored at once, by default as many as fit (`plan.first`).
      block: the feature block to fit on, where the space has it; None = the encoding.
      graphs: the form of the graphs to fit on in place of either: the predictor gets rows of
        `graph_arrays.Graphs`, and those outside the mask are any graph.

    Raises:
      ValueError: at an update, the space has no graphs.
    """

    def init(space: Space, budget: int) -> tuple[()]:
        del space, budget
        return ()

    def update(key, state, space, queried, y, mask, indices):
        del indices
        features, scale = space.features.get(block), lambda x: x
        at = jnp.maximum(queried, 0)
        if graphs is not None:
            features = getattr(need_graphs(space), graphs)
            x = features.rows(at)
        else:
            if features is None:
                features, scale = space.encoding, scaling.columns_of(space.encoding)
            x = jnp.where(mask[:, None], scale(features[at]), 0.0)
        params = predictor.fit(key, x, y, mask)
        rows = chunk or plan.first(space.size).chunk

        def predict(params: Any, x: jax.Array) -> Prediction:
            return predictor.predict(params, scale(x))

        return state, score_in_chunks(predict, params, features, rows)

    return Scorer(init, update)
