"""Many architectures as graphs in arrays, for predictors that read graphs.

A graph is a directed acyclic one of at most V nodes in topological order. A node is an input, the
output, an operation, or absent. Where a space has its operations on edges (NAS-Bench-201), each
edge is a node here (`of_edges`).

Two forms stand side by side. The *whole* form is the graph as the space has it. In the *contracted*
one, nodes of operations that are nothing are cut, nodes of identities are bypassed, and what then
lies on no path from an input to the output is absent; its ``operations`` are those that are left.
Refined labels (Weisfeiler & Lehman, 1968) are those of the contracted form.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from weaknas_jax.spaces.choice import SpaceError, some
from weaknas_jax.spaces.graphs import Graph

ABSENT, INPUT, OUTPUT, FIRST = 0, 1, 2, 3
"""Kinds of nodes; operation k is `FIRST` + k."""
MOST_NODES = 32
LEVELS = 4
"""Levels of labels: that of the node alone, and three refinements."""


class Graphs(struct.PyTreeNode):
    """Graphs of n architectures.

    >>> chain = of_lists([(("input", "conv", "output"), [(0, 1), (1, 2)])])
    >>> chain.ops.tolist(), chain.operations
    ([[1, 3, 2]], ('conv',))

    Attributes:
      ops: int16 [n, V], kinds of nodes, see `ABSENT`.
      adjacency: uint8 [n, V, V], 1 = an edge from the row's node to the column's; upper triangular.
      operations: names of the operations in order.
      none: operations that are nothing; in the contracted form those that were cut.
      skip: operations that are an identity; in the contracted form those that were bypassed.
    """

    ops: Any
    adjacency: Any
    operations: tuple[str, ...] = struct.field(pytree_node=False)
    none: tuple[str, ...] = struct.field(pytree_node=False, default=())
    skip: tuple[str, ...] = struct.field(pytree_node=False, default=())

    def __len__(self) -> int:
        return len(self.ops)

    @property
    def nodes(self) -> int:
        """V."""
        return self.ops.shape[-1]

    @property
    def kinds(self) -> int:
        """Kinds of nodes that are there: input, output and the operations."""
        return FIRST - 1 + len(self.operations)

    @property
    def one_hot(self) -> jax.Array:
        """Kinds of nodes, float32 [n, V, kinds]: input, output, operations; absent = zeros."""
        return jax.nn.one_hot(jnp.asarray(self.ops, jnp.int32) - 1, self.kinds)

    @property
    def edges(self) -> jax.Array:
        """`adjacency` as float32."""
        return jnp.asarray(self.adjacency, jnp.float32)

    @property
    def present(self) -> jax.Array:
        """Which nodes are there, bool [n, V]."""
        return jnp.asarray(self.ops) != ABSENT

    def rows(self, index: Any) -> "Graphs":
        """Some of the graphs, by index or mask."""
        return self.replace(ops=self.ops[index], adjacency=self.adjacency[index])

    def graph(self, row: int) -> Graph:
        """One of them, to be drawn."""
        names = ("", "input", "output", *self.operations)
        at = np.flatnonzero(np.asarray(self.ops[row]))
        begin, end = np.nonzero(np.asarray(self.adjacency[row])[np.ix_(at, at)])
        edges = tuple((int(a), int(b), "") for a, b in zip(begin, end, strict=True))
        return Graph(tuple(names[int(self.ops[row][node])] for node in at), edges)


class CellGraphs(struct.PyTreeNode):
    """The graphs of a space's N architectures.

    Attributes:
      whole: as the space has them.
      contracted: without nothings and identities.
      labels: int32 [N, L, V], refined labels of the contracted form, see `refined_labels`.
    """

    whole: Graphs
    contracted: Graphs
    labels: Any


def cell_graphs(whole: Graphs) -> CellGraphs:
    """Both forms of graphs, and the labels, computed on the host."""
    contracted = contract(whole)
    return CellGraphs(whole, contracted, refined_labels(contracted))


def of_edges(
    pairs: Sequence[tuple[int, int]],
    ops: np.ndarray,
    operations: Sequence[str],
    none: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> Graphs:
    """Graphs of cells whose edges carry operations: nodes are the input, the edges, the output.

    An edge follows another that ends where it begins.

    >>> graphs = of_edges([(0, 1), (0, 2), (1, 2)], np.array([[0, 1, 0]]), ("conv", "skip"))
    >>> graphs.ops.tolist(), np.argwhere(graphs.adjacency[0]).tolist()
    ([[1, 3, 4, 3, 2]], [[0, 1], [0, 2], [1, 3], [2, 4], [3, 4]])

    Args:
      pairs: (from, to) of each edge, nodes 0, 1, ... from the input to the output.
      ops: int [N, E], indices into ``operations``; -1 = the edge is cut.
      operations, none, skip: see `Graphs`.
    """
    last = max(end for _, end in pairs)
    ends = [(-1, 0), *pairs, (last, last + 1)]
    one = np.array([[a[1] == b[0] and a is not b for b in ends] for a in ends], np.uint8)
    order = _topological(one)
    one = one[np.ix_(order, order)]
    kinds = np.full((len(ops), len(ends)), INPUT, np.int16)
    kinds[:, 1:-1] = np.where(np.asarray(ops) < 0, ABSENT, np.asarray(ops) + FIRST)
    kinds[:, -1] = OUTPUT
    kinds = kinds[:, order]
    adjacency = np.broadcast_to(one, (len(kinds), *one.shape)).copy()
    _cut(adjacency, kinds == ABSENT)
    return Graphs(kinds, adjacency, tuple(operations), tuple(none), tuple(skip))


def of_lists(
    graphs: Sequence[tuple[Sequence[str], Any]],
    none: Sequence[str] = (),
    skip: Sequence[str] = (),
    operations: Sequence[str] | None = None,
) -> Graphs:
    """Graphs given one by one, as nodes and edges; nodes may come in any order.

    Args:
      graphs: of each architecture the names of its nodes, among them ``input`` and one ``output``,
        and its edges: pairs of node numbers, or a matrix [v, v].
      none, skip: see `Graphs`.
      operations: names of operations in order; default all that there are, sorted.

    Raises:
      SpaceError: a graph has a cycle, an unknown operation, more than `MOST_NODES` nodes, no input,
        not one output, or an output that no input reaches; the message names the row.
    """
    nodes = max((len(names) for names, _ in graphs), default=2)
    if nodes > MOST_NODES:
        row = max(range(len(graphs)), key=lambda at: len(graphs[at][0]))
        raise SpaceError(f"row {row}: {nodes} nodes; at most {MOST_NODES} can be used")
    used = {str(name) for names, _ in graphs for name in names} - {"input", "output", ""}
    listed = tuple(sorted(used)) if operations is None else tuple(map(str, operations))
    place = {"": ABSENT, "input": INPUT, "output": OUTPUT}
    place |= {name: FIRST + at for at, name in enumerate(listed)}
    if stray := [name for name in (*none, *skip) if name not in listed]:
        raise SpaceError(f"no node has the operation {stray[0]!r}; there are {some(listed)}")
    ops = np.zeros((len(graphs), nodes), np.int16)
    adjacency = np.zeros((len(graphs), nodes, nodes), np.uint8)
    for row, (names, edges) in enumerate(graphs):
        matrix = _matrix(row, len(names), edges)
        if unknown := [name for name in names if str(name) not in place]:
            raise SpaceError(f"row {row}: operation {unknown[0]!r} is none of {some(listed)}")
        order = _topological(matrix)
        if len(order) < len(matrix):
            stuck = sorted(set(range(len(matrix))) - set(order))
            raise SpaceError(f"row {row}: nodes {stuck} lie on or behind a cycle")
        kinds = np.array([place[str(names[node])] for node in order], np.int16)
        matrix = matrix[np.ix_(order, order)]
        _check_ends(row, kinds, matrix)
        ops[row, : len(order)] = kinds
        adjacency[row, : len(order), : len(order)] = matrix
    _cut(adjacency, ops == ABSENT)
    return Graphs(ops, adjacency, listed, tuple(map(str, none)), tuple(map(str, skip)))


def _matrix(row: int, size: int, edges: Any) -> np.ndarray:
    """Edges as a matrix uint8 [size, size]."""
    given = np.zeros(1, object)
    with contextlib.suppress(ValueError):  # rows of different lengths
        given = np.asarray(edges)
    if given.shape == (size, size):
        if not np.isin(given, (0, 1)).all():
            raise SpaceError(f"row {row}: the matrix of edges has entries other than 0 and 1")
        return given.astype(np.uint8)
    matrix = np.zeros((size, size), np.uint8)
    if given.size == 0:
        return matrix
    if given.ndim != 2 or given.shape[-1] != 2 or given.dtype.kind not in "iu":
        raise SpaceError(
            f"row {row}: edges must be pairs of node numbers, or a matrix [{size}, {size}], not "
            f"{given.dtype} {list(given.shape)}"
        )
    for begin, end in given.tolist():
        if not (0 <= begin < size and 0 <= end < size):
            raise SpaceError(f"row {row}: edge {begin} -> {end}; nodes are 0 to {size - 1}")
        matrix[begin, end] = 1
    return matrix


def _check_ends(row: int, kinds: np.ndarray, matrix: np.ndarray) -> None:
    outputs = int((kinds == OUTPUT).sum())
    if outputs != 1:
        raise SpaceError(f"row {row}: {outputs} nodes are called 'output'; there must be one")
    if not (kinds == INPUT).any():
        raise SpaceError(f"row {row}: no node is called 'input'")
    if not _alive(kinds[None], matrix[None])[0, kinds == OUTPUT].any():
        raise SpaceError(f"row {row}: no path leads from an input to the output")


def _topological(matrix: np.ndarray) -> list[int]:
    """Nodes in topological order, of several possible ones the lowest; those of cycles missing."""
    order: list[int] = []
    left = list(range(len(matrix)))
    while free := [node for node in left if not matrix[left, node].any()]:
        order.append(free[0])
        left.remove(free[0])
    return order


def check(graphs: Graphs, size: int) -> None:
    """Raises SpaceError, naming the row, unless arrays are the graphs of ``size`` architectures."""
    ops, adjacency = np.asarray(graphs.ops), np.asarray(graphs.adjacency)
    nodes = ops.shape[-1] if ops.ndim == 2 else 0
    if ops.shape != (size, nodes) or adjacency.shape != (size, nodes, nodes):
        shapes = f"ops {list(ops.shape)} and adjacency {list(adjacency.shape)}"
        raise SpaceError(f"{shapes}; expected [{size}, V] and [{size}, V, V]")
    if not 2 <= nodes <= MOST_NODES:
        raise SpaceError(f"{nodes} nodes; there must be 2 to {MOST_NODES}")
    if ops.dtype.kind not in "iu" or adjacency.dtype.kind not in "iub":
        raise SpaceError(f"ops are {ops.dtype} and adjacency {adjacency.dtype}; expected integers")
    if stray := [name for name in (*graphs.none, *graphs.skip) if name not in graphs.operations]:
        raise SpaceError(f"no operation is called {stray[0]!r}; there are {graphs.operations}")
    absent = ops == ABSENT
    faults = {
        "an unknown operation": (ops < 0) | (ops >= FIRST + len(graphs.operations)),
        "an edge that does not lead to a later node": np.tril(adjacency != 0).any(axis=2),
        "entries other than 0 and 1": (adjacency > 1).any(axis=2),
        "an edge of an absent node": absent & (adjacency.any(axis=2) | adjacency.any(axis=1)),
        "not one output": ((ops == OUTPUT).sum(axis=1) != 1)[:, None],
        "an output that no input reaches": ~(_alive(ops, adjacency) & (ops == OUTPUT)).any(
            axis=1, keepdims=True
        ),
    }
    for fault, where in faults.items():
        if where.any():
            raise SpaceError(f"row {int(where.any(axis=1).argmax())}: {fault}")


def contract(graphs: Graphs) -> Graphs:
    """The contracted form, see the module; nodes keep their places.

    >>> names = ("conv", "skip", "zero")
    >>> ops = np.array([[0, 2, 1]])
    >>> graphs = of_edges([(0, 1), (0, 2), (1, 2)], ops, names, names[2:], names[1:2])
    >>> contracted = contract(graphs)
    >>> contracted.ops.tolist(), np.argwhere(contracted.adjacency[0]).tolist()
    ([[1, 3, 0, 0, 2]], [[0, 1], [1, 4]])
    >>> contracted.operations
    ('conv',)
    """
    ops, adjacency = np.array(graphs.ops), np.array(graphs.adjacency)
    gone = np.isin(ops, _kinds(graphs, graphs.none))
    ops[gone] = ABSENT
    _cut(adjacency, gone)
    passed = np.isin(ops, _kinds(graphs, graphs.skip))
    for node in range(ops.shape[1]):  # in topological order: chains of identities keep their path
        around = adjacency[:, :, node, None] & adjacency[:, None, node, :]
        adjacency |= np.where(passed[:, node, None, None], around, 0).astype(np.uint8)
        only = np.zeros_like(passed)
        only[:, node] = passed[:, node]
        _cut(adjacency, only)
    ops[passed] = ABSENT
    gone = ~_alive(ops, adjacency) & ~np.isin(ops, (INPUT, OUTPUT))
    _cut(adjacency, ~_alive(ops, adjacency))
    ops[gone] = ABSENT
    left = [name for name in graphs.operations if name not in (*graphs.none, *graphs.skip)]
    number = np.zeros(FIRST + len(graphs.operations), ops.dtype)
    number[[ABSENT, INPUT, OUTPUT]] = ABSENT, INPUT, OUTPUT
    number[_kinds(graphs, left)] = FIRST + np.arange(len(left))
    return graphs.replace(ops=number[ops], adjacency=adjacency, operations=tuple(left))


def _kinds(graphs: Graphs, names: Sequence[str]) -> list[int]:
    listed = graphs.operations
    return [FIRST + listed.index(name) for name in names if name in listed]


def _cut(adjacency: np.ndarray, nodes: np.ndarray) -> None:
    """Removes all edges of some ``nodes`` [n, V], in place."""
    adjacency[nodes] = 0
    adjacency.transpose(0, 2, 1)[nodes] = 0


def _alive(ops: np.ndarray, adjacency: np.ndarray) -> np.ndarray:
    """Nodes on a path from an input to the output, bool [n, V]."""
    edge = np.asarray(adjacency, bool)
    after, before = ops == INPUT, ops == OUTPUT
    for node in range(ops.shape[1]):
        after[:, node] |= (after[:, :node] & edge[:, :node, node]).any(axis=1)
        other = -1 - node
        later = (
            (before[:, other + 1 :] & edge[:, other, other + 1 :]).any(axis=1) if node else False
        )
        before[:, other] |= later
    return after & before


def refined_labels(graphs: Graphs, levels: int = LEVELS) -> np.ndarray:
    """Labels of nodes, int32 [n, L, V]: at level 0 the kind, then refined by those it leads to.

    A node's label at the next level stands for its own and the sorted labels of the nodes that its
    edges lead to. Labels are numbers, the same for the same structure in all n graphs, and differ
    between levels; absent nodes have -1.
    """
    ops, edge = np.asarray(graphs.ops), np.asarray(graphs.adjacency, bool)
    there = ops != ABSENT
    labels = [np.where(there, ops, -1).astype(np.int32)]
    first = int(ops.max(initial=0)) + 1
    for _ in range(levels - 1):
        last = labels[-1]
        following = np.where(edge, last[:, None, :], -1)
        following.sort(axis=-1)
        whole = np.concatenate([last[..., None], following], axis=-1)[there]
        _, number = np.unique(_digests(whole), return_inverse=True)
        refined = np.full(ops.shape, -1, np.int32)
        refined[there] = first + number.ravel()
        first += int(number.max(initial=-1)) + 1
        labels.append(refined)
    return np.stack(labels, axis=1)


def _digests(rows: np.ndarray) -> np.ndarray:
    """A 64-bit digest of each row of integers; equal rows have equal ones."""
    digest = np.zeros(len(rows), np.uint64)
    for column in rows.T:
        x = digest * np.uint64(0x9E3779B97F4A7C15) + column.astype(np.int64).view(np.uint64)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        digest = x ^ x >> np.uint64(31)
    return digest
