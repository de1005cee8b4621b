"""Choices of very many options: whole numbers of any range, long lists of options."""

import csv
import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax.jobs import Evaluation, Result, report
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates, choices_file
from weaknas_jax.spaces.choice import BIG
from weaknas_jax.spaces.choices import Choices, SpaceError, categorical, integer, ordinal

GP = methods.make("gp", init=4, per_round=4, budget=40)  # compiled once
RANGES = [
    (1, 40_000, 1),
    (1, 100_000, 1),
    (-(10**9), 10**9, 7),
    (1, 10**12, 1),
    (0, 2**61, 3),
    (-(2**62), 2**62 - 1, 5),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RANGES), st.integers(0, 2**64))
def test_codes_of_a_large_range_come_back(ends, number):
    choice = integer(*ends)
    choices = Choices({"n": choice, "op": categorical("a", "b")})
    for at in (0, number % len(choice.options), len(choice.options) - 1):
        arch = {"n": choice.options[at], "op": "b"}
        row = choices.codes(arch)
        assert row.tolist() == [at, 1]
        assert choices.arch(row) == arch
        assert type(choices.arch(row)["n"]) is int


@pytest.mark.parametrize("ends", RANGES)
def test_a_large_range_is_drawn_and_mutated_over_its_whole(ends):
    low, high, step = ends
    choices = Choices({"n": integer(*ends), "op": categorical("a", "b")}, constraint="n == n")
    sample = candidates.start(choices, 0, 300)
    values = [arch["n"] for arch in choices.archs(sample.codes)]
    assert None not in values
    assert all(low <= value <= high and (value - low) % step == 0 for value in values)
    assert (max(values) - min(values)) > 0.9 * (high - low)
    children = candidates.mutate(choices, sample.codes, np.random.default_rng(0))
    assert (children >= 0).all()
    assert (children[:, 0] < len(choices.choices["n"].options)).all()
    assert (children != sample.codes).any(axis=1).all()
    moved = np.abs(children[:, 0].astype(float) - sample.codes[:, 0])
    near = (moved > 0) & (moved < 1000)
    assert near.sum() > 3  # steps: evenly drawn ones hardly are as short


def test_a_neighbour_in_value_is_among_the_children():
    choices = Choices({"n": integer(0, 10**9)})
    parents = np.full((4000, 1), 5, choices.dtype)
    children = set(candidates.mutate(choices, parents, np.random.default_rng(0))[:, 0].tolist())
    assert {4, 6} <= children
    assert 5 not in children
    assert min(children) >= 0


def test_what_is_equal_to_a_predictor_is_not_the_same_query():
    """Places in [0, 1] of neighbours in 1e12 are one float32."""
    choices = Choices({"n": integer(0, 10**12)})
    driver = Driver(methods.make("linear", init=2, per_round=1, budget=8), choices, pool=20)
    rows = [driver.row({"n": 10**11 + i}) for i in range(3)]
    assert len(set(rows)) == 1  # a row that nobody was asked about gives way
    rows = []
    for i in range(3):
        rows.append(driver.row({"n": 10**11 + i}))
        driver.see(rows[-1:])
    assert len(set(rows)) == 3
    assert [driver.arch(row)["n"] for row in rows] == [10**11, 10**11 + 1, 10**11 + 2]


@pytest.mark.parametrize("text", ["[1, 100000]", "[1, 1e12]", "[-1000000000, 1000000000, 10]"])
def test_a_search_of_a_large_range(text):
    choices = choices_file.from_json(f'{{"choices": {{"a": {{"integer": {text}}}}}}}')
    low, high, step = (*json.loads(text), 1)[:3]

    def score(arch):
        return -abs(arch["a"] - (0.3 * high + 0.7 * low)) / (high - low)

    driver = Driver(GP, choices, pool=300)
    archs = []
    while rows := driver.ask():
        found = [driver.arch(row) for row in rows]
        driver.tell(rows, [score(arch) for arch in found])
        archs += found
    values = [arch["a"] for arch in archs]
    assert len(set(values)) == 40
    assert all(type(v) is int and low <= v <= high and (v - low) % step == 0 for v in values)
    assert max(map(score, archs)) > -0.01


