"""A mixture of Gaussian processes of several kernels and noises, weighted by the data.

Each member is the exact process of `gp`. Given n labels y, with C = (K + noise I)^-1 and a = C y,
it predicts each label from the others (leave-one-out; Rasmussen & Williams, 2006, eq. 5.12) with

    mean y_i - a_i / C_ii        variance s / C_ii        s = mean of a_i^2 / C_ii

where s, its amplitude, makes the squared errors as large as predicted. The logarithms of these
densities, summed, are its evidence, and the softmax over the members gives their weights. Mean and
deviation are those of the mixture, so that members that disagree add to the deviation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core.types import Number, Prediction, Scorer, Space
from weaknas_jax.predictors import kernels, presets
from weaknas_jax.predictors.gp import State as Process
from weaknas_jax.predictors.gp import gp, in_blocks, learn_block, pick_jointly
from weaknas_jax.predictors.kernels import Block, Kernel


class Member(NamedTuple):
    """One Gaussian process of a mixture.

    Attributes:
      name: of its kernel.
      blocks: the kernel.
      noise: variance of a label's noise, where the kernel has mean variance one.
    """

    name: str
    blocks: tuple[Block, ...]
    noise: float


class State(struct.PyTreeNode):
    """State between two rounds.

    Attributes:
      process: `gp.State` of all members, a leading axis M in ``factor``, ``cross``, ``variance``.
      inverse: float32 [M, Q', Q'], L^-1; the identity beyond n.
      amplitude: float32 [M], s.
      weights: float32 [M], sum to one.
      means: float32 [M, N], of each member.
    """

    process: Process
    inverse: jax.Array
    amplitude: jax.Array
    weights: jax.Array
    means: jax.Array


_AXES = Process(size=None, slots=None, factor=0, cross=0, variance=0)
_NOISES = 0.02, 0.2
_ON_COLUMNS = {
    "hamming": (Block("rbf", "slots", 1.0, 0.4, relative=True),),
    "local": (
        Block("rbf", "slots", 0.7, 0.12, relative=True),
        Block("linear", "effects", 0.3),
    ),
}


def members(space: Space) -> tuple[Member, ...]:
    """The members on a space: its own preset, and kernels on its columns where it has their blocks.

    >>> space = Space(jnp.eye(2), {"slots": jnp.eye(2), "effects": jnp.eye(2)}, preset="table")
    >>> [(member.name, member.noise) for member in members(space)][:3]
    [('table', 0.02), ('table', 0.2), ('hamming', 0.02)]
    """
    by_name = {space.preset or "own": presets.blocks_of(space)}
    if {"slots", "effects"} <= set(space.features):
        columns = space.replace(preset="table")
        by_name |= {"table": presets.blocks_of(columns), **_ON_COLUMNS}
    return tuple(Member(name, b, noise) for name, b in by_name.items() for noise in _NOISES)


def mixture(kernel_members: tuple[Member, ...] | None = None, *, temper: Number = 1.0) -> Scorer:
    """The mixture as an incremental `Scorer`; a round costs a few times that of `gp`.

    Args:
      kernel_members: by default those of the space (`members`).
      temper: power of the evidence in the weights; 0 = all members count alike.
    """

    def members_of(space: Space) -> tuple[Member, ...]:
        return kernel_members or members(space)

    def init(space: Space, budget: int) -> State:
        several = members_of(space)
        begin = gp(several[0].blocks).init(space, budget)
        count = len(several)
        repeat = lambda array: jnp.broadcast_to(array, (count, *array.shape))  # noqa: E731
        variance = jnp.stack([kernel.diagonal for kernel in _kernels(space, several)])
        process = begin.replace(
            factor=repeat(begin.factor), cross=repeat(begin.cross), variance=variance
        )
        return State(
            process=process,
            inverse=repeat(begin.factor),
            amplitude=jnp.ones(count),
            weights=jnp.full(count, 1 / count),
            means=jnp.zeros((count, space.size)),
        )

    def update(key, state, space, queried, y, mask, indices):
        del key
        several = members_of(space)
        noise, all_kernels = _noise(several), _kernels(space, several)
        y = _centred(y, mask)
        new, width, trips = in_blocks(queried, mask, indices)

        def learn(block, carry):
            at, slots, usable = jax.lax.dynamic_slice_in_dim(new, block * width, width, axis=1)
            rows = jnp.stack([k.rows(jnp.maximum(at, 0)) for k in all_kernels])
            return _learn(*carry[:2], rows, noise, y, at, slots, usable.astype(bool))

        carry = state.process, state.inverse, state.means
        process, inverse, means = jax.lax.fori_loop(0, trips, learn, carry)
        n, rows = process.size, jnp.arange(len(process.slots))
        labels = jnp.where(rows < n, y[process.slots], 0.0)
        amplitude, evidence = jax.vmap(leave_one_out, in_axes=(0, None, None))(inverse, labels, n)
        weights = jax.nn.softmax(temper * evidence)
        state = State(process, inverse, amplitude, weights, means)
        return state, _mixed(weights, amplitude, means, process.variance)

    def select(state, space, score, prediction, seen, batch, count):
        """Picks one by one, as `gp` does; a pick shrinks the deviations of all members."""
        several = members_of(space)
        noise, all_kernels = _noise(several), _kernels(space, several)

        def predict(near, variance):
            return _mixed(state.weights, state.amplitude, state.means[:, near], variance)

        def posterior_row(near, columns, place, picked):
            rows = jnp.stack([k.rows(near[place][None], near)[0] for k in all_kernels])
            for explained in (columns, picked):
                rows -= jnp.einsum("mq,mqn->mn", explained[:, :, place], explained)
            return rows / jnp.sqrt(jnp.maximum(rows[:, place], 0.0) + noise)[:, None]

        return pick_jointly(
            state.process,
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
    real = jnp.arange(len(y)) < n
    alpha = jnp.where(real, (inverse @ y) @ inverse, 0.0)
    precision = jnp.where(real, jnp.sum(inverse**2, axis=0), 1.0)
    squares = alpha**2 / precision
    amplitude = (jnp.sum(squares) + 1.0) / (n + 1.0)
    density = jnp.log(precision) - jnp.log(amplitude) - squares / amplitude
    return amplitude, 0.5 * jnp.sum(jnp.where(real, density, 0.0))


def _learn(process, inverse, rows, noise, y, indices, slots, usable):
    """`gp.learn_block` of all members, their L^-1, and their means [M, N]."""

    def one(process, inverse, rows, noise):
        begin, width = process.size, len(indices)
        kernel = Kernel(process.variance, lambda *_: rows, lambda key: process.variance)
        process, mean = learn_block(kernel, process, y, indices, slots, usable, noise)
        new = jax.lax.dynamic_slice_in_dim(process.factor, begin, width)
        corner = jax.lax.dynamic_slice_in_dim(new, begin, width, axis=1)
        columns = jnp.arange(len(inverse))
        before = jnp.where(columns < begin, new, 0.0) @ inverse
        unit = (columns == begin + jnp.arange(width)[:, None]).astype(before.dtype)
        solved = jax.scipy.linalg.solve_triangular(corner, unit - before, lower=True)
        inverse = jax.lax.dynamic_update_slice(inverse, solved, (begin, 0))
        return process, inverse, mean

    out_axes = _AXES, 0, 0
    return jax.vmap(one, in_axes=(_AXES, 0, 0, 0), out_axes=out_axes)(process, inverse, rows, noise)


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


def _scaled(kernel: Kernel) -> Kernel:
    scale = 1 / jnp.mean(kernel.diagonal)
    return Kernel(
        scale * kernel.diagonal,
        lambda *indices: scale * kernel.rows(*indices),
        lambda key: jnp.sqrt(scale) * kernel.draw(key),
    )


def _centred(y: jax.Array, mask: jax.Array) -> jax.Array:
    mean = jnp.sum(jnp.where(mask, y, 0.0)) / jnp.maximum(jnp.sum(mask), 1)
    return jnp.where(mask, y - mean, 0.0)
