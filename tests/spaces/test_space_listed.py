"""A list of architectures as a space."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax.jobs.driver import Driver
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates, choices_file
from weaknas_jax.spaces.choices import Choices, SpaceError, categorical, integer

MIXED = [
    {"op": "mb", "width": 32, "ratio": 4},
    {"op": "conv", "width": 16},
    {"op": "mb", "width": 16, "ratio": 6},
    {"op": "conv", "width": 16, "ratio": None},  # the second once more
    {"op": "pool", "width": None},
]
_RNG = random.Random(0)
TWO_THOUSAND = [{f"c{i}": _RNG.randrange(4) for i in range(14)} for _ in range(2000)]


def full(arch, names=("op", "width", "ratio")):
    return {name: arch.get(name) for name in names}


def test_what_architectures_show_is_the_space():
    choices = Choices.from_list(MIXED)
    assert choices.names == ("op", "width", "ratio")
    op, width, ratio = choices.choices.values()
    assert (op.options, op.ordered) == (("mb", "conv", "pool"), False)
    assert (width.options, width.ordered, ratio.options) == ((16, 32), True, (4, 6))
    sample = candidates.start(choices, 0)
    assert sample.whole
    assert choices.archs(sample.codes) == [full(MIXED[i]) for i in (0, 1, 2, 4)]
    space = choices.space(sample.codes)
    assert len(np.unique(np.asarray(space.encoding), axis=0)) == 4
    driver = Driver(methods.make("gp", init=2, per_round=1, budget=4), choices)
    archs = []
    while rows := driver.ask():
        archs += [driver.arch(row) for row in rows]
        driver.tell(rows, [1.0] * len(rows))
    assert sorted(map(str, archs)) == sorted(str(full(MIXED[i])) for i in (0, 1, 2, 4))
    with pytest.raises(ValueError, match="budget=5 is more than the 4 architectures of the space"):
        Driver(methods.make("gp", init=2, per_round=1, budget=5), choices)
    with pytest.raises(ValueError, match="is not one of the space's list"):
        driver.row({"op": "conv", "width": 32})


def test_a_constraint_and_a_cost_of_a_list():
    choices = Choices.from_list(MIXED, constraint="width <= 16", cost="width * 2")
    assert [arch["op"] for arch in choices.archs(choices.enumerate())] == ["conv", "mb"]
    np.testing.assert_array_equal(choices.costs(choices.enumerate()), [32, 32])
    narrower = choices.replace(constraint="ratio > 4")
    assert narrower.archs(narrower.enumerate()) == [full(MIXED[2])]
    nothing = choices.replace(constraint=lambda arch: False)
    with pytest.raises(SpaceError, match="no architecture meets it, of the 4 that there are"):
        candidates.start(nothing, 0)


def test_choices_of_ones_own_with_a_list():
    own = {
        "op": categorical("conv", "mb", "skip"),
        "ratio": integer(2, 6, 2, when={"op": "mb"}),
    }
    choices = Choices(own, architectures=[{"op": "mb", "ratio": 4}, {"op": "skip"}])
    assert choices.archs(choices.enumerate()) == [
        {"op": "mb", "ratio": 4},
        {"op": "skip", "ratio": None},
    ]
    assert choices.space(choices.enumerate()).encoding.shape == (2, 5)
    for wrong, match in (
        ({"op": "mb"}, r"architectures\[1\]: choice 'ratio' needs a value"),
        ({"op": "skip", "ratio": 2}, r"architectures\[1\]: choice 'ratio' is inactive"),
        ({"op": "none"}, r"architectures\[1\]: choice 'op' has no option 'none'"),
        ({"op": "skip", "x": 1}, r"architectures\[1\]: no choice 'x'"),
    ):
        with pytest.raises(SpaceError, match=match):
            Choices(own, architectures=[{"op": "skip"}, wrong])


def test_a_long_list_is_sampled_and_refreshed_from_the_list():
    choices = Choices.from_list(TWO_THOUSAND)
    everything = choices.enumerate()
    assert len(everything) == 2000
    assert candidates.start(choices, 0).whole
    sample = candidates.start(choices, 0, 300)
    assert not sample.whole
    asked = np.arange(300) < 9
    fresh = candidates.refresh(choices, sample, 0, asked, np.array([4]), np.zeros(300))
    for rows in (sample.codes, fresh.codes):
        assert choices.allowed(rows).all()
        assert len(np.unique(rows, axis=0)) == 300
    np.testing.assert_array_equal(fresh.codes[asked], sample.codes[asked])
    new = (fresh.codes != sample.codes).any(axis=1)
    assert new.sum() > 150
    parent = sample.codes[4]
    before = (everything != parent).sum(axis=1)
    near = np.sort((fresh.codes[new] != parent).sum(axis=1))
    assert near[: len(near) // 2].mean() < np.median(before) - 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"),
            st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "y"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_list_comes_back(archs):
    names = list(dict.fromkeys(n for arch in archs for n in arch))
    hollow = [n for n in names if all(arch.get(n) is None for arch in archs)]
    if hollow or not names:
        with pytest.raises(SpaceError):
            Choices.from_list(archs)
        return
    choices = Choices.from_list(archs)
    wanted = [full(arch, names) for arch in archs]
    listed = choices.archs(choices.enumerate())
    kinds = [[(type(v), v) for v in arch.values()] for arch in listed]
    assert all([(type(v), v) for v in arch.values()] in kinds for arch in wanted)
    assert len({str(k) for k in kinds}) == len(kinds) == len({str(arch) for arch in wanted})
    again = choices_file.from_json(json.dumps(choices.describe()))
    assert again.describe() == choices.describe()
    assert np.isfinite(choices.space(choices.enumerate()).encoding).all()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"architectures": []}', "mine: architectures: the list is empty"),
        ('{"architectures": {"a": 1}}', "mine: field 'architectures': give a list"),
        ('{"architectures": [3]}', r"mine: architectures\[0\]: 3 is no dict"),
        ('{"architectures": [{"a": [1]}]}', r"mine: architectures\[0\]: choice 'a': option \[1\]"),
        ('{"architectures": [{"a": 1e999}]}', r"architectures\[0\]: choice 'a'.*infinite"),
        ('{"architectures": [{"a": null}]}', "choice 'a' has no value in any"),
        ('{"choices": {}, "architectures": [{"a": 1}]}', "needs at least one choice"),
        ('{"choices": {"a": {"integer": [1, 2]}}, "architectures": [{"a": 3}]}', "no option 3"),
        ('{"choices": [1]}', "field 'choices': give the choices by name"),
        ('{"choices": {"a": {"integer": [1, 2]}, "a": {"integer": [1, 3]}}}', "'a' is there twice"),
        ('{"choices": {"a": {"ordinal": [1, Infinity]}}}', "choice 'a': an option is infinite"),
        ('{"choices": {"a": {"integer": [1, 2], "when": {"b": []}}}}', "choice 'a': 'when' lists"),
        ('{"choices": {"a": {"integer": [1, "2"]}}}', "choice 'a': integer.*whole numbers"),
        ('{"choices": {"a": ' + "[" * 100_000, "nested too deep|not JSON"),
    ],
)
def test_files_that_make_no_sense(text, match):
    with pytest.raises(SpaceError, match=match) as error:
        choices_file.from_json(text, "mine")
    assert "\n" not in str(error.value)


def test_a_file_with_a_list(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"architectures": MIXED, "constraint": "width > 0"}), "utf-8-sig")
    choices = choices_file.load(path)
    assert len(choices.enumerate()) == 3
    assert set(choices.describe()) == {"architectures", "constraint"}
    for wrong in ("abc", {"a": 1}, 5, []):
        with pytest.raises(SpaceError, match="architectures"):
            Choices.from_list(wrong)