def test_what_is_said_of_a_range():
    few, many = Choices({"n": integer(1, 4)}), Choices({"n": integer(-5, 10**12, 10)})
    assert few.describe() == {"choices": {"n": {"ordinal": [1, 2, 3, 4]}}}  # journals go on
    assert many.describe() == {"choices": {"n": {"integer": [-5, 10**12 - 5, 10]}}}
    most = Choices({"n": integer(1, BIG, when=None)})
    assert len(most.describe()["choices"]["n"]["ordinal"]) == BIG
    for choices in (few, many):
        again = choices_file.from_json(json.dumps(choices.describe()))
        assert again.describe() == choices.describe()
    with pytest.raises(SpaceError, match=r"has no option 7; it has -5, 5, 15, .* more$"):
        many.codes({"n": 7})
    for wrong in (True, 5.5, "5", None, [5]):
        with pytest.raises(SpaceError, match="'n'"):
            many.codes({"n": wrong})
    np.testing.assert_array_equal(many.codes({"n": 15.0}), many.codes({"n": np.int64(15)}))


def test_results_of_a_large_range(tmp_path):
    choices = Choices({"n": integer(0, 10**12), "op": categorical("a", "b")}, cost="n / 2")
    done = [Evaluation({"n": 10**11 + i, "op": "a"}, float(i)) for i in range(3)]
    result = Result(done[-1], done, complete=True, torn=False, resumed=0, busy=1.0)
    lines = list(csv.reader(report.table(report.gather(result, choices)).splitlines()))
    assert [line[lines[0].index("n")] for line in lines[1:]] == [str(10**11 + i) for i in range(3)]
    assert float(lines[3][lines[0].index("cost")]) == (10**11 + 2) / 2


def test_conditions_and_constraints_on_a_large_range():
    choices = Choices(
        {"n": integer(0, 10**9), "op": categorical("a", "b", when={"n": range(100)})},
        constraint="n < 50 or n > 1000",
    )
    assert choices.codes({"n": 7, "op": "b"}).tolist() == [7, 1]
    with pytest.raises(SpaceError, match="inactive"):
        choices.codes({"n": 100, "op": "b"})
    codes = np.array([[7, 1], [70, 1], [2000, -1]], choices.dtype)
    assert choices.allowed(codes).tolist() == [True, False, True]
    np.testing.assert_array_equal(
        choices.columns(np.array([[3, -1], [-1, 0]], choices.dtype))["n"], [3.0, np.nan]
    )


@pytest.mark.parametrize(
    "choices",
    [
        Choices({"word": categorical(*map(str, range(5000))), "n": integer(1, 9)}),
        Choices(
            {"on": categorical(True, False)}
            | {"word": categorical(*range(40_000), when={"on": True})}
        ),
        Choices({"place": ordinal(*range(0, 80_000, 2)), "op": categorical("a", "b")}),
    ],
    ids=["categorical", "conditional", "ordinal"],
)
def test_long_lists_of_options(choices):
    sample = candidates.start(choices, 0, 200)
    space = choices.space(sample.codes)
    assert space.encoding.shape[1] < 200  # and not a column for each option
    blocks = [space.encoding, *space.features.values()]
    for block in blocks:
        assert np.isfinite(block).all()
    assert len(np.unique(np.asarray(space.encoding), axis=0)) == 200
    if "word" in choices.choices:
        at = choices.names.index("word")
        codes = np.repeat(sample.codes[:1], 3, axis=0)
        codes[:, at] = [0, 1, len(choices.choices["word"].options) - 1]
        slots = np.asarray(choices.space(codes).features["slots"])
        far = [np.sum((slots[i] - slots[j]) ** 2) for i, j in ((0, 1), (0, 2), (1, 2))]
        np.testing.assert_allclose(far, 1.0, atol=0.5)  # about one choice apart
    for row in sample.codes[:20]:
        np.testing.assert_array_equal(choices.codes(choices.arch(row)), row)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: integer(1, 1.5), r"integer\(1, 1.5, 1\): give whole numbers"),
        (lambda: integer(0, 10, -1), "low <= high and step >= 1"),
        (lambda: integer(0, 10, 0), "step >= 1"),
        (lambda: integer(0, 2**70), "too many values"),
        (lambda: integer(0, float("inf")), "whole numbers"),
        (lambda: integer(True, 3), "whole numbers"),
        (lambda: integer(0, 3, when="op"), "when='op': give"),
        (lambda: integer(0, 3, when={"op": []}), "lists no value of 'op'"),
        (lambda: ordinal(*range(50_000), 3), "each of them once"),
        (lambda: ordinal(10**400), "401 digits|400 digits"),
    ],
)
def test_ranges_that_make_no_sense(make, match):
    with pytest.raises(SpaceError, match=match) as error:
        make()
    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)


def test_a_range_takes_no_memory():
    assert sys.getsizeof(integer(1, 10**12).options) < 100
    assert integer(1, 1e9).options == range(1, 10**9 + 1)
