"""Parts of NASBOWL's released search; the whole is tested with all methods."""

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax import Prediction, Space
from weaknas_jax.core import history as histories
from weaknas_jax.search import acquisition
from weaknas_jax.search.baselines import nasbowl


def test_equal_scores_are_asked_for_once():
    scores = jnp.array([1.0, 5.0, 5.0 - 1e-5, 3.0, 9.0, 3.0, 2.0])
    seen = jnp.array([0, 0, 0, 0, 1, 0, 0], bool)
    draw = jax.jit(nasbowl.different().draw, static_argnums=4)
    assert draw(None, scores, seen, 0, 3).tolist() == [1, 3, 6]


def test_where_too_few_differ_the_best_follow():
    scores, seen = jnp.array([4.0, 4.0, 2.0, 2.0]), jnp.array([0, 0, 0, 1], bool)
    draw = jax.jit(nasbowl.different().draw, static_argnums=4)
    assert draw(None, scores, seen, 0, 4).tolist() == [0, 2, 1, -1]
    assert draw(None, scores, jnp.ones(4, bool), 0, 2).tolist() == [-1, -1]


def test_the_incumbent_is_the_label_at_the_highest_mean():
    history = histories.begin(Space(jnp.eye(5)), 4)
    history = history.replace(round=jnp.int32(1), asked=jnp.int32(3))
    history = histories.tell(history, jnp.array([4, 0, 2]), jnp.array([7.0, 1.0, jnp.nan]))
    prediction = Prediction(jnp.array([3.0, 0.0, 9.0, 5.0, 2.0]), jnp.ones(5))
    improvement = jax.jit(nasbowl.at_highest_mean(acquisition.ei()))
    wanted = histories.begin(Space(jnp.eye(5)), 1)
    wanted = histories.tell(wanted, jnp.array([0]), jnp.array([1.0]))
    key = jax.random.key(0)
    np.testing.assert_array_equal(
        improvement(prediction, history, key), jax.jit(acquisition.ei())(prediction, wanted, key)
    )
