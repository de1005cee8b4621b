"""Run i gives the same queries alone and in any company."""

import jax
import numpy as np
import pytest
from conftest import build, planted_table, quick_and_slow, ridge

from weaknas_jax import (
    HONEST,
    Job,
    Plan,
    Program,
    Settings,
    refit,
    run,
    run_grid,
    run_many,
    weaknas,
)
from weaknas_jax.core import protocol
from weaknas_jax.core.trace import join
from weaknas_jax.runs import program as batch
from weaknas_jax.runs import task
from weaknas_jax.search.methods import METHODS


def assert_same(one, many, at):
    for field in ("queried", "scores", "predicted_top", "kendall"):
        np.testing.assert_array_equal(getattr(one, field)[0], getattr(many, field)[at])


def trace_of(program, seed, runs, point=0):
    steps = program.work(seed, [Job(point, run) for run in runs])
    return join([trace for step in steps for _, trace in step.ended])


@pytest.mark.parametrize("lanes", [pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize(
    "name",
    quick_and_slow(METHODS, ["random"]),  # the others quickly in test_exact
)
def test_a_run_is_the_same_alone_and_in_any_batch(name, lanes):
    problem = task.make(
        planted_table(noise=0.5, runs=3),
        protocol.resolve("honest", labels="single_run"),
        neighbours=True,
        graphs=True,
    )
    program = Program(build(name), problem, Settings(rounds_per_call=2), given=Plan(lanes))
    everything = trace_of(program, 11, range(7))
    assert everything.run.tolist() == list(range(7))
    for i in (0, 4, 6):
        assert_same(trace_of(program, 11, [i]), everything, i)
    assert_same(trace_of(program, 11, [5, 2, 9]), everything, 2)  # sorted by number: 2 comes first
    assert not (everything.queried[0] == everything.queried[1]).all()


@pytest.mark.slow  # one point of a grid alone: test_sweep
def test_points_of_a_grid_are_the_same_as_alone():
    """Settings that vary inside one program change nothing for one another, nor by being traced."""
    problem = task.make(planted_table(noise=0.5), HONEST)

    def method(chunk, top, strength):
        return build("weaknas", ridge(strength), chunk=chunk, top=top)

    points = [{"top": t, "strength": s} for t in (3, 30) for s in (0.01, 10.0)]
    together, _ = run_grid(method, problem, 5, range(4), points)
    for point, trace in zip(points, together, strict=True):
        (alone,), _ = run_grid(method, problem, 5, [2], [point])
        assert_same(alone, trace, 2)
    closed_over = run(build("weaknas", ridge(10.0), top=30), problem, 5, 2)
    assert_same(closed_over, together[3], 2)
    assert len({trace.queried.tobytes() for trace in together}) == 4
    with pytest.raises(ValueError, match="same names"):
        run_grid(method, problem, 5, [0], [{"top": 3}, {"strength": 1.0}])


@pytest.mark.slow  # programs of a sweep are counted in test_sweep
def test_a_grid_is_one_compiled_program():
    problem, traces = task.make(planted_table(), HONEST), []

    def method(chunk, top):
        traces.append(top)
        return build("weaknas", top=top, chunk=chunk)

    counts = []
    for points in ([{"top": 4}], [{"top": t} for t in range(3, 9)]):
        traces.clear()
        run_grid(method, problem, 0, range(2), points)
        counts.append(len(traces))
    assert counts[0] == counts[1]


def test_stopping_at_the_target_ends_a_run_with_its_round():
    table = planted_table()
    problem = task.make(table, HONEST)
    method = build("weaknas", budget=60, top=8)
    whole = run_many(method, problem, 0, range(6), Settings())[0]
    short = run_many(method, problem, 0, range(6), Settings(stop_at_target=True), given=Plan(4))[0]
    best = table.test_mean.argmax()
    for full, cut in zip(whole.queried, short.queried, strict=True):
        at = int(np.flatnonzero(full == best)[0])
        end = int(np.flatnonzero(whole.round == whole.round[at])[-1]) + 1
        assert cut[:end].tolist() == full[:end].tolist()
        assert (cut[end:] == -1).all()
    told = (short.queried >= 0).sum(axis=1)
    tells = (short.predicted_top >= 0).sum(axis=1)
    assert (tells == 1 + (told - 5) // 3 + ((told - 5) % 3 > 0)).all()


@pytest.mark.slow  # stops between rounds are in test_exact and test_session
def test_more_rounds_a_call_change_nothing():
    problem = task.make(planted_table(noise=0.5), HONEST)
    method = build("weaknas")
    one, many = (run(method, problem, 0, 1, rounds_per_call=r) for r in (1, 50))
    assert_same(one, many, 0)


def test_golden_keys():
    """The contract of the random numbers: these never change, or old seeds lose their meaning."""
    keys = jax.random.key_data(batch.run_keys(5, [0, 7])).tolist()
    assert keys == [[2724472204, 3573582090], [1394159668, 1590028285]]
    problem = task.make(planted_table(), HONEST)
    trace = run(build("random", init=4, per_round=4, budget=8), problem, 0, 0)
    assert trace.queried[0].tolist() == [20, 46, 59, 22, 50, 21, 44, 25]


def test_progress_reaches_one_and_counts_runs():
    problem, seen = task.make(planted_table(), HONEST), []
    run_many(build("random"), problem, 0, range(3), Settings(), seen.append, given=Plan(2))
    assert seen[-1].finished == seen[-1].runs == 3
    assert seen[-1].share == 1.0
    assert [p.share for p in seen] == sorted(p.share for p in seen)


def test_no_runs_is_an_error():
    with pytest.raises(ValueError, match="runs is empty"):
        run_many(build("random"), task.make(planted_table(), HONEST), 0, [])


def test_single_run_labels_are_drawn_anew_and_evenly():
    table = planted_table(runs=3, noise=1.0)
    table.valid[::2, 2] = np.nan
    problem = task.make(table, protocol.resolve("honest", labels="single_run"))
    keys = batch.run_keys(0, range(600))
    drawn = np.asarray(jax.vmap(lambda k: task.draw_labels(k, problem))(keys))
    scores = np.asarray(problem.scores)
    for row in (0, 1):
        runs = scores[row][np.isfinite(scores[row])]
        share = np.array([(drawn[:, row] == r).mean() for r in runs])
        assert share.sum() == 1
        expected = 1 / len(runs)
        assert (np.abs(share - expected) < 4 * (expected * (1 - expected) / 600) ** 0.5).all()


@pytest.mark.slow  # queries to the optimum of NAS-Bench-201: test_gp
def test_weaknas_beats_random_search_on_average():
    """On a planted space, by more than four standard errors of the paired difference."""
    table = planted_table((5, 5, 5), noise=0.5)
    problem = task.make(table, HONEST)
    best = []
    for method in (
        weaknas(refit(ridge()), init=5, per_round=3, top=8, budget=20),
        build("random", budget=20),
    ):
        trace = run_many(method, problem, 0, range(20), given=Plan(4))[0]
        best.append(table.test_mean[trace.queried].max(axis=1))
    gain = best[0] - best[1]
    assert gain.mean() > 4 * gain.std(ddof=1) / len(gain) ** 0.5
