"""Encodings of NAS-Bench-101 cells, and the feature blocks of the Gaussian process.

All take pruned `Cells`. But for `org` and `adjacency`, which are of the nodes in their order, cells
that are isomorphic have the same rows. A column means the same whatever cells are given, except
in `features`.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scipy.sparse

from weaknas_jax.spaces.nasbench101.cells import (
    ABSENT,
    MAX_EDGES,
    NODES,
    OPS,
    OUTPUT,
    Cells,
    channels,
    colours,
    decode,
    depths,
    to_padded,
)

COMPONENTS = 64
_CHUNK = 1 << 13  # cells at a time
_BETWEEN = NODES - 2
_KINDS = len(OPS)


def _parts(cells: Cells) -> Iterator[Cells]:
    for start in range(0, max(len(cells.ops), 1), _CHUNK):
        yield Cells(cells.matrix[start : start + _CHUNK], cells.ops[start : start + _CHUNK])


def _in_chunks(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A function of cells [N] to rows [N, D] that works on a few at a time."""

    @functools.wraps(function)
    def whole(cells: Cells, *args, **options) -> np.ndarray:
        done, result = 0, np.empty(0)
        for part in _parts(cells):
            rows = function(part, *args, **options)
            if not done:
                result = np.empty((len(cells.ops), rows.shape[1]), rows.dtype)
            result[done : done + len(rows)] = rows
            done += len(rows)
        return result

    return whole


@_in_chunks
def org(cells: Cells) -> np.ndarray:
    """The encoding of WeakNAS's code, float32 [N, 45].

    For each of the nodes 1 to 6 in the benchmark's layout, where the output is the last node that
    exists: which of the nodes before lead to it; then whether it is a 1x1 convolution, a 3x3
    convolution, a pooling or the output (none where it is absent).

    >>> row = org(decode([1 << 25 | 0b11_11_11_11_11]))[0]  # from input to output: node 1
    >>> np.flatnonzero(row).tolist()
    [0, 4]
    """
    matrix, ops = to_padded(cells)
    is_op = ops[:, :, None] == np.array([1, 0, 2, OUTPUT], np.int8)
    blocks = [part for v in range(1, NODES) for part in (matrix[:, :v, v], is_op[:, v])]
    return np.concatenate(blocks, axis=1, dtype=np.float32)


@_in_chunks
def adjacency(cells: Cells) -> np.ndarray:
    """The encoding of the WeakNAS paper's text, float32 [N, 56]: 7x7 matrix, then 7 operations.

    In the benchmark's layout, padded with zeros at the end. An operation is its number among
    absent, input, 3x3 convolution, 1x1 convolution, pooling, output. (The paper counts 49.)

    >>> row = adjacency(decode([1 << 25 | 0b11_11_11_11_11]))[0]
    >>> np.flatnonzero(row[:49]).tolist(), row[49:].astype(int).tolist()
    ([1], [1, 5, 0, 0, 0, 0, 0])
    """
    matrix, ops = to_padded(cells)
    number = np.select([ops == ABSENT, ops == OUTPUT], [0, 5], ops + 2)
    return np.concatenate([matrix.reshape(-1, NODES**2), number], axis=1, dtype=np.float32)


@_in_chunks
def paths(cells: Cells, longest: int = _BETWEEN) -> np.ndarray:
    """How many paths from input to output have each sequence of operations, uint8 [N, L].

    Sequences come shortest first, then in base 3: L is 364 for all of them. Those of no more than
    `longest` operations, 40 for three, are the first columns of these: the truncation of BANANAS
    (White et al., AAAI 2021), which then keeps whether there is one: ``paths(cells, 3) > 0``.

    >>> np.flatnonzero(paths(decode([0x66289520]))[0]).tolist()  # nothing; 3x3; ...
    [0, 1, 7, 58]
    """
    result = np.zeros((len(cells.ops), _before(longest + 1)), np.uint8)
    for rows, ops in _walks(cells, longest):
        result[rows, _before(ops.shape[1]) + ops @ _KINDS ** np.arange(ops.shape[1])[::-1]] += 1
    return result


