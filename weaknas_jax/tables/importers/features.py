"""How each feature column was interpreted, and hints on other interpretations."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

FEW = 12  # an ordered number of at most so many levels may be an option's index
_SHOWN = 12  # options, names
_RUNS = {"seed", "index", "idx", "id", "trial", "run", "rowid", "unnamed: 0", "job", "experiment"}


class Feature(NamedTuple):
    """One column.

    Attributes:
      name: of the column.
      raw: numbers or texts [N], as in the file.
      block: float64 [N, d], what predictors get.
      options: the texts of the d columns; () for a number.
    """

    name: str
    raw: np.ndarray
    block: np.ndarray
    options: tuple[str, ...] = ()

    @property
    def levels(self) -> np.ndarray:
        """Different values, sorted."""
        return np.unique(self.raw)

    @property
    def whole(self) -> bool:
        """Whether it is a number and all its values are whole."""
        return not self.options and bool((self.raw == np.rint(self.raw)).all())


def decision(feature: Feature) -> str:
    """How a column was interpreted, as ``depth: ordered number, 4 levels (1 .. 4)``."""
    if feature.options:
        return f"{feature.name}: choice of {len(feature.options)} ({_some(feature.options, ' | ')})"
    levels = feature.levels
    low, high = (f"{value:.8g}" for value in (levels[0], levels[-1]))
    if len(levels) == 1:
        return f"{feature.name}: the same everywhere ({low})"
    if levels.tolist() == [0, 1]:
        return f"{feature.name}: switch (0 or 1)"
    if feature.whole and len(levels) <= FEW:
        return f"{feature.name}: ordered number, {len(levels)} levels ({low} .. {high})"
    return f"{feature.name}: number ({low} .. {high})"


def remarks(features: Sequence[Feature], twins: int) -> list[str]:
    """Columns that may be misinterpreted, one line each, with the option that changes it.

    Args:
      features: of the table.
      twins: rows that agree in all features with an earlier one and have other labels.
    """
    lines = []
    runs = [f for f in features if _counts_runs(f)] if len(features) > 1 else []
    few = [f for f in features if f not in runs and f.whole and 2 < len(f.levels) <= FEW]
    if few:
        names = _some([f.name for f in few])
        lines.append(
            f"{names}: read as ordered (2 lies between 1 and 3). Where a number only names a "
            f"choice, add --one_hot={few[0].name}"
        )
    for feature in runs:
        others = [f for f in features if f is not feature]
        merge_hint = ""
        if repeats := len(feature.raw) - len(groups(others)[0]):
            merge_hint = f", and as {repeats:,} rows repeat another without it, --merge_repeats"
        lines.append(
            f"{feature.name}: looks like the number of a run or row, which describes no "
            f"architecture; keep it beside by --extra={feature.name}{merge_hint}"
        )
    if twins:
        lines.append(
            f"{twins:,} rows agree with another in all features: where those are repeated "
            "trainings, --merge_repeats makes them runs of one row"
        )
    return lines


def groups(features: Sequence[Feature]) -> tuple[np.ndarray, np.ndarray]:
    """Rows that agree in all features.

    Returns:
      int64 [G], the first row of each group, ascending; and int64 [N], each row's group.
    """
    codes = np.stack([np.unique(f.raw, return_inverse=True)[1].ravel() for f in features], axis=1)
    _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return first[order], place[group.ravel()]


def _counts_runs(feature: Feature) -> bool:
    if feature.name.lower().replace("_", " ").strip() in _RUNS or feature.name.lower() in _RUNS:
        return True
    if any(part in ("seed", "idx", "index") for part in feature.name.lower().split("_")):
        return True
    size = len(feature.raw)
    if feature.options or size < 8 or not feature.whole:
        return False
    levels = feature.levels
    return len(levels) == size and levels[0] in (0, 1) and levels[-1] - levels[0] == size - 1


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _SHOWN
    return between.join(names[:_SHOWN]) + (f"{between}{more} more" if more > 0 else "")
