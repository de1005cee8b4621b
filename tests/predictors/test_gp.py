"""The Gaussian process against dense formulas, and what it needs of queries on NAS-Bench-201."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table
from sklearn.gaussian_process import GaussianProcessRegressor

from weaknas_jax import HONEST, Settings, Space, gp, load_nasbench201, run_many, weaknas
from weaknas_jax.measures import metrics
from weaknas_jax.predictors import gp_ml, kernels
from weaknas_jax.predictors.gp_ml import negative_log_likelihood
from weaknas_jax.predictors.kernels import Block
from weaknas_jax.predictors.presets import CELL, GRAPH, TABLE, blocks_of
from weaknas_jax.runs import task
from weaknas_jax.search import acquisition, label_transforms, sampling
from weaknas_jax.tables import targets

PLANTED = planted_table((5, 5, 5))
SPACE = task.make(PLANTED, HONEST).space
NOISE = 0.3


def dense(space=SPACE, blocks=None):
    """K [N, N] as float64."""
    kernel = kernels.on(space.features, blocks or blocks_of(space))
    matrix = np.asarray(kernel.rows(jnp.arange(space.size)), np.float64)
    np.testing.assert_allclose(np.diag(matrix), kernel.diagonal, rtol=1e-4)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-5)
    return matrix


def history(rows, y, q=40):
    queried = np.full(q, -1, np.int32)
    queried[: len(rows)] = rows
    padded = np.zeros(q, np.float32)
    padded[: len(rows)] = y
    return queried, padded, queried >= 0


def learn(rows, y, steps, failed=()):
    """The scorer's state and prediction after batches of the sizes ``steps``."""
    scorer = gp(noise=NOISE)
    update, state, told = jax.jit(scorer.update), scorer.init(SPACE, 40), 0
    queried, padded, mask = history(rows, y)
    for step in steps:
        new = np.full(8, -1, np.int32)
        new[:step] = rows[told : told + step]
        told += step
        known = mask & (np.arange(40) < told) & ~np.isin(queried, failed)
        key = jax.random.key(0)
        state, prediction = update(key, state, SPACE, queried, padded, known, new)
    return state, prediction


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    rows = rng.choice(SPACE.size, 20, replace=False)
    return rows, rng.normal(size=20).astype(np.float32)


@pytest.mark.parametrize("steps", [(1,) * 20, (8, 8, 4), (5, 0, 7, 8)])
def test_mean_and_deviation_are_the_dense_ones(data, steps):
    rows, y = data
    _, prediction = learn(rows, y, steps)
    k = dense()
    inner = np.linalg.inv(k[np.ix_(rows, rows)] + NOISE * np.eye(len(rows)))
    np.testing.assert_allclose(prediction.mean, k[:, rows] @ inner @ y, atol=2e-4)
    variance = np.diag(k) - np.einsum("ni,ij,nj->n", k[:, rows], inner, k[:, rows])
    np.testing.assert_allclose(prediction.std**2, variance, atol=2e-4)


def test_scikit_learn_agrees(data):
    """With the kernel as a precomputed feature map: x -> row of the Cholesky factor of K."""
    from sklearn.gaussian_process.kernels import DotProduct

    rows, y = data
    k = dense()
    x = np.linalg.cholesky(k + 1e-8 * np.eye(len(k)))
    theirs = GaussianProcessRegressor(DotProduct(0, "fixed"), alpha=NOISE, optimizer=None)
    mean, std = theirs.fit(x[rows], y).predict(x, return_std=True)
    _, ours = learn(rows, y, (8, 8, 4))
    np.testing.assert_allclose(ours.mean, mean, atol=1e-3)
    np.testing.assert_allclose(ours.std, std, atol=1e-3)


def test_failed_queries_are_never_fitted(data):
    rows, y = data
    _, with_failures = learn(
        rows, np.where(np.isin(rows, rows[3:9]), np.nan, y), (8, 8, 4), rows[3:9]
    )
    kept = np.r_[rows[:3], rows[9:]]
    _, without = learn(kept, np.r_[y[:3], y[9:]], (8, 6))
    np.testing.assert_allclose(with_failures.mean, without.mean, atol=1e-5)
    np.testing.assert_allclose(with_failures.std, without.std, atol=1e-5)


