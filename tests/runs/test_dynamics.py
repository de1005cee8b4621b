"""Per-round measures against SciPy and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from weaknas_jax.runs import dynamics

kendall = jax.jit(dynamics.kendall_tau)
measure = jax.jit(dynamics.measure, static_argnames=("top", "best"))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([2, 3, 8, 33]), st.sampled_from([2, 5, 1000]), st.integers(0, 10**6))
def test_kendall_is_scipys_with_ties(n, levels, seed):
    x, y = np.random.default_rng(seed).integers(0, levels, (2, n)).astype(np.float32)
    with np.errstate(all="ignore"):
        expected = stats.kendalltau(x, y).statistic
    np.testing.assert_allclose(kendall(x, y), expected, atol=1e-6)


def test_kendall_on_a_whole_space():
    rng = np.random.default_rng(0)
    x = rng.normal(size=15_625).astype(np.float32)
    y = np.round(x + rng.normal(size=x.size), 1).astype(np.float32)
    assert float(kendall(x, y)) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-6)


def test_measures_by_hand():
    truth = jnp.arange(100.0).at[7].set(jnp.nan)
    seen = jnp.zeros(100, bool).at[99].set(True)
    scores = jnp.arange(100.0)
    found = measure(scores, truth, seen, top=10, best=5)
    assert int(found.predicted_top) == 99
    assert float(found.kendall_top50) == 1.0
    assert float(found.top50_probability) == pytest.approx(4 / 9)  # 95..98 among 90..98
    nothing = measure(scores, truth, jnp.ones(100, bool), top=10)
    assert np.isnan(nothing.top50_probability)
