"""Acquisitions and the rank transform against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from weaknas_jax import Prediction, Space, acquisition, history, labels

KEY = jax.random.key(0)


def known(scores, q=30):
    start = history.begin(Space(jnp.zeros((50, 1))), q)
    told = np.full(q, np.nan, np.float32)
    told[: len(scores)] = scores
    return start.replace(scores=jnp.asarray(told), told=jnp.int32(len(scores)))


def test_mean_is_the_prediction():
    prediction = Prediction(jnp.arange(5.0))
    assert acquisition.mean()(prediction, known([1.0]), KEY).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("since", "width"), [(0, 1.5), (19, 1.5), (24, 1.5 * 24 / 20)])
def test_the_bound_widens_when_nothing_improves(since, width):
    prediction = Prediction(jnp.zeros(50), jnp.linspace(0, 1, 50))
    score = acquisition.ucb(beta=1.5, patience=20)(prediction, known([9.0] + [1.0] * since), KEY)
    np.testing.assert_allclose(score, width * prediction.std, atol=2e-5)


def test_the_width_is_bounded_and_failures_count():
    prediction = Prediction(jnp.zeros(50), jnp.ones(50))
    scores = [9.0] + [np.nan] * 28
    assert abs(float(acquisition.ucb(patience=1)(prediction, known(scores), KEY)[0]) - 4) < 1e-4
    assert float(acquisition.ucb(beta=7, patience=1)(prediction, known(scores), KEY)[0]) > 6.9


def test_ties_fall_by_the_key():
    flat = Prediction(jnp.zeros(50), jnp.ones(50))
    first = {
        int(acquisition.ucb()(flat, known([1.0]), jax.random.key(i)).argmax()) for i in range(20)
    }
    assert len(first) > 10


@pytest.mark.parametrize("ties", [False, True])
def test_rank_normal_is_scipys(ties):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 5, 20).astype(float) if ties else rng.normal(size=20)
    expected = stats.norm.ppf((stats.rankdata(scores) - 0.5) / 20)
    padded, mask = np.r_[scores, [np.nan] * 12], np.arange(32) < 20
    got = labels.rank_normal(jnp.asarray(padded, jnp.float32), mask)
    np.testing.assert_allclose(got[:20], expected, atol=2e-5)
    assert (got[20:] == 0).all()


def test_rank_normal_of_nothing_and_of_constants():
    assert labels.rank_normal(jnp.full(4, 3.0), jnp.ones(4, bool)).tolist() == [0] * 4
    assert labels.rank_normal(jnp.full(4, jnp.nan), jnp.zeros(4, bool)).tolist() == [0] * 4
