"""Several searches side by side: one row each, as text and Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from weaknas_jax.storage import text as texts

_COLUMNS = {
    "runs": "runs",
    "queries": "queries to optimum",
    "se": "+-",
    "median": "median",
    "censored": "censored",
    "test": "test",
    "test_std": "sd",
    "regret": "regret",
}


def row(name: Mapping[str, str], summary: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a search in a comparison.

    Args:
      name: the settings that differ, e.g. ``{"top": "10"}``.
      summary: its ``summary.json``.

    Returns:
      ``name`` and: runs, mean queries to the optimum (``lower_bound``: censored runs count as the
      budget), its standard error, interval, median (None: more than half are censored), censored,
      budget; the reported score in the table's unit, its deviation over runs, its regret (None =
      unknown), that unit, and whether the lowest or highest is best.
    """
    optimum, final = summary["queries_to_optimum"], summary["final"]
    reported = final["best_valid_mean"] if final["report"] == "best_valid" else final["test_mean"]
    return {
        **name,
        "runs": summary["num_runs"],
        "queries": optimum["mean"],
        "lower_bound": optimum["mean_is_lower_bound"],
        "se": optimum["standard_error"],
        "ci95_low": optimum["ci95"][0],
        "ci95_high": optimum["ci95"][1],
        "median": optimum["median"],
        "censored": optimum["censored"],
        "budget": optimum["budget"],
        "report": final["report"],
        "test": reported,
        "test_std": final["test_std"],
        "regret": final["regret"],
        "unit": "%" if summary["percent"] else "score",
        "best": "lowest" if summary["minimize"] else "highest",
    }


def difference(paired: Mapping[str, Any], digits: int = 1) -> str:
    """A result of `stats.paired_difference` as a table cell; n.s. = the interval contains 0.

    >>> difference({"mean": 2.0, "low": -0.5, "high": 4.0, "significant": False})
    '+2.0 [-0.5, +4.0] n.s.'
    """
    if paired["low"] is None:
        return ""
    mean, low, high = (f"{paired[k]:+.{digits}f}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]" + " n.s." * (not paired["significant"])


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; ``>=``: a lower bound, some runs are censored."""
    return texts.markdown(_cells(rows))


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as text in columns."""
    return texts.columns(_cells(rows))


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    names = list(rows[0])[: list(rows[0]).index("runs")]
    reports = {row["report"] for row in rows}
    head = [_COLUMNS.get(name, name) for name in (*names, *_COLUMNS)]
    if len(reports) == 1:
        head[head.index("test")] = reports.pop()
    return [head, *([_cell(row, name) for name in (*names, *_COLUMNS)] for row in rows)]


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row[name]
    if name == "queries":
        return ">= " * row["lower_bound"] + f"{value:.1f}"
    if name == "median" and value is None:
        return f"> {row['budget']}"
    if value is None:
        return "-"
    if name in ("se", "median"):
        return f"{value:.1f}"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3f}" if row["unit"] == "%" else f"{value:.6g}"
