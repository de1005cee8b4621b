"""Cells and chains: what the choices of a space, or of a table, have to do with one another.

    Choices(choices, structure=Cell(edges={"a": (0, 1), "b": (0, 2), "c": (1, 2)}, none="zero"))

With its structure a space has the feature blocks of `structure_blocks`, beside those of its
columns; choices that are not of the structure make one more, ``others``. `structures_file` reads
structures.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from weaknas_jax.core.types import Space
from weaknas_jax.spaces import graph_arrays, structure_blocks
from weaknas_jax.spaces.choice import Choice, SpaceError, as_tuple, categorical, some, whole

MOST_OPTIONS = 128
"""Most options of an edge or layer."""
OTHERS = "others"
"""The block of the choices that are not of the structure, if there are any."""

Name = str | int
"""A choice of a space by its name; of a table, a column by its name or a slot by its number."""
Blocks = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell: a graph without cycles whose edges carry operations, each of them a choice.

    Nodes are numbered 0, 1, ... from the input to the output, the highest. A choice that is not
    named is none of the cell's, such as a width. An inactive edge is cut.

    >>> Cell({"a": (0, 1), "b": (1, 2), "c": (0, 2)}, none="zero", skip="identity").names
    ('a', 'b', 'c')

    Attributes:
      edges: pairs (from, to) by the name of their choice (`Name`); or a list of pairs, for all
        choices in order.
      none: options that cut an edge.
      skip: options that pass it through unchanged.
      options: all options of an edge; () = those of the choices, which then have the same ones.

    Raises:
      SpaceError: an edge is no pair of nodes, goes backwards or lies on no path, nodes are not
        numbered so, or there are too many paths (`structure_blocks.MOST_PATHS`).
    """

    edges: Mapping[Name, tuple[int, int]] | Sequence[tuple[int, int]]
    none: Any = ()
    skip: Any = ()
    options: tuple = ()

    def __post_init__(self) -> None:
        _settle(self, ("none", "skip", "options"))
        if not isinstance(self.edges, Mapping | list | tuple) or not self.edges:
            raise SpaceError(f"edges={self.edges!r}: give pairs of nodes by the names of choices")
        pairs = [_edge(pair) for pair in self.pairs]
        edges = dict(zip(self.names, pairs, strict=True)) if self.names else tuple(pairs)
        object.__setattr__(self, "edges", edges)
        check_names(self.names)
        nodes = {node for pair in pairs for node in pair}
        if missing := set(range(min(max(nodes), len(nodes)))) - nodes:
            raise SpaceError(
                f"no edge has node {min(missing)}; number nodes 0, 1, ... without gaps"
            )
        structure_blocks.paths_of(pairs)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The edges in order."""
        return list(self.edges.values() if isinstance(self.edges, Mapping) else self.edges)

    @property
    def names(self) -> tuple[Name, ...]:
        """The choices of the edges; () = all choices in order."""
        return tuple(self.edges) if isinstance(self.edges, Mapping) else ()

    def named(self, names: Sequence[Name], options: Sequence) -> "Cell":
        """The cell with the names of its choices and their options."""
        if len(names) != len(self.edges):
            raise SpaceError(
                f"the cell has {len(self.edges)} edges, and there are {len(names)} choices "
                f'({some(names)}): name that of each edge, as edges={{"CHOICE": (0, 1)}}'
            )
        edges = dict(zip(names, self.pairs, strict=True))
        return dataclasses.replace(self, edges=edges, options=tuple(options))

    def blocks(self, ops: np.ndarray) -> Blocks:
        """Feature blocks of options int [N, E], indices into ``options``; -1 = inactive."""
        none, skip = _places(self, self.none, "none"), _places(self, self.skip, "skip")
        return structure_blocks.cell(ops, self.pairs, len(self.options), none, skip)

    def graphs(self, ops: np.ndarray) -> graph_arrays.Graphs:
        """Graphs of options int [N, E], as `blocks` takes them."""
        return graph_arrays.of_edges(self.pairs, ops, *_operations(self))

    def summary(self) -> str:
        """The cell in a few words."""
        nodes = max(end for _, end in self.pairs) + 1
        return f"cell of {nodes} nodes and {len(self.pairs)} edges" + _summary(self)

    def describe(self) -> dict[str, Any]:
        """The cell as JSON."""
        edges: Any = [list(pair) for pair in self.pairs]
        if all(isinstance(name, str) for name in self.names) and self.names:
            edges = dict(zip(self.names, edges, strict=True))
        elif self.names:
            edges = [[name, *pair] for name, pair in zip(self.names, edges, strict=True)]
        return {"cell": {"edges": edges} | _described(self, ("none", "skip", "options"))}


@dataclasses.dataclass(frozen=True)
class Chain:
    """A chain of layers, each of them a choice of one operation.

    A choice that is not named is no layer, such as a width. An inactive layer is left out.

    >>> Chain(("layer1", "layer2"), skip="identity").skip
    ('identity',)

    Attributes:
      layers: names of the choices (`Name`) in order; () = all choices.
      skip: options that leave a layer out.
      options: as of `Cell`.

    Raises:
      SpaceError: a name is there twice, or is none.
    """

    layers: tuple[Name, ...] = ()
    skip: Any = ()
    options: tuple = ()

    def __post_init__(self) -> None:
        _settle(self, ("layers", "skip", "options"))
        check_names(self.layers)

    @property
    def names(self) -> tuple[Name, ...]:
        """The choices of the layers; () = all choices in order."""
        return self.layers

    def named(self, names: Sequence[Name], options: Sequence) -> "Chain":
        """The chain with the names of its choices and their options."""
        return dataclasses.replace(self, layers=tuple(names), options=tuple(options))

    def blocks(self, ops: np.ndarray) -> Blocks:
        """Feature blocks of options int [N, L], indices into ``options``; -1 = inactive."""
        skip = _places(self, self.skip, "skip")
        return structure_blocks.chain(ops, len(self.options), skip)

    def graphs(self, ops: np.ndarray) -> graph_arrays.Graphs:
        """Graphs of options int [N, L], as `blocks` takes them; an inactive layer is a skip."""
        pairs = [(at, at + 1) for at in range(np.shape(ops)[1])]
        operations, _, skip = _operations(self)
        ops = np.where(np.asarray(ops) < 0, len(operations), ops)
        return graph_arrays.of_edges(pairs, ops, (*operations, ""), (), (*skip, ""))

    def summary(self) -> str:
        """The chain in a few words."""
        return f"chain of {len(self.layers) or 'all'} layers" + _summary(self)

    def describe(self) -> dict[str, Any]:
        """The chain as JSON."""
        return {"chain": _described(self, ("layers", "skip", "options"))}


Structure = Cell | Chain


def of_choices(
    structure: Structure, choices: Mapping[str, Choice]
) -> Callable[[np.ndarray], Blocks]:
    """The feature blocks of codes [N, choices] as a function of them; checked here.

    Raises:
      SpaceError: the structure names no choice or option of these, or their options differ.
    """
    settled, operations = operations_of(structure, choices)
    settled.blocks(np.zeros((0, len(settled.names)), np.int64))
    return lambda codes: settled.blocks(operations(codes))


def operations_of(
    structure: Structure, choices: Mapping[str, Choice]
) -> tuple[Structure, Callable[[np.ndarray], np.ndarray]]:
    """The structure with names and options, and from codes [N, choices] to its options [N, E].

    Raises:
      SpaceError: see `of_choices`.
    """
    check_kind(structure)
    names = structure.names or tuple(choices)
    if unknown := [name for name in names if name not in choices]:
        raise SpaceError(f"no choice {unknown[0]!r}; there are {', '.join(choices)}")
    for name in names:
        _check_count(name, len(choices[name].options))
    options = structure.options or tuple(choices[names[0]].options)
    every, maps = categorical(*options), []
    for name in names:
        own = choices[name].options
        places = [every.place(option) for option in own]
        if None in places or not (structure.options or len(own) == len(options)):
            raise SpaceError(
                f"choice {name!r} has the options {some(own)}, and not {some(options)}: the "
                "choices of a structure need the same ones, or options=(...) that lists all; "
                "name the choices that belong to it"
            )
        maps.append(np.array([*places, -1]))  # -1 = inactive
    at = [list(choices).index(name) for name in names]

    def operations(codes: np.ndarray) -> np.ndarray:
        columns = [places[codes[:, place]] for places, place in zip(maps, at, strict=True)]
        return np.stack(columns, axis=1)

    return structure.named(names, options), operations


def check_kind(structure: Any) -> None:
    """Raises SpaceError unless it is a structure."""
    if not isinstance(structure, Cell | Chain):
        raise SpaceError(f"{structure!r}: give a Cell or a Chain")


def preset(blocks: Mapping[str, Any]) -> str:
    """The kernel of the Gaussian process on a structure's blocks."""
    return "cell_and_others" if OTHERS in blocks else "cell"


