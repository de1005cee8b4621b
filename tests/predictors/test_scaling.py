"""Columns of any size: what predictors make of them, and what stays exactly as it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, planted_table
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax import Space
from weaknas_jax.core import scaling
from weaknas_jax.core.types import Scorer
from weaknas_jax.measures.predictor_quality import kendall, ranker
from weaknas_jax.predictors import make, refit
from weaknas_jax.search.baselines import lanas
from weaknas_jax.search.label_transforms import standardize_observed
from weaknas_jax.search.pseudo_labels import semi
from weaknas_jax.tables import load_nasbench101, load_nasbench201

FACTORS = (1e30, 1e9, 1e-6, 1e-9)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_what_lies_in_a_choices_range_stays_to_the_last_bit(data):
    value = st.floats(-1, 1, width=32)
    column = st.lists(value, min_size=4, max_size=4).filter(
        lambda c: len(set(c)) == 1 or max(c) - min(c) > 0.11
    )
    x = jnp.asarray(np.array(data.draw(st.lists(column, min_size=1, max_size=3))).T, jnp.float32)
    np.testing.assert_array_equal(scaling.columns_of(x)(x), x)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=6))
def test_every_column_comes_out_finite_and_in_order(column):
    x = jnp.asarray(column, jnp.float32)[:, None]
    scaled = np.asarray(scaling.columns_of(x)(x))[:, 0]
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() <= 1 + 1e-6
    assert (np.diff(scaled[np.argsort(column, kind="stable")]) >= -1e-6).all()


def test_the_benchmarks_are_learnt_from_as_published():
    for table in (load_nasbench201(), load_nasbench101()):
        x = jnp.asarray(table.encoding)
        np.testing.assert_array_equal(scaling.columns_of(x)(x), x)


def space_of(factor, offset=0.0):
    """A number beside choices, and the labels, which depend on both."""
    rng = np.random.default_rng(0)
    choices, number = rng.integers(0, 2, (200, 3)), rng.random(200)
    labels = 2 * choices[:, 0] - choices[:, 1] + 3 * number
    encoding = np.column_stack([choices, number * factor + offset])
    return Space(jnp.asarray(scaling.to_float32(encoding))), labels


PREDICTORS = ("knn", "linear", "mlp", "ensemble", "warm_ensemble", "semi")


def tau(name, space, labels):
    built = make("knn" if name == "semi" else name, **SMALL.get(name, {}))
    scorer = built if isinstance(built, Scorer) else refit.refit(built)
    scorer = semi(built, unlabelled=20) if name == "semi" else scorer
    sample = np.arange(60)
    rank = ranker(scorer, standardize_observed)
    told = rank(jax.random.key(0), space, jnp.asarray(sample), jnp.asarray(labels[sample]))
    return kendall(np.asarray(told)[60:], labels[60:])


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n != "knn")) for n in PREDICTORS],
)
def test_a_column_of_any_size_is_learnt_from_like_a_small_one(name):
    small = tau(name, *space_of(1.0))
    assert small > 0.6
    for factor in FACTORS:
        assert tau(name, *space_of(factor)) > small - 0.1, factor
    assert tau(name, *space_of(1.0, offset=1e9)) > small - 0.1


def test_a_large_constant_column_says_nothing():
    table = planted_table()
    labels = table.valid_mean
    beside = np.column_stack([table.encoding, np.full(len(table), 1e9)])
    space = Space(jnp.asarray(table.encoding)), Space(jnp.asarray(beside, jnp.float32))
    assert tau("knn", space[1], labels) == tau("knn", space[0], labels)


@pytest.mark.slow  # the scaling itself is quick, above
def test_lanas_divides_columns_of_any_size():
    queried, mask = jnp.arange(60), jnp.ones(60, bool)
    leaves = {}
    for factor in (1.0, *FACTORS):
        space, labels = space_of(factor)
        y = jnp.asarray(labels[:60])
        leaf = np.asarray(lanas.leaves(space.encoding, queried, y, mask))
        leaves[factor] = [labels[leaf == 0].mean() - labels.mean(), len(np.unique(leaf))]
    for good, count in leaves.values():
        assert good > 0.8 * leaves[1.0][0]
        assert count >= leaves[1.0][1] // 2


def test_values_that_float32_would_confuse_are_told_apart():
    column = 1e9 + np.arange(50.0)
    assert len(np.unique(column.astype(np.float32))) < 50
    assert scaling.to_float32(column[:, None])[:, 0].tolist() == list(range(50))
    plain = np.random.default_rng(0).random((20, 3))
    np.testing.assert_array_equal(scaling.to_float32(plain), plain.astype(np.float32))
