"""Picture of an architecture from its nodes and edges."""

from pathlib import Path

from matplotlib.figure import Figure

from weaknas_jax.report import canvas
from weaknas_jax.spaces.graphs import Graph, layers


def draw(graph: Graph, path: str | Path, title: str = "", overwrite: bool = False) -> Figure:
    """Draws nodes in columns by their distance from the input, and edges as arrows between them.

    Args:
      graph: the architecture, from ``spaces.registry.SPACES[space].graph(name)``.
      path: file to write; its ending chooses the format.
      title: above the picture.
      overwrite: replace a file even if this program did not draw it.
    """
    depth = layers(graph)
    columns = [[n for n, d in enumerate(depth) if d == layer] for layer in range(max(depth) + 1)]
    tallest = max(map(len, columns))
    figure = canvas.blank(max(4.0, 1.9 * len(columns)), max(2.5, 1.3 * tallest))
    axes = figure.subplots()
    place = {
        node: (x, (len(column) - 1) / 2 - y)
        for x, column in enumerate(columns)
        for y, node in enumerate(column)
    }
    for begin, end, label in graph.edges:
        (x0, y0), (x1, y1) = place[begin], place[end]
        bend = 0.25 * (x1 - x0 - 1) if y0 == y1 else 0.0  # around the nodes in between
        arrow = {"arrowstyle": "->", "color": "0.4", "shrinkA": 16, "shrinkB": 16}
        arrow["connectionstyle"] = f"arc3,rad={-bend}"
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow)
        middle = (x0 + x1) / 2, (y0 + y1) / 2 + bend * (x1 - x0) / 2
        axes.annotate(label, middle, ha="center", va="bottom", fontsize="x-small")
    for node, (x, y) in place.items():
        box = {"boxstyle": "round", "facecolor": "white", "edgecolor": "C0"}
        axes.annotate(graph.nodes[node], (x, y), ha="center", va="center", bbox=box, fontsize=8)
    axes.set(xlim=(-0.6, len(columns) - 0.4), ylim=(-tallest / 2 - 0.6, tallest / 2 + 0.6))
    axes.set_axis_off()
    axes.set_title(title, fontsize="small")
    return canvas.save(figure, path, overwrite)
