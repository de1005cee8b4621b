"""The mixture of Gaussian processes against dense formulas and leave-one-out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table

from weaknas_jax import HONEST, load_nasbench201
from weaknas_jax.predictors import kernels, mixture
from weaknas_jax.predictors.mixture import leave_one_out, members
from weaknas_jax.runs import task

SPACE = task.make(planted_table((5, 5, 5)), HONEST).space
MEMBERS = members(SPACE)
Q = 40


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    rows = rng.choice(SPACE.size, 20, replace=False)
    return rows, rng.normal(size=20).astype(np.float32)


def learn(rows, y, steps, scorer=None):
    """State and prediction after batches of the sizes ``steps``."""
    scorer = scorer or mixture()
    update, state, begin = jax.jit(scorer.update), scorer.init(SPACE, Q), 0
    queried = np.pad(rows, (0, Q - len(rows)), constant_values=-1).astype(np.int32)
    labels = np.pad(y, (0, Q - len(rows)))
    for step in steps:
        new = np.full(8, -1, np.int32)
        new[:step] = rows[begin : begin + step]
        begin += step
        mask = (queried >= 0) & (np.arange(Q) < begin)
        state, prediction = update(jax.random.key(0), state, SPACE, queried, labels, mask, new)
    return state, prediction


def dense(member):
    """Kernel [N, N] of a member, of mean variance one, in float64."""
    kernel = kernels.on(SPACE.features, member.blocks)
    matrix = np.asarray(kernel.rows(jnp.arange(SPACE.size)), np.float64)
    return matrix / np.diag(matrix).mean()


def by_hand(rows, y):
    """Mean, deviation and weights of the mixture, each label left out and predicted in turn."""
    y = y.astype(np.float64) - y.mean()
    means, variances, evidence = [], [], []
    for member in MEMBERS:
        k = dense(member)

        def posterior(at, of, labels, k=k, noise=member.noise):
            inner = np.linalg.inv(k[np.ix_(at, at)] + noise * np.eye(len(at)))
            mean = k[np.ix_(of, at)] @ inner @ labels
            explained = np.einsum("ni,ij,nj->n", k[np.ix_(of, at)], inner, k[np.ix_(of, at)])
            return mean, k[of, of] - explained

        errors, spreads = [], []
        for i, row in enumerate(rows):
            others = np.delete(np.arange(len(rows)), i)
            mean, variance = posterior(rows[others], [row], y[others])
            errors.append(y[i] - mean[0])
            spreads.append(variance[0] + member.noise)
        errors, spreads = np.array(errors), np.array(spreads)
        amplitude = ((errors**2 / spreads).sum() + 1) / (len(rows) + 1)
        log_density = -0.5 * (np.log(amplitude * spreads) + errors**2 / (amplitude * spreads))
        mean, variance = posterior(rows, np.arange(SPACE.size), y)
        means.append(mean)
        variances.append(amplitude * np.maximum(variance, 1e-6))
        evidence.append(log_density.sum())
    weights = np.exp(evidence - np.max(evidence))
    weights /= weights.sum()
    mean = weights @ means
    second = weights @ (np.array(variances) + np.array(means) ** 2)
    return mean, np.sqrt(second - mean**2), weights


@pytest.mark.parametrize("steps", [(1,) * 20, (8, 5, 0, 7)])
def test_it_is_that_of_the_dense_formulas(data, steps):
    state, prediction = learn(*data, steps)
    mean, deviation, weights = by_hand(*data)
    np.testing.assert_allclose(state.weights, weights, atol=2e-3)
    np.testing.assert_allclose(prediction.mean, mean, atol=2e-3)
    np.testing.assert_allclose(prediction.std, deviation, atol=2e-3)


def test_leave_one_out_of_independent_labels():
    """K = 0 and noise s: each label is predicted as 0, with variance s."""
    y = jnp.array([2.0, -2.0, 0.0, 9.0])
    amplitude, evidence = leave_one_out(jnp.eye(4) / 2.0, y.at[3].set(0.0), jnp.int32(3))
    assert float(amplitude) == pytest.approx((2 * 4 / 4 + 1) / 4)
    expected = -0.5 * (3 * np.log(0.75 * 4) + 2 * 4 / (0.75 * 4))
    assert float(evidence) == pytest.approx(expected)


def test_the_evidence_is_highest_for_the_kernel_that_made_the_labels():
    """In the mean over 40 draws: the log density of a label left out is a proper score."""
    rng = np.random.default_rng(1)
    rows = rng.choice(SPACE.size, 38, replace=False)
    inner = [dense(m)[np.ix_(rows, rows)] + m.noise * np.eye(len(rows)) for m in MEMBERS]
    factors = [np.linalg.cholesky(matrix) for matrix in inner]
    inverses = [jnp.asarray(np.linalg.inv(factor), jnp.float32) for factor in factors]
    density = jax.jit(jax.vmap(leave_one_out, in_axes=(None, 0, None)))
    for true, factor in enumerate(factors):
        y = jnp.asarray((factor @ rng.normal(size=(len(rows), 40))).T, jnp.float32)
        means = [float(density(inverse, y, len(rows))[1].mean()) for inverse in inverses]
        assert np.argmax(means) == true


def test_a_batch_has_no_repeats_and_nothing_seen(data):
    state, prediction = learn(*data, (8, 8, 4))
    seen = jnp.zeros(SPACE.size, bool).at[data[0]].set(True)
    score = lambda p: p.mean + 1.5 * p.std  # noqa: E731
    scorer = mixture()
    picked = np.asarray(scorer.select(state, SPACE, score, prediction, seen, 8, 7))
    assert picked[-1] == -1
    assert len(set(picked[:7])) == 7
    assert not np.asarray(seen)[picked[:7]].any()
    one = scorer.select(state, SPACE, score, prediction, seen, 1, 1)
    assert int(one[0]) == int(jnp.where(seen, -jnp.inf, score(prediction)).argmax()) == picked[0]


def test_before_any_evidence_the_prior_weighs(data):
    trusting = (MEMBERS[0]._replace(prior=1.0), *MEMBERS[1:])
    state, _ = learn(*data, (8, 8, 4), mixture(trusting))
    plain, _ = learn(*data, (8, 8, 4))
    odds = np.log(state.weights) - np.log(plain.weights)
    np.testing.assert_allclose(odds - odds[1], [1.0, 0.0, 0.0, 0.0], atol=1e-3)
    blind, _ = learn(*data, (8, 8, 4), mixture(trusting, temper=0.0))
    np.testing.assert_allclose(np.log(blind.weights[0] / blind.weights[1]), 1.0, atol=1e-5)


@pytest.mark.slow  # draws of a process are those of `gp`, and its moments are slow too
def test_draws_have_the_moments_of_the_mixture(data):
    _, prediction = learn(*data, (8, 8), mixture(draws=256))
    error = prediction.std / 256**0.5
    assert prediction.draws.shape == (256, SPACE.size)
    assert float(jnp.mean(jnp.abs(prediction.draws.mean(axis=0) - prediction.mean) / error)) < 1.5
    np.testing.assert_allclose(prediction.draws.std(axis=0) / prediction.std, 1.0, atol=0.3)


def test_a_cell_is_hedged_by_its_columns():
    table = load_nasbench201("cifar10")
    names = [m.name for m in members(task.space(table, "all"))]
    assert names == ["sum", "sum", "own", "table"]
    assert [m.name for m in members(task.space(table))] == ["own", "own"]
    names = [m.name for m in members(task.space(table, "columns"))]
    assert names == ["sum", "sum", "categories", "ordered"]
