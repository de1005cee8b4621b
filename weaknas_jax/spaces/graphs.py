"""An architecture as a graph: what is drawn, and what graph predictors read."""

from typing import NamedTuple


class Graph(NamedTuple):
    """A directed acyclic graph, nodes in an order in which edges lead forward.

    Attributes:
      nodes: a label each; the first is the input, the last the output.
      edges: (from, to, label), places of nodes; an empty label where operations are on nodes.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]

    def check(self) -> "Graph":
        """Itself; ValueError where an edge does not lead forward between two nodes."""
        for begin, end, _ in self.edges:
            if not 0 <= begin < end < len(self.nodes):
                raise ValueError(f"edge {begin} -> {end}: nodes are 0..{len(self.nodes) - 1}")
        return self


def layers(graph: Graph) -> tuple[int, ...]:
    """The layer of each node: the length of the longest path that leads to it.

    >>> layers(Graph(("in", "conv", "out"), ((0, 1, ""), (0, 2, ""), (1, 2, ""))))
    (0, 1, 2)
    """
    depth = [0] * len(graph.nodes)
    for begin, end, _ in sorted(graph.edges):
        depth[end] = max(depth[end], depth[begin] + 1)
    return tuple(depth)
