"""Constraints that hardly anything meets: what is found, what is said, and what it may cost."""

import random
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import quick_and_slow
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax import jobs
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates, clock, feasible, judge
from weaknas_jax.spaces.choices import Choices, SpaceError, categorical, integer, ordinal
from weaknas_jax.spaces.clock import SlowSpaceWarning

PAIRS = {f"{letter}{i}": categorical(*"wxyz") for letter in "ab" for i in range(10)}
EQUAL = " and ".join(f"a{i} == b{i}" for i in range(10))
FOURTEEN = {f"c{i}": categorical(0, 1, 2, 3) for i in range(14)}
BEST = {f"c{i}": i % 3 for i in range(14)}


def equal(arch):
    return all(arch[f"a{i}"] == arch[f"b{i}"] for i in range(10))


class Counted:
    """A constraint that counts its calls."""

    def __init__(self, function):
        self.function, self.calls, self.__name__ = function, 0, "counted"

    def __call__(self, arch):
        self.calls += 1
        return self.function(arch)


def rows_of(choices, sample):
    """The rows that hold an architecture; checks that they are different and allowed."""
    rows = sample.codes[: sample.held]
    assert choices.allowed(sample.codes).all()
    assert len(np.unique(rows, axis=0)) == len(rows)
    return rows


TIGHT = {
    "pairs": Choices(PAIRS, constraint=EQUAL),
    "pairs by a function": Choices(PAIRS, constraint=equal),
    "wide pairs": Choices(
        {f"{c}{i}": integer(0, 10**9) for c in "ab" for i in range(10)}, constraint=EQUAL
    ),
    "sum": Choices(
        {n: integer(0, 60) for n in "abcdef"}, constraint="a+b+c+d == 20 and e == 2 * f"
    ),
    "wide sum": Choices(
        {n: integer(0, 10**6) for n in "abcd"}, constraint="a + b + c + d == 2000000"
    ),
    "few": Choices(FOURTEEN, constraint=lambda arch: sum(arch.values()) <= 4),
    "conditional": Choices(
        {"op": categorical("conv", "mb")}
        | {f"r{i}": integer(1, 50, when={"op": "mb"}) for i in range(6)},
        constraint=" and ".join(f"r{i} == {i + 3}" for i in range(4)),
    ),
}


@pytest.mark.parametrize("name", quick_and_slow(TIGHT, ["pairs", "wide sum", "conditional"]))
def test_a_tight_space_is_filled(name):
    choices = TIGHT[name]
    assert choices.enumerate() is None
    sample = candidates.start(choices, 0, 100)
    assert sample.held == len(rows_of(choices, sample)) == 100
    assert 0 < sample.looked < 1_000_000
    again = candidates.start(choices, 0, 100)
    np.testing.assert_array_equal(again.codes, sample.codes)
    other = candidates.start(choices, 1, 100)
    assert (other.codes != sample.codes).any()
    values = [len(np.unique(column)) for column in sample.codes.T]
    assert max(values) > 2  # not the neighbourhood of one of them

    asked, best = np.arange(100) < 20, np.array([3, 0])
    fresh = candidates.refresh(choices, sample, 0, asked, best, np.zeros(100))
    rows_of(choices, fresh)
    np.testing.assert_array_equal(fresh.codes[:20], sample.codes[:20])
    changed = (fresh.codes != sample.codes).any(axis=1)
    assert 0 < changed.sum() <= 80


@pytest.mark.parametrize(
    "constraint",
    [
        " and ".join(f"{name} == {value}" for name, value in BEST.items()),
        lambda arch: all(arch[name] == value for name, value in BEST.items()),
        lambda arch: not any(arch.get(name) != value for name, value in BEST.items()),
    ],
    ids=["expression", "function", "get"],
)
def test_the_only_one_is_found(constraint):
    choices = Choices(FOURTEEN, constraint=constraint)
    sample = candidates.start(choices, 0, 50)
    assert [choices.arch(row) for row in rows_of(choices, sample)] == [BEST]
    assert sample.codes.shape == (50, 14)
    assert not sample.whole  # nobody knows that there are no others


def test_none_is_an_error_that_says_how_many_were_looked_at(monkeypatch):
    monkeypatch.setitem(candidates.LOOKS, "start", 30_000)
    counted = Counted(lambda arch: False)
    for constraint in ("c0 > c1 and c1 > c0", counted):
        with pytest.raises(SpaceError, match=r"no architecture was found .* among the [\d,]+ look"):
            candidates.start(Choices(FOURTEEN, constraint=constraint), 0, 100)
    assert counted.calls < 30_000 + candidates._SAMPLE + 2 * feasible.RANDOM
    with pytest.raises(SpaceError, match="no architecture meets it, of the 9 that there are"):
        candidates.start(Choices({n: integer(1, 3) for n in "ab"}, constraint="a + b > 9"), 0)


