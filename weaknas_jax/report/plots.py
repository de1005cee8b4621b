"""Pictures of one or several experiments; each function returns the saved figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weaknas_jax.measures import stats
from weaknas_jax.measures.pareto import Pareto
from weaknas_jax.report import canvas
from weaknas_jax.report import text as report

Color = str | tuple[float, ...]


class Result(NamedTuple):
    """Data of a curve: a name for the legend and a ``summary.json``."""

    name: str
    summary: dict


def draw(results: Sequence[Result], path: str | Path, overwrite: bool = False) -> Figure:
    """Plots accuracy against queries with its spread, and the share of runs that met the optimum.

    Both end at the last query of any run. A curve whose runs ended earlier is continued dashed, and
    its legend says how many runs ended early, and when.

    Args:
      results: drawn in this order; a row of two panels for each data set.
      path: file to write; its ending chooses the format.
      overwrite: replace a file even if this program did not draw it.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(title(result.summary), []).append(result)
    figure = canvas.blank(10, 4.2 * len(groups))
    panels = figure.subplots(len(groups), 2, squeeze=False)
    for (left, right), (name, group) in zip(panels, groups.items(), strict=True):
        end = max(_last(result.summary) for result in group)
        _accuracies(left, group, end)
        for i, result in enumerate(group):
            _optimum(right, result, canvas.color(i, len(group)), end)
        carried = any(_last(r.summary) < min(end, r.summary["budget"]) for r in group)
        left.set(
            xlabel="queries" + " (dashed: all runs of the curve have ended)" * carried,
            ylabel=f"{report.axis(group[0].summary)}, mean and deviation over runs",
            title=canvas.wrapped(name, 5),
        )
        right.set(xlabel="queries", ylabel="share of runs that met the optimum", ylim=(-0.02, 1.02))
        for axes in (left, right):
            axes.set_xlim(0, end + max(0.5, 0.02 * end))
            canvas.whole_numbers(axes)
            axes.grid(alpha=0.3)
        canvas.legends(left, right)
    return canvas.save(figure, path, overwrite)


def draw_beside(
    results: Sequence[Result],
    printed: Sequence[tuple[int, float, str]],
    heading: str,
    path: str | Path,
) -> Figure:
    """Plots reported accuracy against queries, with printed points: (queries, percent, name)."""
    figure = canvas.blank(7, 4.6)
    axes = figure.subplots()
    last = max((queries for queries, _, _ in printed), default=0)
    for queries, accuracy in dict.fromkeys(point[:2] for point in printed):
        names = ", ".join(name for *point, name in printed if point == [queries, accuracy])
        axes.plot(queries, accuracy, "kx", ms=5)
        side, offset = ("right", -4) if queries == last else ("left", 3)
        style = {"textcoords": "offset points", "fontsize": 6, "ha": side}
        axes.annotate(names, (queries, accuracy), (offset, 3), **style)
    end = max(_last(result.summary) for result in results)
    _accuracies(axes, results, end, [accuracy for _, accuracy, _ in printed])
    axes.set(xlabel="queries; x: printed in the paper", ylabel="test accuracy (%)", title=heading)
    axes.set_xscale("log")
    axes.set_xlim(left=10)
    axes.grid(alpha=0.3)
    canvas.legends(axes)
    return canvas.save(figure, path)


def draw_optimum(
    datasets: Mapping[str, Mapping[str, tuple[dict, float | None]]], path: str | Path
) -> Figure:
    """Plots queries to the optimum of methods with standard errors, a panel for each data set.

    Args:
      datasets: by data set and method, a ``summary.json`` and the printed number or None.
      path: file to write; its ending chooses the format.
    """
    methods = list(next(iter(datasets.values())))
    figure = canvas.blank(4 + 2.6 * len(datasets), 1.1 + 0.32 * len(methods))
    panels = figure.subplots(1, len(datasets), squeeze=False, sharex=True, sharey=True)[0]
    places = -np.arange(len(methods))
    for axes, (dataset, by_method) in zip(panels, datasets.items(), strict=True):
        of = [summary["queries_to_optimum"] for summary, _ in by_method.values()]
        mean = np.array([o["mean"] for o in of])
        error = np.array([o["standard_error"] or 0.0 for o in of])
        axes.errorbar(mean, places, xerr=error, fmt="o", ms=4, color="C0", capsize=2, label="ours")
        bounds = np.array([o["mean_is_lower_bound"] for o in of])
        if bounds.any():
            style = {"marker": ">", "s": 40, "color": "C0", "label": "lower bound"}
            axes.scatter(mean[bounds], places[bounds], **style)
        printed = [np.nan if p is None else p for _, p in by_method.values()]
        axes.plot(printed, places, "kx", ms=5, label="printed in the paper")
        axes.set(xscale="log", title=dataset, xlabel="queries to the optimum")
        axes.grid(alpha=0.3)
    panels[0].set_yticks(places, methods)
    entries = (zip(*axes.get_legend_handles_labels(), strict=True) for axes in panels)
    of = {
        label: handle for each in entries for handle, label in each
    }  # some labels are missing in some panels
    figure.legend(of.values(), of, fontsize="small", loc="outside lower center", ncols=3)
    return canvas.save(figure, path)


