"""The paper's figures: their numbers from traces and replays, and their pictures.

Accuracies are percent, on test where the table has it. `weaknas paper figures` runs the searches.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from weaknas_jax.core import ranking
from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import metrics
from weaknas_jax.report import canvas
from weaknas_jax.runs.replay import Round
from weaknas_jax.tables.table import Table

_SMALL = {"fontsize": "small"}
PREDICTED_BEST = 200  # architectures in Figure 3b


class Curve(NamedTuple):
    """Accuracy against queries over runs: a line, or single points.

    Attributes:
      name: for the legend.
      queries: int [n].
      accuracy: float64 [S, n] of each run; NaN = unknown.
      points: whether each number of queries is a search of its own.
    """

    name: str
    queries: np.ndarray
    accuracy: np.ndarray
    points: bool = False

    @property
    def mean(self) -> np.ndarray:
        """Mean over runs [n]."""
        return self.accuracy.mean(axis=0)

    @property
    def deviation(self) -> np.ndarray:
        """Deviation over runs [n]; zeros for one run."""
        return self.accuracy.std(axis=0, ddof=min(1, len(self.accuracy) - 1))


class Look(NamedTuple):
    """Data of Figure 3 for a round of a run.

    Attributes:
      run, round, queries: numbers of run and round, and queries made before.
      predicted_best: accuracy of the predicted best.
      kendall, kendall_top50, top50_probability: as in `dynamics.Dynamics`.
      errors: float64 [200], errors of the predicted best 200, ascending.
    """

    run: int
    round: int
    queries: int
    predicted_best: float
    kendall: float
    kendall_top50: float
    top50_probability: float
    errors: np.ndarray


def accuracy_of(table: Table) -> np.ndarray:
    """Mean test accuracy [N], or validation accuracy where the table has no other."""
    return table.valid_mean if table.test is None else metrics.test_accuracy(table)


def looks(run: int, rounds: Iterable[Round], accuracy: np.ndarray) -> list[Look]:
    """Data of Figure 3 for one run; ``accuracy`` is float64 [N], from `accuracy_of`."""
    data = []
    for step in rounds:
        places, measured = np.asarray(ranking.positions(step.scores)), step.dynamics
        errors = np.sort(100 - accuracy[places < PREDICTED_BEST])
        best = float(accuracy[int(measured.predicted_top)])
        tau, tau_top, share = map(
            float, (measured.kendall, measured.kendall_top50, measured.top50_probability)
        )
        data.append(Look(run, step.number, step.told, best, tau, tau_top, share, errors))
    return data


def some(rounds: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the rounds, evenly spaced, with the first and the last.

    >>> some(range(20), 4)
    [0, 6, 13, 19]
    """
    picked = np.linspace(0, len(rounds) - 1, min(most, len(rounds))).round().astype(int)
    return [rounds[i] for i in picked]


