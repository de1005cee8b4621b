"""What every registered predictor must do. Registering a predictor is what gets it tested."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table
from scipy import stats

from weaknas_jax import PREDICTORS


def problem(n=30, q=48, seed=0):
    table = planted_table((5, 5, 5))
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(table), n, replace=False)
    y = table.valid_mean
    y = ((y - y[rows].mean()) / y[rows].std()).astype(np.float32)
    x = np.pad(table.encoding[rows], ((0, q - n), (0, 0)))
    return table.encoding, y, x, np.pad(y[rows], (0, q - n)), np.arange(q) < n, rows


@pytest.fixture(scope="module", params=PREDICTORS)
def predictor(request):
    return PREDICTORS[request.param]()


@pytest.fixture(scope="module")
def fit(predictor):
    return jax.jit(predictor.fit)


def test_ranks_architectures_it_has_not_seen(predictor, fit):
    encoding, y, *data, rows = problem()
    prediction = predictor.predict(fit(jax.random.key(0), *data), encoding)
    unseen = np.setdiff1d(np.arange(len(y)), rows)
    assert stats.kendalltau(prediction.mean[unseen], y[unseen]).statistic > 0.6


def test_whatever_stands_in_the_padding_changes_nothing(fit):
    _, _, x, y, mask, _ = problem()
    clean = fit(jax.random.key(0), x, y, mask)
    for garbage in (1e6, np.nan):
        dirty = fit(
            jax.random.key(0), np.where(mask[:, None], x, garbage), np.where(mask, y, garbage), mask
        )
        chex.assert_trees_all_equal(clean, dirty)


def test_same_key_same_fit(fit):
    _, _, *data, _ = problem()
    chex.assert_trees_all_equal(*(fit(jax.random.key(3), *data) for _ in range(2)))


def test_no_data_and_constant_labels_are_survived(predictor, fit):
    encoding, _, x, y, mask, _ = problem()
    for labels, known in ((y, np.zeros_like(mask)), (np.zeros_like(y), mask)):
        prediction = predictor.predict(fit(jax.random.key(0), x, labels, known), encoding)
        assert jnp.isfinite(prediction.mean).all()


def test_fits_under_vmap(predictor):
    """Lanes with their own keys, data and number of labels; shapes only, no arithmetic."""
    data = [problem(n, seed=n)[2:5] for n in (12, 30)]
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
    stacked = [jnp.stack(a) for a in zip(*data, strict=True)]
    lanes = jax.eval_shape(jax.vmap(predictor.fit), keys, *stacked)
    alone = jax.eval_shape(predictor.fit, jax.eval_shape(lambda: jax.random.key(0)), *data[0])
    assert jax.tree.map(lambda a: a.shape[1:], lanes) == jax.tree.map(lambda a: a.shape, alone)
