"""Comparison of predictors: means over runs, as rows, as a table and as a picture."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weaknas_jax.measures import stats
from weaknas_jax.measures.predictor_quality import Cell
from weaknas_jax.report import canvas
from weaknas_jax.storage import text as texts

TITLES = {"spearman": "Spearman's rho", "kendall": "Kendall's tau-b"}


class Row(NamedTuple):
    """One metric of one predictor at one n, over runs.

    Attributes:
      predictor, n, metric: predictor, number of labels, and name of the metric.
      mean, standard_error: over the runs in which the metric is defined; None = too few runs.
      runs: number of those runs.
      undefined: number of the other runs: a prediction was NaN, or all were equal.
    """

    predictor: str
    n: int
    metric: str
    mean: float | None
    standard_error: float | None
    runs: int
    undefined: int


def summarize(cells: Sequence[Cell]) -> list[Row]:
    """The rows of the table, in the order of the cells: one per predictor, n and metric."""
    values: dict[tuple[str, int, str], list[float]] = {}
    for cell in cells:
        for metric, value in cell.quality.metrics.items():
            values.setdefault((cell.predictor, cell.n, metric), []).append(value)
    return [_row(*key, np.array(numbers)) for key, numbers in values.items()]


def _row(predictor: str, n: int, metric: str, values: np.ndarray) -> Row:
    defined = values[np.isfinite(values)]
    mean, deviation = float(defined.mean()) if len(defined) else None, stats.spread(defined)
    error = None if deviation is None else deviation / math.sqrt(len(defined))
    return Row(predictor, n, metric, mean, error, len(defined), len(values) - len(defined))


def text(cells: Sequence[Cell]) -> str:
    """A Markdown table for each metric: predictors, best at the largest n first, against n."""
    rows = summarize(cells)
    runs = max(row.runs + row.undefined for row in rows)
    parts = [
        f"{TITLES.get(metric, metric)}, mean +- standard error\n\n{_table(group, runs)}"
        for metric, group in _by_metric(rows).items()
    ]
    parts.append("`*`: the highest mean of its column.")
    if any(row.undefined for row in rows):
        why = "a prediction was NaN, or all were equal"
        parts.append(
            f"Where fewer than {runs} runs count, the metric is undefined in the others: {why}."
        )
    nan: dict[tuple[str, int], list[str]] = {}
    for cell in cells:
        if cell.quality.nan:
            nan.setdefault(cell[:2], []).append(f"{cell.run} ({cell.quality.nan:,})")
    for (name, n), nan_runs in nan.items():
        parts.append(f"NaN from {name}, n = {n}, in run (how many): {', '.join(nan_runs)}.")
    return "\n\n".join(parts)


def _by_metric(rows: Sequence[Row]) -> dict[str, list[Row]]:
    names = dict.fromkeys(row.metric for row in rows)
    return {name: [row for row in rows if row.metric == name] for name in names}


def _table(rows: Sequence[Row], runs: int) -> str:
    sizes = sorted({row.n for row in rows})
    by_cell = {(row.predictor, row.n): row for row in rows}
    means = {n: [r.mean for r in rows if r.n == n and r.mean is not None] for n in sizes}

    def entry(name: str, n: int) -> str:
        row = by_cell.get((name, n))
        if row is None:
            return ""
        if row.mean is None:
            return f"undefined ({row.undefined} runs)"
        value = f"{row.mean:.3f}"
        value += "" if row.standard_error is None else f" +- {row.standard_error:.3f}"
        value += " *" if min(means[n]) < row.mean == max(means[n]) else "  "
        return value + f" ({row.runs} of {runs} runs)" * (row.runs < runs)

    def rank_key(name: str) -> list[float]:
        means_of_name = [
            by_cell[name, n].mean if (name, n) in by_cell else None for n in reversed(sizes)
        ]
        return [math.inf if mean is None else -mean for mean in means_of_name]

    names = sorted(dict.fromkeys(row.predictor for row in rows), key=rank_key)
    lines = [["predictor", *(f"n = {n}" for n in sizes)]]
    lines += [[name, *(entry(name, n) for n in sizes)] for name in names]
    return texts.markdown(lines).rstrip("\n")


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Plots a panel for each metric: mean and standard error against n, a line per predictor."""
    groups = _by_metric(rows)
    names = list(dict.fromkeys(row.predictor for row in rows))
    sizes = sorted({row.n for row in rows})
    figure = canvas.blank(3.4 * len(groups) + 1.4, 3.8)
    for axes, (metric, group) in zip(
        np.ravel(figure.subplots(1, len(groups))), groups.items(), strict=True
    ):
        for (index, name), marker in zip(enumerate(names), itertools.cycle("osD^v<>PX*")):
            selected = sorted(
                row for row in group if row.predictor == name and row.mean is not None
            )
            axes.errorbar(
                [row.n for row in selected],
                [row.mean for row in selected],
                [row.standard_error or 0.0 for row in selected],
                color=f"C{index}",
                ls="-" if index < 10 else "--",
                marker=marker,
                ms=4,
                lw=1.3,
                capsize=2,
                label=name,
            )
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(n) for n in sizes], fontsize="small")
        axes.minorticks_off()
        axes.set(xlabel="n, labels", title=TITLES.get(metric, metric))
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(title)
    figure.supylabel("mean and standard error", fontsize="medium")
    canvas.save(figure, path)
