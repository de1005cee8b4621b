"""From a trace and its table to numbers, by the protocol: NumPy on the host, nothing random."""

from typing import NamedTuple

import numpy as np

from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.tables.table import Table


class Curves(NamedTuple):
    """float64 [S, Q], in the table's unit, after each query; a run that ended keeps its last value.

    Attributes:
      oracle_test: best test label among all evaluated.
      best_valid: best score that the search saw.
      best_valid_test: test accuracy of the architecture with that score (the first in a tie).
      predicted_best_test: test accuracy of the predictor's best after the latest fit; NaN before
        the first.
    Test curves are NaN throughout where the table has no test accuracy.
    """

    oracle_test: np.ndarray
    best_valid: np.ndarray
    best_valid_test: np.ndarray
    predicted_best_test: np.ndarray


def test_accuracy(table: Table) -> np.ndarray:
    """Mean test accuracy float64 [N]; all NaN where the table has none."""
    return table.test_mean if table.test is not None else np.full(len(table), np.nan)


def tells(trace: Trace) -> np.ndarray:
    """Queries told by the end of each round of each run, int64 [S, T+1]."""
    asked = trace.queried >= 0
    rounds = np.arange(trace.predicted_top.shape[1])
    return (asked[:, None, :] & (trace.round <= rounds[:, None])).sum(axis=2)


def queries_to_target(trace: Trace, target: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Queries until a target architecture was met, float64 [S]; NaN = not met (censored).

    A query that failed meets nothing.

    Args:
      trace: what the runs did.
      target: bool [N], `targets.target_mask`.
      protocol: ``counting`` and ``predicted_top`` decide.
    """
    hit = target[np.maximum(trace.queried, 0)] & np.isfinite(trace.scores)
    position = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
    told = tells(trace)
    result = np.where(position >= 0, position + 1.0, np.nan)
    if protocol.counting == "round":
        at_end = np.take_along_axis(told, trace.round[position][:, None], axis=1)[:, 0]
        result = np.where(position >= 0, at_end, np.nan)
    if protocol.predicted_top == "free":
        seen = trace.predicted_top >= 0
        looked = target[np.maximum(trace.predicted_top, 0)] & seen
        first = np.take_along_axis(told, looked.argmax(axis=1)[:, None], axis=1)[:, 0]
        result = np.fmin(result, np.where(looked.any(axis=1), first, np.nan))
    return result


def milestones(table: Table, protocol: Protocol) -> dict[str, np.ndarray]:
    """What is nearly the optimum, by name: bool [N] each, of the labels that are the target.

    Within 0.1 % of the best (of their range, where they are not percent), and among the ten best;
    ties count.
    """
    accuracy = table.worth(table.test_mean if protocol.target == "test" else table.valid_mean)
    can_be_met = np.isfinite(accuracy) & np.isfinite(table.valid_mean)
    best, near = accuracy[can_be_met].max(), 0.1 + 1e-9
    if not table.percent:
        near = 1e-3 * (best - accuracy[can_be_met].min())
    accuracy = np.where(can_be_met, accuracy, -np.inf)
    tenth = np.sort(accuracy)[-min(10, len(accuracy))]
    return {
        "regret 0.1 %" + " of the range" * (not table.percent): accuracy >= best - near,
        "the top 10": (accuracy >= tenth) & can_be_met,
    }


def curves(trace: Trace, table: Table, protocol: Protocol) -> Curves:
    """Best-so-far curves. A free look at the predictor's best adds to ``oracle_test``."""
    test, runs = table.worth(test_accuracy(table)), len(trace.run)
    evaluated = np.isfinite(trace.scores)
    indices = np.maximum(trace.queried, 0)
    queried_test = np.where(evaluated, test[indices], np.nan)
    scores = table.worth(resolved(trace.scores, table.percent))

    predicted = np.full((runs, trace.queried.shape[1]), np.nan)
    free = np.full_like(predicted, np.nan)
    for run, ends in enumerate(tells(trace)):
        for end, top in zip(ends, trace.predicted_top[run], strict=True):
            if top >= 0:
                predicted[run, end - 1 :] = test[top]
                free[run, end - 1] = np.fmax(free[run, end - 1], test[top])
    if protocol.predicted_top == "free":
        queried_test = np.fmax(queried_test, free)

    best = np.fmax.accumulate(scores, axis=1)
    new = evaluated & (scores == best)
    new[:, 1:] &= ~(best[:, 1:] == best[:, :-1])  # the first in a tie stays
    holder = np.maximum.accumulate(np.where(new, np.arange(scores.shape[1]), -1), axis=1)
    holder_test = np.take_along_axis(test[indices], np.maximum(holder, 0), axis=1)
    found = Curves(
        oracle_test=np.fmax.accumulate(queried_test, axis=1),
        best_valid=best,
        best_valid_test=np.where(holder >= 0, holder_test, np.nan),
        predicted_best_test=predicted,
    )
    return Curves(*map(table.worth, found))


def resolved(scores: np.ndarray, percent: bool) -> np.ndarray:
    """Scores as float64, rounded to what float32 resolves, so that ties are ties.

    Of percent five places, else seven digits.
    """
    scores = np.asarray(scores, np.float64)
    if percent:
        return np.round(scores, 5)
    size = np.abs(np.where(np.isfinite(scores) & (scores != 0), scores, 1.0))
    unit = 10.0 ** (np.floor(np.log10(size)) - 6)
    return np.round(scores / unit) * unit


def rank_of(worth: np.ndarray, value: np.ndarray | float) -> np.ndarray:
    """Place of a value among those of the table, 1 = best: how many are higher, plus one."""
    ordered = np.sort(worth[np.isfinite(worth)])
    tolerance = 1e-11 * np.abs(ordered).max(initial=0.0)  # a mean of equals may fall below them
    return len(ordered) - np.searchsorted(ordered, np.add(value, tolerance), side="right") + 1.0
