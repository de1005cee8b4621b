"""Metrics of a trace on its table, by the protocol: deterministic, NumPy on the host."""

from typing import NamedTuple

import numpy as np

from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.tables.table import Table


class Curves(NamedTuple):
    """Best-so-far curves, float64 [S, Q], in the table's unit; ended runs keep their last value.

    Attributes:
      oracle_test: best test label among the evaluated.
      best_valid: best score that the search saw.
      best_valid_test: test accuracy of the architecture with that score (the first in a tie).
      predicted_best_test: test accuracy of the predicted best after the latest fit; NaN before
        the first.
    Test curves are all NaN if the table has no test accuracy.
    """

    oracle_test: np.ndarray
    best_valid: np.ndarray
    best_valid_test: np.ndarray
    predicted_best_test: np.ndarray


def test_accuracy(table: Table) -> np.ndarray:
    """Mean test accuracy float64 [N]; all NaN if the table has none."""
    return table.test_mean if table.test is not None else np.full(len(table), np.nan)


def tells(trace: Trace) -> np.ndarray:
    """Number of queries at the end of each round of each run, int64 [S, T+1]."""
    asked = trace.queried >= 0
    rounds = np.arange(trace.predicted_top.shape[1])
    return (asked[:, None, :] & (trace.round <= rounds[:, None])).sum(axis=2)


def queries_to_target(trace: Trace, target: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Queries until a target architecture was met, float64 [S]; NaN = not met (censored).

    A failed query meets no target.

    Args:
      trace: trace of the runs.
      target: bool [N], `targets.target_mask`.
      protocol: its ``counting`` and ``predicted_top`` are used.
    """
    hit = target[np.maximum(trace.queried, 0)] & np.isfinite(trace.scores)
    position = np.where(hit.any(axis=1), hit.argmax(axis=1), -1)
    num_queries = tells(trace)
    result = np.where(position >= 0, position + 1.0, np.nan)
    if protocol.counting == "round":
        at_end = np.take_along_axis(num_queries, trace.round[position][:, None], axis=1)[:, 0]
        result = np.where(position >= 0, at_end, np.nan)
    if protocol.predicted_top == "free":
        has_prediction = trace.predicted_top >= 0
        predicted_hit = target[np.maximum(trace.predicted_top, 0)] & has_prediction
        first = np.take_along_axis(num_queries, predicted_hit.argmax(axis=1)[:, None], axis=1)[:, 0]
        result = np.fmin(result, np.where(predicted_hit.any(axis=1), first, np.nan))
    return result


def milestones(table: Table, protocol: Protocol) -> dict[str, np.ndarray]:
    """Near-optimal architectures by name, bool [N] each, by the target labels of the protocol.

    Those within 0.1 % of the best (of the range, for labels not in percent), and the ten best;
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
    """Best-so-far curves; ``predicted_top=free`` adds the predicted best to ``oracle_test``."""
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
    result = Curves(
        oracle_test=np.fmax.accumulate(queried_test, axis=1),
        best_valid=best,
        best_valid_test=np.where(holder >= 0, holder_test, np.nan),
        predicted_best_test=predicted,
    )
    return Curves(*map(table.worth, result))


def resolved(scores: np.ndarray, percent: bool) -> np.ndarray:
    """Scores as float64, rounded to the precision of float32, so that equal labels stay equal.

    Percent to five decimal places, other scores to seven digits.

    >>> resolved(np.array([93.123456789]), percent=True)
    array([93.12346])

    """
    scores = np.asarray(scores, np.float64)
    if percent:
        return np.round(scores, 5)
    size = np.abs(np.where(np.isfinite(scores) & (scores != 0), scores, 1.0))
    unit = 10.0 ** (np.floor(np.log10(size)) - 6)
    return np.round(scores / unit) * unit


def rank_of(worth: np.ndarray, value: np.ndarray | float) -> np.ndarray:
    """Rank of a value in the table, 1 = best: the number of higher values plus one."""
    ordered = np.sort(worth[np.isfinite(worth)])
    tolerance = 1e-11 * np.abs(ordered).max(
        initial=0.0
    )  # the mean of equal values may be rounded below them
    return len(ordered) - np.searchsorted(ordered, np.add(value, tolerance), side="right") + 1.0