def test_what_a_function_costs_is_bounded():
    """A set that nothing leads to: what chance meets, and no more calls than are said."""
    rng = random.Random(0)
    allowed = {tuple(rng.randrange(4) for _ in range(14)) for _ in range(60_000)}
    counted = Counted(lambda arch: tuple(arch.values()) in allowed)
    choices = Choices(FOURTEEN, constraint=counted)
    sample = candidates.start(choices, 0, 20)
    assert sample.held == 20
    assert counted.calls <= sample.looked + feasible._TRIED + 100
    before = counted.calls
    fresh = candidates.refresh(choices, sample, 0, np.zeros(20, bool), np.array([0]), np.zeros(20))
    calls = counted.calls - before
    assert calls <= candidates.LOOKS["refresh"] + 2 * (feasible.WALKERS + feasible.RANDOM)
    rows_of(choices, fresh)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_a_judge_calls_right_is_allowed(data):
    names = list("abcd")
    kinds = (integer(0, 9), categorical(*"xyz"), ordinal(0.5, 1, 2), categorical(True, False, "x"))
    drawn = {name: data.draw(st.sampled_from(kinds), label=name) for name in names}
    drawn["d"] = integer(0, 9, when={"a": [drawn["a"].options[0]]})
    part = st.sampled_from(
        ["a == b", "a < 3", "b != 'x'", "0 <= a < c", "not a == d", "a in (1, 2)", "a or b",
         "max(a, 3) >= c", "(a == b or c == 1)", "d > 2", "a == b == c"]
    )  # fmt: skip
    text = " and ".join(data.draw(st.lists(part, min_size=1, max_size=4)))
    choices = Choices(drawn, constraint=text)
    rng = np.random.default_rng(0)
    codes = choices.complete(np.full((200, 4), -1, np.int16), rng)
    verdict = judge.judge_of(choices, codes[:10])(codes)
    np.testing.assert_array_equal(verdict.faults == 0, choices.allowed(codes))
    assert (verdict.blame.sum(axis=1) > 0).all()


def test_a_function_may_read_its_architecture_in_any_way():
    seen = []

    def constraint(arch):
        seen.append(
            (dict(arch), {**arch}, arch | {}, arch.copy(), dict(arch.items()), [*arch.values()])
        )
        return isinstance(arch, dict) and arch == dict(arch) and "c0" in arch and arch["c0"] == 3

    choices = Choices(FOURTEEN, constraint=constraint)
    codes = choices.complete(np.full((5, 14), -1, np.int16), np.random.default_rng(0))
    readings = list(judge.readings(choices, codes))
    for arch, views in zip(choices.archs(codes), seen, strict=True):
        assert all(view == arch for view in views[:5])
        assert views[5] == list(arch.values())
    assert all(len(read) == 14 for read in readings if read is not None)


def follow(driver, score=lambda arch: 0.0):
    archs = []
    while rows := driver.ask():
        found = [driver.arch(row) for row in rows]
        driver.tell(rows, [score(arch) for arch in found])
        archs += found
    return archs


@pytest.mark.parametrize("method", ["random", "weaknas"])
def test_a_budget_above_what_was_found_is_no_error(method, monkeypatch):
    monkeypatch.setitem(candidates.LOOKS, "last", 20_000)
    names = [f"c{i}" for i in range(14)]
    choices = Choices(FOURTEEN, constraint=" and ".join(f"{name} == 0" for name in names[2:]))
    settings = {"init": 4, "per_round": 3, "budget": 30}
    with pytest.warns(SlowSpaceWarning, match=r"budget=30: only 16 .* looks for more"):
        driver = Driver(methods.make("linear", method=method, **settings), choices, pool=40)
    with pytest.warns(SlowSpaceWarning, match=r"only 16 arch.* looked at; the search ends"):
        archs = follow(driver, lambda arch: arch["c0"] + arch["c1"])
    assert len({tuple(arch.values()) for arch in archs}) == len(archs) == 16


def test_a_search_goes_on_while_more_is_found(monkeypatch):
    """Begun with the few that a short look brings, it asks for others; twice in the same way."""
    monkeypatch.setitem(candidates.LOOKS, "start", 100_000)
    choices = Choices(PAIRS, constraint=EQUAL)

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlowSpaceWarning)
            sample = candidates.start(choices, 0, 60)
            few = sample._replace(filled=min(sample.held, 6))
            method = methods.make("linear", init=3, per_round=3, budget=30)
            return follow(Driver(method, choices, pool=few), lambda a: (a["a0"] == "w") * 1.0)

    archs = run()
    assert len({tuple(arch.values()) for arch in archs}) == len(archs) == 30
    assert all(map(equal, archs))
    assert archs == run()


