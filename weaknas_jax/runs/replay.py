"""Replay of a finished run from its trace: the predictions of every round.

A trace holds queries and scores, and no predictions. The run's key gives the same random numbers
again, so that a predictor fitted on the same labels in the same rounds predicts the same.
"""

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from weaknas_jax.core import history as histories
from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.trace import Trace
from weaknas_jax.core.types import Method
from weaknas_jax.runs import dynamics, task
from weaknas_jax.runs.dynamics import Dynamics
from weaknas_jax.runs.program import typed

_ROUNDING = 1e-3
_TOLERANCE = {"kendall": 0.005, "kendall_top50": 0.02, "top50_probability": 0.05}
"""Differences that rounding explains: of a score, in deviations, and of measures."""


class ReplayError(ValueError):
    """A replay that differs from its trace; the message names the run and the round."""


class Round(NamedTuple):
    """Predictions after a round; NumPy.

    Attributes:
      number: of the round; 0 = the initial one.
      told: evaluated architectures, this round included.
      scores: float32 [N], the predicted mean.
      top: N of the next draw.
      dynamics: measured against the truth.
      also: what ``also`` of `replay` returned, its arrays as NumPy's.
    """

    number: int
    told: int
    scores: np.ndarray
    top: int
    dynamics: Dynamics
    also: Any = None


def replay(
    method: Method | Callable[..., Method],
    problem: task.Task,
    trace: Trace,
    run: int,
    *,
    seed: int = 0,
    point: Mapping[str, float] | None = None,
    chunk: int | None = None,
    strict: bool = True,
    also: Callable[[Any], Any] | None = None,
) -> Iterator[Round]:
    """Replays the rounds of run number ``run``, and compares each with the trace.

    Args:
      method: that of the search: a `Method`, or a builder ``method(chunk=..., **point) -> Method``.
      problem: the task of the search.
      trace: of the search.
      run: number of the run.
      seed: root of the random numbers.
      point: numeric settings of the builder.
      chunk: architectures scored at once, for the builder (``settings`` of ``config.json``).
      strict: whether a difference is an error, or else one warning for the run.
      also: ``also(state)``, more arrays of each round from the state of the method; traced, and
        compiled once for the same function.

    Raises:
      ReplayError: no such run, another method or table than that of the trace, or a round whose
        predicted best or measures differ by more than rounding.
    """
    place = _place(trace, run)
    if isinstance(method, Method):
        method = method._replace(settings=())  # hashable: what a program is compiled for
    numbers = typed(point or {})
    sizes = made(method, chunk, numbers).sizes
    rounds = np.repeat(np.arange(len(sizes)), sizes)
    if not np.array_equal(rounds, trace.round):
        raise ReplayError(
            f"run {run}: the method asks in rounds of {_short(sizes)}, the trace has "
            f"{_short(np.bincount(trace.round))}"
        )
    queried, scores = trace.queried[place], trace.scores[place]
    scores = -scores if problem.minimize else scores
    if queried.max() >= problem.space.size:
        raise ReplayError(
            f"run {run}: row {queried.max()} was queried, and the table has {problem.space.size:,}"
        )
    state = _begin(method, chunk, numbers, run_keys(seed, [run])[0], problem.space)
    told, equal = 0, True
    for number in range(len(sizes)):
        slots = np.flatnonzero((trace.round == number) & (queried >= 0))
        if not len(slots):  # the run had ended
            return
        padding = (0, max(sizes) - len(slots))
        indices = np.pad(queried[slots], padding, constant_values=-1)
        labels = np.pad(scores[slots], padding, constant_values=np.nan)
        told += len(slots)
        state, (mean, top, measured, more) = _tell(
            method, chunk, also, numbers, state, indices, labels, problem
        )
        measured = Dynamics(*(np.asarray(value)[()] for value in measured))
        more = jax.tree.map(np.asarray, more)
        now = Round(number, told, np.asarray(mean), int(top), measured, more)
        if equal and (difference := _difference(now, trace, place)):
            equal = False  # one warning for a run: later rounds differ as well
            message = (
                f"run {run}, round {number}: {difference}; this trace is of another table, seed, "
                "method or setting, or of another backend, version or plan, which round otherwise"
            )
            if strict:
                raise ReplayError(message)
            warnings.warn(message, stacklevel=2)
        yield now


def _difference(now: Round, trace: Trace, place: int) -> str | None:
    """Message on a difference from the trace beyond rounding; None = there is none."""
    stored, scores = int(trace.predicted_top[place, now.number]), now.scores
    best = int(now.dynamics.predicted_top)
    if stored < 0:
        return f"the predicted best is row {best}, and the trace has none"
    if stored >= len(scores) or scores[best] - scores[stored] > _ROUNDING * np.std(scores):
        return f"the predicted best is row {best}, and row {stored} in the trace"
    for name in ("kendall", "kendall_top50", "top50_probability"):
        there, here = getattr(trace, name)[place, now.number], getattr(now.dynamics, name)
        if abs(there - here) > _TOLERANCE[name]:  # not where either is NaN: not measured
            return f"{name} is {here:.4f}, and {there:.4f} in the trace"
    return None


def _place(trace: Trace, run: int) -> int:
    places = np.flatnonzero(trace.run == run)
    if not len(places):
        raise ReplayError(f"run {run}: the trace has the runs {_short(trace.run)}")
    return int(places[0])


def _short(numbers: Any) -> str:
    """The first few of some numbers."""
    few = ", ".join(map(str, numbers[:8]))
    return few + ", ..." * (len(numbers) > 8)


def made(method: Method | Callable[..., Method], chunk: int | None, point: Mapping) -> Method:
    """The method, or what its builder makes."""
    return method if isinstance(method, Method) else method(chunk=chunk, **point)


@with_conventions
@functools.partial(jax.jit, static_argnums=(0, 1))
def _begin(method: Any, chunk: int | None, point: Mapping, key: jax.Array, space: Any) -> Any:
    return made(method, chunk, point).init(key, space).replace(space=None)


@with_conventions
@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=4)
def _tell(
    method: Any,
    chunk: int | None,
    also: Callable[[Any], Any] | None,
    point: Mapping,
    bare: Any,
    indices: jax.Array,
    scores: jax.Array,
    problem: task.Task,
) -> tuple[Any, tuple[jax.Array, Any, Dynamics, Any]]:
    """A round as in `lanes`, with the queries of the trace."""
    method = made(method, chunk, point)
    history, indices = histories.ask(bare.history, indices, method.sizes)
    state, info = method.tell(bare.replace(space=problem.space, history=history), indices, scores)
    if info.prediction is None:
        raise ReplayError("the method has no predictor, and so no predictions to replay")
    mean = info.prediction.mean
    measured = dynamics.measure(mean, problem.truth, state.history.seen, info.top)
    more = None if also is None else also(state)
    return state.replace(space=None), (mean, info.top, measured, more)
