"""Feature blocks of a table without a space record, from the columns of its encoding.

Columns are read as *slots*, the choices of an architecture: a run of 0/1 columns that sum to one is
a one-hot choice, any other column an ordinal one. Constant slots are dropped.
"""

from collections.abc import Hashable, Iterable, Iterator

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


def features(encoding: np.ndarray) -> dict[str, np.ndarray]:
    """Feature blocks of columns [N, D], float32 [N, d] each, see `blocks`.

    A number is read as its position among the levels of its column; one-hot choices of equal
    width are counted together.
    """
    encoding = np.nan_to_num(np.asarray(encoding, np.float64))

    def slot(kind: str, block: np.ndarray) -> tuple[np.ndarray, Hashable]:
        if kind == "choice":
            return block, block.shape[1] if block.shape[1] > 1 else None
        levels, place = np.unique(block, return_inverse=True)
        return place.ravel() / (len(levels) - 1), None

    return blocks([slot(*found) for found in slots_of(encoding)], len(encoding))


def blocks(slots: Iterable[tuple[np.ndarray, Hashable]], size: int) -> dict[str, np.ndarray]:
    """Feature blocks of slots, float32 [N, d] each.

    ``slots``: scaled so that the squared distance of two rows is the number of choices in which
    they differ.
    ``effects``: the same, and for a number also the centred square of its position.
    ``counts``: square roots of how often each level is chosen, over groups of three or more
    similar choices; absent if there is no such group.

    Args:
      slots: for each choice its one-hot levels [N, levels], or its position in [0, 1], [N]; and a
        key that similar choices share, None = similar to no other.
      size: N.
    """
    distances, effects, alike = [], [], {}
    for block, kin in slots:
        if block.ndim == 1:
            place = block[:, None]
            distances.append(2**0.5 * place)
            effects += [2**0.5 * place, (2 * place - 1) ** 2 - 1 / 3]
            continue
        distances.append(block / 2**0.5)
        effects.append(block / 2**0.5)
        if kin is not None:
            alike.setdefault(kin, []).append(block)
    nothing = [np.zeros((size, 1))]
    found = {"slots": np.hstack(distances or nothing), "effects": np.hstack(effects or nothing)}
    counts = [np.sqrt(_sum(group)) for group in alike.values() if len(group) > 2]
    if counts:
        found["counts"] = np.hstack(counts)
    return {name: block.astype(np.float32) for name, block in found.items()}


def _sum(blocks: list[np.ndarray]) -> np.ndarray:
    """Sum of blocks [N, levels] or [N, levels + 1], padded to the widest."""
    widest = max(block.shape[1] for block in blocks)
    return sum(np.pad(block, ((0, 0), (0, widest - block.shape[1]))) for block in blocks)
