"""Metrics and statistics on traces small enough to work out by hand."""

import dataclasses

import numpy as np
import pytest
from by_hand import RUNS, TABLE, trace

from weaknas_jax import HONEST, Table
from weaknas_jax.core import protocol
from weaknas_jax.measures import metrics, stats
from weaknas_jax.report import text
from weaknas_jax.tables import targets

BEST_TEST = targets.target_mask(TABLE, "test")


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, [3, None, 1]),
        ({"counting": "round"}, [4, None, 1]),
        ({"predicted_top": "free"}, [2, 4, 1]),
        ({"counting": "round", "predicted_top": "free"}, [2, 4, 1]),
        ({"predicted_top": "counted"}, [3, None, 1]),
    ],
)
def test_queries_to_the_optimum(switches, expected):
    rule = protocol.resolve("honest", **switches)
    found = metrics.queries_to_target(RUNS, BEST_TEST, rule)
    assert [None if np.isnan(q) else int(q) for q in found] == expected


def test_what_is_nearly_the_optimum():
    def rows(table, protocol):
        return [np.flatnonzero(m).tolist() for m in metrics.milestones(table, protocol).values()]

    assert rows(TABLE, HONEST) == [[4], [0, 1, 2, 3, 4]]
    near = np.array([[11.0], [48.9], [np.nan], [48.85], [49.0]])
    assert rows(dataclasses.replace(TABLE, test=near), HONEST) == [[1, 4], [0, 1, 3, 4]]
    many = np.linspace(1, 5, 20)[:, None]  # steps of 0.21
    table = Table(space="s", dataset="d", encoding=np.eye(20), valid=many, test=-many + 50)
    assert rows(table, HONEST) == [[0], list(range(10))]
    assert rows(table, protocol.resolve("honest", target="valid")) == [[19], list(range(10, 20))]
    summary = text.summarize(RUNS, TABLE, HONEST)["milestones"]
    assert summary["regret 0.1 %"]["per_seed"] == [3, None, 1]
    assert summary["the top 10"]["per_seed"] == [1, 1, 1]


def test_either_architecture_of_a_tie_counts():
    tied = dataclasses.replace(TABLE, test=np.array([[49.0], [19], [31], [48], [49]]))
    found = metrics.queries_to_target(RUNS, targets.target_mask(tied, "test"), HONEST)
    assert found.tolist() == [2, 4, 1]


def test_curves():
    curves = metrics.curves(RUNS, TABLE, HONEST)
    assert curves.best_valid[0].tolist() == [20, 20, 40, 40]
    assert curves.best_valid_test[0].tolist() == [19, 19, 49, 49]
    assert curves.best_valid_test[1].tolist() == [19, 31, 48, 48]
    assert curves.oracle_test[1].tolist() == [19, 31, 48, 48]
    assert curves.oracle_test[2].tolist() == [49] * 4  # an ended run keeps its last value
    predicted = curves.predicted_best_test
    assert np.isnan(predicted[0, 0])
    assert predicted[0, 1:].tolist() == [49, 49, 48]
    free = metrics.curves(RUNS, TABLE, protocol.resolve("honest", predicted_top="free"))
    assert free.oracle_test[0].tolist() == [19, 49, 49, 49]
    assert free.best_valid_test[0].tolist() == curves.best_valid_test[0].tolist()


def test_unknown_test_accuracy_is_said_and_not_averaged_in_silently():
    partly = dataclasses.replace(TABLE, test=np.array([[11.0], [19], [31], [np.nan], [49]]))
    found = text.summarize(RUNS, partly, HONEST)
    assert found["final"]["each"]["best_valid_test"]["runs"] == 2
    assert found["curve"]["best_valid_test"]["runs"][-1] == 2


def test_rank_of_a_mean_of_the_best_is_one():
    test = np.array([91.523, 91.1, 90.0])
    for runs in range(1, 120):
        assert metrics.rank_of(test, np.full(runs, test[0]).mean()) == 1


def test_the_target_is_among_what_can_be_evaluated():
    hidden = dataclasses.replace(TABLE, valid=np.array([[10.0], [20], [30], [50], [np.nan]]))
    assert np.flatnonzero(targets.target_mask(hidden, "test")).tolist() == [3]


def test_failed_queries_are_passed_over():
    failed = trace([[3, 0, 1, 2]], [[3, 3]])
    failed.scores[0, 0] = np.nan
    third = np.arange(5) == 3
    assert np.isnan(metrics.queries_to_target(failed, third, HONEST)).all()
    curves = metrics.curves(failed, TABLE, HONEST)
    assert np.isnan(curves.best_valid[0, 0])
    assert curves.best_valid_test[0, 1:].tolist() == [11, 19, 31]


def test_rank_counts_the_better_ones():
    test = TABLE.test_mean
    assert metrics.rank_of(test, np.array([49.0, 48.0, 11.0])).tolist() == [1, 2, 5]
    assert metrics.rank_of(test, 40.0) == 3
    assert metrics.rank_of(np.array([5.0, 5.0, 1.0, np.nan]), 5.0) == 1


def test_both_readings_of_rank():
    """Ranks of 49 and 31 are 1 and 3, mean 2; the mean accuracy 40 has rank 3."""
    found = text.summarize(trace([[4] * 1, [2] * 1], [[0], [0]], (0,)), TABLE, HONEST)["final"]
    assert (found["mean_rank"], found["rank_of_mean"]) == (2.0, 3.0)
    assert found["regret"] == pytest.approx(9.0)
    assert found["test_mean"] == 40.0


def test_censored_runs_are_shown_and_bound_the_mean():
    found = stats.queries_to_optimum(np.array([10.0, np.nan, 20.0, np.nan]), 100)
    assert found["censored"] == 2
    assert found["per_seed"] == [10, None, 20, None]
    assert found["mean"] == (10 + 20 + 200) / 4
    assert found["mean_is_lower_bound"] is True
    assert found["median"] is None
    complete = stats.queries_to_optimum(np.array([10.0, 30.0]), 100)
    assert complete["mean_is_lower_bound"] is False
    assert (complete["mean"], complete["median"], complete["censored"]) == (20.0, 20.0, 0)


def test_bootstrap_interval_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(100, 15, 400)
    low, high = stats.bootstrap_mean(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert stats.bootstrap_mean(values) == (low, high)
    assert stats.bootstrap_mean(np.array([7.0])) == (None, None)
    assert stats.bootstrap_mean(np.full(5, 3.0)) == (3.0, 3.0)


def test_mean_and_deviation_of_what_is_finite():
    found = stats.mean_std(np.array([[1.0, np.nan], [3.0, np.nan]]))
    assert found == {"mean": [2.0, None], "std": [pytest.approx(2**0.5), None], "runs": [2, 0]}


def test_presets_differ_where_the_reference_does():
    ours, theirs = protocol.HONEST.switches(), protocol.PAPER.switches()
    assert {k for k in ours if ours[k] != theirs[k]} == {
        "normalize",
        "report",
        "counting",
        "predicted_top",
    }
    assert protocol.resolve("paper") == protocol.PAPER
    assert protocol.resolve("paper", counting="query").name == "paper, but counting=query"
    for bad in ({"name": "x"}, {"name": "paper", "labels": "x"}, {"name": "paper", "x": "y"}):
        with pytest.raises(ValueError, match=r"known|choose"):
            protocol.resolve(**bad)
