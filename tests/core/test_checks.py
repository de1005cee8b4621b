"""The Python API names what it is given that cannot be, before anything is compiled."""

import numpy as np
import pytest
from conftest import planted_table
from hypothesis import given, settings
from hypothesis import strategies as st

import weaknas_jax as wn
from weaknas_jax.core import checks
from weaknas_jax.runs import task
from weaknas_jax.search import methods

PROBLEM = task.make(planted_table((3, 3)), wn.HONEST)
METHOD = methods.make(method="random", init=2, per_round=2, budget=4)

RUNS = {
    "a fraction": ([0.5], "runs: 0.5 is not a run number"),
    "below zero": ([-1], "runs: -1 is not a run number"),
    "twice": ([1, 1], "runs: 1 is listed twice"),
    "a truth": ([True], "runs: True is not a run number"),
    "too high": ([2**31], "runs: 2147483648 is not a run number"),
    "a range too high": (range(2**31, 2**31 + 3), "is not a run number"),
    "a number": (5, r"runs=5: give a list of run numbers"),
    "a text": ("12", "runs='12': give a list"),
    "nothing": (None, "runs=None: give a list"),
    "none": ([], "runs is empty"),
    "fractions": (np.array([0.5]), "is not a run number"),
    "a matrix": (np.zeros((2, 2), int), "give a list of run numbers"),
    "more than memory holds": (range(2 * 10**9), "runs: 2,000,000,000 do not fit into memory"),
}


@pytest.mark.parametrize("case", RUNS)
def test_run_numbers(case):
    runs, message = RUNS[case]
    with pytest.raises(ValueError, match=message):
        wn.run_many(METHOD, PROBLEM, 0, runs)


@given(st.lists(st.integers(-(2**33), 2**33) | st.floats() | st.none() | st.text(max_size=2)))
@settings(deadline=None)
def test_only_whole_numbers_each_once_are_run_numbers(runs):
    whole = [type(run) is int and 0 <= run < 2**31 for run in runs]
    if runs and all(whole) and len(set(runs)) == len(runs):
        checks.runs(runs)
    else:
        with pytest.raises(ValueError, match="run"):
            checks.runs(runs)


CALLS = {
    "no method": (lambda: wn.run("gp", PROBLEM, 0), "method='gp': give a Method"),
    "no task": (lambda: wn.run(METHOD, planted_table(), 0), "problem=Table: give task.make"),
    "no seed": (lambda: wn.run(METHOD, PROBLEM, 0.5), "seed=0.5: give a whole number"),
    "a budget above the space": (
        lambda: wn.run(methods.make(method="random", budget=10), PROBLEM, 0),
        "budget=10 is more than the 9 architectures",
    ),
    "points by name": (
        lambda: wn.run_grid(METHOD, PROBLEM, 0, [0], {"top": 3}),
        "points: give a list of settings",
    ),
    "a point of NaN": (
        lambda: wn.run_grid(lambda chunk, top: METHOD, PROBLEM, 0, [0], [{"top": np.nan}]),
        "top=nan: give a finite number",
    ),
    "no lanes": (
        lambda: wn.run_many(METHOD, PROBLEM, 0, [0], given=wn.Plan(lanes=0)),
        "lanes=0: give a whole number",
    ),
    "lanes without end": (
        lambda: wn.run_many(METHOD, PROBLEM, 0, [0], given=wn.Plan(lanes=10**10)),
        "10000000000 lane.s. a device .* may be used",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_arguments_are_named(case):
    call, message = CALLS[case]
    with pytest.raises(ValueError, match=message):
        call()


NONSENSE = (
    *({"predictor": value} for value in (3, [], None, "magic")),
    *({"method": value} for value in (None, len, "magic")),
    *({"budget": value} for value in (0, 1.5, "10", np.nan, -1)),
    *({"per_round": -1}, {"init": True}, {"chunk": 0}, {"chunk": "8"}),
    *({"top": value} for value in (0, np.nan, "a")),
    *({"top_end": -1}, {"near_best": -1}, {"near_best": 0.5}),
    *({"noise": np.inf}, {"noise": "x"}, {"nonsense": 1}),
    *({"acquisition": 3}, {"acquisition": len}, {"sampling": "best"}, {"label_transform": 4}),
    {"encoding": [1, 2]},
)


@pytest.mark.parametrize("keywords", NONSENSE, ids=str)
def test_a_method_of_nonsense_is_named(keywords):
    (name,) = keywords
    with pytest.raises(ValueError, match=name):
        methods.make(**keywords)


def test_numbers_of_numpy_are_numbers():
    method = methods.make(method="random", init=np.int64(2), per_round=np.int32(1), budget=4)
    assert wn.run_many(method, PROBLEM, np.int64(1), np.array([2, 0]))[0].run.tolist() == [0, 2]
