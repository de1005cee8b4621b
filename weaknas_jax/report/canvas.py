"""Shared by all pictures: robust axis limits, legends outside the axes, atomic files."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from weaknas_jax.storage import files

FEW = 5  # largest number of first queries of a curve outside the limits
_BELOW = 36  # points between axes and legend: room for tick labels and axis label
_SMALL = FontProperties(size="small")
_LINE = 0.2  # inches per line of a legend


def blank(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches, independent of windows."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.set_layout_engine("constrained", h_pad=0.1)  # inches; otherwise legends touch the edge
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path, overwrite: bool = False) -> Figure:
    """Writes the figure as `files.write_picture` does, and returns it."""
    files.write_picture(path, figure, figure.dpi, overwrite=overwrite)
    return figure


def color(index: int, count: int) -> str | tuple[float, ...]:
    """The colour of curve ``index`` of ``count``; all differ."""
    return (
        f"C{index}" if count <= 10 else matplotlib.colormaps["turbo"](0.03 + 0.94 * index / count)
    )


def label(text: str) -> str:
    """``text`` as a legend label; legends skip labels that begin with ``_``."""
    return f" {text}" if text.startswith("_") else text


def limits(
    curves: Iterable[Sequence[float]], points: Sequence[float] = ()
) -> tuple[float, float] | None:
    """Limits of an axis for curves without their first queries, and points without outliers.

    >>> low, high = limits([[10.0] * 5 + [90.0] * 15 + [91.0]])
    >>> bool(low < 90 and 91 < high and low > 89)
    True

    Args:
      curves: each [n]; the first `FEW` finite values, or the first quarter if that is less, are
        ignored, so that a poor start does not flatten the rest of the curve.
      points: [m], such as scores of single queries; those beyond Tukey's outer fences (three times
        the interquartile range) are ignored.

    Returns:
      (low, high), or None if no value is finite.
    """
    shown = [_finite(curve) for curve in curves]
    shown = [curve[min(FEW, len(curve) // 4) :] for curve in shown]
    if len(single := _finite(points)):
        low, high = np.quantile(single, [0.25, 0.75])
        shown.append(single[(single >= 4 * low - 3 * high) & (single <= 4 * high - 3 * low)])
    values = np.concatenate([*shown, np.zeros(0)])
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # all are equal
        margin = 0.01 * abs(high) or 1.0
    else:
        margin = 0.06 * (high - low)
    return low - margin, high + margin


def _finite(values: Sequence[float]) -> np.ndarray:
    numbers = np.asarray(values, np.float64)
    return numbers[np.isfinite(numbers)]


def whole_numbers(axes: Axes) -> None:
    """Restricts ticks of the horizontal axis to whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def legends(*row: Axes) -> None:
    """Puts a legend below each axes of a row, clear of data and tick labels.

    Labels are wrapped to the width of the axes; the figure grows by the tallest legend.
    """
    figure = row[0].get_figure(root=True)
    width = figure.get_figwidth() / len(row)
    tallest = 0
    for axes in row:
        handles, labels = axes.get_legend_handles_labels()
        wrapped_labels = [wrapped(text, width) for text in labels]
        offset = _BELOW + _LINE * 72 * axes.get_xlabel().count("\n")
        below = ScaledTranslation(0, -offset / 72, figure.dpi_scale_trans)
        axes.legend(
            handles,
            wrapped_labels,
            prop=_SMALL,
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=axes.transAxes + below,
            borderaxespad=0,
            frameon=False,
        )
        tallest = max(tallest, sum(text.count("\n") + 1 for text in wrapped_labels))
    figure.set_figheight(figure.get_figheight() + _LINE * tallest)


def wrapped(text: str, inches: float) -> str:
    """Wraps plain ``text`` (no formulas) for axes of that width, tick labels included."""
    of_letter = max(4.5, *(_points(part) / len(part) for part in _samples(text)))
    lines = textwrap.wrap(text, max(10, int((72 * inches - 100) / of_letter)))
    return "\n".join(lines).replace("$", r"\$")


def _samples(text: str) -> list[str]:
    """Samples for the mean width of a letter: the whole text, and its longest word."""
    return [text, max(text.split(), key=len)] if text.strip() else ["m"]


def _points(text: str) -> float:
    """The width of a text in the small font, in points."""
    return text_to_path.get_text_width_height_descent(text.replace("$", r"\$"), _SMALL, False)[0]
