"""Feature blocks of a table that nothing is known of but its columns.

The columns are read as *slots*, the choices that made the architecture: a run of 0/1 columns that
sum to one is a one-hot choice, any other column an ordinal one. Constant slots are dropped.
"""

from collections.abc import Iterator

import numpy as np


def slots_of(encoding: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The slots of columns [N, D]: ("choice", [N, levels]) or ("number", [N, 1]).

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


def features(encoding: np.ndarray) -> dict[str, np.ndarray]:
    """Feature blocks, float32 [N, d] each.

    ``slots``: scaled so that the squared distance of two rows is the number of choices in which
    they differ; a number counts by its place among the levels of its column, in [0, 1].
    ``effects``: the same, and for a number also the square of its place, centred.
    ``counts``: square roots of how often each level is chosen, over choices of equal width where
    there are three or more of them; absent where there are none.
    """
    encoding = np.nan_to_num(np.asarray(encoding, np.float64))
    slots, effects, alike = [], [], {}
    for kind, block in slots_of(encoding):
        if kind == "choice":
            slots.append(block / 2**0.5)
            effects.append(block / 2**0.5)
            if block.shape[1] > 1:
                alike.setdefault(block.shape[1], []).append(block)
        else:
            levels, place = np.unique(block, return_inverse=True)
            place = place.reshape(-1, 1) / (len(levels) - 1)
            slots.append(2**0.5 * place)
            effects += [2**0.5 * place, (2 * place - 1) ** 2 - 1 / 3]
    nothing = [np.zeros((len(encoding), 1))]
    found = {"slots": np.hstack(slots or nothing), "effects": np.hstack(effects or nothing)}
    counts = [np.sqrt(sum(blocks)) for blocks in alike.values() if len(blocks) > 2]
    if counts:
        found["counts"] = np.hstack(counts)
    return {name: block.astype(np.float32) for name, block in found.items()}