@pytest.mark.slow  # a search of a tight space is above; journals: test_jobs
def test_jobs_of_a_tight_space_go_on_from_their_journal(tmp_path, monkeypatch):
    monkeypatch.setitem(candidates.LOOKS, "last", 20_000)
    choices = Choices(FOURTEEN, constraint=" and ".join(f"c{i} == 1" for i in range(2, 14)))
    method = methods.make("linear", init=4, per_round=4, budget=20)

    def search(stop=lambda: False, **more):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SlowSpaceWarning)
            return jobs.search(
                method, lambda arch: float(arch["c0"] - arch["c1"]), choices, stop=stop, pool=30,
                executor=ThreadPoolExecutor(2), workers=2, **more,
            )  # fmt: skip

    whole = search()
    assert len(whole.evaluations) == 16
    assert whole.complete
    journal, done = str(tmp_path / "search.jsonl"), []
    search(stop=lambda: len(done) >= 6, progress=done.append, journal=journal)
    resumed = search(journal=journal)
    assert 6 <= resumed.resumed < 16
    assert [e.arch for e in resumed.evaluations] == [e.arch for e in whole.evaluations]


def test_what_others_evaluated_takes_an_empty_row():
    choices = Choices(FOURTEEN, constraint=lambda arch: all(arch[n] == v for n, v in BEST.items()))
    sample = candidates.start(choices, 0, 20)
    wide = Choices(FOURTEEN)
    driver = Driver(methods.make("linear", method="random", budget=3, init=1), wide, pool=sample)
    arch = dict.fromkeys(FOURTEEN, 3)
    row = driver.row(arch)
    assert (row, driver.arch(row)) == (1, arch)
    assert driver.row(arch) == row
    assert driver.pool.held == 2


def test_a_long_look_is_said(monkeypatch):
    monkeypatch.setattr(clock, "EVERY", 0.05)
    slow = Choices({n: integer(0, 9) for n in "ab"}, constraint=lambda arch: time.sleep(0.001) or 1)
    with pytest.warns(SlowSpaceWarning, match=r"constraint: called for \d+ of 100 arch"):
        candidates.start(slow, 0)
    monkeypatch.setitem(candidates.LOOKS, "start", 50_000)
    with (
        pytest.warns(SlowSpaceWarning, match=r"0 of 100 .* so far, [\d,]+ looked at now"),
        pytest.raises(SpaceError),
    ):
        candidates.start(Choices(FOURTEEN, constraint="c0 > c1 and c1 > c0"), 0, 100)


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        (lambda: Choices(FOURTEEN, constraint=5), "constraint=5: give an expression"),
        (lambda: Choices(FOURTEEN, cost=["c0"]), "cost=.*: give an expression"),
        (lambda: Choices(FOURTEEN, encoding="c0"), "encoding='c0': give a function"),
        (
            lambda: candidates.start(Choices(FOURTEEN, constraint=lambda arch: arch["x"]), 0, 10),
            "constraint: fails by KeyError: 'x', for {'c0'",
        ),
        (
            lambda: Choices(
                {"on": categorical(1), "n": integer(1, 2, when={"on": 1})}
                | {"m": integer(1, 2, when={"n": 1})},
                constraint=lambda arch: arch["m"] > 1,
            ).enumerate(),
            r"constraint: fails by TypeError.*inactive choice is None",
        ),
        (
            lambda: Choices(FOURTEEN, encoding=lambda arch: "wide").space(np.zeros((2, 14), int)),
            "encoding: gives no numbers",
        ),
        (
            lambda: Choices(FOURTEEN, encoding=lambda arch: []).space(np.zeros((2, 14), int)),
            "encoding: give the same number",
        ),
        (lambda: Choices([1, 2]), "choices: give a dict of choices by name; this is a list"),
        (lambda: Choices({3: integer(1, 2)}), "choice 3: its name must be a text"),
    ],
)
def test_functions_and_arguments_that_make_no_sense(choices, match):
    with pytest.raises(SpaceError, match=match):
        choices()


def test_a_cost_that_cannot_be_told_is_not_known():
    choices = Choices({"n": integer(0, 3)}, cost=lambda arch: 1 / arch["n"])
    np.testing.assert_allclose(choices.costs(choices.enumerate()), [np.nan, 1, 1 / 2, 1 / 3])
