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
) -> LastFit:
    """Fits the predictor of a search once more, on all labels of each run.

    A predictor that is fitted anew in each round predicts what it did after the run's last round;
    one that is trained on from round to round (``warm_ensemble``) begins anew.

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

    Raises:
      ValueError: the method has no predictor.
    """
    if isinstance(method, Method):
        method = method._replace(settings=())  # hashable: what a program is compiled for
    numbers, keys = typed(point or {}), run_keys(seed, trace.run)
    mean = np.full(trace.queried.shape, np.nan, np.float32)
    score = mean.copy()
    for i, (queried, scores) in enumerate(zip(trace.queried, trace.scores, strict=True)):
        asked = queried >= 0
        rounds = np.int32(trace.round[asked].max(initial=-1) + 1)
        scores = -scores if problem.minimize else scores
        arrays = keys[i], problem.space, queried, scores, rounds
        predicted = _fit(method, chunk, numbers, *arrays)
        mean[i], score[i] = (np.where(asked, array, np.nan) for array in predicted)
    return LastFit(mean, -score if problem.minimize else score)


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
    rounds: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Predicted means and scores [Q] of a run, told all its labels as those of its last round."""
    method = made(method, chunk, point)
    state = method.init(key, space)
    slots = jnp.where(queried >= 0, queried, space.size)
    history = state.history.replace(
        seen=state.history.seen.at[slots].set(True, mode="drop"),
        asked=jnp.sum(queried >= 0),
        round=rounds,
    )
    state, info = method.tell(state.replace(history=history), queried, scores)
    if info.prediction is None:
        raise ValueError("the method has no predictor to fit")
    mean = info.prediction.mean[jnp.maximum(queried, 0)]
    return mean, method.expected_scores(state, queried)
