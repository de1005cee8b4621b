"""Cells of NAS-Bench-101 one edit away."""

import numpy as np

from weaknas_jax.spaces.nasbench101.cells import (
    ABSENT,
    MAX_EDGES,
    NODES,
    OPS,
    Cells,
    depths,
    fingerprint,
    prune,
    reorder,
)

_PAIRS = [(u, v) for u in range(NODES - 1) for v in range(1, NODES) if u != v]


def neighbours(cells: Cells) -> tuple[Cells, np.ndarray]:
    """The cells of the space one edit away from each of N, and their origins, int64 [M].

    An edit removes an edge, adds one (also against the order of the nodes, where that makes no
    cycle), changes an operation, or adds a node from one to another that may have an edge; what
    it cuts off is pruned. None is given twice or is the cell itself; they come by source, then by
    `fingerprint`, whatever the order of a cell's nodes. To be neighbours is mutual unless the
    edit cut off more than its edge, or one node that had no other edges. (The field's local
    search, White et al., UAI 2021, edits 7 nodes some of which may be cut off, in a fixed order;
    so it needs two edits to add a node.)

    >>> from weaknas_jax.spaces.nasbench101.cells import code, decode, names
    >>> near, source = neighbours(decode([1 << 25 | 0b11_11_11_11_11]))  # an edge, nothing else
    >>> sorted(names(code(near)).tolist()), source.tolist()
    (['108400/1....', '108400/3....', '108400/p....'], [0, 0, 0])
    """
    cells = prune(cells)
    present = cells.ops != ABSENT
    free = present.sum(axis=1) - 1  # the first node that is absent; the output if none is
    ahead = cells.matrix > 0  # is there a path?
    for _ in range(3):
        ahead |= ahead @ ahead
    edits: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def copies(which: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = np.flatnonzero(which)
        edits.append((cells.matrix[rows], cells.ops[rows], rows))
        return edits[-1]

    for node in range(1, NODES - 1):
        for op in range(len(OPS)):
            _, ops, _ = copies(present[:, node] & (cells.ops[:, node] != op))
            ops[:, node] = op
    for source, target in _PAIRS:
        may = present[:, source] & present[:, target] & ~ahead[:, target, source]
        matrix, _, _ = copies(may)
        matrix[:, source, target] ^= 1
        for op in range(len(OPS)):
            matrix, ops, rows = copies(may & (free < NODES - 1))
            each, new = np.arange(len(rows)), free[rows]
            matrix[each, source, new] = matrix[each, new, target] = 1
            ops[each, new] = op
    matrix, ops, origin = (np.concatenate(kind) for kind in zip(*edits, strict=True))

    order = depths(matrix)  # upper triangular again
    order[:, 0], order[:, -1] = -1, NODES
    found = prune(reorder(Cells(matrix, ops), order))
    edges, prints = found.matrix.sum(axis=(1, 2)), fingerprint(found)
    fits = (edges > 0) & (edges <= MAX_EDGES) & (prints != fingerprint(cells)[origin])
    kept = np.flatnonzero(fits)
    keys = np.stack([origin[kept].astype(np.uint64), prints[kept]], axis=1)
    kept = kept[np.unique(keys, axis=0, return_index=True)[1]]
    return Cells(found.matrix[kept], found.ops[kept]), origin[kept]
