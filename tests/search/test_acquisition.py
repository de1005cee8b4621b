"""Acquisitions and the rank transform against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from weaknas_jax import Prediction, Space
from weaknas_jax.core import history, keys
from weaknas_jax.search import acquisition, label_transforms

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
    got = label_transforms.rank_normal(jnp.asarray(padded, jnp.float32), mask)
    np.testing.assert_allclose(got[:20], expected, atol=2e-5)
    assert (got[20:] == 0).all()


def test_rank_normal_of_nothing_and_of_constants():
    assert label_transforms.rank_normal(jnp.full(4, 3.0), jnp.ones(4, bool)).tolist() == [0] * 4
    assert (
        label_transforms.rank_normal(jnp.full(4, jnp.nan), jnp.zeros(4, bool)).tolist() == [0] * 4
    )


def predicted(n=400, members=6, seed=0):
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=(members, n)).astype(np.float32)
    return Prediction(jnp.asarray(draws.mean(0)), jnp.asarray(draws.std(0)), jnp.asarray(draws))


@pytest.mark.parametrize(("best", "calibration"), [(0.5, 1.0), (0.5, 5.0), (9.0, 1.0), (-9.0, 1.0)])
def test_expected_improvement_is_the_integral_of_the_improvement(best, calibration):
    prediction = predicted()
    mean, std = np.float64(prediction.mean), np.float64(prediction.std) / calibration
    z = (mean - best) / std
    expected = stats.norm.logpdf(z) + np.log(std)  # of log E max(y - best, 0)
    with np.errstate(all="ignore"):
        expected += np.log1p(z * stats.norm.cdf(z) / stats.norm.pdf(z))
    ei = jax.jit(acquisition.ei(calibration=calibration))
    score = ei(prediction, known([best, best - 1]), KEY)
    sure = np.isfinite(expected) & (z > -6) & (z < 6)
    np.testing.assert_allclose(score[sure], expected[sure], atol=2e-3)
    assert np.isfinite(score).all()
    order = np.argsort(z)[z[np.argsort(z)] < -6]  # far below the best: still told apart
    assert len(np.unique(score[order])) == len(order)


def test_probability_of_improvement_orders_as_the_normal_tail():
    prediction = predicted()
    score = acquisition.pi(margin=0.1)(prediction, known([0.3]), KEY)
    chance = stats.norm.sf(0.4, prediction.mean, prediction.std)
    assert stats.spearmanr(score, chance).statistic > 1 - 1e-9


def test_thompson_takes_one_member_another_each_round():
    prediction, taken = predicted(), set()
    for round_ in range(40):
        now = known([1.0]).replace(round=jnp.int32(round_))
        score = acquisition.ts()(prediction, now, KEY)
        same = np.flatnonzero((prediction.draws == score).all(axis=1))
        assert len(same) == 1
        taken |= set(same.tolist())
    assert taken == set(range(6))


def test_independent_draws_have_the_mean_and_deviation():
    prediction = predicted(n=5)
    score = jax.vmap(lambda i: acquisition.its()(prediction, known([1.0]).replace(round=i), KEY))
    drawn = np.asarray(score(jnp.arange(4000)))
    error = prediction.std / 4000**0.5
    assert (np.abs(drawn.mean(0) - prediction.mean) < 4 * error).all()
    assert (np.abs(drawn.std(0) - prediction.std) < 4 * error).all()


def test_the_hopeful_and_the_cautious():
    prediction = predicted()
    hopeful = acquisition.percentile()(prediction, known([1.0]), KEY)
    np.testing.assert_allclose(hopeful, np.asarray(prediction.draws).max(0), atol=2e-5)
    cautious = acquisition.confidence()(prediction, known([1.0]), KEY)
    np.testing.assert_allclose(cautious, prediction.mean - 2 * prediction.std, atol=2e-5)


def test_jitter_is_even_and_by_the_key():
    one, other = (np.asarray(keys.jitter(jax.random.key(i), 20_000)) for i in range(2))
    for values in (one, other):
        assert stats.kstest(values / 1e-5, "uniform").pvalue > 1e-3
        assert abs(stats.spearmanr(values[1:], values[:-1]).statistic) < 4 / 20_000**0.5
    assert abs(stats.spearmanr(one, other).statistic) < 4 / 20_000**0.5
