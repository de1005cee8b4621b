"""Spaces by name: one record each, from which tables get encodings, features and neighbours.

A space is one record of `SPACES`: how its architectures are encoded, described by feature blocks,
joined to neighbours and drawn as graphs, and which kernel the Gaussian process has on it. No
other file depends on the name of a space. A table of a space without a record (or without
names) is described by the columns of its encoding alone (`spaces.columns`), unless it says its
structure (`spaces.structures`).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from weaknas_jax.spaces import columns, graph_arrays, nasbench201, structure_columns, structures
from weaknas_jax.spaces import neighbours as adjacent
from weaknas_jax.spaces.graph_arrays import CellGraphs, Graphs
from weaknas_jax.spaces.graphs import Graph
from weaknas_jax.spaces.mobilenet import config, window
from weaknas_jax.spaces.mobilenet import encodings as mobilenet
from weaknas_jax.spaces.nasbench101 import cells, encodings, rows
from weaknas_jax.storage import cache


class SpaceRecord(NamedTuple):
    """Functions and facts of a space; each function takes the names str [N] of architectures.

    Attributes:
      title: what it is, and its source.
      encoding: float32 [N, D], input of predictors.
      blocks: names of the feature blocks.
      features: those blocks, float32 [N, d] each.
      preset: the kernel of the Gaussian process, a name in `predictors.presets.PRESETS`.
      graph: nodes and edges of one architecture; takes one name.
      neighbours: int32 [N, d], the rows one edit away from each, -1 = none; None = those whose
        encodings differ in one choice.
      prefixes: int32 [L, N], see `core.types.Space`; None = by the choices of the encoding.
      size: N of the whole space; None = too many to list.
      graphs: all of the architectures as `graph_arrays.Graphs`, which graph predictors read; None =
        they cannot search this space.
    """

    title: str
    encoding: Callable[[np.ndarray], np.ndarray]
    blocks: tuple[str, ...]
    features: Callable[[np.ndarray], Mapping[str, np.ndarray]]
    preset: str
    graph: Callable[[str], Graph]
    neighbours: Callable[[np.ndarray], np.ndarray] | None = None
    prefixes: Callable[[np.ndarray], np.ndarray] | None = None
    size: int | None = None
    graphs: Callable[[np.ndarray], Graphs] | None = None


def _operations(names: np.ndarray) -> np.ndarray:
    return np.array([nasbench201.parse(name) for name in names])


def _neighbours_of_cells(names: np.ndarray) -> np.ndarray:
    """Neighbour table of cells; that of all of NAS-Bench-101 is slow to compute, and cached."""

    def compute() -> np.ndarray:
        return rows.rows(cells.read_names(names))

    whole = len(names) == cells.SIZE
    return cache.rows("nasbench101-neighbours-1", names, compute) if whole else compute()


SPACES: dict[str, SpaceRecord] = {
    "nasbench201": SpaceRecord(
        title="NAS-Bench-201 (Dong & Yang, ICLR 2020): cells of 6 edges, 5 operations each",
        encoding=lambda names: nasbench201.one_hot(_operations(names)),
        blocks=("paths", "grams", "counts"),
        features=lambda names: nasbench201.features(_operations(names)),
        preset="cell",
        graph=nasbench201.graph,
        neighbours=lambda names: adjacent.one_apart(_operations(names)),
        size=nasbench201.SIZE,
        graphs=lambda names: nasbench201.graphs(_operations(names)),
    ),
    "nasbench101": SpaceRecord(
        title="NAS-Bench-101 (Ying et al., ICML 2019): cells of at most 7 nodes and 9 edges",
        encoding=lambda names: encodings.org(cells.read_names(names)),
        blocks=("statistics",),
        features=lambda names: encodings.features(cells.read_names(names)),
        preset="graph",
        graph=cells.graph,
        neighbours=_neighbours_of_cells,
        size=cells.SIZE,
        graphs=lambda names: cells.graphs(cells.read_names(names)),
    ),
    "mobilenet_v3": SpaceRecord(
        title="Sub-networks of Once-for-all MobileNetV3 (Cai et al., ICLR 2020)",
        encoding=lambda names: window.one_hot(config.mobilenet_v3(), window.parse(names)),
        blocks=("hot", "stages"),
        features=lambda names: mobilenet.features(config.mobilenet_v3(), window.parse(names)),
        preset="supernet",
        graph=mobilenet.graph,
    ),
}


def record(space: str, names: np.ndarray | None) -> SpaceRecord | None:
    """The record of a space whose architectures have names; None = described by columns alone."""
    return None if names is None else SPACES.get(space)


def features(
    space: str,
    names: np.ndarray | None,
    encoding: np.ndarray,
    kind: str = "space",
    structure: structures.Structure | None = None,
    sources: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> tuple[Mapping[str, np.ndarray], str]:
    """The feature blocks of architectures, and the preset of kernels on them.

    Args:
      space: name of the space; one without a record is described by its columns.
      names: str [N], or None.
      encoding: float32 [N, D].
      kind: ``space``, the blocks of the structure, or else of the space; ``columns``, those of
        the encoding's columns; or ``all``, both, without the columns' blocks of a name that the
        space has too.
      structure: see `structure_columns`; it stands above the record of the space.
      sources: columns by name that a structure may name, [N] each.

    Returns:
      Blocks by name, float32 [N, d] each; a name in `predictors.presets.PRESETS`.

    Raises:
      SpaceError: the structure is not that of these columns.
    """
    entry = record(space, names)
    if kind == "columns" or (structure is None and entry is None):
        return columns.features(encoding), columns.PRESET
    generic = columns.features(encoding) if kind == "all" else {}
    if structure is not None:
        own = structure_columns.blocks(structure, sources, encoding)
        return {**generic, **own}, structures.preset(own)
    return {**generic, **entry.features(names)}, entry.preset


def neighbours(space: str, names: np.ndarray | None, encoding: np.ndarray) -> np.ndarray:
    """The rows that are one edit away from each of N architectures, int32 [N, d], -1 = none."""
    entry = record(space, names)
    if entry is None or entry.neighbours is None:
        return adjacent.of_columns(encoding)
    return entry.neighbours(names)


def prefixes(space: str, names: np.ndarray | None, encoding: np.ndarray) -> np.ndarray:
    """Groups of N architectures with a common prefix, int32 [L, N], see `core.types.Space`."""
    entry = record(space, names)
    if entry is None or entry.prefixes is None:
        return adjacent.prefixes(encoding)
    return entry.prefixes(names)


def has_graphs(
    space: str, names: np.ndarray | None, structure: structures.Structure | None = None
) -> bool:
    """Whether `graphs` of a space are there, by its structure or its record."""
    entry = record(space, names)
    return structure is not None or (entry is not None and entry.graphs is not None)


def graphs(
    space: str,
    names: np.ndarray | None,
    encoding: np.ndarray,
    structure: structures.Structure | None = None,
    sources: Mapping[str, np.ndarray] = MappingProxyType({}),
    own: Graphs | None = None,
) -> CellGraphs | None:
    """The N architectures as graphs; None = the space has none.

    Args:
      space, names, encoding, structure, sources: see `features`.
      own: graphs of a table, which stand above the structure, and that above the record.

    Raises:
      SpaceError: the structure is not that of these columns.
    """
    entry = record(space, names)
    if own is None and structure is not None:
        own = structure_columns.graphs(structure, sources, encoding)
    if own is None and entry is not None and entry.graphs is not None:
        own = entry.graphs(names)
    return None if own is None else graph_arrays.cell_graphs(own)
