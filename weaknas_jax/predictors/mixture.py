"""A mixture of Gaussian processes of several kernels and noises, weighted by the data.

Each member is the exact process of `gp`. Given n labels y, with C = (K + noise I)^-1 and a = C y,
it predicts each label from the others (leave-one-out; Rasmussen & Williams, 2006, eq. 5.12) with

    mean y_i - a_i / C_ii        variance s / C_ii        s = mean of a_i^2 / C_ii

where s, its amplitude, makes the squared errors as large as predicted. The logarithms of these
densities, summed, are its evidence, and the softmax over the members gives their weights. Mean and
deviation are those of the mixture, so that members that disagree add to the deviation.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core.types import Number, Prediction, Scorer, Space
from weaknas_jax.predictors import kernels, presets
from weaknas_jax.predictors.gp import State as Process
from weaknas_jax.predictors.gp import (
    draw_posterior,
    gp,
    in_blocks,
    learn_block,
    pick_jointly,
)
from weaknas_jax.predictors.kernels import Block, Kernel


class Member(NamedTuple):
    """One Gaussian process of a mixture.

    Attributes:
      name: of its kernel.
      blocks: the kernel.
      noise: variance of a label's noise, where the kernel has mean variance one.
      prior: logarithm of its weight before any label, up to a constant.
    """

    name: str
    blocks: tuple[Block, ...]
    noise: float
    prior: float = 0.0


class State(struct.PyTreeNode):
    """State between two rounds.

    Attributes:
      processes: `gp.State` of each member. A tuple: stacked arrays of all members would be copied
        where a label is appended to each.
      inverse: float32 [M, Q', Q'], L^-1; the identity beyond n.
      amplitude: float32 [M], s.
      weights: float32 [M], sum to one.
      means: float32 [M, N], of each member.
    """

    processes: tuple[Process, ...]
    inverse: jax.Array
    amplitude: jax.Array
    weights: jax.Array
    means: jax.Array


_SMOOTH, _NOISY = 0.02, 0.2
_OWN = 0.154  # that of `gp`, in parts of the kernel's variance
_TRUST = 1.5  # in a space's own kernel, before any label
_BESIDE = (Block("cauchy", "slots", 0.3, 0.5, relative=True), Block("quadratic", "effects", 0.2))
_HAMMING = (Block("rbf", "categories", 1.0, 0.4, relative=True),)


def _table_on(**features: str) -> tuple[Block, ...]:
    """The kernel of a table on other blocks of its columns; a block without another one goes."""
    return tuple(
        block._replace(feature=features[block.feature])
        for block in presets.TABLE
        if block.feature in features
    )


_CATEGORIES = _table_on(slots="categories", effects="categories", counts="tallies")
_ORDERED = _table_on(slots="places", effects="trends")


def members(space: Space) -> tuple[Member, ...]:
    """The members on a space, four where it has the blocks of its columns.

    A space with a preset of its own (a cell, say): its kernel beside one of the columns, as a sum,
    with two noises; its kernel alone; that of a table. A table: a kernel of categories beside one
    of ordered places, as a sum, with two noises; each of them alone. Where no choice can be
    ordered, a kernel of the Hamming distance is used instead of that of places.

    >>> blocks = dict.fromkeys(("slots", "effects", "categories", "places", "trends"), jnp.eye(2))
    >>> [f"{member.name} {member.noise}" for member in members(Space(jnp.eye(2), blocks))]
    ['sum 0.02', 'sum 0.2', 'categories 0.2', 'ordered 0.2']
    """
    own = presets.blocks_of(space)
    if not {"slots", "effects", "categories"} <= set(space.features):
        return tuple(Member("own", own, noise) for noise in (_SMOOTH, _NOISY))
    table = presets.blocks_of(dataclasses.replace(space, preset="table"))
    if own != table:
        both = (*_weighted(own, 0.6), *_BESIDE)
        alone = Member("own", own, _OWN, prior=_TRUST), Member("table", table, _NOISY)
    else:
        categories = tuple(block for block in _CATEGORIES if block.feature in space.features)
        name, other = ("ordered", _ORDERED) if "places" in space.features else ("hamming", _HAMMING)
        both = (*_weighted(categories, 0.5), *_weighted(other, 0.5))
        alone = Member("categories", categories, _NOISY), Member(name, other, _NOISY)
    return (Member("sum", both, _SMOOTH), Member("sum", both, _NOISY), *alone)


def _weighted(blocks: tuple[Block, ...], weight: float) -> tuple[Block, ...]:
    return tuple(block._replace(weight=weight * block.weight) for block in blocks)


def mixture(
    kernel_members: tuple[Member, ...] | None = None, *, temper: Number = 1.0, draws: int = 0
) -> Scorer:
    """The mixture as an incremental `Scorer`; a round costs a few times that of `gp`.

    Args:
      kernel_members: by default those of the space (`members`).
      temper: power of the evidence in the weights; 0 = all members count as before any label.
      draws: E, draws of the posterior that come with each prediction, for Thompson sampling: of a
        member by its weight, then of its process.
    """

    def members_of(space: Space) -> tuple[Member, ...]:
        return kernel_members or members(space)

    def init(space: Space, budget: int) -> State:
        several = members_of(space)
        begin = gp(several[0].blocks).init(space, budget)
        count = len(several)
        return State(
            processes=tuple(
                begin.replace(variance=kernel.diagonal) for kernel in _kernels(space, several)
            ),
            inverse=jnp.broadcast_to(begin.factor, (count, *begin.factor.shape)),
            amplitude=jnp.ones(count),
            weights=jnp.full(count, 1 / count),
            means=jnp.zeros((count, space.size)),
        )

    def update(key, state, space, queried, y, mask, indices):
        several = members_of(space)
        all_kernels = _kernels(space, several)
        y = centred(y, mask)
        new, width, trips = in_blocks(queried, mask, indices)

        def learn(block, carry):
            at, slots, usable = jax.lax.dynamic_slice_in_dim(new, block * width, width, axis=1)
            parts = zip(several, all_kernels, *carry[:2], strict=True)
            learnt = [
                _learn(process, inverse, kernel, member.noise, y, at, slots, usable.astype(bool))
                for member, kernel, process, inverse in parts
            ]
            processes, inverse, means = zip(*learnt, strict=True)
            return processes, jnp.stack(inverse), jnp.stack(means)

        carry = state.processes, state.inverse, state.means
        single = new.shape[1] == width
        carry = learn(0, carry) if single else jax.lax.fori_loop(0, trips, learn, carry)
        processes, inverse, means = carry
        n, labels = processes[0].size, in_order(processes[0], y)
        amplitude, evidence = jax.vmap(leave_one_out, in_axes=(0, None, None))(inverse, labels, n)
        prior = jnp.array([member.prior for member in several])
        weights = jax.nn.softmax(prior + temper * evidence)
        variance = jnp.stack([process.variance for process in processes])
        state = State(processes, inverse, amplitude, weights, means)
        prediction = _mixed(weights, amplitude, means, variance)
        if draws:
            rows = queried[processes[0].slots]
            each = zip(several, all_kernels, processes, strict=True)
            functions = [
                functools.partial(_draw_deviation, kernel, process, rows, member.noise)
                for member, kernel, process in each
            ]

            def draw(key):
                of_member, of_process = jax.random.split(key)
                at = jax.random.categorical(of_member, jnp.log(weights))
                deviation = jax.lax.switch(at, functions, of_process)
                return means[at] + jnp.sqrt(amplitude[at]) * deviation

            drawn = jax.lax.map(draw, jax.random.split(key, draws))
            prediction = prediction._replace(draws=drawn)
        return state, prediction

    def select(state, space, score, prediction, seen, batch, count):
        """Picks one by one, as `gp` does; a pick shrinks the deviations of all members."""
        several = members_of(space)
        noise, all_kernels = _noise(several), _kernels(space, several)

        def predict(near, variance):
            return _mixed(state.weights, state.amplitude, state.means[:, near], variance)

        def posterior_row(near, columns, place, picked):
            rows = _rows(all_kernels, near[place][None], near)[:, 0]
            for explained in (columns, picked):
                rows -= jnp.einsum("mq,mqn->mn", explained[:, :, place], explained)
            return rows / jnp.sqrt(jnp.maximum(rows[:, place], 0.0) + noise)[:, None]

        def at(near):
            columns = jnp.stack([process.cross[:, near] for process in state.processes])
            return columns, jnp.stack([process.variance[near] for process in state.processes])

        return pick_jointly(
            at,
            score(prediction),
            score,
            predict,
            posterior_row,
            seen=seen,
            batch=batch,
            count=count,
        )

    return Scorer(init, update, select)


def leave_one_out(inverse: jax.Array, y: jax.Array, n: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Amplitude and summed log density of n labels, each predicted from the others.

    One label of squared error one is added to the amplitude's mean, so that it is never 0.

    >>> amplitude, evidence = leave_one_out(jnp.eye(3), jnp.array([1.0, -1.0, 0.0]), jnp.int32(2))
    >>> float(amplitude), float(evidence)
    (1.0, -1.0)

    Args:
      inverse: [Q', Q'], L^-1 with L L^T = K + noise I.
      y: [Q'], centred labels, 0 beyond n.
      n: number of labels.
    """
    amplitude, density = left_out(inverse, y, n)
    return amplitude, jnp.sum(density)


