"""Pareto fronts of score against one cost, of the table and of what runs evaluated."""

from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.trace import Trace
from weaknas_jax.tables.table import Table


class Pareto(NamedTuple):
    """Trade-off between a cost and the mean validation accuracy, in the table and in runs.

    Attributes:
      text: the cost, as an expression.
      cost: float64 [N]; NaN = unknown.
      score: float64 [N], mean validation label, in the table's unit.
      runs: int64 [N], number of runs that evaluated each architecture.
      found: int64 [k], the front of the architectures that any run evaluated, by rising cost.
      best: int64 [m], the front of the table.
      share: mean share of ``best`` that a run evaluated; None = the front is empty.
    """

    text: str
    cost: np.ndarray
    score: np.ndarray
    runs: np.ndarray
    found: np.ndarray
    best: np.ndarray
    share: float | None


def front(cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The Pareto front: points that no other point dominates.

    >>> front(np.array([3.0, 1.0, 2.0, 2.0]), np.array([9.0, 5.0, 7.0, 8.0]))
    array([1, 3, 0])

    Args:
      cost: [n], lower is better; NaN = unknown, never on the front.
      score: [n], higher is better; NaN likewise.

    Returns:
      int64 [k], their indices by rising cost; of equal points the first.
    """
    cost, score = np.asarray(cost, np.float64), np.asarray(score, np.float64)
    rows = np.flatnonzero(~(np.isnan(cost) | np.isnan(score)))
    order = rows[np.lexsort((rows, -score[rows], cost[rows]))]
    before = np.maximum.accumulate(score[order])[:-1]
    better = np.ones(len(order), bool)
    better[1:] = score[order][1:] > before
    return order[better]


def measure(trace: Trace, table: Table, text: str, cost: np.ndarray) -> Pareto:
    """Pareto fronts of a table and of the runs of a trace.

    Args:
      trace: trace of the runs; failed queries do not count.
      table: the table they searched.
      text: the cost, as an expression.
      cost: float64 [N]; not finite = unknown.
    """
    cost, worth = np.where(np.isfinite(cost), cost, np.nan), table.worth(table.valid_mean)
    run, query = np.nonzero((trace.queried >= 0) & np.isfinite(trace.scores))
    evaluated = np.zeros((len(trace.run), len(table)), bool)
    evaluated[run, trace.queried[run, query]] = True
    best = front(cost, worth)
    return Pareto(
        text,
        cost,
        table.valid_mean,
        runs=evaluated.sum(axis=0),
        found=front(np.where(evaluated.any(axis=0), cost, np.nan), worth),
        best=best,
        share=float(evaluated[:, best].mean()) if len(best) else None,
    )


def summary(pareto: Pareto, table: Table) -> dict[str, Any]:
    """The field ``pareto`` of ``summary.json``.

    ``row`` is the number in the whole table, ``cost_unknown`` the number of architectures without
    a finite cost, which are on no front.
    """
    test = None if table.test is None else table.test_mean
    return {
        "cost": pareto.text,
        "cost_unknown": int(np.isnan(pareto.cost).sum()),
        "front": [
            {
                "row": int(table.rows[i]),
                "name": None if table.names is None else str(table.names[i]),
                "cost": float(pareto.cost[i]),
                "valid": float(pareto.score[i]),
                "test": float(test[i]) if test is not None and np.isfinite(test[i]) else None,
                "runs": int(pareto.runs[i]),
            }
            for i in pareto.found
        ],
        "table_front": len(pareto.best),
        "share_of_table_front": pareto.share,
    }
