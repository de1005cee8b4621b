"""Chunks, places, and the scorer that refits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table, ridge

from weaknas_jax import Prediction, Space
from weaknas_jax.core import ranking
from weaknas_jax.predictors import refit


@pytest.mark.parametrize("chunk", [8, 16, 64, 104])
def test_chunks_cover_every_row_once(chunk):
    x = jax.random.normal(jax.random.key(0), (97, 5))
    got = refit.score_in_chunks(lambda w, x: Prediction(x @ w, -x @ w), jnp.ones(5), x, chunk)
    np.testing.assert_allclose(got.mean, x.sum(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got.std, -x.sum(axis=1), rtol=1e-5, atol=1e-5)


def test_positions_rank_ties_by_index_and_nan_last():
    scores = jnp.array([jnp.nan, 1.0, -jnp.inf, 1.0, jnp.inf])
    assert ranking.positions(scores).tolist() == [4, 1, 3, 2, 0]


def test_a_key_breaks_ties_evenly_and_nothing_else():
    scores = jnp.array([1.0, 2.0, 1.0, 0.0, 1.0])
    keys = jax.random.split(jax.random.key(0), 2000)
    places = np.asarray(jax.vmap(lambda k: ranking.positions(scores, k))(keys))
    assert (places[:, [1, 3]] == [0, 4]).all()
    for tied in (0, 2, 4):
        share = np.bincount(places[:, tied], minlength=5)[1:4] / 2000
        assert (np.abs(share - 1 / 3) < 4 * (2 / 9 / 2000) ** 0.5).all()


def test_refit_scores_the_space_from_what_was_queried():
    table = planted_table()
    space = Space(jnp.asarray(table.encoding))
    scorer = refit.refit(ridge(1e-6), chunk=16)
    state = scorer.init(space, 30)
    queried = jnp.pad(jnp.arange(24) * 2, (0, 6), constant_values=-1)
    mask = jnp.arange(30) < 24
    y = jnp.where(mask, table.valid_mean[np.maximum(queried, 0)], 0.0)
    _, prediction = scorer.update(jax.random.key(0), state, space, queried, y, mask, queried[-1:])
    known = np.isin(np.arange(len(table)), queried)
    np.testing.assert_allclose(prediction.mean[known], table.valid_mean[known], atol=1e-2)