def draw_pareto(pareto: Pareto, name: str, path: str | Path, unit: str = "accuracy (%)") -> Figure:
    """Plots validation labels against cost: the evaluated, their front, the front of the table.

    Args:
      pareto: costs, labels and fronts.
      name: the title.
      path: file to write; its ending chooses the format.
      unit: name of the labels, by `text.axis`.
    """
    figure = canvas.blank(6, 4.2)
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
    if len(pareto.found):  # from the cheap end of the best front; points far below it are cut off
        ends = pareto.score[[pareto.best[-1], pareto.best[0], pareto.found[-1]]]
        low, top = ends.min(), ends.max()
        margin = 0.05 * (top - low) or 1.0
        axes.set_ylim(low - margin, top + margin)
    xlabel, heading = (canvas.wrapped(text, 6) for text in (pareto.text, name))
    axes.set(xlabel=xlabel, ylabel=f"mean validation {unit}", title=heading)
    axes.grid(alpha=0.3)
    canvas.legends(axes)
    return canvas.save(figure, path)


def title(summary: dict) -> str:
    """Space and data set of a ``summary.json``."""
    return f"{summary['space']} / {summary['dataset']}"


def _last(summary: dict) -> int:
    """The query at which the last run ended; old summaries give only the budget."""
    return max(summary.get("queries_made", [summary["budget"]]))


def _accuracies(
    axes: Axes, results: Sequence[Result], end: int, points: Sequence[float] = ()
) -> None:
    """Draws the reported curves to the query ``end``, and sets the limits by them.

    Args:
      axes: to draw on.
      results: results of one data set.
      end: last query to show.
      points: further accuracies that the limits must include.
    """
    best = np.array([_best(result.summary) for result in results])
    drawn = [
        _accuracy(axes, result, canvas.color(i, len(results)), end)
        for i, result in enumerate(results)
    ]
    for i, value in enumerate(np.unique(best[np.isfinite(best)])):
        label = None if i else "best of the table"
        axes.axhline(value, color="0.4", ls=":", lw=1, label=label)
    axes.set_ylim(canvas.limits([*drawn, *best[:, None], *np.array(points)[:, None]]))


def _best(summary: dict) -> float:
    """The best test accuracy of the table; NaN where there is none."""
    final = summary["final"]
    if final["test_mean"] is None:
        return np.nan
    return final["test_mean"] + final["regret"] * (-1 if summary.get("minimize") else 1)


def _accuracy(axes: Axes, result: Result, color: Color, end: int) -> np.ndarray:
    """Draws the reported curve (best valid, if there is no test accuracy); returns its mean."""
    summary = result.summary
    final, curves = summary["final"], summary["curve"]
    name = "best_valid" if final["test_mean"] is None else final["report"]
    mean, std = (np.array(curves[name][key], np.float64)[:end] for key in ("mean", "std"))
    queries, last = np.array(curves["queries"])[:end], _last(summary)
    label = canvas.label(f"{result.name}: {report.LABELS[name]}{_ended(summary)}")
    marker = "o" if np.isfinite(mean[:last]).sum() == 1 else None  # a single point needs a marker
    axes.plot(queries[:last], mean[:last], color=color, marker=marker, ms=4, label=label)
    axes.plot(queries[last - 1 :], mean[last - 1 :], color=color, ls="--", lw=1)
    axes.fill_between(queries, mean - std, mean + std, color=color, alpha=0.2, lw=0)
    return mean


def _ended(summary: dict) -> str:
    """Text for a legend: how many runs ended before the budget, and when."""
    made, budget = summary.get("queries_made", []), summary["budget"]
    early = [queries for queries in made if queries < budget]
    if not early:
        return ""
    when = f"{min(early)}" + f" to {max(early)}" * (max(early) > min(early))
    return f"; {len(early)} of {len(made)} runs ended after {when} queries, last values carried on"


def _optimum(axes: Axes, result: Result, color: Color, end: int) -> None:
    """Draws the share of runs that met the optimum."""
    optimum = result.summary["queries_to_optimum"]
    met = np.array(optimum["per_seed"], dtype=np.float64)
    share = stats.empirical_distribution(met, optimum["budget"])[:end]
    bound = ">= " * optimum["mean_is_lower_bound"]
    name = canvas.label(result.name)
    label = f"{name}: mean {bound}{optimum['mean']:.1f}, {optimum['censored']} censored"
    queries = result.summary["curve"]["queries"][:end]
    marker = "o" if len(queries) == 1 else None
    axes.step(queries, share, where="post", color=color, marker=marker, ms=4, label=label)
