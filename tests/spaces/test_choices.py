"""Spaces of named choices: codes, conditions, constraints, encodings, pools, files."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax.spaces import candidates, choices_file, columns
from weaknas_jax.spaces.choices import Choices, SpaceError, categorical, integer, ordinal

SMALL = Choices(
    {
        "depth": integer(1, 4),
        "op": categorical("conv", "mb", True),
        "ratio": ordinal(2, 4.5, when={"op": "mb"}),
        "deep": ordinal("no", "yes", when={"ratio": [4.5], "depth": [3, 4]}),
    },
    constraint="depth + ratio <= 6 or op != 'mb'",
    cost="depth * 10",
)
LARGE = Choices({f"c{i}": categorical(*"abcdef") for i in range(12)}, constraint="c0 != c1")


def brute_force():
    """Every architecture of SMALL, by its definition."""
    for depth, op, ratio, deep in itertools.product(
        range(1, 5), ("conv", "mb", True), (2, 4.5, None), ("no", "yes", None)
    ):
        right = (ratio is not None) == (op == "mb")
        right &= (deep is not None) == (ratio == 4.5 and depth in (3, 4))
        if right and (op != "mb" or depth + ratio <= 6):
            yield {"depth": depth, "op": op, "ratio": ratio, "deep": deep}


def test_a_small_space_is_listed_whole():
    codes = SMALL.enumerate()
    listed = [SMALL.arch(row) for row in codes]
    expected = list(brute_force())
    assert len(listed) == len(expected)
    assert all(arch in listed for arch in expected)
    for row, arch in zip(codes, listed, strict=True):
        np.testing.assert_array_equal(SMALL.codes(arch), row)
        active = {name: value for name, value in arch.items() if value is not None}
        np.testing.assert_array_equal(SMALL.codes(active), row)
    np.testing.assert_array_equal(SMALL.costs(codes), [10.0 * arch["depth"] for arch in listed])


def test_encoding_tells_all_architectures_apart():
    codes = SMALL.enumerate()
    space = SMALL.space(codes)
    assert len(np.unique(np.asarray(space.encoding), axis=0)) == len(codes)
    for block in space.features.values():
        assert block.shape[0] == len(codes)
        assert np.isfinite(block).all()


def test_features_are_those_of_a_table_of_the_same_columns():
    choices = Choices({f"e{i}": categorical(*range(5)) for i in range(6)} | {"d": integer(2, 4)})
    codes = candidates.start(choices, 0, 3000).codes
    ours = choices.space(codes)
    table = columns.features(np.asarray(ours.encoding))
    assert ours.features.keys() == table.keys()
    counted = {"counts", "tallies"}
    assert table.keys() == {"slots", "effects", "categories", "places", "trends"} | counted
    for name, block in table.items():
        np.testing.assert_allclose(ours.features[name], block, atol=1e-6)


def test_slots_count_the_choices_that_differ():
    choices = Choices({"a": categorical(1, 2, 3), "b": categorical("x", "y", when={"a": [1, 2]})})
    codes = choices.enumerate()
    slots = np.asarray(choices.space(codes).features["slots"])
    for i, j in itertools.product(range(len(codes)), repeat=2):
        distance = np.sum((slots[i] - slots[j]) ** 2)
        np.testing.assert_allclose(distance, np.sum(codes[i] != codes[j]), atol=1e-6)


def test_own_encoding_and_functions():
    choices = Choices(
        {"a": integer(0, 4), "b": integer(0, 4)},
        constraint=lambda arch: arch["a"] >= arch["b"],
        cost=lambda arch: arch["a"] + 0.5,
        encoding=lambda arch: [arch["a"] - arch["b"], 7.0],
    )
    codes = choices.enumerate()
    assert len(codes) == 15
    np.testing.assert_array_equal(
        np.asarray(choices.space(codes).encoding)[:, 0], codes[:, 0] - codes[:, 1]
    )
    np.testing.assert_array_equal(choices.costs(codes), codes[:, 0] + 0.5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mutations_are_consistent_and_differ(seed):
    rng = np.random.default_rng(seed)
    parents = SMALL.complete(np.full((50, 4), -1, np.int16), rng)
    children = candidates.mutate(SMALL, parents, rng)
    assert (children != parents).any(axis=1).all()
    for row in children:
        np.testing.assert_array_equal(SMALL.codes(SMALL.arch(row)), row)


def test_a_sample_is_refreshed_around_the_best_and_keeps_what_was_asked():
    sample = candidates.start(LARGE, seed=3, size=500)
    assert not sample.whole
    assert len(np.unique(sample.codes, axis=0)) == 500
    assert LARGE.allowed(sample.codes).all()
    asked = np.zeros(500, bool)
    asked[[4, 7, 300]] = True
    worth = np.arange(500.0)
    arguments = LARGE, sample, 3, asked, np.array([7, 4]), worth
    fresh = candidates.refresh(*arguments)
    np.testing.assert_array_equal(fresh.codes, candidates.refresh(*arguments).codes)
    np.testing.assert_array_equal(fresh.codes[asked], sample.codes[asked])
    np.testing.assert_array_equal(fresh.codes[-99:], sample.codes[-99:])  # most promising
    assert len(np.unique(fresh.codes, axis=0)) == 500
    assert LARGE.allowed(fresh.codes).all()
    old = {row.tobytes() for row in sample.codes}
    new = np.array([row for row in fresh.codes if row.tobytes() not in old])
    near = (new[:, None] != sample.codes[[7, 4]]).sum(axis=2).min(axis=1)
    assert 0.45 < np.mean(near <= 5) < 0.8  # half are mutations; 12 random choices differ in 10
    assert candidates.find(fresh, sample.codes[7]) == 7


def test_a_sample_of_nearly_everything():
    choices = Choices({"a": integer(1, 9), "b": integer(1, 9)})
    sample = candidates.start(choices, 0, 80)
    asked = np.arange(80) < 10
    fresh = candidates.refresh(choices, sample, 0, asked, np.array([1]), np.zeros(80))
    assert len(np.unique(fresh.codes, axis=0)) == 80
    assert candidates.start(choices, 0, 81).whole


@pytest.mark.parametrize(
    ("arch", "match"),
    [
        ({"depth": 1, "op": "conv", "wide": 1}, "no choice 'wide'"),
        ({"depth": 9, "op": "conv"}, "'depth' has no option 9; it has 1, 2, 3, 4"),
        ({"depth": 1, "op": 1}, "'op' has no option 1"),
        ({"depth": 1}, "'op' needs a value"),
        ({"depth": 1, "op": "conv", "ratio": 2}, "'ratio' is inactive here"),
    ],
)
def test_wrong_architectures(arch, match):
    with pytest.raises(SpaceError, match=match):
        SMALL.codes(arch)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Choices({}), "at least one"),
        (lambda: Choices({"a": [1, 2]}), "'a': use categorical"),
        (lambda: categorical(1, 1), "each of them once"),
        (lambda: categorical(), "one or more"),
        (lambda: categorical(None), "texts, numbers or booleans"),
        (lambda: integer(3, 2), "low <= high"),
        (lambda: integer(1, 2.5), "whole numbers"),
        (lambda: Choices({"a": integer(1, 2, when={"b": 1})}), "names 'b'; name a choice above"),
        (
            lambda: Choices({"b": integer(1, 2), "a": integer(1, 2, when={"b": 3})}),
            "'b' has no option 3",
        ),
        (lambda: Choices({"a": integer(1, 2)}, constraint="a <"), "constraint"),
        (lambda: Choices({"a": integer(1, 2)}, constraint="b < 1"), "constraint.*b"),
        (
            lambda: candidates.start(Choices({"a": integer(1, 2)}, constraint="a > 5"), 0),
            "no architec",
        ),
    ],
)
def test_wrong_spaces(make, match):
    with pytest.raises(SpaceError, match=match):
        make()


def test_a_constraint_that_hardly_anything_meets(monkeypatch):
    monkeypatch.setitem(candidates.LOOKS, "start", 20_000)
    choices = Choices({f"c{i}": integer(0, 9) for i in range(12)}, constraint="c0 + c1 < 0")
    with pytest.raises(SpaceError, match="no architecture was found"):
        candidates.start(choices, 0, 10)


def test_a_space_as_json_comes_back(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SMALL.describe()))
    again = choices_file.load(path)
    assert again.describe() == SMALL.describe()
    np.testing.assert_array_equal(again.enumerate(), SMALL.enumerate())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "mine.json: not JSON"),
        ("[1]", "mine.json: needs"),
        ('{"choices": {"a": {"integer": [1, 2]}}, "budget": 3}', "unknown field 'budget'"),
        ('{"choices": {"a": {"whole": [1, 2]}}}', "choice 'a': give one of categorical"),
        ('{"choices": {"a": {"integer": [1]}}}', "choice 'a': give \"integer\""),
        ('{"choices": {"a": {"ordinal": 5}}}', "choice 'a': give the options as a list"),
        ('{"choices": {"a": {"ordinal": [[1], [2]]}}}', "choice 'a': option"),
        ('{"choices": {"a": {"integer": [1, 2]}}, "constraint": 5}', "'constraint'"),
        ('{"choices": {"a": {"integer": [1, 2]}}, "cost": "b"}', "mine.json: cost"),
    ],
)
def test_wrong_files(tmp_path, text, match):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(SpaceError, match=match):
        choices_file.load(path)
    with pytest.raises(SpaceError, match="cannot be read"):
        choices_file.load(tmp_path / "none.json")
