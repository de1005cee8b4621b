"""Nearest neighbours: the mean label of the k nearest in the encoding, the nearer the heavier."""

import jax
import jax.numpy as jnp

from weaknas_jax.core.types import Prediction, Predictor


def knn(neighbours: int = 10) -> Predictor:
    """``neighbours`` nearest by Euclidean distance d, weighed by ``1 / (d^2 + 1)``.

    With fewer labels than that all of them count; with none, everything is 0. Predictions of
    discrete encodings tie often; ties go to the lower index.
    """

    def fit(key, x, y, mask):
        del key
        return jnp.where(mask[:, None], x, 0.0), jnp.where(mask, y, 0.0), mask

    def predict(params, x):
        known, y, mask = params
        square = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(known**2, axis=1) - 2 * x @ known.T
        nearness = jnp.where(mask, 1 / (jnp.maximum(square, 0.0) + 1), 0.0)
        weight, which = jax.lax.top_k(nearness, min(neighbours, len(y)))
        total = jnp.sum(weight, axis=1)
        return Prediction(jnp.sum(weight * y[which], axis=1) / jnp.where(total > 0, total, 1.0))

    return Predictor(fit, predict)
