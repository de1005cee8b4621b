"""Pictures of one or several experiments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from weaknas_jax import files, report, stats
from weaknas_jax.pareto import Pareto


class Result(NamedTuple):
    """What a curve is drawn from: a name for the legend and a ``summary.json``."""

    name: str
    summary: dict


def draw(results: Sequence[Result], path: str | Path, overwrite: bool = False) -> None:
    """Accuracy against queries with its spread, and the distribution of queries to the optimum.

    Args:
      results: drawn over one another, in this order; a row of two panels for each data set.
      path: file to write; its ending chooses the format.
      overwrite: replace also a file that is no picture of ours.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(title(result.summary), []).append(result)
    figure = blank(10, 4.2 * len(groups))
    panels = figure.subplots(len(groups), 2, squeeze=False)
    for (left, right), (name, group) in zip(panels, groups.items(), strict=True):
        ranges = np.array([_accuracy(left, result, f"C{i}") for i, result in enumerate(group)])
        for i, result in enumerate(group):
            _optimum(right, result, f"C{i}")
        if np.isfinite(ranges).any(axis=0).all():
            (low, bottom), (high, top) = np.nanmin(ranges, axis=0), np.nanmax(ranges, axis=0)
            if group[0].summary.get("minimize"):
                left.set_ylim(bottom - 0.05 * (high - bottom) if high > bottom else None, high)
            else:
                left.set_ylim(low, top + 0.05 * (top - low) if top > low else None)
        ylabel = f"{report.axis(group[0].summary)}, mean and deviation over runs"
        left.set(xlabel="queries", ylabel=ylabel, title=name)
        right.set(xlabel="queries", ylabel="share of runs that met the optimum", ylim=(0, 1.02))
        for axes, place in ((left, "lower right"), (right, "upper left")):
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small", loc=place)
    save(figure, path, overwrite)


def draw_beside(
    results: Sequence[Result],
    printed: Sequence[tuple[int, float, str]],
    heading: str,
    path: str | Path,
) -> None:
    """Reported accuracy against queries, and points from elsewhere: (queries, percent, name)."""
    figure = blank(7, 4.6)
    axes = figure.subplots()
    ranges = np.array([_accuracy(axes, result, f"C{i}") for i, result in enumerate(results)])
    last = max((queries for queries, _, _ in printed), default=0)
    for queries, accuracy in dict.fromkeys(point[:2] for point in printed):
        names = ", ".join(name for *point, name in printed if point == [queries, accuracy])
        axes.plot(queries, accuracy, "kx", ms=5)
        side, offset = ("right", -4) if queries == last else ("left", 3)
        style = {"textcoords": "offset points", "fontsize": 6, "ha": side}
        axes.annotate(names, (queries, accuracy), (offset, 3), **style)
    points = [accuracy for _, accuracy, _ in printed]
    low, high = min([ranges[:, 0].min(), *points]), max([ranges[:, 1].max(), *points])
    axes.set_ylim(low - 0.02 * (high - low), high + 0.05 * (high - low))
    axes.set(xlabel="queries; x: printed in the paper", ylabel="test accuracy (%)", title=heading)
    axes.set_xscale("log")
    axes.set_xlim(left=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left")
    save(figure, path)


def draw_optimum(
    datasets: Mapping[str, Mapping[str, tuple[dict, float | None]]], path: str | Path
) -> None:
    """Queries to the optimum of several methods with their standard errors, a panel a data set.

    Args:
      datasets: by data set and method a ``summary.json`` and what is printed elsewhere, if it is.
      path: file to write; its ending chooses the format.
    """
    methods = list(next(iter(datasets.values())))
    figure = blank(4 + 2.6 * len(datasets), 1.1 + 0.32 * len(methods))
    panels = figure.subplots(1, len(datasets), squeeze=False, sharex=True, sharey=True)[0]
    places = -np.arange(len(methods))
    for axes, (dataset, found) in zip(panels, datasets.items(), strict=True):
        of = [summary["queries_to_optimum"] for summary, _ in found.values()]
        mean = np.array([o["mean"] for o in of])
        error = np.array([o["standard_error"] or 0.0 for o in of])
        axes.errorbar(mean, places, xerr=error, fmt="o", ms=4, color="C0", capsize=2, label="ours")
        bounds = np.array([o["mean_is_lower_bound"] for o in of])
        if bounds.any():
            style = {"marker": ">", "s": 40, "color": "C0", "label": "lower bound"}
            axes.scatter(mean[bounds], places[bounds], **style)
        printed = [np.nan if p is None else p for _, p in found.values()]
        axes.plot(printed, places, "kx", ms=5, label="printed in the paper")
        axes.set(xscale="log", title=dataset, xlabel="queries to the optimum")
        axes.grid(alpha=0.3)
    panels[0].set_yticks(places, methods)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, fontsize="small", loc="outside lower center", ncols=3)
    save(figure, path)


