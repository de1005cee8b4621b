"""Monte Carlo tree search and LaNAS against what can be worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table
from sklearn.linear_model import Ridge

from weaknas_jax import HONEST, Settings, random_search, run_many
from weaknas_jax.measures import metrics
from weaknas_jax.runs import task
from weaknas_jax.search.baselines.lanas import lanas, leaves
from weaknas_jax.search.baselines.mcts import mcts
from weaknas_jax.spaces import neighbours


def test_prefixes_number_those_that_begin_alike():
    found = neighbours.prefixes(planted_table((2, 3, 2)).encoding)
    choices = np.array(np.meshgrid(*map(np.arange, (2, 3, 2)), indexing="ij")).reshape(3, -1).T
    assert found.shape == (3, 12)
    for level, groups in enumerate(found):
        alike = (choices[:, None, : level + 1] == choices[None, :, : level + 1]).all(axis=2)
        np.testing.assert_array_equal(groups[:, None] == groups[None], alike)


def told(method, table, scores, rounds):
    """State after ``rounds`` rounds."""
    state = method.init(jax.random.key(0), task.space(table, neighbours=True))
    for _ in range(rounds):
        state, indices = method.ask(state)
        state, _ = method.tell(state, indices, jnp.asarray(scores, jnp.float32)[indices])
    return state


def test_prefixes_of_columns_of_many_levels():
    """Numbers of pairs are far apart there: a table of them all would not fit."""
    one = np.repeat(np.arange(1000), 2)
    x = np.stack([one, np.random.default_rng(0).permutation(2000)], axis=1)
    first, last = neighbours.prefixes(x)
    np.testing.assert_array_equal(first, one)
    assert np.lexsort((x[:, 1], one)).tolist() == np.argsort(last).tolist()


def test_every_first_choice_is_tried_once_before_any_is_tried_twice():
    table = planted_table((4, 4))
    state = told(mcts(budget=8), table, table.valid_mean, 4)
    assert sorted(state.space.prefixes[0][state.history.queried[:4]].tolist()) == [0, 1, 2, 3]


@pytest.mark.parametrize("exploration", [0.0, 0.7])
def test_the_fifth_query_goes_where_uct_says(exploration):
    """Four first choices, each visited once: the bound is equal, so the best score decides; then
    that one has two visits, and its children that were not visited come first."""
    table = planted_table((4, 4))
    scores = table.valid_mean
    state = told(mcts(budget=8, exploration=exploration), table, scores, 5)
    first = state.space.prefixes[0][state.history.queried[:5]]
    best = int(first[jnp.argmax(state.history.scores[:4])])
    assert int(first[4]) == best
    # the sixth, by hand
    s = np.asarray(state.history.scores[:5])
    s = (s - s.min()) / (s.max() - s.min())
    first = np.asarray(first)
    n = np.bincount(first, minlength=4)
    bound = np.bincount(first, s, 4) / n + exploration * np.sqrt(2 * np.log(5) / n)
    state = told(mcts(budget=8, exploration=exploration), table, scores, 6)
    assert int(state.space.prefixes[0][state.history.queried[5]]) == int(np.argmax(bound))


def test_a_leaf_is_where_ridge_regression_says():
    table = planted_table((4, 4, 4), noise=2.0)
    rows = np.random.default_rng(0).permutation(64)[:40]
    y = table.valid_mean[rows]
    y = (y - y.min()) / (y.max() - y.min())
    queried = jnp.append(jnp.asarray(rows), 7)  # and one that failed
    mask = jnp.arange(41) < 40
    found = leaves(jnp.asarray(table.encoding), queried, jnp.append(y, 99.0), mask, 2, 10)

    x, expected = table.encoding, np.zeros(64, int)
    for level in range(2):
        nodes = expected.copy()
        for node in range(2**level):
            own = nodes[rows] == node
            fit = Ridge(alpha=1e-3).fit(x[rows[own]], y[own])
            bad = fit.predict(x) <= fit.predict(x[rows[own]]).mean()
            expected[nodes == node] = 2 * node + bad[nodes == node]
    assert own.sum() >= 10
    np.testing.assert_array_equal(found, expected)
    best = [table.valid_mean[np.asarray(found) == leaf].mean() for leaf in (0, 3)]
    assert best[0] > best[1]


def test_few_samples_are_not_split():
    table = planted_table()
    few, mask = jnp.arange(9), jnp.ones(9, bool)
    assert not leaves(jnp.asarray(table.encoding), few, jnp.arange(9.0), mask, 3, 10).any()


@pytest.mark.slow  # where they go first is above
@pytest.mark.parametrize(
    "method", [mcts(budget=24, exploration=0.1), lanas(init=12, budget=24, least=4)]
)
def test_they_beat_random_search_on_the_same_runs(method):
    table = planted_table((4, 4, 4), noise=0.5)
    problem = task.make(table, HONEST, neighbours=True)
    best = []
    for each in (method, random_search(init=5, per_round=1, budget=24)):
        trace, _ = run_many(each, problem, 0, range(40), Settings(measure=False))
        best.append(metrics.curves(trace, table, HONEST).best_valid[:, -1])
    gain = best[0] - best[1]
    assert gain.mean() > 2 * gain.std(ddof=1) / 40**0.5
