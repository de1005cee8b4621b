"""What every registered predictor must do. Registering a predictor is what gets it tested."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, planted_table, quick_and_slow
from scipy import stats

from weaknas_jax import HONEST, PREDICTORS, Predictor, Scorer, refit
from weaknas_jax.predictors import make
from weaknas_jax.runs import task

TABLE = planted_table((5, 5, 5))
SPACE = task.make(TABLE, HONEST, graphs=True).space
QUICK = "gp", "linear", "knn", "mlp", "gbrt"  # the others are made of their code
Q = 48


def problem(n=30, seed=0):
    """n labels of known rows, padded to Q, standardised; and the labels of all."""
    rows = np.random.default_rng(seed).choice(len(TABLE), n, replace=False)
    y = TABLE.valid_mean
    y = ((y - y[rows].mean()) / y[rows].std()).astype(np.float32)
    queried = np.pad(rows, (0, Q - n), constant_values=-1).astype(np.int32)
    return queried, np.where(queried >= 0, y[queried], 0.0), queried >= 0, y


def made(name):
    return make(name, TABLE.encoding, **SMALL.get(name, {}))


@pytest.fixture(scope="module", params=quick_and_slow(PREDICTORS, QUICK))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def scorer(name):
    predictor = made(name)
    return predictor if isinstance(predictor, Scorer) else refit(predictor, 128)


@pytest.fixture(scope="module")
def learn(scorer):
    """Everything at once: (key, queried, y, mask) -> (state, Prediction)."""

    def update(key, queried, y, mask):
        return scorer.update(key, scorer.init(SPACE, Q), SPACE, queried, y, mask, queried)

    return jax.jit(update)


def test_ranks_architectures_it_has_not_seen(learn):
    queried, y, mask, truth = problem()
    _, prediction = learn(jax.random.key(0), queried, y, mask)
    unseen = np.setdiff1d(np.arange(len(TABLE)), queried)
    assert stats.kendalltau(prediction.mean[unseen], truth[unseen]).statistic > 0.6


def test_a_deviation_is_given_where_it_is_said(name, learn):
    queried, y, mask, _ = problem()
    _, prediction = learn(jax.random.key(0), queried, y, mask)
    assert (prediction.std is not None) == PREDICTORS[name].deviation
    if prediction.std is not None:
        known = np.isin(np.arange(len(TABLE)), queried)
        assert prediction.std[known].mean() < prediction.std[~known].mean()
        assert (prediction.std > 0).all()


def test_whatever_stands_in_the_padding_changes_nothing(learn):
    queried, y, mask, _ = problem()
    clean = learn(jax.random.key(0), queried, y, mask)
    for garbage in (1e6, np.nan):
        chex.assert_trees_all_equal(
            clean, learn(jax.random.key(0), queried, np.where(mask, y, garbage), mask)
        )


FITTED = [n for n, of in PREDICTORS.items() if not of.host and isinstance(made(n), Predictor)]
"""Those that are given features; the others (`Scorer`) are given rows, and none in the padding."""


@pytest.mark.parametrize("name", quick_and_slow(FITTED, ["linear", "mlp"]))
def test_nor_does_it_in_the_features(name):
    predictor = made(name)
    queried, y, mask, _ = problem()
    x, fit = TABLE.encoding[queried], jax.jit(predictor.fit)
    clean = fit(jax.random.key(0), np.where(mask[:, None], x, 0), y, mask)
    dirty = fit(jax.random.key(0), np.where(mask[:, None], x, np.nan), y, mask)
    chex.assert_trees_all_equal(clean, dirty)


def test_same_key_same_fit(learn):
    queried, y, mask, _ = problem()
    chex.assert_trees_all_equal(*(learn(jax.random.key(3), queried, y, mask) for _ in range(2)))


def test_no_data_and_constant_labels_are_survived(learn):
    queried, y, mask, _ = problem()
    for labels, known in ((y, np.zeros_like(mask)), (np.zeros_like(y), mask)):
        _, prediction = learn(jax.random.key(0), queried, labels, known)
        assert jnp.isfinite(prediction.mean).all()


def test_lanes_together_are_lanes_alone(learn, name):
    """Each has its own key, data and number of labels."""
    # Products of one lane and of several are rounded differently, and steps of Adam amplify that.
    tolerance = 0.1 if name == "mlp_listwise" else 2e-3
    data = [problem(n, seed=n)[:3] for n in (12, 30)]
    keys = jax.random.split(jax.random.key(0), 2)
    stacked = [jnp.stack(a) for a in zip(*data, strict=True)]
    _, together = jax.vmap(learn)(keys, *stacked)
    for lane, (key, one) in enumerate(zip(keys, data, strict=True)):
        _, alone = learn(key, *one)
        np.testing.assert_allclose(together.mean[lane], alone.mean, atol=tolerance)