def test_a_batch_is_picked_as_if_each_pick_were_known(data):
    rows, y = data
    state, prediction = learn(rows, y, (8, 8, 4))
    seen = np.isin(np.arange(SPACE.size), rows)
    score = lambda p: p.mean + 1.5 * p.std  # noqa: E731
    scorer = gp(noise=NOISE)
    picked = scorer.select(state, SPACE, score, prediction, jnp.asarray(seen), 6, 5)
    k, known, expected = dense(), list(rows), []
    for _ in range(5):
        inner = np.linalg.inv(k[np.ix_(known, known)] + NOISE * np.eye(len(known)))
        variance = np.diag(k) - np.einsum("ni,ij,nj->n", k[:, known], inner, k[:, known])
        bound = np.where(seen, -np.inf, prediction.mean + 1.5 * np.sqrt(variance))
        expected.append(int(bound.argmax()))
        known.append(expected[-1])
        seen[expected[-1]] = True
    assert picked.tolist() == [*expected, -1]


def test_nothing_left_to_pick_is_none(data):
    state, prediction = learn(*data, (8, 8, 4))
    seen = jnp.ones(SPACE.size, bool).at[7].set(False)
    picked = gp().select(state, SPACE, lambda p: p.mean, prediction, seen, 3, 3)
    assert picked.tolist() == [7, -1, -1]


def test_kernels_in_closed_form():
    features = {"a": jnp.array([[0.0], [1.0], [3.0]]), "b": jnp.array([[1.0], [0.0], [-1.0]])}
    one = lambda *block: np.asarray(kernels.on(features, (Block(*block),)).rows(jnp.array([0]))[0])  # noqa: E731
    np.testing.assert_allclose(one("cauchy", "a", 2.0, 0.5), [2, 2 / 3, 2 / 19], rtol=1e-6)
    np.testing.assert_allclose(one("rbf", "a", 2.0, 0.5), 2 * np.exp([0, -2.0, -18.0]), rtol=1e-6)
    np.testing.assert_allclose(one("linear", "b", 2.0), [3, 0, -3], rtol=1e-6)
    np.testing.assert_allclose(one("quadratic", "b", 2.0), [4.5, 0, 4.5], rtol=1e-6)
    mean_square = np.mean([(x - y) ** 2 for x in (0, 1, 3) for y in (0, 1, 3)])
    scaled = one("cauchy", "a", 1.0, 2.0, True)
    np.testing.assert_allclose(scaled, 1 / (1 + np.array([0, 1, 9]) / (2 * mean_square)), rtol=1e-5)
    with pytest.raises(ValueError, match="choose one of cauchy"):
        kernels.on(features, (Block("magic", "a", 1.0),))
    with pytest.raises(ValueError, match="choose one of the feature blocks a, b"):
        kernels.on(features, (Block("rbf", "c", 1.0),))


def described(features, preset=""):
    return Space(jnp.zeros((3, 2)), features, preset=preset)


def test_a_space_names_its_preset():
    features = {"paths": 0, "statistics": 0, "slots": 0, "effects": 0, "counts": 0}
    assert blocks_of(described(features, "graph")) == GRAPH
    assert blocks_of(described(features, "table")) == TABLE
    with pytest.raises(ValueError, match="preset='cube': choose one of table, cell, graph"):
        blocks_of(described(features, "cube"))


def test_blocks_follow_the_space():
    assert blocks_of(described({"paths": 0, "grams": 0, "counts": 0})) == CELL
    assert blocks_of(described({"slots": 0, "effects": 0, "counts": 0})) == tuple(TABLE)
    without = blocks_of(described({"slots": 0, "effects": 0}))
    assert [b.feature for b in without] == ["slots", "effects", "effects"]
    assert without[0].weight == TABLE[0].weight + TABLE[3].weight
    cell = blocks_of(described({"grams": 0, "counts": 0}))
    assert [b.feature for b in cell] == ["grams", "counts", "grams"]
    assert cell[0].weight == CELL[0].weight + CELL[1].weight
    with pytest.raises(ValueError, match="none of the feature blocks slots, effects, counts"):
        blocks_of(described({"colour": 0}))
    with pytest.raises(ValueError, match="needs feature blocks"):
        gp().init(Space(jnp.zeros((3, 2))), 5)


