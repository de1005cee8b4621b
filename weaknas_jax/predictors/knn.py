"""Nearest neighbours: the weighted mean label of the k nearest in the encoding."""

import jax
import jax.numpy as jnp

from weaknas_jax.core.types import Prediction, Predictor


def knn(neighbours: int = 10) -> Predictor:
    """Mean label of the ``neighbours`` nearest, weighted by ``1 / (d^2 + 1)``, d Euclidean.

    With fewer labels all of them count; without any, predictions are 0. Predictions on discrete
    encodings tie often; ties go to the lower index.

    >>> model, x, y = knn(2), jnp.array([[0.0], [1.0], [9.0]]), jnp.array([1.0, 2.0, 5.0])
    >>> model.predict(model.fit(None, x, y, jnp.ones(3, bool)), jnp.array([[0.5]])).mean.item()
    1.5
    """

    def fit(key, x, y, mask):
        del key
        return jnp.where(mask[:, None], x, 0.0), jnp.where(mask, y, 0.0), mask

    def predict(params, x):
        evaluated, y, mask = params
        square = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(evaluated**2, axis=1)
        square -= 2 * x @ evaluated.T
        nearness = jnp.where(mask, 1 / (jnp.maximum(square, 0.0) + 1), 0.0)
        weight, which = jax.lax.top_k(nearness, min(neighbours, len(y)))
        total = jnp.sum(weight, axis=1)
        return Prediction(jnp.sum(weight * y[which], axis=1) / jnp.where(total > 0, total, 1.0))

    return Predictor(fit, predict)
