"""Neighbours and common prefixes of the rows of a table, read as choices."""

import numpy as np

from weaknas_jax.spaces import columns


def one_apart(codes: np.ndarray) -> np.ndarray:
    """Neighbour table of N rows of codes [N, choices]: int32 [N, d] row indices, -1 = none.

    Two rows are neighbours if they differ in exactly one column. Neighbours are
    ordered by the column that differs, then by row; d is set by the rows with most neighbours.

    >>> one_apart(np.array([[0, 0], [0, 1], [1, 1]])).tolist()
    [[-1, 1], [2, 0], [1, -1]]
    """
    codes = np.asarray(codes)
    rows = np.arange(len(codes))
    found = []
    for choice in range(codes.shape[1]):
        rest = np.delete(codes, choice, axis=1)
        group = np.unique(rest, axis=0, return_inverse=True)[1].ravel()
        order = np.argsort(group, kind="stable")  # groups together, rows ascending
        sizes = np.bincount(group)
        start = np.cumsum(sizes) - sizes
        members = np.full((len(sizes), sizes.max()), -1, np.int32)
        members[group[order], rows - np.repeat(start, sizes)] = order
        near = members[group]
        own = near == rows[:, None]
        alike = (codes[near, choice] == codes[:, choice, None]) & ~own & (near >= 0)  # the same row
        near = near[~own].reshape(len(codes), -1)
        found.append(np.where(alike[~own].reshape(near.shape), -1, near))
    rows = np.hstack([np.full((len(codes), 0), -1, np.int32), *found])
    return rows if rows.shape[1] else np.full((len(codes), 1), -1, np.int32)


def of_columns(encoding: np.ndarray) -> np.ndarray:
    """`one_apart` of the choices that are read from columns [N, D] (`columns.slots_of`).

    >>> of_columns(np.array([[1, 0, 3], [0, 1, 3], [0, 0, 3], [0, 0, 4]])).tolist()
    [[1, 2, -1], [0, 2, -1], [0, 1, 3], [-1, -1, 2]]
    """
    return one_apart(_choices(encoding))


def prefixes(encoding: np.ndarray) -> np.ndarray:
    """Groups of rows that agree in their first choices, int32 [L, N], see `core.types.Space`.

    Choices are read from the columns of an encoding [N, D]. A choice that splits no group is left
    out; where equal rows remain, the last level is the rows themselves.

    >>> prefixes(np.array([[1, 5], [1, 4], [2, 4], [2, 4]])).tolist()
    [[0, 0, 1, 1], [1, 0, 2, 2], [0, 1, 2, 3]]
    """
    group, levels = np.zeros(len(encoding), np.int64), []
    for choice in _choices(encoding).T:
        many = group.max() + 1
        group = _renumbered(group * (choice.max() + 1) + choice)
        if group.max() + 1 > many:
            levels.append(group)
    if not levels or levels[-1].max() + 1 < len(encoding):
        levels.append(np.arange(len(encoding)))
    return np.stack(levels).astype(np.int32)


def _choices(encoding: np.ndarray) -> np.ndarray:
    """Codes of the choices that the columns encode, int64 [N, L]."""
    codes = []
    for kind, block in columns.slots_of(np.nan_to_num(np.asarray(encoding, np.float64))):
        if kind == "choice":  # 0 = none of the levels
            codes.append(_renumbered((block @ np.arange(1.0, block.shape[1] + 1)).astype(np.int64)))
        else:
            codes.append(np.unique(block[:, 0], return_inverse=True)[1].ravel())
    return np.stack(codes, axis=1) if codes else np.zeros((len(encoding), 0), np.int64)


def _renumbered(numbers: np.ndarray) -> np.ndarray:
    """Non-negative int64 [N] renumbered 0, 1, ... in the same order."""
    if numbers.max() >= 16 * len(numbers):
        return np.unique(numbers, return_inverse=True)[1].ravel()
    there = np.zeros(numbers.max() + 1, bool)  # few gaps: no need to sort
    there[numbers] = True
    return (np.cumsum(there) - 1)[numbers]
