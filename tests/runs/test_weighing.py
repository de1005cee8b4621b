"""What a mixture weighed, replayed from a trace, against dense formulas of labels left out."""

import dataclasses
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table
from helpers import is_drawn
from scipy import stats

import weaknas_jax as wn
from weaknas_jax.predictors import kernels
from weaknas_jax.predictors.mixture import members
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.report import members as report
from weaknas_jax.runs import task, weighing

SIZES = [6, 4, 4, 4]
SEED = 3
MEMBERS = PREDICTORS["mixture"].members


@pytest.fixture(scope="module")
def searched():
    """A method, its task with architectures that fail, and two runs."""
    table = planted_table((4, 4, 4))
    valid = table.valid.copy()
    valid[::5] = np.nan
    table = dataclasses.replace(table, valid=valid)
    settings = {"init": SIZES[0], "per_round": SIZES[1], "budget": sum(SIZES)}
    settings |= {"space": table.space, "label_transform": "standardize"}
    method = wn.methods.make("mixture", **settings)
    problem = task.make(table, wn.HONEST)
    trace, _ = wn.run_many(method, problem, SEED, [0, 4])
    return method, problem, trace


def by_hand(space, rows, y):
    """Weights, and log densities [M, n] of labels predicted from the others, in float64."""
    y = y - y.mean()
    densities = []
    for member in members(space):
        k = np.asarray(kernels.on(space.features, member.blocks).rows(jnp.arange(space.size)))
        k = k.astype(np.float64) / np.diag(k).mean()
        errors, spreads = [], []
        for i, row in enumerate(rows):
            others = np.delete(np.arange(len(rows)), i)
            inner = k[np.ix_(rows[others], rows[others])] + member.noise * np.eye(len(others))
            weights = np.linalg.solve(inner, k[rows[others], row])
            errors.append(y[i] - weights @ y[others])
            spreads.append(k[row, row] - weights @ k[rows[others], row] + member.noise)
        errors, spreads = np.array(errors), np.array(spreads)
        variance = spreads * ((errors**2 / spreads).sum() + 1) / (len(rows) + 1)
        densities.append(-0.5 * (np.log(2 * np.pi * variance) + errors**2 / variance))
    evidence = np.sum(densities, axis=1)
    weights = np.exp(evidence - evidence.max())
    return weights / weights.sum(), np.array(densities)


@pytest.mark.parametrize("run", [0, 4])
def test_weights_and_scores_are_those_of_the_dense_formulas(searched, run):
    method, problem, trace = searched
    weighed = weighing.weigh(MEMBERS, method, problem, trace, run, seed=SEED)
    place = trace.run.tolist().index(run)
    assert weighed.names == ("sum 0.02", "sum 0.2", "categories 0.2", "ordered 0.2")
    np.testing.assert_array_equal(weighed.queries, np.cumsum(SIZES))
    np.testing.assert_allclose(weighed.weights.sum(axis=1), 1, atol=1e-6)
    assert np.isnan(trace.scores[place]).any()
    for i, told in enumerate(weighed.queries):
        scores = trace.scores[place, :told].astype(np.float64)
        real = np.isfinite(scores)
        y = (scores[real] - scores[real].mean()) / scores[real].std()
        weights, densities = by_hand(problem.space, trace.queried[place, :told][real], y)
        np.testing.assert_allclose(weighed.weights[i], weights, atol=2e-3)
        np.testing.assert_allclose(weighed.members[i], densities.mean(axis=1), atol=2e-3)
        mixed, constant = np.log(weights @ np.exp(densities)), stats.norm.logpdf(y)
        np.testing.assert_allclose(weighed.mixture[i], mixed.mean(), atol=2e-3)
        np.testing.assert_allclose(weighed.constant[i], constant.mean(), atol=1e-4)
        np.testing.assert_allclose(weighed.error[i], stats.sem(mixed - constant), atol=2e-3)
    assert weighed.no_better_from is None  # labels that are a sum are learnt


def test_labels_without_structure_are_no_better_predicted_than_by_a_constant(searched):
    """In the mean over 20 draws of labels, by two standard errors; few of them seem better."""
    method, problem, trace = searched
    rng, gains, seeming = np.random.default_rng(0), [], 0
    for _ in range(20):
        scores = rng.normal(size=trace.scores.shape).astype(np.float32)
        noise = trace._replace(scores=scores)
        with warnings.catch_warnings(action="ignore"):  # these labels were not searched
            one = weighing.weigh(MEMBERS, method, problem, noise, 0, seed=SEED, strict=False)
        gains.append(one.mixture[-1] - one.constant[-1])
        seeming += one.no_better_from is None
    assert np.mean(gains) + 2 * np.std(gains, ddof=1) / np.sqrt(len(gains)) < 0
    assert seeming <= 3


def made(mixture, constant, weights=(0.25, 0.75), error=0.2):
    count = len(mixture)
    return weighing.Weighing(
        ("a", "b"),
        np.arange(count),
        10 * (1 + np.arange(count)),
        np.ones(count, int),
        np.tile(weights, (count, 1)),
        np.tile(np.array(mixture)[:, None], (1, 2)),
        np.array(mixture, float),
        np.array(constant, float),
        np.full(count, error),
    )


@pytest.mark.parametrize(
    ("mixture", "begin", "says"),
    [
        ([-1, -1, -1, -1], None, "better than a constant model in every round."),
        ([-3, -1, -3, -1], None, "from round 3 (40 queries) to the end; no better in 2 rounds"),
        ([-3, -3, -1.7, -1.7], 0, "From round 0 (10 queries) to the end the mixture was no better"),
        ([-3, -1, -2, np.nan], 2, "From round 2 (30 queries) to the end the mixture was no better"),
    ],
)
def test_the_round_from_which_on_it_knew_nothing(mixture, begin, says):
    weighed = made(mixture, [-2] * 4)
    assert weighed.no_better_from == begin
    assert says in report.text(weighed)


def test_the_mean_over_runs_is_over_those_that_reached_the_round():
    short, long = made([-1, -3], [-2, -2], (0, 1)), made([-3, -3, -4], [-2] * 3, (1, 0))
    mean = weighing.mean([short, long, short])
    assert mean.runs.tolist() == [3, 3, 1]
    np.testing.assert_allclose(mean.mixture, [-5 / 3, -3, -4])
    np.testing.assert_allclose(mean.weights, [[1 / 3, 2 / 3], [1 / 3, 2 / 3], [1, 0]])
    assert mean.no_better_from == 1
    np.testing.assert_allclose(mean.error, [0.2 / np.sqrt(3), 0.2 / np.sqrt(3), 0.2])
    lines = report.text(mean).splitlines()
    assert lines[2].replace(" ", "") == "|round|queries|runs|a|b|"
    assert lines[6].replace(" ", "") == "|2|30|1|1.000|0.000|"
    assert "in the mean of 3 runs" in lines[-1]


@pytest.mark.parametrize("mixture", [[-1], [-3, -1, -3], [-1, np.nan]])
def test_the_picture_shows_one_round_and_the_rounds_that_knew_nothing(tmp_path, mixture):
    weighed = made(mixture, [-2] * len(mixture))
    upper, lower = report.draw(weighed, "of $two", tmp_path / "a.png").axes
    assert is_drawn(tmp_path / "a.png")
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["a", "b"]
    shaded = any("not better" in text.get_text() for text in lower.get_legend().get_texts())
    assert shaded == (weighed.no_better_from is not None)
