"""What all pictures share: limits from the data that matters, legends beside it, whole files."""

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

FEW = 5  # so many queries of a curve may lie outside of the picture, at its beginning
_BELOW = 36  # points between axes and legend: room for the numbers and the name of the axis
_SMALL = FontProperties(size="small")
_LINE = 0.2  # inches of a line of a legend


def blank(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches that no window will ever show."""
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    figure.set_layout_engine("constrained", h_pad=0.1)  # inches; legends come close to the edge
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: str | Path, overwrite: bool = False) -> Figure:
    """Writes the figure as `files.write_picture` does, and returns it."""
    files.write_picture(path, figure, figure.dpi, overwrite=overwrite)
    return figure


def color(place: int, of: int) -> str | tuple[float, ...]:
    """The colour of one of so many curves: all differ."""
    return f"C{place}" if of <= 10 else matplotlib.colormaps["turbo"](0.03 + 0.94 * place / of)


def label(text: str) -> str:
    """``text`` as a label that legends do not leave out, as they do what begins with ``_``."""
    return f" {text}" if text.startswith("_") else text


def limits(
    curves: Iterable[Sequence[float]], points: Sequence[float] = ()
) -> tuple[float, float] | None:
    """Both ends of an axis that shows the curves but for how they begin, and the usual points.

    >>> low, high = limits([[10.0] * 5 + [90.0] * 15 + [91.0]])
    >>> bool(low < 90 and 91 < high and low > 89)
    True

    Args:
      curves: each [n]; of its finite values the first `FEW` may be left out, of few the first
        quarter, so that a start far from all the rest does not make the rest a flat line.
      points: [m], such as the scores of single queries; those beyond Tukey's outer fences (three
        times the distance of the quartiles) may be left out.

    Returns:
      (low, high), or None where nothing is finite.
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
    """Marks whole numbers alone on the horizontal axis."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def legends(*row: Axes) -> None:
    """A legend below each of the axes of one row, where it covers neither data nor numbers.

    Labels are broken to the width of the axes, and the figure grows by the tallest legend.
    """
    figure = row[0].get_figure(root=True)
    width = figure.get_figwidth() / len(row)
    tallest = 0
    for axes in row:
        handles, labels = axes.get_legend_handles_labels()
        broken = [wrapped(text, width) for text in labels]
        down = _BELOW + _LINE * 72 * axes.get_xlabel().count("\n")
        below = ScaledTranslation(0, -down / 72, figure.dpi_scale_trans)
        axes.legend(
            handles,
            broken,
            prop=_SMALL,
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=axes.transAxes + below,
            borderaxespad=0,
            frameon=False,
        )
        tallest = max(tallest, sum(text.count("\n") + 1 for text in broken))
    figure.set_figheight(figure.get_figheight() + _LINE * tallest)


def wrapped(text: str, inches: float) -> str:
    """``text``, no formula, in lines for axes that take so many inches with their names."""
    of_letter = max(4.5, *(_points(part) / len(part) for part in _samples(text)))
    lines = textwrap.wrap(text, max(10, int((72 * inches - 100) / of_letter)))
    return "\n".join(lines).replace("$", r"\$")


def _samples(text: str) -> list[str]:
    """What tells how wide its letters are: all of it, and its longest word."""
    return [text, max(text.split(), key=len)] if text.strip() else ["m"]


def _points(text: str) -> float:
    """The width of small letters."""
    return text_to_path.get_text_width_height_descent(text.replace("$", r"\$"), _SMALL, False)[0]
