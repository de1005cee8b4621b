"""Pseudo-labels for the weak fit (Semi-NAS, Luo et al., NeurIPS 2020; WeakNAS, appendix G).

In each round the predictor is fitted on what was evaluated, says the scores of some architectures
that were not, and is fitted again on both. Known deviation: labelled rows are not given more
weight than pseudo-labelled ones (Semi-NAS repeats them).

A Gaussian process, or ridge regression, learns nothing from its own mean: for them the second fit
is the first one.
"""

from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.core import plan, scaling
from weaknas_jax.core.types import Prediction, Predictor, Scorer, Space
from weaknas_jax.predictors import refit
from weaknas_jax.search import sampling


def semi(predictor: Predictor, chunk: int | None = None, *, unlabelled: int = 100) -> Scorer:
    """As `refit.refit`, with pseudo-labels of ``unlabelled`` architectures, drawn anew each time.

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

        told = jnp.where(mask, queried, space.size)
        known = jnp.zeros(space.size, bool).at[told].set(True, mode="drop")
        rows = sampling.draw(draw, known, unlabelled)
        more = scale(space.encoding[jnp.maximum(rows, 0)])
        guessed = predictor.predict(params, more).mean
        x, y, mask = jnp.vstack([x, more]), jnp.append(y, guessed), jnp.append(mask, rows >= 0)
        params = predictor.fit(second, x, y, mask)
        size = chunk or plan.first(space.size).chunk

        def predict(params: Any, x: jax.Array) -> Prediction:
            return predictor.predict(params, scale(x))

        return state, refit.score_in_chunks(predict, params, space.encoding, size)

    return Scorer(init, update)
