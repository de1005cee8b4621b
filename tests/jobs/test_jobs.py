"""Searches with jobs: modes, workers, failures, journals, kills."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table, quick_and_slow

from weaknas_jax import Space
from weaknas_jax.jobs import JobsError, search
from weaknas_jax.jobs.workers import WorkersError
from weaknas_jax.runs import task
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal
from weaknas_jax.storage import journal
from weaknas_jax.storage.identity import IdentityError

SPACE = Choices(
    {
        "depth": integer(1, 8),
        "op": categorical("conv", "mb"),
        "ratio": ordinal(2, 4, 6, when={"op": "mb"}),
        "width": ordinal(16, 32, 64, 128),
    },
    constraint="depth * width <= 512",
)
OPTIMUM = {"depth": 4, "op": "mb", "ratio": 4, "width": 64}


def value(arch):
    """The score of an architecture; `OPTIMUM` has 0, the others less."""
    ratio = 9 if arch["ratio"] is None else arch["ratio"] - 4
    return -float((arch["depth"] - 4) ** 2 + abs(arch["width"] - 64) / 32 + ratio**2 / 4)


def gp(budget=24, per_round=3, init=3):
    return methods.make("gp", budget=budget, init=init, per_round=per_round)


GP = gp()  # one program for most tests
ONE = gp(per_round=1)


def threads(count=3):
    return {"executor": ThreadPoolExecutor(count), "workers": count}


def archs(result):
    return [e.arch for e in result.evaluations]


@pytest.mark.parametrize("mode", ["rounds", "async"])
def test_finds_the_optimum(mode):
    result = search(GP if mode == "rounds" else ONE, value, SPACE, mode=mode, **threads())
    assert result.complete
    assert result.best.arch == OPTIMUM
    assert result.best.score == 0
    assert len({str(arch) for arch in archs(result)}) == len(result.evaluations) == 24
    assert all(value(e.arch) == e.score for e in result.evaluations)


def test_rounds_do_not_depend_on_the_speed_of_workers():
    rng = np.random.default_rng(0)

    def slow(arch):
        time.sleep(rng.uniform(0, 0.02))
        return value(arch)

    quick = search(GP, value, SPACE, **threads(1))
    for count in (2, 3):
        other = search(GP, slow, SPACE, **threads(count))
        assert archs(other) == archs(quick)


def test_async_keeps_workers_busy_and_bounded():
    running, most, lock = [0], [0], threading.Lock()

    def slow(arch):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return value(arch)

    result = search(ONE, slow, SPACE, mode="async", **threads(3))
    assert most[0] == 3
    assert len({str(arch) for arch in archs(result)}) == 24


def test_a_space_of_rows():
    table = planted_table()
    space = Space(jnp.asarray(table.encoding), task.features(table))
    method = methods.make("linear", budget=20, init=5, per_round=5, sampling="greedy")
    result = search(method, lambda row: table.valid_mean[row], space, **threads())
    assert result.best.score == table.valid_mean.max()
    assert set(archs(result)) <= set(range(64))


def test_more_than_a_score_is_kept():
    def detailed(arch):
        return {"score": np.float32(value(arch)), "params": np.int64(7), "note": [1], "bad": np.nan}

    result = search(gp(3), detailed, SPACE, **threads())
    assert result.best.info == {"params": 7.0, "note": "[1]", "bad": "nan"}


def failing(arch):
    """Fails in every way that a function can, by the architecture."""
    if arch["op"] == "conv":
        raise ArithmeticError("it diverged")
    if arch["depth"] > 6:
        return float("nan")
    if arch["width"] == 16:
        return "good"
    if arch["depth"] == 1:
        sys.exit(3)
    return value(arch)


@pytest.mark.parametrize("mode", ["rounds", "async"])
def test_failures_are_recorded_and_the_search_goes_on(mode, tmp_path):
    path, calls = tmp_path / "journal", []

    def counted(arch):
        calls.append(str(arch))
        return failing(arch)

    settings = {"mode": mode, "journal": path, "retries": 2}
    method = GP if mode == "rounds" else ONE
    result = search(method, counted, SPACE, **settings, **threads())
    assert result.complete
    assert result.best.score == max(e.score for e in result.evaluations if e.score is not None)
    failed = [e for e in result.evaluations if e.score is None]
    assert failed
    assert all(e.attempts == 3 and calls.count(str(e.arch)) == 3 for e in failed)
    assert all(e.attempts == 1 for e in result.evaluations if e.score is not None)
    reasons = {"ArithmeticError: it diverged", "nan", "'good'", "SystemExit: 3"}
    assert all(any(reason in e.error for reason in reasons) for e in failed)
    kinds = [record["kind"] for record in journal.read(path)]
    assert kinds.count("tried") == 2 * len(failed)
    assert kinds.count("done") == 24


def test_when_everything_fails_it_ends_and_can_be_mended(tmp_path):
    path = tmp_path / "journal"

    def broken(arch):
        raise ModuleNotFoundError("no module named 'trane'")

    with pytest.raises(JobsError, match=r"first 10 architectures failed, .* 'trane'"):
        search(GP, broken, SPACE, journal=path, retries=0, **threads(1))
    result = search(GP, value, SPACE, journal=path, **threads(1))
    assert result.complete
    assert all(e.score is not None for e in result.evaluations)
    assert archs(result) == archs(search(GP, value, SPACE, **threads(1)))
    assert search(GP, broken, SPACE, journal=path, **threads(1)).resumed == 24


def hard(arch):
    """Hangs, or dies, by the architecture."""
    if arch["width"] == 16:
        time.sleep(600)
    if arch["width"] == 32:
        os.kill(os.getpid(), signal.SIGKILL)
    return value(arch)


@pytest.mark.slow  # one that dies and threads that hang are below
def test_own_processes_survive_jobs_that_hang_and_die():
    method = methods.make(method="random", budget=12, init=4, per_round=4)
    result = search(method, hard, SPACE, workers=2, timeout=4.0, retries=0)
    assert result.complete
    reasons = {e.error for e in result.evaluations if e.score is None}
    assert reasons == {"took longer than the time-out of 4 s", "the worker died (exit code -9)"}
    assert all((e.arch["width"] < 64) == (e.score is None) for e in result.evaluations)


def test_an_executor_that_breaks_is_replaced():
    """A worker that dies takes a pool of the standard library with it."""
    method = methods.make(method="random", budget=8, init=4, per_round=4)

    def deadly(arch):
        if arch["width"] == 16:
            os._exit(9)
        return value(arch)

    with (
        ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor,
        pytest.warns(UserWarning, match="going on with processes of our own"),
    ):
        result = search(method, deadly, SPACE, executor=executor, workers=2, retries=0)
    assert result.complete
    assert all((e.arch["width"] == 16) == (e.score is None) for e in result.evaluations)
    assert any(e.score is None for e in result.evaluations)


def test_threads_that_hang_are_given_up():
    release, hung = threading.Event(), []

    def hanging(arch):
        if arch["width"] == 16 and len(hung) < 3:
            hung.append(arch)
            release.wait(60)
        return value(arch)

    method = methods.make(method="random", budget=16, init=4, per_round=4)
    try:
        with pytest.warns(UserWarning, match="going on with new threads"):
            result = search(method, hanging, SPACE, timeout=0.5, retries=0, **threads(2))
    finally:
        release.set()
    assert [e.arch for e in result.evaluations if e.score is None] == hung
    assert len(result.evaluations) == 16


@pytest.mark.parametrize(
    "kind", quick_and_slow(["processes", "spawn", "loky", "dask"], ["processes"])
)
def test_executors_of_others(kind):
    """The function is a closure, which pickle alone cannot send."""
    offset = 5.0

    def shifted(arch):
        return value(arch) + offset

    method = methods.make(method="random", budget=6, init=3, per_round=3)
    expected = search(method, shifted, SPACE, **threads(1))
    if kind == "dask":
        distributed = pytest.importorskip("distributed")
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        )
        with cluster, distributed.Client(cluster) as client:
            result = search(method, shifted, SPACE, executor=client.get_executor(), workers=2)
    elif kind == "loky":
        with pytest.importorskip("loky").ProcessPoolExecutor(2) as executor:
            result = search(method, shifted, SPACE, executor=executor, workers=2)
    elif kind == "spawn":
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
            result = search(method, shifted, SPACE, executor=executor)
    else:
        result = search(method, shifted, SPACE, workers=2)
    assert archs(result) == archs(expected)
    assert [e.score for e in result.evaluations] == [e.score for e in expected.evaluations]


def test_what_cannot_be_sent_is_said():
    lock = threading.Lock()
    with pytest.raises(WorkersError, match=r"cannot be sent to other processes.*ThreadPoolExec"):
        search(GP, lambda arch: lock and value(arch), SPACE, workers=2)


@pytest.mark.parametrize("mode", ["rounds", "async"])
def test_a_stopped_search_goes_on(mode, tmp_path):
    """Stopped after every few queries; in rounds mode to the very same queries."""
    method, path, calls = GP if mode == "rounds" else ONE, tmp_path / "journal", []

    def counted(arch):
        calls.append(str(arch))
        return value(arch)

    for upto in (2, 3, 7, 8, 16, 99):
        settings = {"mode": mode, "journal": path, **threads(2)}
        result = search(
            method, counted, SPACE, stop=lambda upto=upto: len(calls) >= upto, **settings
        )
    assert result.complete
    assert sorted(calls) == sorted(map(str, archs(result)))  # each once
    assert result.resumed < 24
    if mode == "rounds":
        assert archs(result) == archs(search(method, value, SPACE, **threads(1)))


def test_a_larger_budget_goes_further(tmp_path):
    path = tmp_path / "journal"
    search(gp(12), value, SPACE, journal=path, **threads())
    result = search(GP, value, SPACE, journal=path, **threads())
    assert result.resumed == 12
    assert archs(result) == archs(search(GP, value, SPACE, **threads()))


@pytest.mark.slow  # an even one is above
def test_a_budget_that_divides_unevenly_goes_further(tmp_path):
    uneven = tmp_path / "uneven"
    search(gp(10), value, SPACE, journal=uneven, **threads())
    result = search(GP, value, SPACE, journal=uneven, **threads())
    assert (result.resumed, len(result.evaluations)) == (10, 24)
    with pytest.raises(JobsError, match="budget=10: the journal has more queries"):
        search(gp(10), value, SPACE, journal=uneven, **threads())
    assert len({str(arch) for arch in archs(result)}) == 24


def test_a_journal_of_another_search_is_refused(tmp_path):
    path = tmp_path / "journal"
    search(gp(3), value, SPACE, journal=path, **threads())
    content = path.read_bytes()
    for match, method, space, more in (
        ("seed was 0, is 1", GP, SPACE, {"seed": 1}),
        ('mode was "rounds", is "async"', GP, SPACE, {"mode": "async"}),
        (
            '.*method.predictor was "gp", is "linear"',
            methods.make("linear", budget=9),
            SPACE,
            {},
        ),
        ("space.constraint was .*, is nothing", GP, Choices(SPACE.choices), {}),
        (
            r"space.choices.width.ordinal was \[16, 32, 64, 128\], is \[16, 32, 64\];",
            GP,
            Choices(SPACE.choices | {"width": ordinal(16, 32, 64)}, constraint=SPACE.constraint),
            {},
        ),
        ('data was nothing, is "other"', GP, SPACE, {"about": {"data": "other"}}),
    ):
        with pytest.raises(IdentityError, match=f"was started with other settings: {match}"):
            search(method, value, space, journal=path, **more, **threads())
    assert path.read_bytes() == content


KILLED = """
import sys, time
import test_jobs as t
from weaknas_jax.jobs import search
mode, path, calls = sys.argv[1:]
def job(arch):
    time.sleep(0.03)
    with open(calls, "a") as file:
        file.write(repr(arch) + "\\n")
    return t.value(arch)
