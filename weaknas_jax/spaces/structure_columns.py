"""The structure of a table: its choices are columns by name, or slots of the encoding by number."""

from collections.abc import Mapping, Sequence

import numpy as np

from weaknas_jax.spaces import columns as generic
from weaknas_jax.spaces import structures
from weaknas_jax.spaces.choice import Choice, SpaceError, some
from weaknas_jax.spaces.graph_arrays import Graphs
from weaknas_jax.spaces.structures import Blocks, Structure


def blocks(structure: Structure, columns: Mapping[str, np.ndarray], encoding: np.ndarray) -> Blocks:
    """The feature blocks of a table's architectures, float32 [N, d] each.

    They are those of the structure, and ``others``, of the slots that are none of its choices.

    Args:
      structure: see `settled`.
      columns: source columns by name, [N] each.
      encoding: float32 [N, D].

    Raises:
      SpaceError: the structure is not that of these columns.
    """
    structure, codes = _places(structure, columns, encoding)
    choices = {name: _choice(structure.options) for name in structure.names}
    own = structures.of_choices(structure, choices)(np.stack(codes, axis=1))
    others = _others(codes, encoding)
    return own | ({structures.OTHERS: others} if others is not None else {})


def graphs(structure: Structure, columns: Mapping[str, np.ndarray], encoding: np.ndarray) -> Graphs:
    """The structures of a table's architectures as graphs; arguments and errors as of `blocks`."""
    structure, codes = _places(structure, columns, encoding)
    return structure.graphs(np.stack(codes, axis=1))


def _places(
    structure: Structure, columns: Mapping[str, np.ndarray], encoding: np.ndarray
) -> tuple[Structure, list[np.ndarray]]:
    """The settled structure, and of each choice the options' indices [N]."""
    structure, columns = settled(structure, columns, encoding)
    return structure, [_codes(columns[name], structure.options) for name in structure.names]


def settled(
    structure: Structure, columns: Mapping[str, np.ndarray], encoding: np.ndarray
) -> tuple[Structure, dict[str, np.ndarray]]:
    """The structure with all names and options, and the columns with those that it names.

    It then holds for a part of the rows too, in which some options may be missing. A column is
    named by its name, and its options are its values. A slot is named by its number among the
    choices of the encoding (`columns.slots_of`), and its options are the indices of its levels.
    Without names there are all columns in order, or all slots of a table that has no columns. A
    missing number (NaN) is an inactive choice.

    >>> x = np.array([[2.0, 2.0], [5.0, 2.0], [7.0, 5.0]])
    >>> whole, added = settled(structures.Chain((0, 1)), {}, x)
    >>> whole.layers, whole.options, added["slot 1"].tolist()
    (('slot 0', 'slot 1'), (0, 1, 2), [0, 0, 1])

    Args:
      structure, columns, encoding: see `blocks`.

    Raises:
      SpaceError: it names no column or slot of these, or no option of theirs, or their options
        differ.
    """
    structures.check_kind(structure)
    columns, names = dict(columns), list(structure.names or columns)
    slots = [name for name in names if isinstance(name, int)]
    if slots and len(slots) < len(names):
        raise SpaceError("name columns, or number slots, but not both")
    if slots or not names:
        levels, added = _levels(slots, encoding)
        columns |= added
        names, values = list(added), tuple(range(levels))
    else:
        if unknown := [name for name in names if name not in columns]:
            raise SpaceError(f"no column {unknown[0]!r}; there are {some(list(columns))}")
        values = _values({name: np.asarray(columns[name]) for name in names})
    options = structure.options or values
    if unknown := [value for value in values if _choice(options).place(value) is None]:
        raise SpaceError(f"a column has {unknown[0]!r}, which is none of options={some(options)}")
    structure = structure.named(names, options)
    structures.of_choices(structure, {name: _choice(options) for name in names})  # a check
    return structure, columns


def _others(codes: Sequence[np.ndarray], encoding: np.ndarray) -> np.ndarray | None:
    """The feature block of the slots that are none of the structure's choices; None = no such.

    A slot is a structure's where it divides the rows as one of its choices does.
    """
    divisions = {_division(code) for code in codes}
    blocks = [
        block
        for _, block in generic.slots_of(np.nan_to_num(np.asarray(encoding, np.float64)))
        if _division(block @ np.arange(1.0, block.shape[1] + 1)) not in divisions
    ]
    return generic.features(np.hstack(blocks))["effects"] if blocks else None


def _division(values: np.ndarray) -> bytes:
    """Which rows have equal values, by the first row of each."""
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    return first[which.ravel()].astype(np.int64).tobytes()


def _choice(options: Sequence) -> Choice:
    return Choice(tuple(options), ordered=False)


def _codes(column: np.ndarray, options: Sequence) -> np.ndarray:
    """Indices of a column's values [N] among the options; -1 = missing."""
    choice = _choice(options)
    values, which = np.unique(column, return_inverse=True)
    places = [choice.place(value) for value in values.tolist()]
    return np.array([-1 if place is None else place for place in places])[which.ravel()]


def _values(columns: Mapping[str, np.ndarray]) -> tuple:
    """The different values of columns, sorted, without missing ones."""
    texts = [name for name, column in columns.items() if column.dtype.kind not in "fiub"]
    if numbers := set(columns) - set(texts) if texts else ():
        raise SpaceError(
            f"column {texts[0]!r} holds texts, and {min(numbers)!r} numbers: the choices of a "
            "structure need the same options; name the columns that belong to it"
        )
    values = np.unique(np.concatenate(list(columns.values())))
    values = values[values == values]
    if len(values) > structures.MOST_OPTIONS:
        names = some(list(columns))
        most = structures.MOST_OPTIONS
        raise SpaceError(f"the columns {names} have {len(values):,} values; at most {most} here")
    return tuple(values.tolist())


def _levels(numbers: Sequence[int], encoding: np.ndarray) -> tuple[int, dict[str, np.ndarray]]:
    """How many levels slots have, and their indices by ``slot NUMBER``, [N] each.

    Args:
      numbers: of the slots; () = all.
      encoding: float32 [N, D].
    """
    slots = [block for _, block in generic.slots_of(np.nan_to_num(np.asarray(encoding, float)))]
    if not slots or max(numbers, default=0) >= len(slots):
        there = f"slots 0 .. {len(slots) - 1}" if slots else "no slot that is not constant"
        raise SpaceError(f"no slot {max(numbers, default=0)}; the encoding has {there}")
    chosen = {f"slot {at}": slots[at] for at in numbers or range(len(slots))}
    widths = {block.shape[1] for block in chosen.values()}
    if len(widths) > 1:
        which = ", ".join(f"{name} {block.shape[1]}" for name, block in chosen.items())
        raise SpaceError(
            f"the slots have different numbers of columns ({which}): the choices of a structure "
            "need the same options; number the slots that belong to it"
        )
    if widths == {1}:
        values = _values({name: block[:, 0] for name, block in chosen.items()})
        return len(values), {n: np.searchsorted(values, b[:, 0]) for n, b in chosen.items()}
    columns = {}
    for name, block in chosen.items():
        level = block.argmax(axis=1)
        there = block.any(axis=1)
        columns[name] = level if there.all() else np.where(there, level, np.nan)
    return widths.pop(), columns
