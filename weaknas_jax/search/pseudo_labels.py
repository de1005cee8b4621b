"""Pseudo-labels for the weak fit (Semi-NAS, Luo et al., NeurIPS 2020; WeakNAS, appendix G).

In each round the predictor is fitted on the evaluated architectures, predicts the scores of some
others, and is fitted again on both. Known deviation: labelled rows have the same weight as
pseudo-labelled ones (Semi-NAS repeats them).

For a Gaussian process or ridge regression the second fit equals the first, since their own mean is
no new information.
"""

from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.core import plan, scaling
from weaknas_jax.core.types import Prediction, Predictor, Scorer, Space
from weaknas_jax.predictors import refit
from weaknas_jax.search import sampling


def semi(predictor: Predictor, chunk: int | None = None, *, unlabelled: int = 100) -> Scorer:
    """`refit.refit` with pseudo-labels of ``unlabelled`` random architectures in each round.

    Raises:
      ValueError: ``unlabelled`` is below 1.
    """
    if unlabelled < 1:
        raise ValueError(f"unlabelled={unlabelled}: give at least 1")

    def init(space: Space, budget: int) -> tuple[()]:
        del space, budget
        return ()

    def update(key, state, space, queried, y, mask, indices):
        del indices
        first, draw, second = jax.random.split(key, 3)
        scale = scaling.columns_of(space.encoding)
        x = jnp.where(mask[:, None], scale(space.encoding[jnp.maximum(queried, 0)]), 0.0)
        params = predictor.fit(first, x, y, mask)

        slots = jnp.where(mask, queried, space.size)
        evaluated = jnp.zeros(space.size, bool).at[slots].set(True, mode="drop")
        rows = sampling.draw(draw, evaluated, unlabelled)
        added = scale(space.encoding[jnp.maximum(rows, 0)])
        predicted = predictor.predict(params, added).mean
        x, y, mask = jnp.vstack([x, added]), jnp.append(y, predicted), jnp.append(mask, rows >= 0)
        params = predictor.fit(second, x, y, mask)
        size = chunk or plan.first(space.size).chunk

        def predict(params: Any, x: jax.Array) -> Prediction:
            return predictor.predict(params, scale(x))

        return state, refit.score_in_chunks(predict, params, space.encoding, size)

    return Scorer(init, update)
