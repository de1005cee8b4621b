"""Score against one cost: which architectures no other beats in both, and how many were found."""

from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.trace import Trace
from weaknas_jax.tables.table import Table


class Pareto(NamedTuple):
    """What runs found of the trade between a cost and the mean validation accuracy.

    Attributes:
      text: the cost, as it was written.
      cost: float64 [N]; NaN = unknown.
      score: float64 [N], mean validation label, in the table's unit.
      runs: int64 [N], how many runs evaluated it.
      found: int64 [k], the front of what any run evaluated, by rising cost.
      best: int64 [m], the front of the table.
      share: mean share of ``best`` that a run evaluated; None: the front is empty.
    """

    text: str
    cost: np.ndarray
    score: np.ndarray
    runs: np.ndarray
    found: np.ndarray
    best: np.ndarray
    share: float | None


def front(cost: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The points that no other beats: none costs as little and scores as much, or better in one.

    >>> front(np.array([3.0, 1.0, 2.0, 2.0]), np.array([9.0, 5.0, 7.0, 8.0]))
    array([1, 3, 0])

    Args:
      cost: [n], the less the better; NaN = unknown, such a point is never chosen.
      score: [n], the more the better; NaN likewise.

    Returns:
      int64 [k], their indices by rising cost; of points equal in both the first.
    """
    cost, score = np.asarray(cost, np.float64), np.asarray(score, np.float64)
    known = np.flatnonzero(~(np.isnan(cost) | np.isnan(score)))
    order = known[np.lexsort((known, -score[known], cost[known]))]
    before = np.maximum.accumulate(score[order])[:-1]
    better = np.ones(len(order), bool)
    better[1:] = score[order][1:] > before
    return order[better]


def measure(trace: Trace, table: Table, text: str, cost: np.ndarray) -> Pareto:
    """What the runs of a trace found.

    Args:
      trace: what the runs did; a query that failed is no evaluation.
      table: what they searched.
      text: the cost, as it was written.
      cost: float64 [N]; where it is not finite it is unknown.
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
    """As ``summary.json`` holds it.

    ``row`` is the number in the whole table, ``cost_unknown`` how many of its architectures have no
    cost that is a finite number, and so are in no front.
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
