"""Regularized Evolution, and who is whose neighbour."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table

from weaknas_jax import HONEST, Space, load_nasbench201, run_many
from weaknas_jax.measures import stats
from weaknas_jax.runs import task
from weaknas_jax.search.baselines.evolution import evolution
from weaknas_jax.search.baselines.random import random_search
from weaknas_jax.spaces import nasbench201, neighbours


def test_neighbours_of_nasbench201_are_the_cells_that_differ_in_one_edge():
    table = load_nasbench201("cifar10")
    near = np.asarray(task.space(table, neighbours=True).neighbours)
    assert near.shape == (15_625, 24)
    row = {name: i for i, name in enumerate(table.names.tolist())}
    for i in (0, 1459, 15_624):
        cells = nasbench201.neighbours(nasbench201.parse(table.names[i]))
        assert set(near[i].tolist()) == {row[nasbench201.to_string(c)] for c in cells}


def test_neighbours_are_mutual_and_differ_in_one_choice_where_rows_are_missing_or_twice():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (60, 3))
    near = neighbours.one_apart(codes)
    differ = (codes[:, None] != codes[None]).sum(axis=2) == 1
    for i, of in enumerate(near):
        found = of[of >= 0].tolist()
        assert len(found) == len(set(found))
        assert sorted(found) == np.flatnonzero(differ[i]).tolist()


def test_columns_are_read_as_choices():
    near = neighbours.of_columns(planted_table((2, 3)).encoding)
    assert next(set(of[of >= 0].tolist()) for of in near) == {1, 2, 3}


def test_children_are_unseen_neighbours_of_the_best_of_those_alive():
    """A tournament so large that it holds all of the population: its parent can be worked out."""
    table, space = planted_table(), task.space(planted_table(), neighbours=True)
    method = evolution(init=4, per_round=1, budget=25, population=6, tournament=200)
    state, near, told = method.init(jax.random.key(0), space), np.asarray(space.neighbours), []
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    while True:
        state, indices = ask(state)
        asked = [int(i) for i in indices if i >= 0]
        if not asked:
            break
        if told:
            alive = np.array(told[-6:])
            fitness = np.float32(table.valid_mean[alive])
            free = [set(near[p].tolist()) - set(told) for p in alive[fitness == fitness.max()]]
            assert not all(free) or asked[0] in set.union(*free)
        told += asked
        scores = np.where(indices >= 0, table.valid_mean[np.maximum(indices, 0)], np.nan)
        state, _ = tell(state, indices, jnp.asarray(scores, jnp.float32))
    assert len(set(told)) == 25


@pytest.mark.slow  # where its queries come from is above
def test_it_beats_random_search_on_the_same_seeds():
    table = planted_table((5, 5, 5, 5))
    problem = task.make(table, HONEST, neighbours=True)
    sizes, best = {"init": 15, "budget": 80}, []
    for method in (evolution(per_round=1, population=15, **sizes), random_search(**sizes)):
        trace, _ = run_many(method, problem, 0, range(12))
        best.append(np.nanmax(trace.scores, axis=1))
    assert stats.paired_difference(*best)["low"] > 0


def test_a_space_without_neighbours_is_refused():
    space = Space(jnp.asarray(planted_table().encoding))
    with pytest.raises(ValueError, match=r"method=evolution .* neighbours=True"):
        evolution(init=5, budget=20).init(jax.random.key(0), space)
    with pytest.raises(ValueError, match="tournament=0"):
        evolution(tournament=0)
