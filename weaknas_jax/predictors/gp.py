"""An exact Gaussian process over the whole space, updated with each label.

Rasmussen & Williams (2006), algorithm 2.1, on a table: with K + noise I = L L^T over the evaluated
architectures, the whitened cross-covariance V = L^-1 k(evaluated, .) [n, N] gives for all N

    variance = k(x, x) - sum_rows V^2        mean = (L^-1 y)^T V

A new label appends one row to L and V in O(N n); its row of L is a column of V, so that only the
labels of one block are solved for, among themselves. The mean is computed anew from all labels,
which may be transformed anew each round.

The kernel is that of the space's preset (`predictors.presets`).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core.types import Number, Prediction, Scorer, Space
from weaknas_jax.predictors import kernels, presets
from weaknas_jax.predictors.kernels import Block

_TILE = 32, 16_384  # rows and columns of V read at once: n rows of all Q', and in a CPU's cache
_NEAR = 4096  # candidates for the queries of a round
_BLOCK = 10, 64  # least and most labels of a block, where a round may have many


class State(struct.PyTreeNode):
    """Posterior of a Gaussian process; the first ``size`` rows are real.

    Attributes:
      size: int32, n.
      slots: int32 [Q'], index of each row's label in the history; Q' is Q rounded up.
      factor: float32 [Q', Q'], L; the identity beyond n.
      cross: float32 [Q', N], V; zero beyond n.
      variance: float32 [N], of the posterior.
    """

    size: jax.Array
    slots: jax.Array
    factor: jax.Array
    cross: jax.Array
    variance: jax.Array


def gp(blocks: tuple[Block, ...] | None = None, *, noise: Number = 0.2, draws: int = 0) -> Scorer:
    """The Gaussian process as an incremental `Scorer`.

    >>> space = Space(jnp.eye(3), {"counts": jnp.arange(3.0)[:, None]})
    >>> scorer, key = gp((Block("rbf", "counts", 1.0),)), jax.random.key(0)
    >>> queried, y, mask = jnp.array([2, -1]), jnp.array([1.0, 0.0]), jnp.array([True, False])
    >>> state = scorer.init(space, 2)
    >>> state, prediction = scorer.update(key, state, space, queried, y, mask, queried)
    >>> [f"{mean:.2f}" for mean in prediction.mean]
    ['0.02', '0.31', '0.83']

    Args:
      blocks: the kernel, by default that of the space (`presets.blocks_of`).
      noise: variance of a label's noise, where labels have variance one.
      draws: E, draws of the posterior that come with each prediction, for Thompson sampling.
    """

    def kernel_on(space: Space) -> kernels.Kernel:
        return kernels.on(space.features, blocks or presets.blocks_of(space))

    def init(space: Space, budget: int) -> State:
        rows = budget + -budget % _TILE[0] + _TILE[0]  # a block that begins within the budget fits
        return State(
            size=jnp.int32(0),
            slots=jnp.zeros(rows, jnp.int32),
            factor=jnp.eye(rows),
            cross=jnp.zeros((rows, space.size)),
            variance=kernel_on(space).diagonal,
        )

    def update(key, state, space, queried, y, mask, indices):
        kernel = kernel_on(space)
        new, width, trips = in_blocks(queried, mask, indices)

        def learn(block, carry):
            at, slots, usable = jax.lax.dynamic_slice_in_dim(new, block * width, width, axis=1)
            return learn_block(kernel, carry[0], y, at, slots, usable.astype(bool), noise)

        carry, single = (state, jnp.zeros(space.size)), new.shape[1] == width
        state, mean = learn(0, carry) if single else jax.lax.fori_loop(0, trips, learn, carry)
        prediction = Prediction(mean, _deviation(state.variance))
        if draws:
            rows = queried[state.slots]
            draw = functools.partial(draw_posterior, kernel, state, rows, mean, noise)
            prediction = prediction._replace(draws=jax.lax.map(draw, jax.random.split(key, draws)))
        return state, prediction

    def select(state, space, score, prediction, seen, batch, count):
        """Picks one by one: a pick shrinks the deviations as if evaluated, and keeps the mean.

        GP-BUCB (Desautels et al., 2014), among the `_NEAR` with the highest scores at the start.
        """
        kernel = kernel_on(space)

        def predict(near, variance):
            some = jax.tree.map(lambda a: a[..., near], prediction)
            return some._replace(std=_deviation(variance))

        def posterior_row(near, columns, place, picked):
            explained = columns[:, place] @ columns + picked[:, place] @ picked
            row = kernel.rows(near[place][None], near)[0] - explained
            return row / jnp.sqrt(jnp.maximum(row[place], 0.0) + noise)

        scores = score(prediction)
        return pick_jointly(
            lambda near: (state.cross[:, near], state.variance[near]),
            scores,
            score,
            predict,
            posterior_row,
            seen=seen,
            batch=batch,
            count=count,
        )

    return Scorer(init, update, select)


def in_blocks(
    queried: jax.Array, mask: jax.Array, indices: jax.Array
) -> tuple[jax.Array, int, jax.Array]:
    """New labels, to be learnt in blocks.

    Args:
      queried, mask, indices: as of `Scorer.update`.

    Returns:
      Index, slot and whether it is usable, int32 [3, B'], the usable first; the width of a block;
      the number of blocks, at least one, since the earlier labels may have changed.
    """
    slots = jax.vmap(lambda index: jnp.argmax(queried == index))(indices)
    usable = (indices >= 0) & mask[slots]
    order = jnp.argsort(~usable, stable=True)
    new = jnp.stack([indices[order], slots[order], usable[order]])
    width = min(new.shape[1], max(_BLOCK[0], min(_BLOCK[1], new.shape[1] // 20)))
    new = jnp.pad(new, ((0, 0), (0, -new.shape[1] % width)))
    return new, width, jnp.maximum(1, (jnp.sum(usable) + width - 1) // width)


def pick_jointly(
    at: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    scores: jax.Array,
    score: Callable[[Prediction], jax.Array],
    predict: Callable[[jax.Array, jax.Array], Prediction],
    posterior_row: Callable[..., jax.Array],
    *,
    seen: jax.Array,
    batch: int,
    count: jax.Array,
) -> jax.Array:
    """Picks one by one: each shrinks the variances as if it were evaluated. See `gp`'s ``select``.

    Args:
      at: (rows [C]) -> their columns of V [Q', C] and variances [C]; those of M processes have a
        leading axis.
      scores: of all architectures, [N].
      score: (prediction of some) -> their scores.
      predict: (rows [C], their variances [..., C]) -> their prediction.
      posterior_row: (rows [C], their columns of V, place of a pick, rows of V of the picks so far)
        -> the row of V that the pick adds, [..., C].
      seen, batch, count: as of `Scorer.select`.
    """
    scores = jnp.where(seen, -jnp.inf, scores)
    if batch == 1:  # no further pick, and sorting would take most of the time
        index = jnp.argmax(scores).astype(jnp.int32)[None]
        return jnp.where((scores[index] > -jnp.inf) & (count > 0), index, -1)
    near = jax.lax.top_k(scores, min(_NEAR, len(scores)))[1]
    columns, variance = at(near)

    def add(place, picked):
        return posterior_row(near, columns, place, picked)

    def pick(j, carry):
        chosen, picked, variance, seen = carry
        scores = jnp.where(seen, -jnp.inf, score(predict(near, variance)))
        place = jnp.argmax(scores)
        index = near[place].astype(jnp.int32)
        chosen = chosen.at[j].set(jnp.where(scores[place] > -jnp.inf, index, -1))
        nothing = jnp.zeros(variance.shape)
        row = jax.lax.cond(j + 1 == count, lambda *_: nothing, add, place, picked)
        picked = picked.at[..., j, :].set(row)
        return chosen, picked, variance - row**2, seen.at[place].set(True)

    none = jnp.zeros((*variance.shape[:-1], batch, len(near)))
    start = jnp.full(batch, -1, jnp.int32), none, variance, seen[near]
    return jax.lax.fori_loop(0, count, pick, start)[0]


def learn_block(
    kernel, state: State, y, indices, slots, usable, noise: Number
) -> tuple[State, jax.Array]:
    """Appends a block of rows, of which the ``usable`` come first; the others have no effect.

    Returns:
      The state, and the mean [N] given all labels so far.
    """
    n, indices, rows = state.size, jnp.maximum(indices, 0), len(state.slots)
    weights = _whitened(state, jnp.where(jnp.arange(rows) < n, y[state.slots], 0.0))
    entries = jnp.where(usable[:, None], _columns(state, indices), 0.0)
    *explained, mean = _times(jnp.vstack([entries, weights]), state)
    new = jnp.where(usable[:, None], kernel.rows(indices) - jnp.stack(explained), 0.0)
    inner = jnp.where(usable, new[:, indices], 0.0) + jnp.diag(jnp.where(usable, noise, 1.0))
    corner = jnp.linalg.cholesky(inner)
    surprise = jnp.where(usable, y[slots], 0.0) - entries @ weights
    inverse = jax.scipy.linalg.solve_triangular(corner, jnp.eye(len(corner)), lower=True)
    new = inverse @ new
    state = state.replace(
        size=n + jnp.sum(usable),
        slots=jax.lax.dynamic_update_slice(state.slots, slots, (n,)),
        factor=jax.lax.dynamic_update_slice(
            state.factor, jax.lax.dynamic_update_slice(entries, corner, (0, n)), (n, 0)
        ),
        cross=jax.lax.dynamic_update_slice(state.cross, new, (n, 0)),
        variance=state.variance - jnp.ones(len(new)) @ new**2,  # a sum is slower (XLA)
    )
    return state, mean + (inverse @ surprise) @ new


def _whitened(state: State, labels: jax.Array) -> jax.Array:
    """``L^-1 labels``, [Q']."""
    return jax.scipy.linalg.solve_triangular(state.factor, labels, lower=True)


def _columns(state: State, indices: jax.Array) -> jax.Array:
    """Columns of V at ``indices`` [B], float32 [B, Q'].

    Read in a loop: XLA copies the whole of V where a read of its own precedes a change of it.
    """
    rows = _TILE[0]

    def read(tile, columns):
        some = jax.lax.dynamic_slice_in_dim(state.cross, tile * rows, rows)[:, indices]
        return jax.lax.dynamic_update_slice(columns, some.T, (0, tile * rows))

    nothing = jnp.zeros((len(indices), len(state.slots)))
    return jax.lax.fori_loop(0, (state.size + rows - 1) // rows, read, nothing)


def _times(coefficients: jax.Array, state: State) -> jax.Array:
    """``coefficients [K, Q'] @ V``, float32 [K, N], over the real rows.

    In tiles: XLA copies the part of V that it multiplies, which takes as long as the product unless
    it stays in the cache.
    """
    (rows, most), size = _TILE, state.cross.shape[1]
    columns = size if size < 4 * most or jax.default_backend() != "cpu" else most
    tiles = (state.size + rows - 1) // rows

    def of_columns(at, product):
        at = jnp.minimum(at * columns, size - columns)  # the last one may overlap

        def add(tile, total):
            begin = tile * rows
            some = jax.lax.dynamic_slice_in_dim(coefficients, begin, rows, axis=1)
            return total + some @ jax.lax.dynamic_slice(state.cross, (begin, at), (rows, columns))

        total = jax.lax.fori_loop(0, tiles, add, jnp.zeros((len(coefficients), columns)))
        return jax.lax.dynamic_update_slice(product, total, (0, at))

    return jax.lax.fori_loop(
        0, -(-size // columns), of_columns, jnp.zeros((len(coefficients), size))
    )


def draw_posterior(kernel, state: State, rows, mean, noise: Number, key: jax.Array) -> jax.Array:
    """A function [N] drawn from the posterior (Matheron's rule; Wilson et al., 2020)."""
    prior_key, noise_key = jax.random.split(key)
    prior = kernel.draw(prior_key)
    labels = prior[rows] + jnp.sqrt(noise) * jax.random.normal(noise_key, rows.shape)
    labels = jnp.where(jnp.arange(len(rows)) < state.size, labels, 0.0)
    return mean + prior - _times(_whitened(state, labels)[None], state)[0]


def _deviation(variance: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.maximum(variance, 1e-6))
