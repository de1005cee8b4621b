"""NAS-Bench-101 (Ying et al., ICML 2019): 423,624 cells of at most 7 nodes, 9 edges, 3 operations.

A cell is a directed acyclic graph. Here its output is always node 6: ``matrix`` uint8 [N, 7, 7] is
upper triangular, ``ops`` int8 [N, 7] has `INPUT` first, `OUTPUT` last, an index into `OPS` for
nodes between, and `ABSENT` for nodes that the cell does not have, which come last among those
between. A cell's number is 31 bits: its 21 possible edges by rows, first the most significant,
then a base-4 digit for each node between (3 = absent).

What the benchmark itself defines (pruning, hash, widths, validity) follows its paper and its
published library (Apache-2.0), written anew for many cells at once.
"""

import functools
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces import graph_arrays
from weaknas_jax.spaces.graphs import Graph

OPS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
INPUT, OUTPUT, ABSENT = -1, -2, -3
NODES, MAX_EDGES, SIZE = 7, 9, 423_624
_UPPER = np.triu_indices(NODES, 1)
_LETTERS = "31p"


class Cells(NamedTuple):
    """Cells; see the module.

    Attributes:
      matrix: uint8 [N, 7, 7].
      ops: int8 [N, 7].
    """

    matrix: np.ndarray
    ops: np.ndarray


def from_padded(matrix: np.ndarray, ops: np.ndarray) -> Cells:
    """Cells from the benchmark's own layout, where the output is the last node that exists.

    Args:
      matrix: [N, 7, 7], zeros beyond the last node.
      ops: [N, 7], as in `Cells`, but `OUTPUT` after the nodes between, then `ABSENT`.
    """
    last = (np.asarray(ops) == OUTPUT).argmax(axis=1)
    rows = np.arange(len(last))
    wide, names = np.array(matrix, np.uint8), np.array(ops, np.int8)
    into = wide[rows, :, last]
    wide[rows, :, last] = 0
    wide[:, :, -1] = into
    names[rows, last] = ABSENT
    names[:, -1] = OUTPUT
    return Cells(wide, names)