def queries(table, runs, init, per_round):
    def search(chunk):
        return weaknas(
            gp(),
            init=init,
            per_round=per_round,
            budget=min(400, len(table)),
            transform=label_transforms.rank_normal,
            acquisition=acquisition.ucb(),
            sampler=sampling.greedy(),
        )

    settings = Settings(stop_at_target=True, measure=False, rounds_per_call=20)
    trace, _ = run_many(search, task.make(table, HONEST), 0, runs, settings)
    return metrics.queries_to_target(trace, targets.target_mask(table, "test"), HONEST)


@pytest.mark.slow  # a planted table is below; the queries of a search are held by test_golden
@pytest.mark.parametrize(("dataset", "most"), [("cifar10", 26), ("imagenet16", 41)])
def test_sample_efficiency_on_nasbench201(dataset, most):
    """Mean queries to the test optimum within the goal, by more than its standard error allows."""
    met = queries(load_nasbench201(dataset), range(12), 1, 1)
    assert np.isfinite(met).all()
    assert met.mean() < most + 2 * met.std(ddof=1) / len(met) ** 0.5


def test_beats_chance_where_only_the_columns_are_known():
    table = planted_table((6, 6, 6), noise=0.5)
    assert queries(table, range(8), 5, 3).mean() < len(table) / 4


@pytest.mark.slow  # mean and deviation are those of the dense formula above
def test_posterior_draws_have_the_posteriors_moments(data):
    """Mean and covariance of 3000 draws, within 5 standard errors and the Fourier features'."""
    rows, y = data
    scorer, draws = gp(noise=NOISE, draws=3000), 3000
    queried, padded, mask = history(rows, y)
    update = jax.jit(scorer.update)
    start = scorer.init(SPACE, 40)
    _, prediction = update(jax.random.key(1), start, SPACE, queried, padded, mask, queried)
    assert prediction.draws.shape == (draws, SPACE.size)
    k = dense()
    inner = np.linalg.inv(k[np.ix_(rows, rows)] + NOISE * np.eye(len(rows)))
    covariance = k - k[:, rows] @ inner @ k[rows]
    std = np.sqrt(np.diag(covariance))
    drawn = np.asarray(prediction.draws, np.float64)
    assert (np.abs(drawn.mean(0) - prediction.mean) < 5 * std / draws**0.5).all()
    error = np.abs(np.cov(drawn.T) - covariance) / np.outer(std, std)
    assert error.max() < 6 / draws**0.5


def test_marginal_likelihood_is_scikit_learns(data):
    from sklearn.gaussian_process.kernels import DotProduct

    rows, y = data
    _queried, padded, mask = history(rows, y)
    part = np.zeros((40, 40), np.float32)
    part[:20, :20] = dense()[np.ix_(rows, rows)]
    x = np.linalg.cholesky(np.float64(part[:20, :20]) + 1e-9 * np.eye(20))
    theirs = GaussianProcessRegressor(DotProduct(0, "fixed"), alpha=NOISE, optimizer=None).fit(x, y)
    ours = negative_log_likelihood(jnp.ones(2), jnp.asarray(part)[None], NOISE, padded, mask)
    constant = 10 * np.log(2 * np.pi)
    assert -ours - constant == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-2)


@pytest.mark.slow  # the likelihood is that of scikit-learn above
def test_adapting_raises_the_likelihood_and_without_it_nothing_changes(data):
    rows, y = data
    queried, padded, mask = history(rows, y)
    _, fixed = learn(rows, y, (8, 8, 4))
    frozen = gp_ml(noise=NOISE, spread=0.0)
    arguments = SPACE, queried, padded, mask, queried
    _, same = jax.jit(frozen.update)(jax.random.key(0), frozen.init(SPACE, 40), *arguments)
    np.testing.assert_allclose(same.mean, fixed.mean, atol=2e-3)

    linear = SPACE.features["effects"][:, 0]
    scorer = gp_ml(noise=NOISE, spread=2.0, steps=60)
    truth = jnp.where(mask, linear[jnp.maximum(queried, 0)], 0.0)
    arguments = SPACE, queried, truth / truth.std(), mask, queried
    state, _ = jax.jit(scorer.update)(jax.random.key(0), scorer.init(SPACE, 40), *arguments)
    assert state.factors[-1] < -1  # labels without noise: the noise goes down
