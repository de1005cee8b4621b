"""What a model of several members weighed, as text and as a picture (`runs.weighing`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weaknas_jax.report import canvas
from weaknas_jax.report.figures import some
from weaknas_jax.runs.weighing import Weighing
from weaknas_jax.storage.text import markdown

_SHOWN = 10  # rounds of a table
_UNIT = "nats per label"
_GAIN = "mixture - constant"


def text(weighing: Weighing) -> str:
    """Tables of weights and of scores at about ten rounds, and what they say of the model."""
    shown = some(range(len(weighing.rounds)), _SHOWN)
    weights = [[f"{weight:.3f}" for weight in row] for row in weighing.weights]
    scores = np.column_stack([weighing.mixture, weighing.members, weighing.constant])
    gains = zip(weighing.mixture - weighing.constant, weighing.error, strict=True)
    cells = [
        [*(f"{score:.3f}" for score in row), _with_error(gain, error)]
        for row, (gain, error) in zip(scores, gains, strict=True)
    ]
    parts = [
        "Weights of the members:",
        _table(weighing, shown, weighing.names, weights),
        f"Leave-one-out score: mean log density of a label given the others, {_UNIT}:",
        _table(weighing, shown, ("mixture", *weighing.names, "constant", _GAIN), cells),
        verdict(weighing),
    ]
    return "\n\n".join(parts)


def _with_error(gain: float, error: float) -> str:
    return f"{gain:.3f}" + (f" +- {error:.3f}" if np.isfinite(error) else "")


def _table(
    weighing: Weighing, shown: list[int], names: Sequence[str], cells: Sequence[Sequence[str]]
) -> str:
    ended = int(weighing.runs.min() < weighing.runs.max())  # some runs, before the others
    lines = [["round", "queries", *["runs"] * ended, *names]]
    for i in shown:
        counts = [weighing.rounds[i], weighing.queries[i], *[weighing.runs[i]] * ended]
        lines.append([*map(str, counts), *cells[i]])
    return markdown(lines).rstrip("\n")


def verdict(weighing: Weighing) -> str:
    """A sentence: in which rounds the mixture was better than a constant model by two errors."""
    over = f", in the mean of {weighing.runs[0]} runs" if weighing.runs[0] > 1 else ""
    rounds = weighing.rounds
    queries = [f"{count} {'query' if count == 1 else 'queries'}" for count in weighing.queries]
    worse = np.flatnonzero(~weighing.better)
    begin = weighing.no_better_from
    if begin is not None:
        return (
            f"From round {rounds[begin]} ({queries[begin]}) to the end the mixture was no "
            f"better than a constant model by two standard errors{over}: it predicted these "
            "labels no better than chance."
        )
    if not len(worse):
        return f"The mixture was better than a constant model in every round{over}."
    after = worse[-1] + 1
    return (
        f"The mixture was better than a constant model from round {rounds[after]} "
        f"({queries[after]}) to the end{over}; no better in "
        f"{len(worse)} round{'s' * (len(worse) > 1)} before."
    )


def draw(weighing: Weighing, title: str, path: str | Path, overwrite: bool = False) -> Figure:
    """Plots the weights by queries as stacked areas, and the scores below.

    Args:
      weighing: of a run, or the mean over runs.
      title: above the picture.
      path: file to write; its ending chooses the format.
      overwrite: replace a file even if this program did not draw it.
    """
    figure = canvas.blank(7, 6.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _weights(upper, weighing)
    _scores(lower, weighing)
    upper.set(title=canvas.wrapped(title, 7), ylabel="weight, stacked", ylim=(0, 1))
    lower.set(ylabel=f"leave-one-out score\n({_UNIT})")
    for axes in (upper, lower):
        axes.set_xlabel("queries")
        axes.tick_params(labelbottom=True)
        canvas.whole_numbers(axes)
        canvas.legends(axes)
    return canvas.save(figure, path, overwrite)


def _weights(axes: Axes, weighing: Weighing) -> None:
    queries, weights = weighing.queries.astype(float), weighing.weights
    if len(queries) == 1:  # an area needs a width
        queries, weights = queries[0] + np.array([-0.5, 0.5]), np.repeat(weights, 2, axis=0)
    names, colors = _legend(weighing)
    axes.stackplot(queries, weights.T, labels=names, colors=colors, alpha=0.8, lw=0)
    axes.set_xlim(queries[0], queries[-1])


def _scores(axes: Axes, weighing: Weighing) -> None:
    queries = weighing.queries
    marker = "o" if len(queries) == 1 else None
    curves = [weighing.mixture, weighing.constant]
    for values, color in zip(weighing.members.T, _legend(weighing)[1], strict=True):
        axes.plot(queries, values, color=color, lw=0.9, marker=marker, ms=3)
    style = {"color": "black", "lw": 1.6, "marker": marker, "ms": 4}
    axes.plot(queries, weighing.mixture, label="mixture (thin: each member alone)", **style)
    style |= {"color": "0.4", "ls": ":"}
    label = "constant model: mean and variance of the labels"
    axes.plot(queries, weighing.constant, label=label, **style)
    if (begin := weighing.no_better_from) is not None:
        label = f"not better by two standard errors, to the end, from query {queries[begin]} on"
        axes.axvspan(queries[begin], queries[-1], color="0.85", lw=0, zorder=0, label=label)
    axes.set_ylim(canvas.limits([*curves, *weighing.members.T]))
    axes.grid(alpha=0.3)


def _legend(weighing: Weighing) -> tuple[list[str], list]:
    """Label and colour of each member."""
    count = len(weighing.names)
    names = [canvas.label(name) for name in weighing.names]
    return names, [canvas.color(i, count) for i in range(count)]
