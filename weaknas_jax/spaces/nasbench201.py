"""NAS-Bench-201 (Dong & Yang, ICLR 2020): 15,625 cells of 4 nodes, 6 edges, 5 operations.

A cell is six integers, the operations of the edges in the official order
0->1, 0->2, 1->2, 0->3, 1->3, 2->3, each an index into `OPS`. Its string is the official one,
``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``. The official index (the benchmark's own numbering, which
follows no formula) belongs to the table: see `weaknas_jax.tables.nasbench201`.
"""

from collections.abc import Iterable

import numpy as np

from weaknas_jax.spaces import graph_arrays, structure_blocks
from weaknas_jax.spaces.graphs import Graph

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
SIZE = len(OPS) ** len(EDGES)
_NONE, _SKIP = OPS.index("none"), OPS.index("skip_connect")


def parse(arch: str) -> tuple[int, ...]:
    """The six operations of an official architecture string.

    >>> parse("|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|")
    (4, 2, 1, 0, 0, 3)

    Raises:
      ValueError: the string is not of that form; the message names the part at fault.
    """
    nodes = arch.strip().split("+")
    if len(nodes) != 3:
        raise ValueError(
            f"{arch!r}: a NAS-Bench-201 cell has 3 nodes joined by '+', not {len(nodes)}"
        )
    ops = []
    for target, node in enumerate(nodes, start=1):
        tokens = node.strip("|").split("|")
        for source in range(max(target, len(tokens))):
            token = tokens[source] if source < len(tokens) else ""
            name, _, origin = token.partition("~")
            if source >= target or origin != str(source) or name not in OPS:
                raise ValueError(
                    f"{arch!r}: edge {source} of node {target} reads {token!r}; expected "
                    f"one of {', '.join(OPS)} followed by ~{source}"
                )
            ops.append(OPS.index(name))
    return tuple(ops)


def to_string(ops: Iterable[int]) -> str:
    """The official string of six operations; the inverse of `parse`.

    >>> to_string((4, 2, 1, 0, 0, 3))
    '|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|'
    """
    it = iter(ops)
    nodes = ["|" + "".join(f"{OPS[next(it)]}~{s}|" for s in range(t)) for t in (1, 2, 3)]
    return "+".join(nodes)


def graph(arch: str) -> Graph:
    """The cell of an official string: nodes are sums of features, edges carry the operations.

    Edges of ``none`` are left out.

    >>> graph(to_string((3, 0, 0, 0, 1, 0))).edges
    ((0, 1, 'nor_conv_3x3'), (1, 3, 'skip_connect'))
    """
    pairs = zip(EDGES, parse(arch), strict=True)
    edges = tuple((*edge, OPS[op]) for edge, op in pairs if op != _NONE)
    return Graph(("input", "node 1", "node 2", "output"), edges)


def graphs(ops: np.ndarray) -> graph_arrays.Graphs:
    """The cells of operations [N, 6] as graphs of 8 nodes: input, the edges in order, output.

    >>> cells = graphs(np.array([[3, 1, 0, 0, 1, 0]]))
    >>> cells.graph(0).nodes[:3]
    ('input', 'nor_conv_3x3', 'skip_connect')
    """
    none, skip = [OPS[_NONE]], [OPS[_SKIP]]
    return graph_arrays.of_edges(EDGES, np.asarray(ops), OPS, none, skip)


def one_hot(ops: np.ndarray) -> np.ndarray:
    """The reference's encoding, float32 [N, 30], of operations [N, 6].

    >>> one_hot(np.array([[0, 1, 2, 3, 4, 0]])).reshape(6, 5).argmax(1).tolist()
    [0, 1, 2, 3, 4, 0]
    """
    ops = np.asarray(ops)
    return np.eye(len(OPS), dtype=np.float32)[ops].reshape(*ops.shape[:-1], -1)


def integer(ops: np.ndarray) -> np.ndarray:
    """The operations themselves as features, float32 [N, 6]."""
    return np.asarray(ops, dtype=np.float32)


def features(ops: np.ndarray) -> dict[str, np.ndarray]:
    """Feature blocks of operations [N, 6], float32, square roots of counts.

    ``paths`` [N, 40]: the operation sequences of the paths from input to output; a skip is left
    out of its sequence, and a path with a zero in it is none.
    ``grams`` [N, 12]: the operations in those sequences, and the pairs that follow one another.
    ``counts`` [N, 4]: how many edges that lie on such a path skip, convolve (1x1, 3x3) or pool.

    >>> blocks = features(np.array([[3, 1, 0, 1, 2, 0]]))  # 3x3 then 1x1; and a skip
    >>> [int((block**2).sum().round()) for block in blocks.values()]
    [2, 3, 3]
    """
    return structure_blocks.cell(ops, EDGES, len(OPS), [_NONE], [_SKIP])


def code(ops: np.ndarray) -> np.ndarray:
    """A number in [0, 15625) for operations [..., 6]: base 5, first edge most significant.

    >>> int(code((0, 0, 0, 0, 1, 2)))
    7
    """
    return np.asarray(ops, dtype=np.int64) @ (len(OPS) ** np.arange(len(EDGES) - 1, -1, -1))


def decode(codes: np.ndarray) -> np.ndarray:
    """Operations int8 [..., 6] of `code` numbers.

    >>> decode(7).tolist()
    [0, 0, 0, 0, 1, 2]
    """
    powers = len(OPS) ** np.arange(len(EDGES) - 1, -1, -1)
    return (np.asarray(codes)[..., None] // powers % len(OPS)).astype(np.int8)


def neighbours(ops: Iterable[int]) -> np.ndarray:
    """The 24 cells that differ in one edge, int8 [24, 6], edges in order, operations ascending."""
    ops = np.asarray(tuple(ops), dtype=np.int8)
    others = [(e, o) for e in range(len(EDGES)) for o in range(len(OPS)) if o != ops[e]]
    result = np.repeat(ops[None], len(others), axis=0)
    edges, values = zip(*others, strict=True)
    result[np.arange(len(others)), edges] = values
    return result


def canonical(ops: Iterable[int]) -> str:
    """Canonical form of what the cell computes: skips contracted, zeros cut, sums in a fixed order.

    Two cells with the same text are the same function up to their weights. A node is the sum of
    its inputs; an operation on nothing is nothing; ``x`` is the cell's input, ``0`` nothing.
    The 15,625 cells make 4,930 classes. (The benchmark's own count of unique cells, 6,466, is
    of a text that keeps each zero as a summand, so that ``0 + x`` and ``x`` stay apart.)

    >>> canonical(parse("|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"))
    'nor_conv_3x3(x)'
    """
    ops = tuple(ops)
    terms: list[tuple[str, ...]] = [("x",)]  # of each node: its summands, sorted
    for node in (1, 2, 3):
        summands: list[str] = []
        for (source, target), op in zip(EDGES, ops, strict=True):
            if target != node or op == _NONE or not terms[source]:
                continue
            if op == _SKIP:
                summands += terms[source]
            else:
                summands.append(f"{OPS[op]}({'+'.join(terms[source])})")
        terms.append(tuple(sorted(summands)))
    return "+".join(terms[3]) or "0"
