"""An architecture as a graph, for drawings and graph predictors."""

from typing import NamedTuple


class Graph(NamedTuple):
    """A directed acyclic graph whose nodes are in topological order.

    Attributes:
      nodes: labels; the first is the input, the last the output.
      edges: (from, to, label) by node index; the label is empty where operations are on nodes.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int, str], ...]

    def check(self) -> "Graph":
        """Returns the graph; ValueError if an edge does not lead forward between two nodes."""
        for begin, end, _ in self.edges:
            if not 0 <= begin < end < len(self.nodes):
                raise ValueError(f"edge {begin} -> {end}: nodes are 0..{len(self.nodes) - 1}")
        return self


def layers(graph: Graph) -> tuple[int, ...]:
    """Layer of each node: the length of the longest path that leads to it.

    >>> layers(Graph(("in", "conv", "out"), ((0, 1, ""), (0, 2, ""), (1, 2, ""))))
    (0, 1, 2)
    """
    depth = [0] * len(graph.nodes)
    for begin, end, _ in sorted(graph.edges):
        depth[end] = max(depth[end], depth[begin] + 1)
    return tuple(depth)
