"""Ensembles against their members, and the ranking losses against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from weaknas_jax import Space, mlp
from weaknas_jax.predictors import ensemble, losses, warm_ensemble

SMALL = {"hidden": (32, 32), "widths": (24,)}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X @ np.array([1.0, -2.0, 0.5, 0.0])).astype(np.float32)
MASK = np.arange(24) < 20


def test_an_ensemble_is_its_members():
    predictor, alone = ensemble(3, **SMALL), mlp(**SMALL)
    key = jax.random.key(0)
    fit = jax.jit(predictor.fit)(key, X[:24], Y[:24], MASK)
    prediction = predictor.predict(fit, X)
    for member, member_key in enumerate(jax.random.split(key, 3)):
        expected = alone.predict(jax.jit(alone.fit)(member_key, X[:24], Y[:24], MASK), X).mean
        np.testing.assert_allclose(prediction.draws[member], expected, atol=1e-4)
    np.testing.assert_allclose(prediction.mean, np.mean(prediction.draws, axis=0), atol=1e-6)
    np.testing.assert_allclose(prediction.std, np.std(prediction.draws, axis=0), atol=1e-6)


@pytest.mark.parametrize("keep", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_a_warm_start_goes_on_from_before(keep):
    """With nothing kept the second fit is a first one; with all kept it is further on."""
    scorer, space = warm_ensemble(2, keep=keep, **SMALL), Space(jnp.asarray(X))
    queried = jnp.where(MASK, jnp.arange(24), -1)
    update = jax.jit(lambda key, state: scorer.update(key, state, space, queried, Y[:24], MASK, 0))
    state = scorer.init(space, 24)
    _, anew = update(jax.random.key(1), state)
    state, _ = update(jax.random.key(0), state)
    _, second = update(jax.random.key(1), state)
    errors = [np.mean((p.mean[:20] - Y[:20]) ** 2) for p in (anew, second)]
    if keep:
        assert errors[1] < 0.5 * errors[0]
    else:
        np.testing.assert_allclose(second.mean, anew.mean, atol=1e-5)


def plain_pairwise(scores, y):
    pairs = [(i, j) for i in range(len(y)) for j in range(len(y)) if y[i] > y[j]]
    return np.mean([np.log1p(np.exp(-(scores[i] - scores[j]))) for i, j in pairs])


def plain_listwise(scores, y):
    order = np.argsort(-y)
    chances = [np.exp(scores[i]) / np.exp(scores[order[k:]]).sum() for k, i in enumerate(order)]
    return -np.log(chances).sum() / len(y)


@pytest.mark.parametrize(
    ("loss", "plain"),
    [(losses.pairwise, plain_pairwise), (losses.listwise, plain_listwise)],
)
def test_ranking_losses(loss, plain):
    scores, y, real = RNG.normal(size=9), RNG.normal(size=9), np.arange(9) < 7
    loss = jax.jit(loss)
    got = loss(jnp.asarray(scores, jnp.float32), jnp.asarray(y, jnp.float32), jnp.asarray(real))
    assert got == pytest.approx(plain(scores[:7], y[:7]), rel=1e-5)
    dirty = jnp.where(real, y, jnp.nan)
    slope = jax.jit(jax.grad(loss))(jnp.asarray(scores, jnp.float32), dirty, real)
    expected = optimize.approx_fprime(scores[:7], lambda s: plain(s, y[:7]), 1e-6)
    np.testing.assert_allclose(slope[:7], expected, atol=1e-4)
    assert (slope[7:] == 0).all()
    assert loss(jnp.zeros(9), jnp.zeros(9), jnp.zeros(9, bool)) == 0
