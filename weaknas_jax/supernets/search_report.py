"""Results of a search of sub-networks: ``summary.json``, ``results.csv``, ``best.json`` and
``search.png``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from weaknas_jax.jobs import Evaluation
from weaknas_jax.jobs.report import write
from weaknas_jax.measures import summary as summaries
from weaknas_jax.report import canvas
from weaknas_jax.storage.text import to_csv
from weaknas_jax.supernets.networks import Networks
from weaknas_jax.supernets.search import Result

NO_MEASUREMENT = "predicted by the accuracy predictor of Once-for-all, not measured"
FILES = ("results.csv", "best.json", "search.png", "summary.json")
_BEST = 10


class Findings(NamedTuple):
    """Data of the report, from `gather`.

    Attributes:
      results: results of the repeats of a search.
      space: the space.
      rows: a row of named values for each query; repeat after repeat, in order.
    """

    results: Sequence[Result]
    space: Networks
    rows: list[dict[str, Any]]


def gather(results: Sequence[Result], space: Networks) -> Findings:
    """Collects the repeats of a search, with multiply-adds and parameters of the evaluated."""
    evaluations = [e for result in results for e in result.evaluations]
    sizes = space.sizes([e.arch for e in evaluations])
    expected = [value for result in results for value in result.expected]
    indices = [(at, q) for at, result in enumerate(results) for q in range(len(result.evaluations))]
    rows = [
        {"repeat": place[0], "query": place[1] + 1}
        | _row(e, {name: int(column[i]) for name, column in sizes.items()}, expected[i], space)
        for i, (place, e) in enumerate(zip(indices, evaluations, strict=True))
    ]
    return Findings(results, space, rows)


def _row(e: Evaluation, sizes: dict[str, int], expected: float, space: Networks) -> dict[str, Any]:
    return {
        "score": e.score,
        **e.info,
        **sizes,
        "expected": _number(expected),
        "seconds": e.seconds,
        "error": e.error,
        "arch": space.as_json(e.arch),
    }


def summarize(findings: Findings, **more: Any) -> dict[str, Any]:
    """Content of ``summary.json``, with the fields ``more``."""
    results, space, rows = findings
    at_end = [_number(value) for result in results for value in result.expected_at_end]
    scored = [
        {name: value for name, value in row.items() if name != "query"} | {"expected_at_end": value}
        for row, value in zip(rows, at_end, strict=True)
        if row["score"] is not None
    ]
    distinct = {json.dumps(entry["arch"]): entry for entry in reversed(scored)}
    return {
        "complete": all(result.complete for result in results),
        "queries": len(rows),
        "failed": len(rows) - len(scored),
        "from_cache": sum(result.reused for result in results),
        "device_hours": sum(row["seconds"] for row in rows) / 3600,
        "best": sorted(distinct.values(), key=lambda entry: -entry["score"])[:_BEST],
        "promised": [_promised(result, space) for result in results],
        "curves": [[_number(v) for v in result.curve()] for result in results],
        **more,
    }


def _promised(result: Result, space: Networks) -> dict[str, Any] | None:
    if result.promised is None:
        return None
    network, expected = result.promised
    sizes = {name: int(column[0]) for name, column in space.sizes([network]).items()}
    return {"expected_at_end": _number(expected), "arch": space.as_json(network), **sizes}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def save(folder: Path, findings: Findings, summary: dict[str, Any]) -> list[str]:
    """Writes the files; returns their paths."""
    rows = [row | {"arch": json.dumps(row["arch"])} for row in findings.rows]
    contents = {
        "results.csv": to_csv(rows),
        "best.json": json.dumps(summary["best"][0]["arch"]) + "\n" if summary["best"] else None,
        "search.png": lambda path: draw(path, findings, summary),
        "summary.json": lambda path: summaries.write(path, "subnetworks", summary),
    }
    return write(folder, contents)


def text(summary: dict[str, Any], paths: Sequence[str]) -> str:
    """The summary as printed text."""
    lines = ["  top-1   top-5  expected  million multiply-adds  parameters"]
    for entry in summary["best"][:5]:
        top5, expected = (
            f"{entry[name]:.2f}" if isinstance(entry.get(name), int | float) else "-"
            for name in ("top5", "expected")
        )
        millions = f"{entry['multiply_adds'] / 1e6:.1f}"
        lines.append(
            f"{entry['score']:7.2f} {top5:>7} {expected:>9} {millions:>22} "
            f"{entry['parameters']:>11,}"
        )
    curves = _of_equal_length(summary["curves"])
    at = [q for q in (10, 20, 50, 60, 100, 200, 500, 1000) if q < curves.shape[1]]
    if len(curves) > 1:
        for queries in (*at, curves.shape[1]):
            best = curves[:, queries - 1]
            lines.append(
                f"after {queries:>4} queries: {best.mean():.3f} +- {best.std(ddof=1):.3f} "
                f"(least {best.min():.3f}), {len(best)} searches"
            )
    lines.append(
        f"{summary['queries']} queries, {summary['failed']} failed, {summary['from_cache']} known "
        f"before; {summary['device_hours']:.3g} device hours"
    )
    if summary.get("evaluator") == "oracle":
        lines.append(NO_MEASUREMENT)
    return "\n".join([*lines, *(f"  {path}" for path in paths)])


def _of_equal_length(curves: Sequence[Sequence[float | None]]) -> np.ndarray:
    """Curves cut to the shortest, float64 [repeats, queries]."""
    least = min(map(len, curves))
    return np.array([curve[:least] for curve in curves], np.float64).reshape(len(curves), least)


def draw(path: Path, findings: Findings, summary: dict[str, Any]) -> Figure:
    """Plots score against multiply-adds, and the best so far against queries."""
    figure = canvas.blank(10, 4.2)
    left, right = figure.subplots(1, 2)
    names = "multiply_adds", "score", "query"
    points = [[row[name] for name in names] for row in findings.rows]
    if points:
        multiply_adds, scores, queries = np.array(points, np.float64).T
        dots = left.scatter(multiply_adds / 1e6, scores, c=queries, s=8, cmap="viridis")
        figure.colorbar(dots, ax=left, label="query")
    for entry in summary["best"][:1]:
        at = entry["multiply_adds"] / 1e6, entry["score"]
        left.plot(*at, "*", color="C3", markersize=12, label="best")
    ylabel = "top-1 (%)"
    if summary.get("evaluator") == "oracle":
        ylabel += ", predicted, not measured"
    left.set(xlabel=f"million multiply-adds at {findings.space.image_size} pixels", ylabel=ylabel)
    for curve in summary["curves"]:
        right.plot(np.arange(1, len(curve) + 1), np.array(curve, np.float64), "C0", alpha=0.35)
    right.set(xlabel="queries", ylabel=f"best so far: {ylabel}")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    canvas.legends(left)
    return canvas.save(figure, path)
