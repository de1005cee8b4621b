"""The answer of each run: the best architecture by the labels that the search saw.

As for ``best_valid_test`` (`metrics.curves`), it is the query with the highest label, of equal ones
the first; after further trainings (`repeats`), their answer; by predicted mean (`posterior`), the
one with the highest. NumPy.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import metrics
from weaknas_jax.measures.posterior import Posterior
from weaknas_jax.measures.repeats import Repeats
from weaknas_jax.measures.summary import format_of
from weaknas_jax.spaces.own_form import own_form
from weaknas_jax.tables.table import Table

FORMAT = format_of("best")
_COST = re.compile(
    r"(?:^|[^a-z])(?:params?|parameters|[kmgt]?flops|[kmgt]?macs?|multiply[_ ]adds|latency|energy|"
    r"memory|time|seconds|hours|cost)(?:[^a-z]|$)",
    re.IGNORECASE,
)


class Answers(NamedTuple):
    """The answers of S runs.

    Attributes:
      run: int [S], run numbers.
      place: int64 [S], index into the table's arrays; -1 = no query of the run has a label.
      query: int64 [S], number of its query, 1 = the first; 0 = none.
      label: float64 [S], label that the query returned, in the table's unit; NaN = none.
    """

    run: np.ndarray
    place: np.ndarray
    query: np.ndarray
    label: np.ndarray


def of_runs(
    trace: Trace,
    table: Table,
    repeats: Repeats | None = None,
    posterior: Posterior | None = None,
) -> Answers:
    """The answer of each run.

    >>> runs = Trace(np.array([0]), np.array([[1, 0]]), np.array([[7.0, 9.0]]), *[None] * 6)
    >>> table = Table("s", "d", np.eye(2), valid=np.array([[9.0], [7.0]]))
    >>> of_runs(runs, table).place, of_runs(runs, table).query
    (array([0]), array([2]))

    Args:
      trace: trace of the runs.
      table: the table they searched.
      repeats: further trainings of the same runs (`repeats.ask_again`); None = none.
      posterior: answers of the same runs by predicted mean (`posterior.choose`); None = by label.
    """
    labels = metrics.resolved(trace.scores, table.percent)
    worth = np.where(np.isfinite(labels) & (trace.queried >= 0), table.worth(labels), -np.inf)
    for other in (repeats, posterior):
        if other is not None:
            worth = np.where(trace.queried == other.answer[:, None], worth, -np.inf)
    best = worth.argmax(axis=1)  # the first of equals
    rows = np.arange(len(best))
    exists = np.isfinite(worth[rows, best])
    return Answers(
        run=trace.run,
        place=np.where(exists, trace.queried[rows, best], -1).astype(np.int64),
        query=np.where(exists, best + 1, 0),
        label=np.where(exists, labels[rows, best], np.nan),
    )


def costs(table: Table) -> dict[str, np.ndarray]:
    """The columns of a table whose names are those of costs: parameters, FLOPs, latency, time ...

    >>> x = np.zeros(1)
    >>> list(costs(Table("s", "d", x, x, extra={"params": x, "row": x, "train_time_s": x})))
    ['params', 'train_time_s']
    """
    columns = {**table.extra, **table.columns}
    return {
        name: np.asarray(column)
        for name, column in columns.items()
        if _COST.search(name) and np.asarray(column).dtype.kind in "iuf"
    }


def summary(
    answers: Answers,
    table: Table,
    repeats: Repeats | None = None,
    more_costs: Mapping[str, np.ndarray] | None = None,
    posterior: Posterior | None = None,
) -> dict[str, Any]:
    """The field ``answers`` of ``summary.json``.

    ``runs`` has the answer of each run: the number of its row in the whole table, its name, its
    label in the search, what chose it (``by``), the table's means of valid and test, its known
    costs and, for a table with named columns, their values; all None if there is no answer.
    ``counts`` has each different answer once, with the number of its ``runs``, the most frequent
    first.

    Args:
      answers: answers of the runs.
      table: the table they searched.
      repeats: further trainings of the same runs, if any.
      more_costs: further costs, float64 [N] by name.
      posterior: answers by predicted mean, if they are.
    """
    valid = np.full(len(table), np.nan) if table.signal == "test" else table.valid_mean
    test = metrics.test_accuracy(table)
    all_costs = {**costs(table), **(more_costs or {})}

    def description(place: int) -> dict[str, Any]:
        if place < 0:
            return dict.fromkeys(("row", "name", "valid", "test")) | {"costs": {}}
        each = {name: _plain(column[place]) for name, column in all_costs.items()}
        fields = {
            "row": int(table.rows[place]),
            "name": None if table.names is None else str(table.names[place]),
            "valid": _plain(valid[place]),
            "test": _plain(test[place]),
            "costs": {name: value for name, value in each.items() if value is not None},
        }
        if table.columns:
            fields["columns"] = {k: _plain(column[place]) for k, column in table.columns.items()}
        return fields

    runs = []
    for i, place in enumerate(answers.place.tolist()):
        record = {"run": int(answers.run[i]), **description(place)}
        record |= {"query": int(answers.query[i]) or None, "label": _plain(answers.label[i])}
        record["by"] = None if place < 0 else "label" if repeats is None else "repeats"
        if posterior is not None:
            predicted = record["predicted"] = _plain(posterior.predicted[i])
            record["by"] = record["by"] if predicted is None else "posterior"
        if repeats is not None:
            record["repeats"] = {
                "mean": _plain(repeats.mean[i]),
                "standard_error": _plain(repeats.error[i]),
                "count": int(repeats.count[i]),
            }
        runs.append(record)
    counts = Counter(place for place in answers.place.tolist() if place >= 0)
    worth = np.nan_to_num(table.worth(table.valid_mean), nan=-np.inf)
    order = sorted(counts, key=lambda place: (-counts[place], -worth[place], place))
    return {
        "runs": runs,
        "counts": [{"runs": counts[place], **description(place)} for place in order],
        "without": int((answers.place < 0).sum()),
    }


def best(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """Content of ``best.json`` for a search with a single run; None = several runs, or no answer.

    ``architecture`` is in the space's own form (`own_form`), else the table's columns by name.

    Args:
      summary: summary of the search, from `text.summarize`.
    """
    runs = summary["answers"]["runs"]
    if len(runs) != 1 or runs[0]["row"] is None:
        return None
    (answer,) = runs
    form = own_form(summary["space"], answer["name"])
    source = {name: summary[name] for name in ("space", "dataset", "table_version")}
    rest = {name: value for name, value in answer.items() if name not in ("name", "columns")}
    return {
        "format": FORMAT,
        **source,
        "name": answer["name"],
        "architecture": answer.get("columns") if form is None else form,
        **rest,
        **{name: summary[name] for name in ("minimize", "percent")},
        "protocol": summary["protocol"]["name"],
    }


def _plain(value: Any) -> Any:
    """A value of an array for JSON; None for NaN and infinite numbers."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
