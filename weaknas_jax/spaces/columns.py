"""Feature blocks of a table without a space record, from the columns of its encoding.

Columns are read as *slots*, the choices of an architecture: a run of 0/1 columns that sum to one is
a one-hot choice, any other column an ordinal one. Constant slots are dropped.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

import numpy as np


def slots_of(encoding: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Slots of columns [N, D], as pairs ("choice", [N, levels]) or ("number", [N, 1]).

    A run of 0/1 columns ends where every row sums to one, or where one more column would make a
    row sum to two.

    >>> x = np.hstack([np.eye(3), np.eye(3)[::-1], [[5.0], [7.0], [6.0]]])
    >>> [(kind, block.shape[1]) for kind, block in slots_of(x)]
    [('choice', 3), ('choice', 3), ('number', 1)]
    """
    binary = ((encoding == 0) | (encoding == 1)).all(axis=0)
    start, end = 0, encoding.shape[1]
    while start < end:
        stop, total = start + 1, encoding[:, start].copy()
        while (
            binary[start]
            and stop < end
            and binary[stop]
            and not (total == 1).all()
            and (total + encoding[:, stop]).max() <= 1
        ):
            total += encoding[:, stop]
            stop += 1
        block = encoding[:, start:stop]
        if (block != block[:1]).any():
            yield ("choice" if binary[start] else "number"), block
        start = stop


PRESET = "table"
"""The kernel of the Gaussian process on these blocks."""
WIDEST = 32
"""Most levels of a number that are read as categories too."""


class Slot(NamedTuple):
    """One choice of every architecture, read as a category, as a number or as either.

    Attributes:
      levels: its levels one-hot, [N, levels]; None = too many.
      place: its position among the ordered levels in [0, 1], [N]; None = they have no order.
      number: whether it is given as a number.
      alike: a key that similar choices share; None = similar to no other.
    """

    levels: np.ndarray | None
    place: np.ndarray | None = None
    number: bool = False
    alike: Hashable = None


def features(encoding: np.ndarray) -> dict[str, np.ndarray]:
    """Feature blocks of columns [N, D], float32 [N, d] each, see `blocks`.

    A number is read as its position among the levels of its column; one-hot choices of equal
    width are counted together.
    """
    encoding = np.nan_to_num(np.asarray(encoding, np.float64))
    return blocks([_slot(kind, block) for kind, block in slots_of(encoding)], len(encoding))


def _slot(kind: str, block: np.ndarray) -> Slot:
    width = block.shape[1]
    if kind == "choice":
        place = block @ np.linspace(0.0, 1.0, width) if width > 1 else block[:, 0]
        return Slot(block, place, alike=width if width > 1 else None)
    levels, place = np.unique(block, return_inverse=True)
    place = place.ravel()
    one_hot = np.eye(len(levels))[place] if len(levels) <= WIDEST else None
    alike = None if one_hot is None else len(levels)
    return Slot(one_hot, place / (len(levels) - 1), number=True, alike=alike)


def blocks(slots: Iterable[Slot], size: int) -> dict[str, np.ndarray]:
    """Feature blocks of slots, float32 [N, d] each.

    ``slots``: scaled so that the squared distance of two rows is the number of choices in which
    they differ; each choice as it is given, by its levels or as a number.
    ``effects``: the same, and for a number also the centred square of its position.
    ``counts``: square roots of how often each level is chosen, over groups of three or more
    similar choices that are no numbers; absent if there is no such group.
    ``categories``: as ``slots``, with the levels of numbers too, unless there are too many.
    ``tallies``: as ``counts``, of numbers too.
    ``places``, ``trends``: as ``slots`` and ``effects``, with all ordered levels as numbers;
    absent if no choice has three or more.

    Args:
      slots: the choices.
      size: N.
    """
    columns = {name: [] for name in ("slots", "effects", "categories", "places", "trends")}
    groups, ordered = {"counts": {}, "tallies": {}}, False
    for slot in slots:
        hot = None if slot.levels is None else slot.levels / 2**0.5
        number = None if slot.place is None else _number(slot.place)
        given = number if slot.number else hot
        orders = number is not None and (hot is None or hot.shape[1] > 2)
        ordered |= orders
        category = number[:, :1] if hot is None else hot
        if slot.levels is not None and slot.levels.shape[1] == 1:
            category = slot.levels  # one column has both levels
        trend = number if orders else category
        columns["slots"].append(given[:, :1] if slot.number else given)
        columns["effects"].append(given)
        columns["categories"].append(category)
        columns["places"].append(trend[:, :1] if orders else trend)
        columns["trends"].append(trend)
        if slot.alike is not None:
            for name in ("tallies",) if slot.number else groups:
                groups[name].setdefault(slot.alike, []).append(slot.levels)
    if not ordered:
        del columns["places"], columns["trends"]
    nothing = [np.zeros((size, 1))]
    named = {name: np.hstack(parts or nothing) for name, parts in columns.items()}
    for name, alike in groups.items():
        if counts := [np.sqrt(_sum(group)) for group in alike.values() if len(group) > 2]:
            named[name] = np.hstack(counts)
    return {name: block.astype(np.float32) for name, block in named.items()}


def _number(place: np.ndarray) -> np.ndarray:
    """A position [N] and its centred square, [N, 2]."""
    return np.stack([2**0.5 * place, (2 * place - 1) ** 2 - 1 / 3], axis=1)


def _sum(blocks: list[np.ndarray]) -> np.ndarray:
    """Sum of blocks [N, levels] or [N, levels + 1], padded to the widest."""
    widest = max(block.shape[1] for block in blocks)
    return sum(np.pad(block, ((0, 0), (0, widest - block.shape[1]))) for block in blocks)