def added(space: Space, blocks: Mapping[str, Any]) -> Space:
    """A space with a structure's blocks beside its own, of which those of the same name go."""
    arrays = {name: jnp.asarray(block) for name, block in blocks.items()}
    features = {**space.features, **arrays}
    return dataclasses.replace(space, features=features, preset=preset(blocks))


def _settle(structure: Structure, fields: Sequence[str]) -> None:
    for field in fields:
        object.__setattr__(structure, field, as_tuple(getattr(structure, field)))


def _edge(pair: Any) -> tuple[int, int]:
    nodes = [whole(node) for node in pair] if isinstance(pair, list | tuple) else []
    if len(nodes) != 2 or None in nodes or min(nodes) < 0:
        raise SpaceError(f"edge {pair!r}: give its nodes as (from, to), numbered from 0")
    if nodes[0] >= nodes[1]:
        raise SpaceError(
            f"edge {pair!r} goes backwards or in a circle; number the nodes so that every edge "
            "leads to a higher one"
        )
    return nodes[0], nodes[1]


def check_names(names: Sequence[Any]) -> None:
    """Raises SpaceError for a name that is none, or is there twice."""
    for at, name in enumerate(names):
        if not isinstance(name, str) and (whole(name) is None or name < 0):
            raise SpaceError(f"{name!r} is no name; name a choice, or a slot by its number")
        if name in names[:at]:
            raise SpaceError(f"{name!r} is there twice; name each choice once")


