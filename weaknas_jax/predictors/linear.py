"""Bayesian linear regression (ridge regression with its posterior), in closed form.

``y = w . (x, 1) + e``, w ~ N(0, I), e ~ N(0, noise). The mean is ridge regression with strength
``noise``; the deviation is of ``y``'s expectation, without e. Bishop, Pattern Recognition and
Machine Learning, section 3.3.
"""

import jax
import jax.numpy as jnp

from weaknas_jax.core.types import Number, Prediction, Predictor


def linear(*, noise: Number = 0.01, draws: int = 0) -> Predictor:
    """Bayesian linear regression as `Predictor`.

    >>> model, x, y = linear(noise=1.0), jnp.array([[1.0], [-1.0]]), jnp.array([1.0, -1.0])
    >>> params = model.fit(jax.random.key(0), x, y, jnp.array([True, True]))
    >>> [f"{mean:.3f}" for mean in model.predict(params, x).mean]
    ['0.667', '-0.667']

    Args:
      noise: variance of a label, where labels have variance 1.
      draws: E, draws of the posterior that come with each prediction, for Thompson sampling.
    """

    def fit(key, x, y, mask):
        x = jnp.where(mask[:, None], _with_one(x), 0.0)
        precision = x.T @ x / noise + jnp.eye(x.shape[1])
        factor = jnp.linalg.cholesky(precision)
        moment = x.T @ jnp.where(mask, y, 0.0) / noise
        mean = jax.scipy.linalg.cho_solve((factor, True), moment)
        off = jax.random.normal(key, (draws, len(mean)))
        off = jax.scipy.linalg.solve_triangular(factor, off.T, lower=True, trans="T").T
        return factor, mean, mean + off

    def predict(params, x):
        factor, mean, drawn = params
        x = _with_one(x)
        whitened = jax.scipy.linalg.solve_triangular(factor, x.T, lower=True)
        std = jnp.sqrt(jnp.sum(whitened**2, axis=0))
        return Prediction(x @ mean, std, drawn @ x.T if draws else None)

    return Predictor(fit, predict)


def _with_one(x: jax.Array) -> jax.Array:
    return jnp.pad(x, ((0, 0), (0, 1)), constant_values=1.0)