def to_padded(cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    """Matrix uint8 [N, 7, 7] and operations int8 [N, 7]; the inverse of `from_padded`."""
    last = (cells.ops != ABSENT).sum(axis=1) - 1
    rows = np.arange(len(last))
    matrix, ops = cells.matrix.copy(), cells.ops.copy()
    matrix[:, :, -1] = 0
    matrix[rows, :, last] = cells.matrix[:, :, -1]
    ops[:, -1] = ABSENT
    ops[rows, last] = OUTPUT
    return matrix, ops


def code(cells: Cells) -> np.ndarray:
    """The number of each cell, uint32 [N]; the inverse of `decode`."""
    edges = cells.matrix[:, *_UPPER].astype(np.uint32)
    inner = np.where(cells.ops[:, 1:-1] == ABSENT, 3, cells.ops[:, 1:-1]).astype(np.uint32)
    return (edges @ (2 ** np.arange(20, -1, -1, dtype=np.uint32)) << 10) | (
        inner @ (4 ** np.arange(4, -1, -1, dtype=np.uint32))
    )


def decode(codes: np.ndarray) -> Cells:
    """The cells of `code` numbers [N].

    >>> cells = decode([1 << 25 | 0b11_11_11_11_11])  # from input to output, nothing between
    >>> int(cells.matrix[0, 0, 6]), cells.ops[0].tolist()
    (1, [-1, -3, -3, -3, -3, -3, -2])
    """
    codes = np.asarray(codes, np.uint32)
    matrix = np.zeros((len(codes), NODES, NODES), np.uint8)
    matrix[:, *_UPPER] = codes[:, None] >> np.arange(30, 9, -1, dtype=np.uint32) & 1
    ops = np.full((len(codes), NODES), INPUT, np.int8)
    inner = (codes[:, None] >> np.arange(8, -1, -2, dtype=np.uint32) & 3).astype(np.int8)
    ops[:, 1:-1] = np.where(inner == 3, ABSENT, inner)
    ops[:, -1] = OUTPUT
    return Cells(matrix, ops)


def names(codes: np.ndarray) -> np.ndarray:
    """A short text for each number: the edges in hexadecimal, then the operations between.

    ``3`` and ``1`` are the convolutions, ``p`` the pooling, ``.`` an absent node.

    >>> str(names([1 << 25 | 0b00_01_10_11_11])[0])
    '008000/31p..'
    """
    codes = np.asarray(codes, np.uint32)
    table = np.frombuffer((_LETTERS + ".").encode(), np.uint8)
    hexadecimal = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((len(codes), 12), np.uint8)
    text[:, :6] = hexadecimal[codes[:, None] >> np.arange(30, 9, -4, dtype=np.uint32) & 15]
    text[:, 6] = ord("/")
    text[:, 7:] = table[codes[:, None] >> np.arange(8, -1, -2, dtype=np.uint32) & 3]
    return text.view("S12")[:, 0].astype("U12")


def read_names(names: np.ndarray) -> Cells:
    """The cells of `names` [N].

    >>> int(code(read_names(["008000/31p.."]))[0]) == 1 << 25 | 0b00_01_10_11_11
    True
    """
    text = np.asarray(names, "S12").view(np.uint8).reshape(-1, 12).astype(np.uint32)
    digits = np.where(text[:, :6] < ord("a"), text[:, :6] - ord("0"), text[:, :6] - ord("a") + 10)
    kinds = np.zeros(128, np.uint32)
    kinds[list((_LETTERS + ".").encode())] = range(4)
    edges = digits @ (16 ** np.arange(5, -1, -1, dtype=np.uint32))
    inner = kinds[text[:, 7:]] @ (4 ** np.arange(4, -1, -1, dtype=np.uint32))
    return decode(edges << 10 | inner)


def graph(name: str) -> Graph:
    """The cell of one of `names`: operations are on nodes.

    >>> graph("008000/31p..").nodes
    ('input', 'conv3x3-bn-relu', 'conv1x1-bn-relu', 'maxpool3x3', 'output')
    """
    matrix, ops = (part[0] for part in read_names(np.array([name])))
    nodes = np.flatnonzero(ops != ABSENT)
    labels = {INPUT: "input", OUTPUT: "output"} | dict(enumerate(OPS))
    begin, end = np.nonzero(matrix[np.ix_(nodes, nodes)])
    edges = tuple((int(a), int(b), "") for a, b in zip(begin, end, strict=True))
    return Graph(tuple(labels[int(ops[node])] for node in nodes), edges)


def graphs(cells: Cells) -> graph_arrays.Graphs:
    """Cells as graphs of 7 nodes."""
    kinds = {INPUT: graph_arrays.INPUT, OUTPUT: graph_arrays.OUTPUT, ABSENT: graph_arrays.ABSENT}
    ops = cells.ops + np.int16(graph_arrays.FIRST)
    for code, kind in kinds.items():
        ops[cells.ops == code] = kind
    return graph_arrays.Graphs(ops, cells.matrix, OPS)


def parse(matrix: Sequence | np.ndarray, ops: Sequence[str]) -> Cells:
    """One cell, pruned, of the benchmark's own form: a matrix [n, n] and n operations' names.

    As in the benchmark, what is no part of the network counts neither as a node nor as an edge.

    >>> cell = parse([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"])
    >>> str(names(code(cell))[0])
    '108400/p....'

    Raises:
      ValueError: it is no cell of the space; the message names the fault.
    """
    matrix, ops = np.asarray(matrix), list(ops)
    if matrix.ndim != 2 or len(matrix) != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(f"a cell's matrix is square, two nodes or more, not {matrix.shape}")
    if len(ops) != len(matrix):
        raise ValueError(f"{len(ops)} operations for the {len(matrix)} nodes of the matrix")
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError("a cell's matrix has entries other than 0 and 1")
    for source, target in np.argwhere(np.tril(matrix)):
        raise ValueError(f"the matrix is not upper triangular: it has {source} -> {target}")
    if ops[0] != "input" or ops[-1] != "output":
        raise ValueError(f"operations run from 'input' to 'output', not {ops[0]!r} to {ops[-1]!r}")
    for node, op in enumerate(ops[1:-1], start=1):
        if op not in OPS:
            raise ValueError(f"node {node} is {op!r}; expected one of {', '.join(OPS)}")
    live = np.flatnonzero(_live(matrix[None])[0])
    if not len(live):
        raise ValueError("no path leads from input to output")
    if len(live) > NODES:
        raise ValueError(f"{len(live)} nodes; a cell has at most {NODES}")
    padded, kinds = np.zeros((1, NODES, NODES), np.uint8), np.full((1, NODES), ABSENT, np.int8)
    padded[0, : len(live), : len(live)] = matrix[np.ix_(live, live)]
    if padded.sum() > MAX_EDGES:
        raise ValueError(f"{padded.sum()} edges; a cell has at most {MAX_EDGES}")
    kinds[0, : len(live)] = [INPUT, *(OPS.index(ops[node]) for node in live[1:-1]), OUTPUT]
    return from_padded(padded, kinds)


def prune(cells: Cells) -> Cells:
    """The cells without nodes off all paths from input to output; no edges if no path exists."""
    live = _live(cells.matrix)
    ops = np.where(live, cells.ops, np.int8(ABSENT))
    ops[:, 0], ops[:, -1] = INPUT, OUTPUT
    late = (ops == ABSENT).astype(np.int8)
    late[:, -1] = 2
    return reorder(Cells(cells.matrix * live[:, :, None] * live[:, None], ops), late)


def valid(cells: Cells) -> np.ndarray:
    """Which pruned cells are in the space, bool [N]."""
    edges = prune(cells).matrix.sum(axis=(1, 2))
    return (edges > 0) & (edges <= MAX_EDGES)


def hashes(cells: Cells) -> np.ndarray:
    """The benchmark's own name of pruned cells, S32 [N]: MD5 of a node and of those around it.

    >>> best = decode([0x66289520])  # of all cells, by test accuracy
    >>> hashes(best)[0].decode()
    '02e5a0247bbdcf2860b7e96f74961594'
    """
    found = np.empty(len(cells.ops), "S32")
    first = functools.cache(lambda *node: _md5(str(node)))
    for row, (matrix, ops) in enumerate(zip(cells.matrix, cells.ops.tolist(), strict=True)):
        nodes = [node for node in range(NODES) if ops[node] != ABSENT]
        edges = matrix.tolist()
        out = [[i for i, v in enumerate(nodes) if edges[u][v]] for u in nodes]
        into = [[i for i, u in enumerate(nodes) if edges[u][v]] for v in nodes]
        texts = [first(len(out[i]), len(into[i]), ops[node]) for i, node in enumerate(nodes)]
        for _ in nodes:
            before = ["".join(sorted([texts[i] for i in near])) for near in into]
            after = ["".join(sorted([texts[i] for i in near])) for near in out]
            texts = [_md5("|".join(node)) for node in zip(before, after, texts, strict=True)]
        found[row] = _md5(str(sorted(texts)))
    return found


def fingerprint(cells: Cells) -> np.ndarray:
    """A number that pruned cells share if and only if they are isomorphic, uint64 [N].

    The idea of `hashes` with integers for texts; no two cells of the space share theirs.
    """
    return _mix(colours(cells, NODES).sum(axis=1))


def colours(cells: Cells, steps: int, direction: str = "both") -> np.ndarray:
    """Weisfeiler-Lehman colours of the nodes, uint64 [N, 7]; 0 for absent ones.

    A colour is first the operation; each step mixes it with the colours of the nodes before
    (direction ``in``), after (``out``) or on either side (``both``).
    """
    matrix = cells.matrix.astype(np.uint64)
    colour = _mix((cells.ops + 4).astype(np.uint64))
    for _ in range(steps):
        mixed = 3 * colour
        if direction != "out":
            mixed += 5 * _mix(np.einsum("nuv,nu->nv", matrix, colour) + 17)
        if direction != "in":
            mixed += 7 * _mix(np.einsum("nuv,nv->nu", matrix, colour) + 29)
        colour = _mix(mixed)
    return np.where(cells.ops == ABSENT, 0, colour)


def parameters(cells: Cells) -> np.ndarray:
    """Trainable parameters of the whole network of pruned cells, int64 [N].

    A convolution of the image, three stacks of three cells (128, 256 and 512 channels), a dense
    layer; each convolution has a batch-norm's scale and offset and no bias. Where the output's
    channels do not divide evenly the first nodes get one more: the order of the nodes matters.
    """
    area = np.select([cells.ops == 0, cells.ops == 1], [9, 1])
    total = np.full(len(cells.ops), (3 * 9 + 2) * 128 + (512 + 1) * 10)
    before = 128
    for width in (128, 256, 512):
        wide = channels(cells, width)
        total += 3 * (area * wide**2 + 2 * (area > 0) * wide).sum(axis=1)
        projected = (cells.matrix[:, 0] * wide).sum(axis=1)  # a 1x1 convolution of the input
        total += projected * ((before + 2) + 2 * (width + 2))
        before = width
    return total


def channels(cells: Cells, width: int) -> np.ndarray:
    """Channels of every node but the input (0) in cells of that width, int64 [N, 7].

    The nodes before the output, which concatenates, share its channels; others have as many as
    the widest that they lead to.
    """
    last = cells.matrix[:, 1:-1, -1].astype(np.int64)
    share, extra = np.divmod(width, np.maximum(last.sum(axis=1), 1))
    wide = np.zeros((len(last), NODES), np.int64)
    wide[:, 1:-1] = last * (share[:, None] + (last.cumsum(axis=1) <= extra[:, None]))
    for node in range(NODES - 3, 0, -1):
        after = (cells.matrix[:, node] * wide).max(axis=1)
        wide[:, node] = np.where(last[:, node - 1], wide[:, node], after)
    wide[:, -1] = width
    return wide


def depths(matrix: np.ndarray) -> np.ndarray:
    """Edges on the longest path that ends in each node, int8 [N, 7]; edges may go either way."""
    edge = np.ascontiguousarray(np.moveaxis(matrix, 0, -1), np.int8)  # cells last: much faster
    depth = np.zeros(edge.shape[1:], np.int8)
    for _ in range(NODES - 1):
        depth = (edge * (depth[:, None] + 1)).max(axis=0)
    return depth.T


def _live(matrix: np.ndarray) -> np.ndarray:
    """Nodes on a path from first to last, bool [N, n], of upper triangular matrices [N, n, n]."""
    edge = np.asarray(matrix, bool)
    after, before = np.zeros(edge.shape[:2], bool), np.zeros(edge.shape[:2], bool)
    after[:, 0] = before[:, -1] = True
    for node in range(1, edge.shape[1]):
        after[:, node] = (after[:, :node] & edge[:, :node, node]).any(axis=1)
        other = -1 - node
        before[:, other] = (before[:, other + 1 :] & edge[:, other, other + 1 :]).any(axis=1)
    return after & before


def reorder(cells: Cells, key: np.ndarray) -> Cells:
    """The cells with their nodes sorted by a key [N, 7]; of equals the first stays first."""
    order = np.argsort(key, axis=1, kind="stable")
    rows = np.arange(len(order))[:, None]
    matrix = cells.matrix[rows[:, None], order[:, :, None], order[:, None]]
    return Cells(matrix, cells.ops[rows, order])


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of a uint64 affects every bit of the result."""
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9
    x = (x ^ x >> 27) * 0x94D049BB133111EB
    return x ^ x >> 31