def _check_count(name: Name, count: int) -> None:
    if count > MOST_OPTIONS:
        raise SpaceError(f"choice {name!r} has {count:,} options; at most {MOST_OPTIONS} here")


def _places(structure: Structure, values: Sequence, field: str) -> list[int]:
    """Indices of values among the options."""
    every = categorical(*structure.options)
    places = [every.place(value) for value in values]
    if None in places:
        value = values[places.index(None)]
        raise SpaceError(f"{field}: no option {value!r}; there are {some(structure.options)}")
    return places


def _operations(structure: Structure) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Names of all options, of those that cut, and of those that skip."""
    names = tuple(str(option) for option in structure.options)
    none = _places(structure, getattr(structure, "none", ()), "none")
    skip = _places(structure, structure.skip, "skip")
    return names, tuple(names[at] for at in none), tuple(names[at] for at in skip)


def _summary(structure: Structure) -> str:
    """The options with a meaning, as ``; none cuts; identity skips``."""
    verbs = {"none": "cuts", "skip": "skips"}
    parts = [
        f"{', '.join(map(str, values))} {verb}"
        for field, verb in verbs.items()
        if (values := getattr(structure, field, ()))
    ]
    return "".join(f"; {part}" for part in parts)


def _described(structure: Structure, fields: Sequence[str]) -> dict[str, list]:
    return {field: list(values) for field in fields if (values := getattr(structure, field))}
