"""Random lists of options, conditions and nestings: codes, mutations and features agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax.spaces import candidates, columns
from weaknas_jax.spaces.choices import Choices, SpaceError, categorical, integer, ordinal

OPTIONS = st.sampled_from(
    [("a", "b", "c"), ("a", "b", "c"), (1, 2, 3), (True, False), ("x",), (0.5, 2, "one", True)]
)


@st.composite
def spaces(draw):
    """Up to seven choices; each may depend on values of those above it."""
    choices = {}
    for at in range(draw(st.integers(1, 7))):
        when = {}
        for other in draw(st.lists(st.sampled_from(sorted(choices)), max_size=2)) if at else []:
            options = list(choices[other].options[:4])
            when[other] = draw(st.lists(st.sampled_from(options), min_size=1, max_size=3))
        kind = draw(st.sampled_from(["categorical", "ordinal", "integer", "wide"]))
        if kind == "integer":
            low = draw(st.integers(-3, 3))
            choices[f"c{at}"] = integer(low, low + draw(st.integers(0, 4)), when=when)
        elif kind == "wide":
            choices[f"c{at}"] = integer(-(10**9), 10**12, 17, when=when)
        else:
            make = {"categorical": categorical, "ordinal": ordinal}[kind]
            choices[f"c{at}"] = make(*draw(OPTIONS), when=when)
    return Choices(choices)


def consistent(choices, codes):
    """Whether codes are those of what they are decoded to."""
    return all((choices.codes(choices.arch(row)) == row).all() for row in codes)


@settings(max_examples=50, deadline=None)
@given(spaces(), st.integers(0, 1000))
def test_any_space_works(choices, seed):
    rng = np.random.default_rng(seed)
    codes = choices.complete(np.full((30, len(choices.names)), -1, np.int16), rng)
    assert consistent(choices, codes)
    children = codes
    for _ in range(3):
        children = candidates.mutate(choices, children, rng)
    assert consistent(choices, children)
    listed = choices.enumerate()
    if listed is not None:
        assert consistent(choices, listed[:: max(1, len(listed) // 30)])
        codes = listed[:2000]
    space = choices.space(codes)
    for block in (space.encoding, *space.features.values()):
        assert block.shape[0] == len(codes)
        assert np.isfinite(block).all()
    if not any(len(choice.options) > 1000 for choice in choices.choices.values()):
        rows = np.unique(np.asarray(space.encoding), axis=0)
        assert len(rows) == len(np.unique(codes, axis=0))


@pytest.mark.parametrize(
    ("parent", "values"),
    [
        (integer(1, 3), ([2, 3], [3])),
        (ordinal("small", "middle", "large"), (["middle", "large"], "large")),
        (categorical("one", "two", "three"), (("two", "three"), ["three"])),
    ],
    ids=["integer", "ordinal", "categorical"],
)
def test_alike_choices_are_counted_whether_or_not_conditional(parent, values):
    op = ("conv", "pool", "skip")
    choices = Choices(
        {"depth": parent, "op0": categorical(*op)}
        | {f"op{i + 1}": categorical(*op, when={"depth": v}) for i, v in enumerate(values)}
    )
    codes = choices.enumerate()
    assert len(codes) == 3 + 9 + 27
    counts = np.asarray(choices.space(codes).features["counts"])
    for row, arch in zip(counts, choices.archs(codes), strict=True):
        ops = [arch[f"op{i}"] for i in range(3)]
        expected = [ops.count(option) for option in (*op, None)]
        np.testing.assert_allclose(row**2, expected, atol=1e-6)


def test_counts_of_unconditional_choices_are_as_before():
    blocks = [np.eye(3)[[0, 1]], np.eye(3)[[0, 2]], np.eye(3)[[1, 2]]]
    found = columns.blocks([columns.Slot(block, alike="op") for block in blocks], 2)["counts"]
    np.testing.assert_allclose(found**2, [[2, 1, 0], [0, 1, 2]], atol=1e-6)


def test_values_of_a_set_have_one_order():
    """Else the journal of a search would be another search's in the next process."""
    choices = {"op": categorical(*"abcdefgh")}
    choices["n"] = integer(1, 2, when={"op": set("hgfedc")})
    assert Choices(choices).describe()["choices"]["n"]["when"] == {"op": list("cdefgh")}


def test_a_condition_on_an_inactive_choice_does_not_hold():
    choices = Choices(
        {
            "a": categorical(True, False),
            "b": categorical(True, False, when={"a": True}),
            "c": integer(1, 2, when={"b": [True, False]}),
        }
    )
    assert choices.codes({"a": False}).tolist() == [1, -1, -1]
    with pytest.raises(SpaceError, match="'c' needs a value"):
        choices.codes({"a": True, "b": False})
