"""What a search among sub-networks leaves: ``summary.json``, ``results.csv``, ``best.json`` and
``loop.png``."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weaknas_jax.report import canvas
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.storage import files
from weaknas_jax.supernets.search import Evaluation, Result

NO_MEASUREMENT = "predicted by the accuracy predictor of Once-for-all, not measured"
FILES = ("results.csv", "best.json", "search.png", "summary.json")
_BEST = 10


def summarize(results: Sequence[Result], space: SubNetworks, **more: Any) -> dict[str, Any]:
    """Everything that ``summary.json`` holds; ``more`` is put beside it.

    Args:
      results: of the repeats of a search.
      space: what was searched.
    """
    everything = [
        _entry(e, space) | {"believed": _number(believed), "repeat": at}
        for at, result in enumerate(results)
        for e, believed in zip(result.evaluations, result.believed, strict=False)
    ]
    scored = [entry for entry in everything if entry["score"] is not None]
    unlike = {json.dumps(entry["arch"]): entry for entry in reversed(scored)}
    seconds = sum(e.seconds for result in results for e in result.evaluations)
    return {
        "complete": all(result.complete for result in results),
        "queries": len(everything),
        "failed": len(everything) - len(scored),
        "from_cache": sum(result.known for result in results),
        "device_hours": seconds / 3600,
        "best": sorted(unlike.values(), key=lambda entry: -entry["score"])[:_BEST],
        "promised": [_promised(result, space) for result in results],
        "curves": [[_number(v) for v in result.curve()] for result in results],
        **more,
    }


def _entry(e: Evaluation, space: SubNetworks) -> dict[str, Any]:
    found = {name: value for name, value in e.found.items() if name != "score"}
    return {
        "score": _number(e.score),
        **found,
        **_costs(e.arch, space),
        "expected": None if e.expected is None else _number(e.expected),
        "seconds": e.seconds,
        "error": e.error,
        "arch": json.loads(archs.to_json(e.arch)),
    }


def _costs(arch: Arch, space: SubNetworks) -> dict[str, Any]:
    return {
        "multiply_adds": int(cost.multiply_adds(space.config, arch, space.image_size)),
        "parameters": int(cost.parameters(space.config, arch)),
    }


def _promised(result: Result, space: SubNetworks) -> dict[str, Any] | None:
    if result.promised is None:
        return None
    arch, expected = result.promised
    return {
        "believed": _number(expected),
        "arch": json.loads(archs.to_json(arch)),
        **_costs(arch, space),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def save(
    folder: Path, results: Sequence[Result], space: SubNetworks, summary: dict[str, Any]
) -> list[str]:
    """Writes the files, ``summary.json`` last; returns their paths."""
    files.write_text(folder / "results.csv", _table(results, space))
    if summary["best"]:
        files.write_text(folder / "best.json", json.dumps(summary["best"][0]["arch"]) + "\n")
    _draw(folder / "search.png", results, space, summary)
    files.write_text(folder / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    return [str(folder / name) for name in FILES if (folder / name).exists()]


def _table(results: Sequence[Result], space: SubNetworks) -> str:
    rows = [
        {"repeat": at, "query": query + 1} | _entry(e, space)
        for at, result in enumerate(results)
        for query, e in enumerate(result.evaluations)
    ]
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    sheet = csv.DictWriter(text, names, lineterminator="\n")
    sheet.writeheader()
    sheet.writerows(row | {"arch": json.dumps(row["arch"])} for row in rows)
    return text.getvalue()


def text(summary: dict[str, Any], paths: Sequence[str]) -> str:
    """The summary as it is printed."""
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
    curves = _padded(summary["curves"])
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


def _padded(curves: Sequence[Sequence[float | None]]) -> np.ndarray:
    """Float64 [repeats, queries] of the shortest."""
    least = min(map(len, curves))
    return np.array([curve[:least] for curve in curves], np.float64).reshape(len(curves), least)


def _draw(
    path: Path, results: Sequence[Result], space: SubNetworks, summary: dict[str, Any]
) -> None:
    figure = canvas.blank(10, 4.2)
    left, right = figure.subplots(1, 2)
    done = [(e, q) for result in results for q, e in enumerate(result.evaluations)]
    points = [(_costs(e.arch, space)["multiply_adds"] / 1e6, e.score, q + 1) for e, q in done]
    if points:
        millions, scores, queries = np.array(points, np.float64).T
        found = left.scatter(millions, scores, c=queries, s=8, cmap="viridis")
        figure.colorbar(found, ax=left, label="query")
    for entry in summary["best"][:1]:
        at = entry["multiply_adds"] / 1e6, entry["score"]
        left.plot(*at, "*", color="C3", markersize=12, label="best")
    ylabel = "top-1 (%)"
    if summary.get("evaluator") == "oracle":
        ylabel += ", predicted, not measured"
    left.set(xlabel=f"million multiply-adds at {space.image_size} pixels", ylabel=ylabel)
    for curve in summary["curves"]:
        right.plot(np.arange(1, len(curve) + 1), np.array(curve, np.float64), "C0", alpha=0.35)
    right.set(xlabel="queries", ylabel=f"best so far: {ylabel}")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    canvas.legends(left)
    canvas.save(figure, path)