def left_out(inverse: jax.Array, y: jax.Array, n: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Amplitude, and the log density [Q'] of each label up to a constant; see `leave_one_out`."""
    real = jnp.arange(len(y)) < n
    alpha = jnp.where(real, (inverse @ y) @ inverse, 0.0)
    precision = jnp.where(real, jnp.sum(inverse**2, axis=0), 1.0)
    squares = alpha**2 / precision
    amplitude = (jnp.sum(squares) + 1.0) / (n + 1.0)
    density = jnp.log(precision) - jnp.log(amplitude) - squares / amplitude
    return amplitude, 0.5 * jnp.where(real, density, 0.0)


def in_order(process: Process, y: jax.Array) -> jax.Array:
    """Labels in the order in which a process learnt them, [Q'], 0 beyond them."""
    return jnp.where(jnp.arange(len(process.slots)) < process.size, y[process.slots], 0.0)


def _learn(process, inverse, kernel, noise, y, indices, slots, usable):
    """`gp.learn_block` of a member, its L^-1, and its mean [N]."""
    begin, width = process.size, len(indices)
    process, mean = learn_block(kernel, process, y, indices, slots, usable, noise)
    new = jax.lax.dynamic_slice_in_dim(process.factor, begin, width)
    corner = jax.lax.dynamic_slice_in_dim(new, begin, width, axis=1)
    columns = jnp.arange(len(inverse))
    before = jnp.where(columns < begin, new, 0.0) @ inverse
    unit = (columns == begin + jnp.arange(width)[:, None]).astype(before.dtype)
    solved = jax.scipy.linalg.solve_triangular(corner, unit - before, lower=True)
    return process, jax.lax.dynamic_update_slice(inverse, solved, (begin, 0)), mean


def _draw_deviation(
    kernel: Kernel, process: Process, rows, noise: float, key: jax.Array
) -> jax.Array:
    """A draw of a process of amplitude one, less its mean, [N]."""
    return draw_posterior(kernel, process, rows, jnp.zeros(len(kernel.diagonal)), noise, key)


def _mixed(weights, amplitude, means, variance) -> Prediction:
    """The mixture's prediction [N] of means [M, N] and the variances [M, N] of amplitude one."""
    mean = weights @ means
    variance = amplitude[:, None] * jnp.maximum(variance, 1e-6)
    second = weights @ (variance + means**2)
    return Prediction(mean, jnp.sqrt(jnp.maximum(second - mean**2, 1e-6)))


def _noise(several: tuple[Member, ...]) -> jax.Array:
    return jnp.array([member.noise for member in several])


def _kernels(space: Space, several: tuple[Member, ...]) -> list[Kernel]:
    """The kernel of each member, scaled to mean variance one."""
    distinct = {m.blocks: _scaled(kernels.on(space.features, m.blocks)) for m in several}
    return [distinct[member.blocks] for member in several]


def _rows(all_kernels: list[Kernel], *indices: jax.Array) -> jax.Array:
    """Rows of all members' kernels, [M, B, N]; those of equal kernels are computed once."""
    distinct = {id(kernel): kernel.rows(*indices) for kernel in all_kernels}
    return jnp.stack([distinct[id(kernel)] for kernel in all_kernels])


def _scaled(kernel: Kernel) -> Kernel:
    scale = 1 / jnp.mean(kernel.diagonal)
    return Kernel(
        scale * kernel.diagonal,
        lambda *indices: scale * kernel.rows(*indices),
        lambda key: jnp.sqrt(scale) * kernel.draw(key),
    )


def centred(y: jax.Array, mask: jax.Array) -> jax.Array:
    """Labels less their mean; 0 outside the mask."""
    mean = jnp.sum(jnp.where(mask, y, 0.0)) / jnp.maximum(jnp.sum(mask), 1)
    return jnp.where(mask, y - mean, 0.0)
