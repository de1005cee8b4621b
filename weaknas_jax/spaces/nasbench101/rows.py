"""Neighbour table of a set of NAS-Bench-101 cells."""

from collections.abc import Callable

import numpy as np

from weaknas_jax.spaces.nasbench101.cells import Cells, code, decode, fingerprint, prune


def rows(cells: Cells, chunk: int = 16_384) -> np.ndarray:
    """The rows of N cells that are `neighbours` of each, int32 [N, d], -1 = none.

    Neighbours that are not among the N are left out; the others come in the order of
    `nasbench101.neighbours.neighbours`, by fingerprint. Of isomorphic cells the first is given.

    What adds undoes what removes, and of the two changes of an operation one undoes the other. So
    edges are only removed here, and each operation is changed once; then every pair is turned
    round, unless its edit cut off more than its edge, or one node that had no other edges.

    Args:
      cells: of the space.
      chunk: how many fingerprints are made at once; the result is the same.
    """
    codes = code(prune(cells))
    prints, first, same = np.unique(
        _chunked(fingerprint, codes, chunk), return_index=True, return_inverse=True
    )
    codes, n = codes[first], len(first)  # from here on cells are numbered by fingerprint
    source, edited = _edits(codes)
    new = np.append(True, edited[1:] != edited[:-1])  # many lead to the same graph
    pruned = _chunked(lambda part: code(prune(part)), edited[new], chunk)
    pruned, alike = np.unique(pruned, return_inverse=True)
    made = _chunked(fingerprint, pruned, chunk)
    target = np.minimum(np.searchsorted(prints, made), n - 1)
    target = np.where(prints[target] == made, target, -1)[alike[np.cumsum(new) - 1]]
    source, target = source[target >= 0], target[target >= 0]

    edges = np.bitwise_count(codes >> 10).astype(np.int8)
    mutual = edges[source] - edges[target] <= 2
    pairs = np.concatenate([source * n + target, (target * n + source)[mutual]])
    pairs.sort()
    source, target = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], n)
    count = np.bincount(source, minlength=n)
    near = np.full((n, count.max(initial=0)), -1, np.int32)
    near[np.arange(near.shape[1]) < count[:, None]] = first[target]
    return near[same]


def _edits(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Origin of each edit, int64 [M], and its unpruned result, ascending, uint32 [M]."""
    codes = codes.astype(np.uint64)
    source = np.arange(len(codes), dtype=np.uint64)
    found = []
    for shift in range(0, 10, 2):
        op = codes >> shift & 3
        after = codes - (op << shift) + ((op + 1) % 3 << shift)
        found.append((after << 32 | source)[op < 3])
    for bit in range(10, 31):
        found.append((codes - (1 << bit) << 32 | source)[codes >> bit & 1 == 1])
    both = np.sort(np.concatenate(found))  # in one number: the quickest sort by far
    return (both & 0xFFFFFFFF).astype(np.int64), (both >> 32).astype(np.uint32)


def _chunked(of: Callable[[Cells], np.ndarray], codes: np.ndarray, chunk: int) -> np.ndarray:
    parts = [codes[start : start + chunk] for start in range(0, len(codes), chunk)]
    return np.concatenate([of(decode(part)) for part in parts])
