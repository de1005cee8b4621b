"""Positions and draws against plain Python, on random cases."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weaknas_jax import ranking, sampling


@st.composite
def cases(draw):
    n = draw(st.integers(1, 30))
    scores = draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=n, max_size=n))
    seen = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    return (
        np.array(scores, np.float32),
        np.array(seen),
        draw(st.integers(1, 35)),
        draw(st.integers(1, 8)),
        draw(st.integers(0, 2**31 - 1)),
    )


@settings(deadline=None, max_examples=60)
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
