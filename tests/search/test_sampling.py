"""Positions and draws against plain Python, on random cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import planted_table, quick_and_slow
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax import HONEST, Prediction, Scorer, run, weaknas
from weaknas_jax.core import ranking
from weaknas_jax.runs import task
from weaknas_jax.search import sampling


@st.composite
def cases(draw):
    n = draw(st.sampled_from([1, 30]))  # few shapes: each is compiled
    scores = draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=n, max_size=n))
    seen = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return (
        np.array(scores, np.float32),
        np.array(seen),
        draw(st.integers(1, 35)),
        draw(st.sampled_from([1, 8])),
        draw(st.integers(0, 2**31 - 1)),
    )


@settings(deadline=None, max_examples=30)
@given(cases())
def test_top_uniform_draws_in_the_top_then_walks_down(case):
    scores, seen, top, batch, seed = case
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    places = ranking.positions(jnp.asarray(scores))
    assert np.asarray(places)[order].tolist() == list(range(len(scores)))

    drawn = sampling.uniform().draw(
        jax.random.key(seed), jnp.asarray(scores), jnp.asarray(seen), top, batch
    )
    drawn = np.asarray(drawn).tolist()
    pool = [i for i in order[:top] if not seen[i]]
    rest = [i for i in order[top:] if not seen[i]]
    inside = min(batch, len(pool))
    assert len(set(drawn[:inside])) == inside
    assert set(drawn[:inside]) <= set(pool)
    assert drawn[inside:] == (rest + [-1] * batch)[: batch - inside]

    front = sampling.best_first(jnp.asarray(drawn), places, jnp.asarray(seen))
    unseen = [i for i in order if not seen[i]]
    if unseen:
        others = [i for i in drawn if i != unseen[0]]
        assert np.asarray(front).tolist() == [unseen[0], *others][:batch]


@pytest.mark.parametrize("name", quick_and_slow(["uniform", "linear", "exponential"], ["uniform"]))
def test_a_large_space_is_drawn_from_as_if_it_were_sorted(name, monkeypatch):
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=500), 1).astype(np.float32)
    scores[rng.choice(500, 9, replace=False)] = np.nan
    order, key = np.lexsort((np.arange(500), np.nan_to_num(-scores, nan=np.inf))), jax.random.key(3)
    mostly_seen = np.zeros(500, bool)
    mostly_seen[order[:18]] = True
    for seen in (rng.random(500) < 0.2, mostly_seen):
        for top in (2, 15, 20, 21, 499):  # 21 and more, or too few unseen, are not near

            def draw(seen=seen, top=top):
                draw = sampling.SAMPLINGS[name]().draw
                return np.asarray(draw(key, jnp.asarray(scores), jnp.asarray(seen), top, 4))

            monkeypatch.setattr(sampling, "_NEAR", 20)
            near = draw()
            monkeypatch.setattr(sampling, "_NEAR", 1000)
            np.testing.assert_array_equal(near, draw())


def test_draws_in_the_top_are_uniform():
    """Each of the top 6 of 20 is drawn 2/6 of the time, within 4 standard errors."""
    scores, seen = jnp.arange(20.0), jnp.zeros(20, bool)
    ranking.positions(scores)
    keys = jax.random.split(jax.random.key(0), 3000)
    drawn = jax.vmap(lambda k: sampling.uniform().draw(k, scores, seen, 6, 2))(keys)
    share = np.bincount(np.asarray(drawn).ravel(), minlength=20) / 3000
    assert (share[:14] == 0).all()
    assert (np.abs(share[14:] - 1 / 3) < 4 * (1 / 3 * 2 / 3 / 3000) ** 0.5).all()


def test_initial_draw_is_uniform_without_replacement():
    seen = jnp.zeros(10, bool).at[3].set(True)
    keys = jax.random.split(jax.random.key(1), 3000)
    drawn = np.asarray(jax.vmap(lambda k: sampling.draw(k, seen, 4))(keys))
    assert all(len(set(row)) == 4 for row in drawn)
    share = np.bincount(drawn.ravel(), minlength=10) / 3000
    assert share[3] == 0
    others = np.delete(share, 3)
    assert (np.abs(others - 4 / 9) < 4 * (4 / 9 * 5 / 9 / 3000) ** 0.5).all()


def test_top_may_be_traced():
    scores, seen = jnp.arange(20.0), jnp.zeros(20, bool)
    _places, key = ranking.positions(scores), jax.random.key(0)
    traced = jax.jit(lambda top: sampling.uniform().draw(key, scores, seen, top, 5))
    for top in (5, 12):
        fixed = sampling.uniform().draw(key, scores, seen, top, 5)
        assert (traced(jnp.int32(top)) == fixed).all()


def test_nothing_left_is_minus_one():
    drawn = sampling.draw(jax.random.key(0), jnp.array([True, False, True]), 5)
    assert drawn.tolist() == [1, -1, -1, -1, -1]


@pytest.mark.parametrize(
    ("sampler", "weights"),
    [
        (sampling.linear(), 6 - np.arange(6)),
        (sampling.linear(slope=0.5), 1 - 0.5 * np.arange(6) / 6),
        (sampling.exponential(), np.exp(-5 * np.arange(6) / 6)),
        (sampling.exponential(rate=0.0), np.ones(6)),
    ],
)
def test_decays_draw_by_their_weights(sampler, weights):
    """One of the top 6 of 20, its place falling in weight, within 4 standard errors."""
    scores, seen = jnp.arange(20.0), jnp.zeros(20, bool)
    keys = jax.random.split(jax.random.key(2), 4000)
    drawn = jax.jit(jax.vmap(lambda k: sampler.draw(k, scores, seen, 6, 1)))(keys)
    share = np.bincount(19 - np.asarray(drawn).ravel(), minlength=20) / 4000
    chance = weights / weights.sum()
    assert (share[6:] == 0).all()
    assert (np.abs(share[:6] - chance) <= 4 * (chance * (1 - chance) / 4000) ** 0.5).all()


def test_a_steep_decay_still_walks_down():
    scores = jnp.arange(20.0)
    seen = jnp.zeros(20, bool).at[19].set(True)
    for sampler in (sampling.exponential(rate=1e4), sampling.linear(slope=3.0)):
        drawn = sampler.draw(jax.random.key(0), scores, seen, 4, 6)
        assert set(drawn[:3].tolist()) == {18, 17, 16}
        assert drawn[3:].tolist() == [15, 14, 13]


def test_epsilon_greedy_between_the_best_and_anything():
    scores, seen = jnp.arange(50.0), jnp.zeros(50, bool).at[49].set(True)

    def drawn(epsilon, seed):
        return sampling.epsilon_greedy(epsilon=epsilon).draw(
            jax.random.key(seed), scores, seen, 10, 5
        )

    assert drawn(0.0, 0).tolist() == [48, 47, 46, 45, 44]
    some = np.asarray(jax.jit(jax.vmap(lambda seed: drawn(0.4, seed)))(jnp.arange(300)))
    assert all(len(set(row)) == 5 and 49 not in row for row in some.tolist())
    explored = (some < 44).mean()
    assert abs(explored - 0.4) < 4 * (0.4 * 0.6 / 1500) ** 0.5
    assert set(drawn(1.0, 0).tolist()).isdisjoint({48, 47, 46, 45, 44})
    few = jnp.ones(50, bool).at[jnp.array([3, 7])].set(False)
    left = sampling.epsilon_greedy(epsilon=1.0).draw(jax.random.key(0), scores, few, 10, 5)
    assert left.tolist() == [7, 3, -1, -1, -1]


def test_schedule_is_the_references():
    rounds = 19
    y = 0.96 ** np.linspace(0, 99, rounds)
    expected = ((y - y.min()) / (y.max() - y.min()) * (1000 - 100) + 100).astype(int)
    assert np.abs(np.asarray(sampling.schedule(1000, 100, rounds)) - expected).max() <= 1
    assert sampling.schedule(50, 10, 1).tolist() == [50]


def test_the_loop_draws_within_the_schedule():
    """With the truth as predictor the drawn are among the N best of that round."""
    table = planted_table((6, 6, 6))
    truth = jnp.asarray(table.valid_mean, jnp.float32)
    exact = Scorer(lambda *_: (), lambda key, state, *_: (state, Prediction(truth)))
    method = weaknas(exact, init=5, per_round=2, top=120, top_end=30, budget=25)
    trace = run(method, task.make(table, HONEST), 0)
    places = np.argsort(np.argsort(-table.valid_mean, kind="stable"))
    tops = np.asarray(sampling.schedule(120, 30, 10))
    for round_, top in enumerate(tops, start=1):
        asked = trace.queried[0][trace.round == round_]
        assert (places[asked] < top).all()
    assert places[trace.queried[0][trace.round == 1]].max() >= 30