def _before(length: int) -> int:
    """How many sequences are shorter."""
    return (_KINDS**length - 1) // (_KINDS - 1)


def _walks(cells: Cells, longest: int = _BETWEEN) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each possible path: the cells [n] that have it, its operations int [n, length]."""
    edge = np.ascontiguousarray(cells.matrix.transpose(1, 2, 0)).astype(bool)
    for length in range(longest + 1):
        for between in itertools.combinations(range(1, NODES - 1), length):
            steps = itertools.pairwise((0, *between, NODES - 1))
            rows = np.flatnonzero(np.logical_and.reduce([edge[step] for step in steps]))
            yield rows, cells.ops[rows[:, None], np.array(between, int)].astype(int)


def _label_table() -> np.ndarray:
    """Columns of one step's labels, int [4, 2, 6, 6, 6]; -1 for those that no valid cell has.

    A node's own kind (operation, 3 for the cell's end), whether the input leads to it, and how
    many of each operation do. Each of n operations that lead to a node has an edge from
    elsewhere, and only the end needs none onwards.
    """
    table = np.full((_KINDS + 1, 2, *[_BETWEEN + 1] * _KINDS), -1)
    label = itertools.count()
    for own, start, *counts in np.ndindex(*table.shape):
        edges = start + 2 * sum(counts) + (own < _KINDS)
        if start + sum(counts) and edges <= MAX_EDGES:
            table[own, start, *counts] = next(label)
    return table


_LABELS = _label_table()


@_in_chunks
def weisfeiler_lehman(
    cells: Cells, steps: int = 1, direction: str = "in", columns: int = 1024
) -> np.ndarray:
    """How many nodes have each Weisfeiler-Lehman label, uint8 [N, L].

    A node's label is its operation, refined `steps` times by the labels of the nodes that lead to
    it (direction ``in``), that it leads to (``out``), or ``both``. One step in or out has a
    column for each label there can be, L = 232. Others are too many (1,863 of one step both
    ways, 23,972 of two steps in): a label's column is its hash modulo `columns` = L.

    >>> row = weisfeiler_lehman(decode([0x66289520]))[0]
    >>> len(row), int(row.sum())
    (232, 7)
    """
    if steps < 1 or direction not in ("in", "out", "both"):
        raise ValueError(f"steps {steps} of direction {direction!r}: 1 or more, in, out or both")
    if direction == "out" and steps == 1:
        cells = _reversed(cells)
    if steps == 1 and direction != "both":
        columns, label = _LABELS.max() + 2, _labels(cells)
    else:
        label = (colours(cells, steps, direction) % columns).astype(int)
    flat = (label + columns * np.arange(len(label))[:, None])[cells.ops != ABSENT]
    return np.bincount(flat, minlength=len(label) * columns).reshape(-1, columns).astype(np.uint8)


def _reversed(cells: Cells) -> Cells:
    """The cells from output to input; the names of the two stay with their places."""
    ops = cells.ops[:, ::-1].copy()
    ops[:, 0], ops[:, -1] = cells.ops[:, 0], cells.ops[:, -1]
    return Cells(cells.matrix[:, ::-1, ::-1].transpose(0, 2, 1), ops)


def _labels(cells: Cells) -> np.ndarray:
    """The column of each node's label after one step in, int [N, 7]; the first node's is last."""
    own = np.where(cells.ops < 0, _KINDS, cells.ops)
    is_op = (cells.ops[:, :, None] == np.arange(_KINDS)).astype(np.uint8)
    counts = cells.matrix.transpose(0, 2, 1) @ is_op
    label = _LABELS[own, cells.matrix[:, 0], *np.moveaxis(counts, 2, 0)]
    label[:, 0] = _LABELS.max() + 1
    if (label[cells.ops != ABSENT] < 0).any():
        raise ValueError(f"cells that are not pruned, or have more than {MAX_EDGES} edges")
    return label


def _statistics(cells: Cells) -> dict[str, np.ndarray]:
    matrix, ops = cells.matrix.astype(np.int64), cells.ops
    size, interior = len(ops), ops >= 0
    into, out = matrix.sum(axis=1), matrix.sum(axis=2)
    wide = channels(cells, 60)  # sixtieths: whole numbers, so the nodes' order does not matter
    after = depths(matrix)
    before = depths(matrix.transpose(0, 2, 1))
    found: dict[str, np.ndarray] = {}

    of = {name: ops == op for op, name in enumerate(("conv3x3", "conv1x1", "pool"))}
    for name, nodes in of.items():
        count = nodes.sum(axis=1)
        found |= {
            f"{name} nodes": count,
            f"edges into {name}": (into * nodes).sum(axis=1),
            f"edges from {name}": (out * nodes).sum(axis=1),
            f"{name} to output": (matrix[:, :, -1] * nodes).sum(axis=1),
            f"input to {name}": (matrix[:, 0] * nodes).sum(axis=1),
            f"{name} channels": (wide * nodes).sum(axis=1) / 60,
            f"{name} mean channels": (wide * nodes).sum(axis=1) / (60 * np.maximum(count, 1)),
            f"{name} depth": (after * nodes).sum(axis=1),
            f"{name} height": (before * nodes).sum(axis=1),
        }
    is_op = np.stack(list(of.values()), axis=1).astype(np.float32)
    joined = is_op @ cells.matrix.astype(np.float32) @ is_op.transpose(0, 2, 1)
    for (i, name), (j, other) in itertools.product(enumerate(of), repeat=2):
        found[f"{name} to {other}"] = joined[:, i, j]
    found |= {
        "edges": matrix.sum(axis=(1, 2)),
        "nodes": (ops != ABSENT).sum(axis=1),
        "edges into output": into[:, -1] - matrix[:, 0, -1],
        "edges from input": out[:, 0],
        "input to output": matrix[:, 0, -1],
        "most edges into a node": (into * interior).max(axis=1),
        "most edges from a node": (out * interior).max(axis=1),
        "width": np.max([((after == d) & interior).sum(axis=1) for d in range(1, 6)], axis=0),
    }

    # Weights of one cell of 128 channels, of its convolutions and its projections of the input.
    unit = (128 / 60) ** 2
    three = unit * 9 * (wide**2 * of["conv3x3"]).sum(axis=1)
    one = unit * (wide**2 * of["conv1x1"]).sum(axis=1)
    projected = unit * 60 * (matrix[:, 0] * wide).sum(axis=1)
    found["log weights"] = np.log(three + one + projected + 1)
    found["log conv3x3 weights"] = np.log(three + 128)
    found["log conv1x1 weights"] = np.log(one + 128)
    found["log projection weights"] = np.log(projected + 128)

    lengths = np.zeros((size, _BETWEEN + 1), np.int64)  # how many paths have how many nodes
    threes = np.zeros((3, size), np.int64)  # 3x3 convolutions on them all, on one; either kind
    for rows, walk in _walks(cells):
        lengths[rows, walk.shape[1]] += 1
        convolutions = (walk == 0).sum(axis=1)
        threes[0, rows] += convolutions
        threes[1, rows] = np.maximum(threes[1, rows], convolutions)
        threes[2, rows] = np.maximum(threes[2, rows], (walk < 2).sum(axis=1))
    many = np.maximum(lengths.sum(axis=1), 1)
    found |= {
        "longest path": _BETWEEN - (lengths[:, ::-1] > 0).argmax(axis=1),
        "shortest path": (lengths > 0).argmax(axis=1),
        "mean path": (lengths @ np.arange(_BETWEEN + 1)) / many,
        "log paths": np.log(many),
        "most conv3x3 on a path": threes[1],
        "most convolutions on a path": threes[2],
        "mean conv3x3 on a path": threes[0] / many,
    }
    found |= {f"root paths of {n}": np.sqrt(lengths[:, n]) for n in range(_BETWEEN + 1)}

    most = np.zeros((size, NODES), np.int64)  # 3x3 convolutions on a path up to each node
    for node in range(1, NODES - 1):
        most[:, node] = (most * matrix[:, :, node]).max(axis=1) + (ops[:, node] == 0)
    last = (matrix[:, :, -1] > 0) & interior
    found["mean conv3x3 up to output"] = (most * last).sum(axis=1) / np.maximum(last.sum(axis=1), 1)
    least = np.where(last, most, NODES).min(axis=1)
    found["least conv3x3 up to output"] = np.where(last.any(axis=1), least, 0)
    return found


STATISTICS = tuple(_statistics(decode(np.array([1 << 25 | 0b11_11_11_11_11]))))


@_in_chunks
def statistics(cells: Cells) -> np.ndarray:
    """Counts, depths and sizes of each cell, float32 [N, 63]; `STATISTICS` names the columns.

    >>> row = statistics(decode([0x66289520]))[0]
    >>> [(name, int(row[STATISTICS.index(name)])) for name in ("edges", "longest path")]
    [('edges', 9), ('longest path', 4)]
    """
    return np.stack(list(_statistics(cells).values()), axis=1).astype(np.float32)


def features(cells: Cells, blocks: Iterable[str] = ("statistics",)) -> dict[str, np.ndarray]:
    """Feature blocks in `BLOCKS` by name, float32 [N, D], centred and of mean squared norm 1.

    ``statistics`` [N, 63]: each standardised; those that are constant are 0. The others [N, 64]
    are the first principal components of the square roots of `paths`, and of the
    `weisfeiler_lehman` labels of one step in and out; over the whole space they hold .77, .94 and
    .94 of the variance. The Gaussian process did no better with them (docs/results.md).

    Means and components are of the cells given: encode a space once, then take rows.
    """
    found = {name: BLOCKS[name](cells) for name in blocks}
    for block in found.values():
        block -= block.mean(axis=0, dtype=np.float64).astype(np.float32)
        norm = np.einsum("nd,nd->", block, block, dtype=np.float64) / max(len(block), 1)
        block /= np.float32(norm**0.5 or 1)
    return found


def _standardised(columns: np.ndarray) -> np.ndarray:
    constant = columns.min(axis=0) == columns.max(axis=0)
    deviation = np.where(constant, np.inf, columns.std(axis=0, dtype=np.float64))
    columns -= columns.mean(axis=0, dtype=np.float64).astype(np.float32)
    columns /= deviation.astype(np.float32)
    return columns


def _components(cells: Cells, counter: Callable[[Cells], np.ndarray]) -> np.ndarray:
    """Principal components of the square roots of counts, float32 [N, 64], largest first.

    Of each axis the entry of largest size is positive. Axes without variance are 0.
    """
    counts = scipy.sparse.vstack([scipy.sparse.csr_array(counter(part)) for part in _parts(cells)])
    roots: Any = counts.astype(np.float32)
    roots = roots.sqrt()  # a few in a row are not 0
    mean = roots.mean(axis=0, dtype=np.float64)
    exact = roots.astype(np.float64)
    covariance = (exact.T @ exact).toarray() / len(cells.ops) - np.outer(mean, mean)
    variance, axes = np.linalg.eigh(covariance)
    variance, axes = variance[::-1][:COMPONENTS], axes[:, ::-1][:, :COMPONENTS]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(COMPONENTS)])
    axes = axes * (variance > 1e-9 * variance[0])
    return (roots @ axes.astype(np.float32)) - (mean @ axes).astype(np.float32)


BLOCKS = {
    "statistics": lambda cells: _standardised(statistics(cells)),
    "paths": lambda cells: _components(cells, paths),
    "wl_in": lambda cells: _components(cells, weisfeiler_lehman),
    "wl_out": lambda cells: _components(
        cells, functools.partial(weisfeiler_lehman, direction="out")
    ),
}