def draw_pareto(pareto: Pareto, name: str, path: str | Path, unit: str = "accuracy (%)") -> None:
    """Validation labels against cost: all that was evaluated, its front, the table's own front.

    Args:
      pareto: what was found.
      name: the title.
      path: file to write; its ending chooses the format.
      unit: of the labels, as `report.axis` says it.
    """
    figure = blank(6, 4.2)
    axes = figure.subplots()
    seen = np.flatnonzero(pareto.runs)
    share = "" if pareto.share is None else f", {100 * pareto.share:.0f} % of it met by a run"
    axes.scatter(
        pareto.cost[seen], pareto.score[seen], s=6, c="C0", alpha=0.3, lw=0, label="evaluated"
    )
    for front, label, style in (
        (pareto.best, f"front of the table{share}", {"color": "0.4", "ls": ":", "marker": "s"}),
        (pareto.found, "front of the evaluated", {"color": "C0", "marker": "o"}),
    ):
        x, y = pareto.cost[front], pareto.score[front]
        axes.step(x, y, where="post", ms=3, lw=1, label=label, **style)
    if len(pareto.found):  # from the cheap end of the best there is; what is far below says little
        ends = pareto.score[[pareto.best[-1], pareto.best[0], pareto.found[-1]]]
        low, top = ends.min(), ends.max()
        margin = 0.05 * (top - low) or 1.0
        axes.set_ylim(low - margin, top + margin)
    literal = pareto.text.replace("$", r"\$")  # no formula
    axes.set(xlabel=literal, ylabel=f"mean validation {unit}", title=name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="lower right")
    save(figure, path)


def title(summary: dict) -> str:
    """Space and data set of a ``summary.json``."""
    return f"{summary['space']} / {summary['dataset']}"


def blank(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path, overwrite: bool = False) -> None:
    files.write_picture(path, figure, overwrite=overwrite)


def _accuracy(axes: Axes, result: Result, color: str) -> tuple[float, float]:
    """Draws the reported curve (best valid, where there is no test).

    Returns:
      The range worth showing: from the mean after a twentieth of the queries to the best.
    """
    final, curves = result.summary["final"], result.summary["curve"]
    name = "best_valid" if final["test_mean"] is None else final["report"]
    best, lowest = np.nan, result.summary.get("minimize", False)
    if final["test_mean"] is not None:
        best = final["test_mean"] + (-final["regret"] if lowest else final["regret"])
        axes.axhline(best, color="0.4", ls=":", lw=1)
    mean, std = (np.array(curves[name][key], dtype=np.float64) for key in ("mean", "std"))
    axes.plot(curves["queries"], mean, color=color, label=f"{result.name}: {report.LABELS[name]}")
    axes.fill_between(curves["queries"], mean - std, mean + std, color=color, alpha=0.2, lw=0)
    begin, spread = len(mean) // 20, np.nan_to_num(std)
    if lowest:
        return mean[begin], np.fmin(best, np.fmin.reduce((mean - spread)[begin:]))
    return mean[begin], np.fmax(best, np.fmax.reduce((mean + spread)[begin:]))


def _optimum(axes: Axes, result: Result, color: str) -> None:
    """Draws the share of runs that met the optimum."""
    optimum = result.summary["queries_to_optimum"]
    met = np.array(optimum["per_seed"], dtype=np.float64)
    share = stats.empirical_distribution(met, optimum["budget"])
    bound = ">= " * optimum["mean_is_lower_bound"]
    label = f"{result.name}: mean {bound}{optimum['mean']:.1f}, {optimum['censored']} censored"
    axes.step(result.summary["curve"]["queries"], share, where="post", color=color, label=label)
