"""Bayesian linear regression against scikit-learn and against its definition."""

import jax
import numpy as np
from sklearn.linear_model import Ridge

from weaknas_jax.predictors import linear


def data(n=40, d=7, q=64):
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(n, d)), rng.normal(size=d)
    y = x @ w + 0.1 * rng.normal(size=n)
    padded = np.pad(x, ((0, q - n), (0, 0))), np.pad(y, (0, q - n)), np.arange(q) < n
    return x, y, [a if a.dtype == bool else a.astype(np.float32) for a in padded]


def fitted():
    """What was fitted on, new rows, and their prediction."""
    x, y, padded = data()
    predictor = linear(noise=0.5)
    new = np.random.default_rng(1).normal(size=(30, x.shape[1])).astype(np.float32)
    return x, y, new, predictor.predict(predictor.fit(jax.random.key(0), *padded), new)


def one(a):
    """With a column of ones for the intercept."""
    return np.pad(a, ((0, 0), (0, 1)), constant_values=1.0)


def test_the_mean_is_ridge_regression():
    x, y, new, prediction = fitted()
    ridge = Ridge(alpha=0.5, fit_intercept=False).fit(one(x), y)
    np.testing.assert_allclose(prediction.mean, ridge.predict(one(new)), rtol=2e-4, atol=2e-4)


def test_the_deviation_is_that_of_the_posterior():
    x, _, new, prediction = fitted()
    covariance = np.linalg.inv(one(x).T @ one(x) / 0.5 + np.eye(x.shape[1] + 1))
    expected = np.sqrt(np.einsum("ni,ij,nj->n", one(new), covariance, one(new)))
    np.testing.assert_allclose(prediction.std, expected, rtol=1e-3)
