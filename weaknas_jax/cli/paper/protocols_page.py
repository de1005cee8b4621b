"""The tables and the picture of `weaknas paper protocols`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from weaknas_jax.cli.paper import switches
from weaknas_jax.cli.paper.switches import Row, Shift
from weaknas_jax.storage import files
from weaknas_jax.storage import text as tables

TITLES = {
    "report": "1. Reported accuracy",
    "predicted_top": "2. Evaluation of the predicted best",
    "normalize": "3. Mean and deviation that scale the labels",
    "counting": "4. When the optimum counts as found",
    "labels": "5. Label that a query returns",
    "target": "6. Target optimum",
    "version": "7. Edition of the table",
    "all": "All of the reference code's switches at once",
}


def markdown(rows: Sequence[Row], shifts: Sequence[Shift], footer: str) -> str:
    """A table for each switch, data sets side by side, and one of comparisons."""
    parts = [footer]
    for switch, title in TITLES.items():
        selected = [row for row in rows if row.switch == switch]
        for change, traces in dict.fromkeys((row.change, row.traces) for row in selected):
            parts.append(f"**{title}: {change.replace('->', 'to')}** ({_TRACES[traces]})")
            parts.append(
                _pivot([row for row in selected if (row.change, row.traces) == (change, traces)])
            )
    if shifts:
        parts += ["**Effect of a switch on a comparison** (same traces)", _shifts(shifts)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


_TRACES = {switches.SAME: "same traces, evaluated twice", switches.NEW: "new runs, same seeds"}
_NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}


def _pivot(rows: Sequence[Row]) -> str:
    places = list(dict.fromkeys(row.place for row in rows))
    cells = {(row.method, row.measure, row.place): _cell(row) for row in rows}
    methods = list(dict.fromkeys(row.method for row in rows))
    lines = sorted(
        {(row.method, row.measure) for row in rows},
        key=lambda line: (methods.index(line[0]), "accuracy" in line[1], len(line[1]), line[1]),
    )
    body = [[*line, *(cells.get((*line, place), "") for place in places)] for line in lines]
    runs = {row.place: row.runs for row in rows}
    head = ["method", "measure", *(f"{_NAMES.get(p, p)}, {runs[p]} runs" for p in places)]
    return tables.markdown([head, *body])


def _cell(row: Row) -> str:
    """``before -> after: difference (interval)``; the number of censored runs in brackets."""
    form = _form(row.measure)
    pair = ((row.before, row.censored_before), (row.after, row.censored_after))
    before, after = (f">= {v:{form}} [{c}]" if c else f"{v:{form}}" for v, c in pair)
    return f"{before} to {after}: {_difference(row.difference, row.low, row.high, form)}"


def _form(measure: str) -> str:
    return ".1f" if measure.startswith("queries") else ".3f"


def _difference(mean: float, low: float | None, high: float | None, form: str) -> str:
    if low is None or high is None:
        return f"{mean:+{form}}"
    if low == high == 0:
        return "0 in every run"
    interval = f"{mean:+{form}} ({low:+{form}} .. {high:+{form}})"
    return f"{interval} n.s." if low <= 0 <= high else f"**{interval}**"


def _shifts(shifts: Sequence[Shift]) -> str:
    head = ["", "difference of", "in", "switch", "honest", "switched", "shift"]
    body = []
    for shift in shifts:
        form, numbers = _form(shift.measure), shift[-9:]
        cells = [_difference(*numbers[i : i + 3], form=form) for i in (0, 3, 6)]
        place = _NAMES.get(shift.place, shift.place)
        body.append([place, shift.methods, shift.measure, shift.change.replace("->", "to"), *cells])
    return tables.markdown([head, *body])


def draw(rows: Sequence[Row], path: Path) -> Figure:
    """Plots each difference with its interval: queries left, final accuracy right.

    Returns the saved figure.
    """
    queries = [row for row in rows if row.measure.startswith("queries")]
    last = {(row.place, row.switch, row.change, row.method): row for row in rows
            if row.measure.startswith("accuracy")}  # fmt: skip
    tall = max(len(_lines(queries)), len(_lines(list(last.values()))))
    figure = Figure(figsize=(13, 1.6 + 0.33 * tall), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    methods = list(dict.fromkeys(row.method for row in rows))
    color = {method: f"C{number}" for number, method in enumerate(methods)}
    _forest(left, queries, color)
    _forest(right, list(last.values()), color)
    left.set_xscale("symlog", linthresh=10)
    left.set_xlabel("additional queries compared with honest (linear within 10)", fontsize=9)
    right.set_xlabel(
        "additional accuracy compared with honest, points, after the most queries", fontsize=9
    )
    dots = [Line2D([], [], color=c, marker="o", ms=4, label=m) for m, c in color.items()]
    dots.append(
        Line2D([], [], color="0.3", marker="o", ms=4, mfc="white", label="interval contains 0")
    )
    figure.legend(handles=dots, loc="outside upper center", ncols=4, fontsize=8)
    files.write_picture(path, figure, 120)
    return figure


def _lines(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    order, changes = list(TITLES), list(dict.fromkeys(row.change for row in rows))
    lines = dict.fromkeys((row.switch, row.change, row.place) for row in rows)
    return sorted(lines, key=lambda line: (order.index(line[0]), changes.index(line[1])))


def _forest(axes: Axes, rows: Sequence[Row], color: Mapping[str, str]) -> None:
    lines = _lines(rows)
    for position, line in enumerate(lines):
        selected = [row for row in rows if (row.switch, row.change, row.place) == line]
        for number, row in enumerate(selected):
            y = position + 0.16 * (number - (len(selected) - 1) / 2)
            low, high = (math.nan if end is None else end for end in (row.low, row.high))
            c = color[row.method]
            axes.plot([low, high], [y, y], color=c, lw=1.2)
            face = c if row.significant else "white"
            axes.plot(row.difference, y, "o", ms=4, color=c, mfc=face)
        if position and lines[position - 1][:2] != line[:2]:
            axes.axhline(position - 0.5, color="0.85", lw=0.8)
    axes.axvline(0, color="0.4", lw=0.8)
    names = [f"{s}: {c.replace('->', 'to')}, {_NAMES.get(p, p)}"
             for s, c, p in lines]  # fmt: skip
    axes.set_yticks(range(len(lines)), names, fontsize=7)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
