"""The paper's figures: their numbers from traces and replays, and their pictures.

Accuracies are percent, by test where the table has it. `weaknas paper figures` does the searches.
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
PREDICTED_BEST = 200  # so many are looked at in Figure 3b


class Curve(NamedTuple):
    """Accuracy against queries over runs: a line, or single points.

    Attributes:
      name: for the legend.
      queries: int [n].
      accuracy: float64 [S, n] of each run; NaN = unknown.
      points: whether they are single searches, one for each number of queries.
    """

    name: str
    queries: np.ndarray
    accuracy: np.ndarray
    points: bool = False

    @property
    def mean(self) -> np.ndarray:
        """Over runs [n]."""
        return self.accuracy.mean(axis=0)

    @property
    def deviation(self) -> np.ndarray:
        """Of a run from their mean [n]; zeros for one run."""
        return self.accuracy.std(axis=0, ddof=min(1, len(self.accuracy) - 1))


class Look(NamedTuple):
    """What Figure 3 shows of a round of a run.

    Attributes:
      run, round, queries: which, and what was known by then.
      predicted_best: accuracy of the predicted best.
      kendall, kendall_top50, top50_probability: of `dynamics.Dynamics`.
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
    """Figure 3 of one run; ``accuracy`` is float64 [N], by `accuracy_of`."""
    found = []
    for each in rounds:
        places, of = np.asarray(ranking.positions(each.scores)), each.dynamics
        errors = np.sort(100 - accuracy[places < PREDICTED_BEST])
        best = float(accuracy[int(of.predicted_top)])
        tau, tau_top, share = map(float, (of.kendall, of.kendall_top50, of.top50_probability))
        found.append(Look(run, each.number, each.told, best, tau, tau_top, share, errors))
    return found


def some(rounds: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly: the first and the last among them.

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
    of: Mapping[str, Sequence[Curve]], best: Mapping[str, float], path: str | Path
) -> None:
    """Figures 1 and 5: accuracy against queries, a panel for each name; ``best`` is dotted."""
    figure = canvas.blank(max(7.2, 4.4 * len(of)), 4.8)
    panels = figure.subplots(1, len(of), squeeze=False)[0]
    for axes, (name, curves) in zip(panels, of.items(), strict=True):
        shown = [_curve(axes, curve, f"C{i}") for i, curve in enumerate(curves)]
        axes.axhline(best[name], color="0.4", ls=":", lw=1, label="best of the table")
        axes.set_ylim(canvas.limits([*shown, [best[name]]]))
        axes.set(xlabel="queries", title=name)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("test accuracy (%), mean and deviation")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * len(of), **_SMALL)
    canvas.save(figure, path)


def _curve(axes: Axes, curve: Curve, color: str) -> np.ndarray:
    """Draws one; returns what the limits are to be set by."""
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


def draw_dynamics(found: Sequence[Look], best: float, title: str, path: str | Path) -> None:
    """Figure 3: predicted best, error distribution of the predicted best 200, top 50.

    Args:
      found: of all runs and rounds.
      best: the best accuracy of the table.
      title: above all.
      path: file to write.
    """
    queries = {look.round: look.queries for look in found}
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
        mean, deviation = over_runs(found, name, rounds)
        axes.plot(x, mean, "o-", ms=3, color=color, label=label)
        _band(axes, x, mean, deviation, color)
    a.axhline(best, color="0.4", ls=":", lw=1, label="best of the table")
    shown = some(rounds, 6)
    pooled = [np.concatenate([k.errors for k in found if k.round == number]) for number in shown]
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
    found: Sequence[Look], name: str, rounds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of a measure over the runs that have it, of each round."""
    mean, deviation = np.full((2, len(rounds)), np.nan)
    for i, number in enumerate(rounds):
        values = np.array([getattr(look, name) for look in found if look.round == number])
        values = values[np.isfinite(values)]
        if len(values):
            mean[i], deviation[i] = values.mean(), values.std(ddof=min(1, len(values) - 1))
    return mean, deviation


class Panel(NamedTuple):
    """What Figure 4 shows of a round; bool [N] each.

    Attributes:
      number: of the round; those that were left out before it are counted in.
      top: the predicted best N, in which it draws.
      before: evaluated before.
      drawn: evaluated now.
    """

    number: int
    top: np.ndarray
    before: np.ndarray
    drawn: np.ndarray


def panels(trace: Trace, run: int, rounds: Iterable[Round], most: int = 6) -> list[Panel]:
    """At most so many rounds of a run, the initial one among them, which has no ``top``."""
    place = trace.run.tolist().index(run)
    queried = trace.queried[place]
    wanted = some(np.unique(trace.round[queried >= 0]).tolist(), most)
    found, before = [], np.zeros(0, bool)
    for each in rounds:  # it is what the next round draws by
        if not found:
            nothing = np.zeros(len(each.scores), bool)
            before = _with(nothing, queried[trace.round == 0])
            found.append(Panel(0, nothing, nothing, before))
        number = each.number + 1
        if number in wanted:
            top = np.asarray(ranking.positions(each.scores)) < each.top
            after = _with(before, queried[trace.round <= number])
            found.append(Panel(number, top, before, after & ~before))
            before = after
    return found


def _with(marked: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """``marked`` bool [N] and these rows, -1 = none."""
    marked = marked.copy()
    marked[rows[rows >= 0]] = True
    return marked


def sample(found: Sequence[Panel], most: int, seed: int = 0) -> np.ndarray:
    """Rows to show: so many at random, and all that were evaluated."""
    size = len(found[-1].drawn)
    few = np.random.default_rng(seed).choice(size, min(most, size), replace=False)
    return np.union1d(few, np.flatnonzero(found[-1].before | found[-1].drawn))


def draw_plane(
    at: np.ndarray,
    rows: np.ndarray,
    found: Sequence[Panel],
    accuracy: np.ndarray,
    title: str,
    path: str | Path,
) -> None:
    """Figure 4: the space in a plane, a panel for each round with what it draws from and drew.

    Args:
      at: float64 [n, 2], places of the rows that are shown (`plane`).
      rows: int [n], which these are.
      found: by `panels`.
      accuracy: float64 [N].
      title: above all.
      path: file to write.
    """
    columns = min(3, len(found))
    lines = -(-len(found) // columns)
    figure = canvas.blank(4.3 * columns + 0.9, 4.1 * lines + 0.6)
    axes_of = figure.subplots(lines, columns, squeeze=False).ravel()
    of = accuracy[rows]
    colors = {"c": of, "cmap": "Greys", "vmin": np.nanquantile(of, 0.2), "vmax": np.nanmax(of)}
    for axes, each in zip(axes_of, found, strict=False):
        space = axes.scatter(*at.T, s=5, lw=0, alpha=0.7, **colors)
        for which, label, style in (
            (each.top, "predicted top N", {"s": 13, "c": "C0", "alpha": 0.75}),
            (each.before, "drawn before", {"s": 13, "c": "C1"}),
            (each.drawn, "drawn now", {"s": 20, "c": "C3", "marker": "^"}),
        ):
            axes.scatter(*at[which[rows]].T, lw=0, label=label, **style)
        how = " at random" * (each.number == 0)
        axes.set(title=f"round {each.number}: {each.drawn.sum()} drawn{how}", xticks=[], yticks=[])
    for axes in axes_of[len(found) :]:
        axes.axis("off")
    handles, labels = axes_of[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, **_SMALL)
    bar = figure.colorbar(space, ax=axes_of, shrink=0.7, extend="min")
    bar.set_label("test accuracy of the space (%)")
    figure.suptitle(title)
    canvas.save(figure, path)
