"""A choice is read as a category and as an ordered number, however it is given."""

import itertools

import numpy as np
import pytest

import weaknas_jax as wn
from weaknas_jax.spaces import columns
from weaknas_jax.spaces.choices import Choices, categorical, ordinal

LEVELS = np.array(list(itertools.product(range(2), *[range(3)] * 3, range(5))))


def one_hot(levels):
    return np.hstack([np.eye(column.max() + 1)[column] for column in levels.T])


def distances(block):
    return ((block[:, None] - block[None]) ** 2).sum(axis=-1)


def test_numbers_and_one_hot_columns_have_the_same_categories_and_places():
    numbers, hot = columns.features(LEVELS), columns.features(one_hot(LEVELS))
    for name in ("categories", "tallies", "places", "trends"):
        np.testing.assert_allclose(distances(numbers[name]), distances(hot[name]), atol=1e-5)


def test_categories_count_the_choices_that_differ():
    different = (LEVELS[:, None] != LEVELS[None]).sum(axis=-1)
    block = columns.features(LEVELS)["categories"]
    np.testing.assert_allclose(distances(block), different, atol=1e-5)


def test_the_meaning_of_levels_does_not_move_categories():
    shuffled = np.stack([np.random.default_rng(1).permutation(9)[c] for c in LEVELS.T], axis=1)
    blocks = [columns.features(levels)["categories"] for levels in (LEVELS, shuffled)]
    np.testing.assert_allclose(*map(distances, blocks), atol=1e-5)


def test_places_are_the_ordered_distance():
    place = LEVELS / (1, 2, 2, 2, 4)
    off = (1, 2, 2, 2, 2) * (place[:, None] - place[None]) ** 2  # two levels are a category
    np.testing.assert_allclose(
        distances(columns.features(LEVELS)["places"]), off.sum(-1), atol=1e-5
    )


def test_a_number_of_many_levels_is_no_category():
    many = np.linspace(0, 1, columns.WIDEST + 1)[:, None]
    features = columns.features(np.hstack([many, np.arange(len(many))[:, None] % 3]))
    assert features["categories"].shape[1] == 1 + 3


def test_two_levels_have_no_order():
    assert "places" not in columns.features(LEVELS[:, :1])


@pytest.mark.parametrize("kind", [categorical, ordinal])
def test_numbers_that_are_options_have_places(kind):
    choices = Choices({"width": kind(64, 16, 32) if kind is categorical else kind(16, 32, 64)})
    archs = [{"width": width} for width in (16, 32, 64)]
    places = choices.space(np.stack([choices.codes(arch) for arch in archs])).features["places"]
    np.testing.assert_allclose(np.asarray(places)[:, 0] / 2**0.5, [0, 0.5, 1], atol=1e-6)


def test_names_that_are_options_have_none():
    choices = Choices({"op": categorical("conv", "pool", "skip")})
    assert "places" not in choices.space(choices.enumerate()).features


def test_blocks_do_not_depend_on_the_other_rows():
    choices = Choices(
        {"a": ordinal(1, 2, 4, 8), "op": categorical("x", "y", "z"), "n": ordinal(3, 5)}
    )
    codes = choices.enumerate()
    whole, part = choices.space(codes).features, choices.space(codes[5:9]).features
    for name, block in part.items():
        np.testing.assert_array_equal(block, whole[name][5:9])


@pytest.mark.parametrize("method", ["evolution", "local_search"])
def test_rows_without_any_neighbour_are_searched(method):
    rng = np.random.default_rng(0)
    encoding = rng.integers(0, 4, (60, 20)).astype(np.float32)
    valid = rng.normal(size=(60, 1))
    table = wn.Table("table", "far apart", encoding, valid, unit="score")
    queried = wn.search_table(table, method=method, init=5, budget=20, seeds=2, stop="budget")
    assert all(len(set(rows)) == 20 for rows in queried.trace.queried.tolist())


def test_integers_and_one_hot_columns_are_the_same_search():
    score = LEVELS @ (3.0, 1.0, -2.0, 0.5, 1.0) + 2.0 * (LEVELS[:, 1] == LEVELS[:, 2])
    encodings = LEVELS.astype(np.float32), one_hot(LEVELS).astype(np.float32)
    tables = [wn.Table("table", "sum", x, score[:, None], unit="score") for x in encodings]
    numbers, hot = (wn.search_table(t, budget=15, seeds=2, stop="budget") for t in tables)
    assert numbers.config.predictor == "mixture"
    np.testing.assert_array_equal(numbers.trace.queried, hot.trace.queried)