def plane(encoding: np.ndarray, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """t-SNE of some rows of an encoding, float64 [n, 2].

    Raises:
      ValueError: scikit-learn is missing.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ValueError(
            "t-SNE needs scikit-learn: pip install scikit-learn, or, in a clone, "
            "pip install -e '.[trees]'"
        ) from None
    perplexity = min(30.0, (len(rows) - 1) / 3)
    mapping = TSNE(init="pca", perplexity=perplexity, random_state=seed)
    return mapping.fit_transform(np.asarray(encoding[rows], np.float32)).astype(np.float64)


def draw_curves(
    curves_by_name: Mapping[str, Sequence[Curve]], best: Mapping[str, float], path: str | Path
) -> None:
    """Draws Figures 1 and 5: accuracy against queries, a panel per name; ``best`` is dotted."""
    figure = canvas.blank(max(7.2, 4.4 * len(curves_by_name)), 4.8)
    panels = figure.subplots(1, len(curves_by_name), squeeze=False)[0]
    for axes, (name, curves) in zip(panels, curves_by_name.items(), strict=True):
        shown = [_curve(axes, curve, f"C{i}") for i, curve in enumerate(curves)]
        axes.axhline(best[name], color="0.4", ls=":", lw=1, label="best of the table")
        axes.set_ylim(canvas.limits([*shown, [best[name]]]))
        axes.set(xlabel="queries", title=name)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("test accuracy (%), mean and deviation")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2 * len(curves_by_name), **_SMALL
    )
    canvas.save(figure, path)


def _curve(axes: Axes, curve: Curve, color: str) -> np.ndarray:
    """Draws a curve; returns the values that the limits must include."""
    mean, deviation = curve.mean, curve.deviation
    if curve.points:
        style = {"fmt": "o", "ms": 4, "capsize": 3, "color": color}
        axes.errorbar(curve.queries, mean, deviation, label=curve.name, **style)
        return np.array([(mean - deviation).min()])
    axes.plot(curve.queries, mean, color=color, label=curve.name)
    _band(axes, curve.queries, mean, deviation, color)
    return mean


def _band(axes: Axes, x: np.ndarray, mean: np.ndarray, deviation: np.ndarray, color: str) -> None:
    axes.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.13, lw=0)


def draw_dynamics(data: Sequence[Look], best: float, title: str, path: str | Path) -> None:
    """Draws Figure 3: predicted best, error distribution of the predicted best 200, top 50.

    Args:
      data: of all runs and rounds.
      best: the best accuracy of the table.
      title: title of the figure.
      path: file to write.
    """
    queries = {look.round: look.queries for look in data}
    rounds = sorted(queries)
    x = [queries[number] for number in rounds]
    figure = canvas.blank(13, 4.4)
    a, b, c = figure.subplots(1, 3)
    chance, tau = "chance of drawing one of them", "Kendall's tau among them"
    for axes, color, name, label in (
        (a, "C0", "predicted_best", "predicted best"),
        (c, "C0", "top50_probability", chance),
        (c, "C1", "kendall_top50", tau),
    ):
        mean, deviation = over_runs(data, name, rounds)
        axes.plot(x, mean, "o-", ms=3, color=color, label=label)
        _band(axes, x, mean, deviation, color)
    a.axhline(best, color="0.4", ls=":", lw=1, label="best of the table")
    shown = some(rounds, 6)
    pooled = [np.concatenate([k.errors for k in data if k.round == number]) for number in shown]
    widest = max(np.nanquantile(errors, 0.9) for errors in pooled)
    for i, (number, errors) in enumerate(zip(shown, pooled, strict=True)):
        label = f"{queries[number]} queries"
        b.ecdf(errors[np.isfinite(errors)], lw=1.2, color=f"C{i}", label=label)
    b.axvline(100 - best, color="0.4", ls=":", lw=1)
    b.set_xlim(100 - best - 0.05 * (widest - 100 + best), widest)
    a.set(xlabel="queries", ylabel="test accuracy (%)", title="a  predicted best")
    b.set(xlabel="test error (%)", ylabel="share", title="b  errors of the predicted top 200")
    c.set(xlabel="queries", title="c  the true top 50")
    c.axhline(0, color="0.4", lw=0.6)
    for axes in (a, b, c):
        axes.grid(alpha=0.3)
    canvas.legends(a, b, c)
    figure.suptitle(title)
    canvas.save(figure, path)


def over_runs(
    data: Sequence[Look], name: str, rounds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of a measure for each round, over the runs that have it."""
    mean, deviation = np.full((2, len(rounds)), np.nan)
    for i, number in enumerate(rounds):
        values = np.array([getattr(look, name) for look in data if look.round == number])
        values = values[np.isfinite(values)]
        if len(values):
            mean[i], deviation[i] = values.mean(), values.std(ddof=min(1, len(values) - 1))
    return mean, deviation


class Panel(NamedTuple):
    """Data of Figure 4 for a round; bool [N] each.

    Attributes:
      number: number of the round.
      top: the predicted best N, from which it draws.
      before: evaluated before this panel.
      drawn: evaluated since the panel before, rounds without a panel included.
    """

    number: int
    top: np.ndarray
    before: np.ndarray
    drawn: np.ndarray


def panels(trace: Trace, run: int, rounds: Iterable[Round], most: int = 6) -> list[Panel]:
    """Panels of at most ``most`` rounds of a run, with the initial one, whose ``top`` is empty."""
    index = trace.run.tolist().index(run)
    queried = trace.queried[index]
    selected = some(np.unique(trace.round[queried >= 0]).tolist(), most)
    data, before = [], np.zeros(0, bool)
    for step in rounds:  # its scores are those from which the next round draws
        if not data:
            empty = np.zeros(len(step.scores), bool)
            before = _with(empty, queried[trace.round == 0])
            data.append(Panel(0, empty, empty, before))
        number = step.number + 1
        if number in selected:
            top = np.asarray(ranking.positions(step.scores)) < step.top
            after = _with(before, queried[trace.round <= number])
            data.append(Panel(number, top, before, after & ~before))
            before = after
    return data


def _with(marked: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``marked``, bool [N], with ``rows`` set as well; -1 = no row."""
    marked = marked.copy()
    marked[rows[rows >= 0]] = True
    return marked


def sample(data: Sequence[Panel], most: int, seed: int = 0) -> np.ndarray:
    """Rows to show: ``most`` at random, and all evaluated ones."""
    size = len(data[-1].drawn)
    random_rows = np.random.default_rng(seed).choice(size, min(most, size), replace=False)
    return np.union1d(random_rows, np.flatnonzero(data[-1].before | data[-1].drawn))


def draw_plane(
    positions: np.ndarray,
    rows: np.ndarray,
    data: Sequence[Panel],
    accuracy: np.ndarray,
    title: str,
    path: str | Path,
) -> None:
    """Draws Figure 4: the space in a plane, a panel for each round with its top N and draws.

    Args:
      positions: float64 [n, 2], positions of the shown rows, from `plane`.
      rows: int [n], the shown rows.
      data: panels, from `panels`.
      accuracy: float64 [N].
      title: title of the figure.
      path: file to write.
    """
    columns = min(3, len(data))
    lines = -(-len(data) // columns)
    figure = canvas.blank(4.3 * columns + 0.9, 4.1 * lines + 0.6)
    axes_of = figure.subplots(lines, columns, squeeze=False).ravel()
    shown = accuracy[rows]
    colors = {
        "c": shown,
        "cmap": "Greys",
        "vmin": np.nanquantile(shown, 0.2),
        "vmax": np.nanmax(shown),
    }
    for axes, panel in zip(axes_of, data, strict=False):
        space = axes.scatter(*positions.T, s=5, lw=0, alpha=0.7, **colors)
        for mask, label, style in (
            (panel.top, "predicted top N", {"s": 13, "c": "C0", "alpha": 0.75}),
            (panel.before, "drawn before", {"s": 13, "c": "C1"}),
            (panel.drawn, "drawn now", {"s": 20, "c": "C3", "marker": "^"}),
        ):
            axes.scatter(*positions[mask[rows]].T, lw=0, label=label, **style)
        suffix = " at random" * (panel.number == 0)
        axes.set(
            title=f"round {panel.number}: {panel.drawn.sum()} drawn{suffix}", xticks=[], yticks=[]
        )
    for axes in axes_of[len(data) :]:
        axes.axis("off")
    handles, labels = axes_of[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, **_SMALL)
    bar = figure.colorbar(space, ax=axes_of, shrink=0.7, extend="min")
    bar.set_label("test accuracy of the space (%)")
    figure.suptitle(title)
    canvas.save(figure, path)
