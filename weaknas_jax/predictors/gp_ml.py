"""A Gaussian process whose kernel weights are fitted to the labels.

The weight of each block and the noise maximise the log marginal likelihood (Rasmussen & Williams,
2006, eq. 5.8) times a log-normal prior around the preset values, by a few steps of gradient descent
in each round from the result of the round before. Length scales stay. Then the process is fitted
anew to all labels, so that a round costs O(N n^2), where `gp` costs O(N n) for each new label.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number, Scorer, Space
from weaknas_jax.predictors import kernels, presets
from weaknas_jax.predictors.gp import State as Process
from weaknas_jax.predictors.gp import gp
from weaknas_jax.predictors.kernels import Block


class State(NamedTuple):
    """State between two rounds.

    Attributes:
      factors: float32 [blocks + 1], log factors of each weight, and of the noise.
      process: state of the Gaussian process with these factors.
    """

    factors: jax.Array
    process: Process


def gp_ml(
    blocks: tuple[Block, ...] | None = None,
    *,
    noise: Number = 0.2,
    spread: Number = 0.5,
    steps: int = 5,
) -> Scorer:
    """The Gaussian process with fitted kernel weights as a `Scorer`.

    Args:
      blocks: the initial kernel, by default that of the space (`presets.blocks_of`).
      noise: initial variance of a label's noise, where labels have variance one.
      spread: deviation of the prior of each log factor; 0 = they are not fitted.
      steps: of gradient descent (Adam, rate 0.1) in a round.
    """

    def blocks_of(space: Space) -> tuple[Block, ...]:
        return blocks or presets.blocks_of(space)

    def adapted(space: Space, factors: jax.Array) -> Scorer:
        pairs = zip(blocks_of(space), jnp.exp(factors[:-1]), strict=True)
        scaled = tuple(block._replace(weight=block.weight * factor) for block, factor in pairs)
        return gp(scaled, noise=noise * jnp.exp(factors[-1]))

    def init(space: Space, budget: int) -> State:
        factors = jnp.zeros(len(blocks_of(space)) + 1)
        return State(factors, adapted(space, factors).init(space, budget))

    def update(key, state, space, queried, y, mask, indices):
        del indices
        parts = jnp.stack([_covariance(space, block, queried) for block in blocks_of(space)])

        def loss(factors):
            fit = negative_log_likelihood(jnp.exp(factors), parts, noise, y, mask)
            return fit + 0.5 * jnp.sum(factors**2) / jnp.maximum(spread, 1e-3) ** 2

        adam = optax.adam(0.1)

        def step(_, carry):
            factors, memory = carry
            updates, memory = adam.update(jax.grad(loss)(factors), memory)
            return factors + updates, memory

        factors, _ = jax.lax.fori_loop(0, steps, step, (state.factors, adam.init(state.factors)))
        scorer = adapted(space, factors)
        evaluated = jnp.where(mask, queried, -1)
        arguments = space, queried, y, mask, evaluated
        process, prediction = scorer.update(key, scorer.init(space, len(queried)), *arguments)
        return State(factors, process), prediction

    def select(state, space, *arguments):
        return adapted(space, state.factors).select(state.process, space, *arguments)

    return Scorer(init, update, select)


def negative_log_likelihood(
    factors: jax.Array, parts: jax.Array, noise: Number, y: jax.Array, mask: jax.Array
) -> jax.Array:
    """``-log p(y)`` without its constant.

    Args:
      factors: [blocks + 1], of each part of the kernel and of the noise.
      parts: [blocks, Q, Q].
      noise: variance.
      y, mask: labels [Q], and which of them are real.
    """
    real = mask[:, None] & mask
    matrix = jnp.where(real, jnp.tensordot(factors[:-1], parts, 1), 0.0)
    matrix += jnp.diag(jnp.where(mask, noise * factors[-1], 1.0))
    factor = jnp.linalg.cholesky(matrix)
    whitened = jax.scipy.linalg.solve_triangular(factor, jnp.where(mask, y, 0.0), lower=True)
    return 0.5 * jnp.sum(whitened**2) + jnp.sum(jnp.log(jnp.diagonal(factor)))


def _covariance(space: Space, block: Block, queried: jax.Array) -> jax.Array:
    """k(x, x') of one block, [Q, Q]."""
    kernel, rows = kernels.on(space.features, (block,)), jnp.maximum(queried, 0)
    return kernel.rows(rows, rows)
