"""What may stand inside WeakNAS (appendix G): candidates near the best, and pseudo-labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table, ridge

from weaknas_jax import Prediction, Predictor, refit, weaknas
from weaknas_jax.predictors.knn import knn
from weaknas_jax.runs import task
from weaknas_jax.search import methods, sampling
from weaknas_jax.search.pseudo_labels import semi


def after(method, table, rounds):
    """Rows asked for in each round, and what a round knew before it asked."""
    state = method.init(jax.random.key(0), task.space(table, neighbours=True))
    ask, tell, asked, known = jax.jit(method.ask), jax.jit(method.tell), [], []
    for _ in range(rounds):
        known.append(state.history)
        state, indices = ask(state)
        asked.append([int(i) for i in indices if i >= 0])
        state, _ = tell(state, indices, jnp.asarray(table.valid_mean)[indices])
    return asked, known


@pytest.mark.parametrize("sampler", ["uniform", "greedy"])
def test_candidates_are_neighbours_of_the_best(sampler):
    table = planted_table(noise=0.3)
    near = np.asarray(task.space(table, neighbours=True).neighbours)
    sampler = sampling.SAMPLINGS[sampler]()
    settings = {"init": 6, "per_round": 3, "budget": 21, "top": 64, "sampler": sampler}
    method = weaknas(refit(ridge()), near_best=2, **settings)
    asked, known = after(method, table, 6)
    for rows, before in list(zip(asked, known, strict=True))[1:]:
        best = np.argsort(-np.nan_to_num(before.scores, nan=-1e9), kind="stable")[:2]
        allowed = set(near[np.asarray(before.queried)[best]].ravel().tolist())
        left = allowed - set(np.flatnonzero(before.seen).tolist()) - {-1}
        assert len(left) < 3 or set(rows) <= left


def test_all_are_candidates_where_too_few_are_near():
    table = planted_table()
    space = task.space(table, neighbours=True)
    method = weaknas(refit(ridge()), init=1, per_round=1, budget=20, near_best=1)
    _, known = after(method, table, 3)
    few = sampling.near_best(space, known[2], 1, 3)
    assert few.sum() == 9  # three choices of four: nine neighbours
    assert sampling.near_best(space, known[2], 1, 10).all()
    assert sampling.near_best(space, known[0], 1, 1).all()  # nothing is known


def test_a_space_without_neighbours_is_refused():
    with pytest.raises(ValueError, match="near_best=3 needs the neighbours"):
        weaknas(refit(ridge()), near_best=3).init(jax.random.key(0), task.space(planted_table()))


def fitted(scorer, table, n=12):
    space = task.space(table)
    queried = jnp.asarray(np.random.default_rng(1).permutation(64)[:20], jnp.int32)
    mask = jnp.arange(20) < n
    y = jnp.where(mask, jnp.asarray(table.valid_mean, jnp.float32)[queried] / 10, 999.0)
    arguments = scorer.init(space, 20), space, queried, y, mask, queried
    return jax.jit(scorer.update)(jax.random.key(3), *arguments)[1].mean


def test_ridge_regression_learns_nothing_from_its_own_mean():
    """Its optimum given labels is the optimum given them and its own predictions as well."""
    table = planted_table(noise=1.0)
    plain, twice = fitted(refit(ridge()), table), fitted(semi(ridge(), unlabelled=30), table)
    np.testing.assert_allclose(twice, plain, atol=5e-3)


def test_pseudo_labels_are_what_the_first_fit_says_of_rows_without_a_label():
    table, rows = planted_table(noise=1.0), []

    def fit(key, x, y, mask):
        jax.debug.callback(lambda *a: rows.append([np.asarray(v) for v in a]), x, y, mask)
        return inner.fit(key, x, y, mask)

    inner = knn(3)
    fitted(semi(Predictor(fit, inner.predict), unlabelled=60), table)
    jax.effects_barrier()
    (x1, y1, mask1), (x2, y2, mask2) = sorted(rows, key=lambda r: len(r[2]))
    assert mask1.sum() == 12
    assert mask2.sum() == 12 + 52  # all others of the 64; 8 of the 60 are padding
    np.testing.assert_array_equal(y2[:12], y1[:12])
    assert len(np.unique(x2[mask2], axis=0)) == 64
    params = inner.fit(None, *map(jnp.asarray, (x1, y1, mask1)))
    guessed = inner.predict(params, jnp.asarray(x2[20:])).mean
    np.testing.assert_allclose(y2[20:][mask2[20:]], guessed[mask2[20:]], rtol=1e-6)


def test_they_are_made_by_name_and_refused_where_they_make_no_sense():
    method = methods.make("knn", budget=20, near_best=2, pseudo_labels=8)
    assert method.settings["near_best"] == 2
    assert method.settings["pseudo_labels"] == 8
    with pytest.raises(ValueError, match="pseudo_labels=8"):
        methods.make("gp", pseudo_labels=8)
    with pytest.raises(ValueError, match="unlabelled=0"):
        semi(Predictor(lambda *a: 0, lambda p, x: Prediction(x[:, 0])), unlabelled=0)
