"""Which architecture each run found: the best by the labels that the search saw, by name.

The rule is that of ``best_valid_test`` (`metrics.curves`): the highest label among the queries that
succeeded, of equal ones the first; after further trainings (`repeats`) their answer. NumPy.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import metrics
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
      query: int64 [S], the query that asked for it, 1 = the first; 0 = none.
      label: float64 [S], what that query returned, in the table's unit; NaN = none.
    """

    run: np.ndarray
    place: np.ndarray
    query: np.ndarray
    label: np.ndarray


def of_runs(trace: Trace, table: Table, repeats: Repeats | None = None) -> Answers:
    """The answer of each run.

    >>> runs = Trace(np.array([0]), np.array([[1, 0]]), np.array([[7.0, 9.0]]), *[None] * 6)
    >>> table = Table("s", "d", np.eye(2), valid=np.array([[9.0], [7.0]]))
    >>> of_runs(runs, table).place, of_runs(runs, table).query
    (array([0]), array([2]))

    Args:
      trace: what the runs did.
      table: what they searched.
      repeats: of the same runs (`repeats.ask_again`); None = nothing was trained again.
    """
    labels = metrics.resolved(trace.scores, table.percent)
    worth = np.where(np.isfinite(labels) & (trace.queried >= 0), table.worth(labels), -np.inf)
    if repeats is not None:
        worth = np.where(trace.queried == repeats.answer[:, None], worth, -np.inf)
    at = worth.argmax(axis=1)  # the first of equals
    rows = np.arange(len(at))
    exists = np.isfinite(worth[rows, at])
    return Answers(
        run=trace.run,
        place=np.where(exists, trace.queried[rows, at], -1).astype(np.int64),
        query=np.where(exists, at + 1, 0),
        label=np.where(exists, labels[rows, at], np.nan),
    )


def costs(table: Table) -> dict[str, np.ndarray]:
    """The columns of a table that are costs by their names: parameters, FLOPs, latency, time ...

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
) -> dict[str, Any]:
    """As ``summary.json`` holds it.

    ``runs`` has the answer of each run: the number of its row in the whole table, its name, its
    label in the search, the table's means of valid and test, its known costs and, of a table of
    named columns, what it is; all None where there is no answer. ``counts`` has each different
    answer once, with the number of its ``runs``, the most frequent first.

    Args:
      answers: of the runs.
      table: what they searched.
      repeats: of the same runs, if anything was trained again.
      more_costs: float64 [N] by name, beside those of the table.
    """
    valid = np.full(len(table), np.nan) if table.signal == "test" else table.valid_mean
    test = metrics.test_accuracy(table)
    known = {**costs(table), **(more_costs or {})}

    def described(place: int) -> dict[str, Any]:
        if place < 0:
            return dict.fromkeys(("row", "name", "valid", "test")) | {"costs": {}}
        each = {name: _plain(column[place]) for name, column in known.items()}
        about = {
            "row": int(table.rows[place]),
            "name": None if table.names is None else str(table.names[place]),
            "valid": _plain(valid[place]),
            "test": _plain(test[place]),
            "costs": {name: value for name, value in each.items() if value is not None},
        }
        if table.columns:
            about["columns"] = {k: _plain(column[place]) for k, column in table.columns.items()}
        return about

    runs = []
    for i, place in enumerate(answers.place.tolist()):
        one = {"run": int(answers.run[i]), **described(place)}
        one |= {"query": int(answers.query[i]) or None, "label": _plain(answers.label[i])}
        if repeats is not None:
            one["repeats"] = {
                "mean": _plain(repeats.mean[i]),
                "standard_error": _plain(repeats.error[i]),
                "count": int(repeats.count[i]),
            }
        runs.append(one)
    times = Counter(place for place in answers.place.tolist() if place >= 0)
    worth = np.nan_to_num(table.worth(table.valid_mean), nan=-np.inf)
    order = sorted(times, key=lambda place: (-times[place], -worth[place], place))
    return {
        "runs": runs,
        "counts": [{"runs": times[place], **described(place)} for place in order],
        "without": int((answers.place < 0).sum()),
    }


def best(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """What ``best.json`` holds of a search of a single run; None = several runs, or no answer.

    ``architecture`` is in the space's own form (`own_form`), else the table's columns by name.

    Args:
      summary: of the search, as `text.summarize` makes it.
    """
    runs = summary["answers"]["runs"]
    if len(runs) != 1 or runs[0]["row"] is None:
        return None
    (answer,) = runs
    form = own_form(summary["space"], answer["name"])
    about = {name: summary[name] for name in ("space", "dataset", "table_version")}
    rest = {name: value for name, value in answer.items() if name not in ("name", "columns")}
    return {
        "format": FORMAT,
        **about,
        "name": answer["name"],
        "architecture": answer.get("columns") if form is None else form,
        **rest,
        **{name: summary[name] for name in ("minimize", "percent")},
        "protocol": summary["protocol"]["name"],
    }


def _plain(value: Any) -> Any:
    """A value of an array for JSON; None where it is no finite number, nor anything else."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
