"""What a model of several members weighed in each round of a finished run, from its trace.

Beside the weights stands how well each label is predicted from the others (leave-one-out), by the
mixture, by each member, and by a constant model, which predicts the mean of the labels for all:

    score = mean over labels of log p(label | the other labels), in nats

The constant model is a member without a kernel: a normal distribution with the mean and variance of
the labels. A mixture whose score is not above that by two standard errors is called no better: it
predicts these labels no better than chance. The weights are those of all
labels, the scored one included, which is slightly in the mixture's favour.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.trace import Trace
from weaknas_jax.core.types import Method
from weaknas_jax.predictors.members import Members
from weaknas_jax.runs import task
from weaknas_jax.runs.replay import replay


class Weighing(NamedTuple):
    """Weights and scores after each round of a run, or their means over runs; NumPy.

    Attributes:
      names: of the M members.
      rounds: int [T], numbers of the rounds; 0 = the initial one.
      queries: int [T], queries made so far.
      runs: int [T], runs that reached the round.
      weights: float64 [T, M], sum to one.
      members: float64 [T, M], score of each member alone, nats per label.
      mixture: float64 [T], score of the mixture.
      constant: float64 [T], score of the constant model.
      error: float64 [T], standard error of ``mixture - constant`` over the labels; NaN for a single
        label. That of a mean is of runs as if independent.
    """

    names: tuple[str, ...]
    rounds: np.ndarray
    queries: np.ndarray
    runs: np.ndarray
    weights: np.ndarray
    members: np.ndarray
    mixture: np.ndarray
    constant: np.ndarray
    error: np.ndarray

    @property
    def better(self) -> np.ndarray:
        """bool [T]: whether the mixture is better than constant by two standard errors."""
        return self.mixture - self.constant > 2 * self.error  # not where either is NaN

    @property
    def no_better_from(self) -> int | None:
        """Place of the first round from which to the end the mixture was no better than constant.

        None = it was better in the last round.
        """
        rounds = np.flatnonzero(self.better)
        first = rounds[-1] + 1 if len(rounds) else 0
        return int(first) if first < len(self.rounds) else None


def weigh(
    members: Members,
    method: Method | Callable[..., Method],
    problem: task.Task,
    trace: Trace,
    run: int,
    **how: Any,
) -> Weighing:
    """The `Weighing` of a run, replayed.

    Args:
      members: of the record of the predictor, ``PREDICTORS[name].members``.
      method, problem, trace, run: as of `replay`.
      **how: seed, point, chunk and strict of `replay`.

    Raises:
      ReplayError: as of `replay`.
    """
    rounds = list(replay(method, problem, trace, run, also=_measure(members), **how))
    measured = [
        np.array(values, np.float64) for values in zip(*(each.also for each in rounds), strict=True)
    ]
    return Weighing(
        members.names(problem.space),
        np.array([each.number for each in rounds]),
        np.array([each.told for each in rounds]),
        np.ones(len(rounds), int),
        *measured,
    )


@functools.cache  # the same function again, for which a replay is compiled already
def _measure(members: Members) -> Callable[[Any], tuple[jax.Array, ...]]:
    def measure(state: Any) -> tuple[jax.Array, ...]:
        weights, labels, mask = state.scorer.weights, state.labels, state.history.mask
        n = jnp.sum(mask)  # 0 where all evaluations failed: the scores are NaN

        def over_labels(values: jax.Array) -> jax.Array:
            return jnp.sum(jnp.where(mask, values, 0.0), axis=-1) / n

        alone = members.left_out(state.scorer, labels, mask)
        mixed = jax.nn.logsumexp(jnp.log(weights)[:, None] + alone, axis=0)
        nothing = constant(labels, mask)
        scores = over_labels(alone), over_labels(mixed), over_labels(nothing)
        squares = over_labels((mixed - nothing - scores[1] + scores[2]) ** 2)
        error = jnp.where(n > 1, jnp.sqrt(squares / (n - 1)), jnp.nan)
        return weights, *scores, error

    return measure


def constant(y: jax.Array, mask: jax.Array) -> jax.Array:
    """Log density of each label by the constant model, float32 [Q], in nats.

    As in the members, one label of squared error one is added to the variance.

    >>> density = constant(jnp.array([1.0, -1.0, 7.0]), jnp.array([True, True, False]))
    >>> f"{density[0]:.4f}"
    '-1.4189'
    """
    n = jnp.maximum(jnp.sum(mask), 1)
    squares = (y - jnp.sum(jnp.where(mask, y, 0.0)) / n) ** 2
    variance = (jnp.sum(jnp.where(mask, squares, 0.0)) + 1.0) / (n + 1.0)
    return -0.5 * (jnp.log(2 * jnp.pi * variance) + squares / variance)


def mean(weighings: Sequence[Weighing]) -> Weighing:
    """The mean of single runs, in each round over those that reached it."""
    longest = max(weighings, key=lambda one: len(one.rounds))
    runs, squares = np.zeros(len(longest.rounds), int), np.zeros(len(longest.rounds))
    sums = {name: np.zeros_like(getattr(longest, name)) for name in _AVERAGED}
    for one in weighings:
        runs[: len(one.rounds)] += 1
        for name, total in sums.items():
            total[: len(one.rounds)] += getattr(one, name)
        squares[: len(one.rounds)] += one.error**2
    means = {name: (total.T / runs).T for name, total in sums.items()}
    return longest._replace(runs=runs, error=np.sqrt(squares) / runs, **means)


_AVERAGED = "weights", "members", "mixture", "constant"
