"""Feature blocks of cells and chains, from the sequences of operations along their paths.

A block has the same columns whatever the other rows are. Where all sequences (or pairs) would need
more than `WIDEST` columns, each has the column of its hash, so that a few share one.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces.choice import SpaceError

MOST_PATHS = 256
"""Most paths from the input of a cell to its output."""
WIDEST = 512
"""Most columns of sequences, and of pairs of operations."""

_ODD = 0x9E3779B97F4A7C15  # base of the numbers of sequences that are hashed

Edges = Sequence[tuple[int, int]]


def paths_of(edges: Edges) -> list[list[int]]:
    """The paths from node 0 to the highest node, each by the indices of its edges.

    >>> paths_of([(0, 1), (0, 2), (1, 2)])
    [[0, 2], [1]]

    Args:
      edges: pairs (from, to) of nodes in topological order, from below to.

    Raises:
      SpaceError: there are more than `MOST_PATHS`, or an edge lies on none.
    """
    output = max(end for _, end in edges)
    leaving: dict[int, list[int]] = {}
    for at, (start, _) in enumerate(edges):
        leaving.setdefault(start, []).append(at)
    ways = {output: 1}  # number of paths from each node to the output
    for node in range(output - 1, -1, -1):
        ways[node] = sum(ways[edges[at][1]] for at in leaving.get(node, ()))
    if ways[0] > MOST_PATHS:
        raise SpaceError(
            f"the edges make {ways[0]:,} paths from node 0 to node {output}; at most "
            f"{MOST_PATHS} can be used: leave edges out"
        )
    paths: list[list[int]] = []

    def follow(node: int, path: list[int]) -> None:
        if node == output:
            paths.append(path)
        for at in leaving.get(node, ()):
            if ways[edges[at][1]]:
                follow(edges[at][1], [*path, at])

    follow(0, [])
    used = {at for path in paths for at in path}
    for at, (start, end) in enumerate(edges):
        if at not in used:
            raise SpaceError(
                f"edge ({start}, {end}) lies on no path from node 0 to node {output}, the output"
            )
    return paths


def cell(
    ops: np.ndarray, edges: Edges, levels: int, none: Sequence[int], skip: Sequence[int]
) -> dict[str, np.ndarray]:
    """Feature blocks of the operations on a cell's edges, float32, square roots of counts.

    ``paths``: the operation sequences of the paths from input to output; a skip is left out of
    its sequence, and a path with a cut edge is none.
    ``grams``: the operations in those sequences, and the pairs that follow one another.
    ``counts``: how many edges that lie on such a path have each option but those that cut.

    >>> blocks = cell(np.array([[2, 1, 2]]), [(0, 1), (0, 2), (1, 2)], 3, [0], [1])
    >>> [(block**2).round().tolist() for block in blocks.values()]
    [[[1.0, 0.0, 1.0]], [[2.0, 1.0]], [[1.0, 2.0]]]

    Args:
      ops: int [N, E], an option of each edge; -1 = inactive, which cuts it.
      edges: E pairs of nodes, see `paths_of`.
      levels: number of options.
      none, skip: options that cut an edge, and that pass it through unchanged.
    """
    ops = np.asarray(ops, np.int64)
    cut, kinds = np.isin(ops, [-1, *none]), kinds_of(levels, none, skip)
    paths, count = paths_of(edges), int(kinds.max()) + 1
    sequences = sum(count**length for length in range(max(map(len, paths)) + 1))
    base = np.uint64(count if sequences <= WIDEST else _ODD)
    often = np.zeros((len(ops), min(sequences, WIDEST)), np.uint16)
    grams, live = _no_grams(len(ops), count), np.zeros(ops.shape, bool)
    for path in paths:
        exists = np.logical_not(cut[:, path].any(axis=1))
        live[:, path] |= exists[:, None]
        number = np.zeros(len(ops), np.uint64)  # of the sequence: shorter ones come first
        for step in _steps(kinds[ops[:, path]], exists):
            _add(grams, count, step)
            longer = number * base + (step.kind + 1).astype(np.uint64)
            number = np.where(step.stands, longer, number)
        rows = np.flatnonzero(exists)
        often[rows, _columns(number[rows], sequences)] += 1
    options = [level for level in range(levels) if level not in none]
    counts = np.stack([(live & (ops == op)).sum(axis=1) for op in options], axis=1)
    return _roots({"paths": often, "grams": grams, "counts": counts})


def chain(ops: np.ndarray, levels: int, skip: Sequence[int]) -> dict[str, np.ndarray]:
    """Feature blocks of the options of a chain's layers, float32, square roots of counts.

    ``paths``: the operation in each place of the sequence that is left without skipped layers,
    scaled so that chains of at most four layers differ in it as cells do in their paths, and
    longer ones by no more.
    ``grams``: the operations in that sequence, and the pairs that follow one another.
    ``counts``: how many layers have each option.

    >>> blocks = chain(np.array([[1, 0, 2]]), 3, [0])  # 1 then 2; and a skip
    >>> [block.tolist() for block in (blocks["paths"], blocks["counts"])]
    [[[1.0, 0.0, 0.0, 1.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]]]

    Args:
      ops: int [N, L], an option of each layer; -1 = inactive, which leaves it out.
      levels: number of options.
      skip: options that leave a layer out.
    """
    ops = np.asarray(ops, np.int64)
    size, depth = ops.shape
    kinds = kinds_of(levels, (), skip)
    count = int(kinds.max()) + 1
    places, grams = np.zeros((size, min(depth * count, WIDEST)), np.uint16), _no_grams(size, count)
    for step in _steps(kinds[ops], np.ones(size, bool)):
        _add(grams, count, step)
        rows = np.flatnonzero(step.stands)
        place = step.place[rows] * count + step.kind[rows]
        places[rows, _columns(place.astype(np.uint64), depth * count)] += 1
    counts = np.stack([(ops == level).sum(axis=1) for level in range(levels)], axis=1)
    blocks = _roots({"paths": places, "grams": grams, "counts": counts})
    blocks["paths"] *= np.float32(min(1.0, (4 / depth) ** 0.5))
    return blocks


def kinds_of(levels: int, none: Sequence[int], skip: Sequence[int]) -> np.ndarray:
    """The number of each option among the operations, int [levels + 1]; -1 = it cuts or skips.

    The last entry, index -1, is that of an inactive choice.

    >>> kinds_of(4, none=[0], skip=[2]).tolist()
    [-1, 0, -1, 1, -1]

    Raises:
      SpaceError: there is no operation.
    """
    numbers = np.full(levels + 1, -1)
    operations = [level for level in range(levels) if level not in (*none, *skip)]
    if not operations:
        raise SpaceError("none and skip name all options; at least one must be an operation")
    numbers[operations] = np.arange(len(operations))
    return numbers


class _Step(NamedTuple):
    """An edge or layer of a sequence, in N architectures.

    Attributes:
      stands: whether an operation is there, bool [N]; else the sequence does not exist, or skips.
      kind: its number, int [N].
      place: its place in the sequence, int [N].
      last: number of the operation before it, int [N], -1 = it is the first.
    """

    stands: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    last: np.ndarray


def _steps(kinds: np.ndarray, exists: np.ndarray) -> Iterator[_Step]:
    """The steps of sequences of operations [N, length], in the rows where they exist, bool [N]."""
    place, last = np.zeros(len(kinds), np.int64), np.full(len(kinds), -1)
    for kind in kinds.T:
        stands = exists & (kind >= 0)
        yield _Step(stands, kind, place, last)
        place, last = place + stands, np.where(stands, kind, last)


def _no_grams(size: int, count: int) -> np.ndarray:
    """Counts of operations, and beside them of pairs: zeros, uint16 [N, d]."""
    return np.zeros((size, count + min(count**2, WIDEST)), np.uint16)


def _add(grams: np.ndarray, count: int, step: _Step) -> None:
    """Adds a step's operation and its pair with the one before it."""
    rows = np.flatnonzero(step.stands)
    grams[rows, step.kind[rows]] += 1
    rows = rows[step.last[rows] >= 0]
    pair = count * step.last[rows] + step.kind[rows]
    grams[rows, count + _columns(pair.astype(np.uint64), count**2)] += 1


def _columns(numbers: np.ndarray, total: int) -> np.ndarray:
    """The columns of numbers, uint64 [n]: themselves if there are few in all, else hashed.

    The hash is the finaliser of SplitMix64 (Steele et al., OOPSLA 2014).
    """
    if total <= WIDEST:
        return numbers.astype(np.int64)
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(WIDEST)).astype(np.int64)


def _roots(blocks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.sqrt(block, dtype=np.float32) for name, block in blocks.items()}