search(t.GP if mode == "rounds" else t.ONE, job, t.SPACE, mode=mode, journal=path, **t.threads(2))
"""


@pytest.mark.slow  # stopped at any query: above; killed: test_supernet_search
@pytest.mark.parametrize("mode", ["rounds", "async"])
def test_killed_at_any_moment_nothing_finished_is_lost(mode, tmp_path):
    """kill -9 three times while jobs run; what the journal has is never done again."""
    path, calls = tmp_path / "journal", tmp_path / "calls"
    command = [sys.executable, "-c", KILLED, mode, str(path), str(calls)]
    rng = np.random.default_rng(5)
    for kill in range(3):
        paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths})
        want = 3 * kill + 1
        while process.poll() is None and not (
            path.exists() and path.read_bytes().count(b'"done"') >= want
        ):
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.wait()
        done = [r for r in journal.read(path) if r["kind"] == "done"]
        assert len(done) >= want
    method = GP if mode == "rounds" else ONE
    result = search(method, value, SPACE, mode=mode, journal=path, **threads(2))
    assert result.complete
    assert result.resumed >= len(done)
    for record in done:
        assert archs(result).count(record["arch"]) == 1
        assert calls.read_text().splitlines().count(repr(record["arch"])) >= 1
    begun = len(calls.read_text().splitlines())
    assert begun <= len(done) + 3 * 2 + 2  # no more was done twice than was under way
    if mode == "rounds":
        assert archs(result) == archs(search(method, value, SPACE, **threads(1)))
