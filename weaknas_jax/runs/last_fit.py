"""The last fit of a finished run: its predictor on all labels, and what it predicts of its queries.

It follows from the trace and the run's key alone, in a program for one run, so that a run has the
same fit alone, in any batch, and after it was resumed.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.trace import Trace
from weaknas_jax.core.types import Method
from weaknas_jax.runs import task
from weaknas_jax.runs.program import typed
from weaknas_jax.runs.replay import made


class LastFit(NamedTuple):
    """Predictions of the queries of S runs; NumPy, NaN = no query.

    Attributes:
      mean: float32 [S, Q], the predicted mean, larger is better, on the scale of the fit.
      score: float32 [S, Q], the same as a label, in the table's unit and direction: interpolated
        between the labels of the run, and never beyond them.
    """

    mean: np.ndarray
    score: np.ndarray


def fit(
    method: Method | Callable[..., Method],
    problem: task.Task,
    trace: Trace,
    *,
    seed: int = 0,
    point: Mapping[str, float] | None = None,
    chunk: int | None = None,
    by_rounds: bool = False,
) -> LastFit:
    """Fits the predictor of a search once more, on all labels of each run.

    It predicts what it did after the run's last round, but for rounding.

    >>> import weaknas_jax as wn
    >>> scores = np.arange(8.0)[:, None]
    >>> table = wn.Table("table", "toy", np.eye(8, dtype=np.float32), scores, test=scores)
    >>> method, problem = wn.methods.make("knn", init=2, budget=4), task.make(table, wn.HONEST)
    >>> runs, _ = wn.run_many(method, problem, seed=0, runs=range(3))
    >>> fit(method, problem, runs).mean.shape
    (3, 4)

    Args:
      method: that of the search: a `Method`, or a builder ``method(chunk=..., **point) -> Method``.
      problem: the task of the search.
      trace: of the search.
      seed: root of the random numbers.
      point: numeric settings of the builder.
      chunk: architectures scored at once, for the builder.
      by_rounds: whether to fit in every round again, for a predictor that goes on from the round
        before (``goes_on`` of its record); else in one fit.

    Raises:
      ValueError: the method has no predictor.
    """
    if isinstance(method, Method):
        method = method._replace(settings=())  # hashable: what a program is compiled for
    numbers, keys = typed(point or {}), run_keys(seed, trace.run)
    mean = np.full(trace.queried.shape, np.nan, np.float32)
    score = mean.copy()
    for i, (queried, scores) in enumerate(zip(trace.queried, trace.scores, strict=True)):
        scores = -scores if problem.minimize else scores
        tells = _tells(queried >= 0, trace.round, by_rounds)
        predicted = _fit(method, chunk, numbers, keys[i], problem.space, queried, scores, *tells)
        mean[i], score[i] = (np.where(queried >= 0, array, np.nan) for array in predicted)
    return LastFit(mean, -score if problem.minimize else score)


def _tells(
    asked: np.ndarray, rounds: np.ndarray, by_rounds: bool
) -> tuple[np.ndarray, np.ndarray, np.int32]:
    """``slots``, ``ends`` and ``count`` of `_fit`, whose shapes are the same for all runs."""
    made = int(rounds[asked].max(initial=-1)) + 1
    if not by_rounds:
        slots = np.where(asked, np.arange(len(asked)), -1)[None]
        return slots.astype(np.int32), np.array([made], np.int32), np.int32(1)
    sizes = np.bincount(rounds)
    slots = np.full((len(sizes), sizes.max()), -1, np.int32)
    for at in range(made):
        places = np.flatnonzero(asked & (rounds == at))
        slots[at, : len(places)] = places
    return slots, np.arange(1, len(sizes) + 1, dtype=np.int32), np.int32(made)


@with_conventions
@functools.partial(jax.jit, static_argnums=(0, 1))
def _fit(
    method: Any,
    chunk: int | None,
    point: Mapping,
    key: jax.Array,
    space: Any,
    queried: jax.Array,
    scores: jax.Array,
    slots: jax.Array,
    ends: jax.Array,
    count: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Predicted means and scores [Q] of a run.

    Args:
      queried, scores: its queries [Q].
      slots: int32 [R, B], places of the queries of each tell, -1 = none.
      ends: int32 [R], rounds that the run had asked for by then, which give the key of the fit.
      count: number of tells.
    """
    method = made(method, chunk, point)

    def tell(at: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        state, place = carry[0].replace(space=space), slots[at]
        indices = jnp.where(place >= 0, queried[place], -1)
        seen = jnp.where(place >= 0, indices, space.size)
        history = state.history
        history = history.replace(
            seen=history.seen.at[seen].set(True, mode="drop"),
            asked=history.asked + jnp.sum(place >= 0),
            round=ends[at],
        )
        labels = jnp.where(place >= 0, scores[place], jnp.nan)
        state, info = method.tell(state.replace(history=history), indices, labels)
        if info.prediction is None:
            raise ValueError("the method has no predictor to fit")
        return state.replace(space=None), info.prediction.mean

    start = method.init(key, space).replace(space=None), jnp.full(space.size, jnp.nan)
    state, mean = jax.lax.fori_loop(0, count, tell, start)
    places = jnp.maximum(queried, 0)
    return mean[places], method.expected_scores(state.replace(space=space), places)
