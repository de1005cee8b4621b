"""Local search: the climb is that of a plain loop, and it begins again at local optima."""

import jax
import jax.numpy as jnp
import numpy as np
from conftest import planted_table

from weaknas_jax import HONEST, run_many
from weaknas_jax.measures import stats
from weaknas_jax.runs import task
from weaknas_jax.search.baselines.local_search import local_search
from weaknas_jax.search.baselines.random import random_search


def test_it_walks_as_a_plain_loop_does():
    """Each query is an unseen neighbour of the centre that a plain loop finds; else it restarts."""
    rng = np.random.default_rng(0)
    space = task.space(planted_table(), neighbours=True)
    scores = rng.permutation(64).astype(np.float32)  # many local optima
    near, told, centre, restarts = np.asarray(space.neighbours), [], None, 0
    method = local_search(init=3, per_round=1, budget=60)
    state = method.init(jax.random.key(0), space)
    ask, tell = jax.jit(method.ask), jax.jit(method.tell)
    while True:
        state, indices = ask(state)
        asked = [int(i) for i in indices if i >= 0]
        if not asked:
            break
        if centre is not None:
            assert asked[0] in set(near[centre].tolist()) - set(told)
        told += asked
        if centre is None:
            restarts += 1
            centre = max(asked, key=lambda i: scores[i])
        while centre is not None and not set(near[centre].tolist()) - set(told):
            best = max(near[centre].tolist(), key=lambda i: scores[i])
            centre = best if scores[best] > scores[centre] else None
        state, _ = tell(state, indices, jnp.asarray(scores)[indices])
    assert len(set(told)) == 60
    assert restarts > 1


def test_a_smooth_space_is_climbed_at_once():
    table = planted_table((5, 5, 5, 5))
    problem = task.make(table, HONEST, neighbours=True)
    sizes, best = {"init": 5, "budget": 90}, []
    for method in (local_search(per_round=1, **sizes), random_search(**sizes)):
        trace, _ = run_many(method, problem, 0, range(12))
        best.append(np.nanmax(trace.scores, axis=1))
    assert stats.paired_difference(*best)["low"] > 0
    assert (best[0] == np.float32(table.valid_mean.max())).all()
