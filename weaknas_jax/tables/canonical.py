"""The canonical table file: one data set of one benchmark as a flat ``.npz`` without pickles.

Fields: ``format = "weaknas-table-1"``, ``space``, ``dataset``, ``encoding [N, D]``,
``valid [N, R]`` and ``test [N, R']`` (NaN = that training run does not exist; ``test`` may be
absent), optional ``names [N]``, ``version``, ``source``, ``licence``, ``minimize`` and ``unit`` of
the labels, any ``extra_NAME [N]`` column, ``column_NAME [N]`` from which the encoding was made,
``structure`` as JSON (`spaces.structures_file`), ``graphs_ops [N, V]``, ``graphs_adjacency
[N, V, V]`` and the names ``graphs_operations``, ``graphs_none``, ``graphs_skip``
(`spaces.graph_arrays.Graphs`), and ``sha256`` of all of them.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from weaknas_jax.core import called
from weaknas_jax.spaces import graph_arrays, structure_columns, structures_file
from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.spaces.graph_arrays import Graphs
from weaknas_jax.spaces.structures import Structure
from weaknas_jax.storage.npz import TableError, read_npz, write_npz
from weaknas_jax.tables.importers import kinds
from weaknas_jax.tables.table import Table

FORMAT = "weaknas-table-1"
LARGEST = 1e18  # label: squares of larger ones overflow float32
UNITS = ("", "%", "score")
_GRAPHS = ("ops", "adjacency", "operations", "none", "skip")
_TEXT = ("space", "dataset", "version", "signal", "unit", "source", "licence")


def save_table(path: str | os.PathLike, table: Table, overwrite: bool = False) -> None:
    """Writes a canonical table, checked first; the file appears whole or not at all.

    Args:
      path: a file, which need not exist.
      table: what to write.
      overwrite: replace any file; False = replace only a table.

    Raises:
      TableError: the table cannot be searched, or there is no such folder.
      ownership.NotOurs: ``path`` exists and may not be replaced, or is not a file.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise TableError(f"{path}: the folder {path.parent} does not exist")
    table = dataclasses.replace(
        table,
        encoding=np.asarray(table.encoding, np.float32),
        valid=_columns(np.asarray(table.valid)),
        test=None if table.test is None else _columns(np.asarray(table.test)),
        names=None if table.names is None else _as_text(np.asarray(table.names)),
        extra={name: np.asarray(column) for name, column in table.extra.items()},
        columns={name: np.asarray(column) for name, column in table.columns.items()},
    )
    check(table, str(path))
    arrays = {"format": FORMAT, "encoding": table.encoding, "valid": table.valid}
    arrays |= {name: getattr(table, name) for name in (*_TEXT, "minimize")}
    arrays |= {name: a for name in ("test", "names") if (a := getattr(table, name)) is not None}
    arrays |= {f"extra_{name}": column for name, column in table.extra.items()}
    arrays |= {f"column_{name}": column for name, column in table.columns.items()}
    if table.structure is not None:
        arrays["structure"] = json.dumps(table.structure.describe())
    if table.graphs is not None:
        arrays |= {f"graphs_{name}": _graph_array(table.graphs, name) for name in _GRAPHS}
    write_npz(path, arrays, overwrite=overwrite)


def load_table(path: str | os.PathLike, minimize: bool | None = None) -> Table:
    """Reads and checks a canonical table.

    Args:
      path: of the file.
      minimize: the direction of a file that does not state it; None = the highest labels are
        best.

    Raises:
      TableError: the file cannot be read (`read_npz`), a field is missing or of a wrong shape, or
        the file states another direction.
    """
    path = Path(path)
    if path.is_file() and (kind := kinds.kind_of(path)) != "npz":
        raise TableError(
            f"{path}: {kinds.NAMES[kind]}, not a canonical table; {_how_to_import(path)}"
        )
    arrays = read_npz(path)
    stated = str(arrays.get("format", ""))
    if stated != FORMAT:
        raise TableError(
            f"{path}: field 'format' is {stated!r}, expected {FORMAT!r}: not a canonical table; "
            f"{_how_to_import(path)}"
        )
    if missing := [name for name in ("encoding", "valid") if name not in arrays]:
        raise TableError(f"{path}: field {missing[0]!r} is missing")
    for name in ("encoding", "valid", "test"):
        if name in arrays and arrays[name].dtype.kind not in "fiub":
            raise TableError(
                f"{path}: field {name!r} has dtype {arrays[name].dtype}; expected numbers"
            )
    texts = {name: str(arrays[name]) for name in _TEXT if name in arrays}
    table = Table(
        **{"space": "table", "dataset": path.stem} | texts,
        encoding=arrays["encoding"].astype(np.float32),
        valid=_columns(arrays["valid"]),
        test=_columns(arrays["test"]) if "test" in arrays else None,
        names=_as_text(arrays["names"]) if "names" in arrays else None,
        minimize=_direction(path, arrays.get("minimize"), minimize),
        extra=_named("extra_", arrays),
        columns=_named("column_", arrays),
        structure=_structure(path, arrays.get("structure")),
        graphs=_graphs(path, _named("graphs_", arrays)),
    )
    check(table, str(path))
    return table


def _how_to_import(path: Path) -> str:
    line = called.another("table", "import", str(path), "--out=OUT.npz")
    return f"make one of it by {line}"


def _direction(path: Path, stated: np.ndarray | None, asked: bool | None) -> bool:
    """Whether the lowest labels are the best, by the file and the caller's flag."""
    if stated is None:
        return bool(asked)
    if stated.shape != () or stated.dtype.kind != "b":
        raise TableError(f"{path}: field 'minimize' is {stated!r}; expected True or False")
    if asked is not None and asked != bool(stated):
        best, flag = ("highest", "--minimize") if asked else ("lowest", "--nominimize")
        raise TableError(
            f"{path}: states that its {best} labels are the best, and {flag} says otherwise; "
            f"leave the flag out, or import the table again with {flag}"
        )
    return bool(stated)


def _structure(path: Path, stated: np.ndarray | None) -> Structure | None:
    if stated is None:
        return None
    if stated.shape != () or stated.dtype.kind != "U":
        raise TableError(f"{path}: field 'structure' has dtype {stated.dtype}; expected a text")
    try:
        return structures_file.from_text(str(stated))
    except SpaceError as error:
        raise TableError(f"{path}: field 'structure': {error}") from None


def _graphs(path: Path, arrays: Mapping[str, np.ndarray]) -> Graphs | None:
    if not arrays:
        return None
    if missing := [name for name in _GRAPHS if name not in arrays]:
        raise TableError(f"{path}: field 'graphs_{missing[0]}' is missing")
    names = (tuple(_as_text(arrays[name]).ravel().tolist()) for name in _GRAPHS[2:])
    return Graphs(arrays["ops"], arrays["adjacency"], *names)


def _graph_array(graphs: Graphs, name: str) -> np.ndarray:
    part = getattr(graphs, name)
    return np.asarray(part, np.str_) if isinstance(part, tuple) else np.asarray(part)


def _named(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _columns(labels: np.ndarray) -> np.ndarray:
    """Labels as float64 [N, R]; [N] is one run."""
    labels = labels.astype(np.float64)
    return labels[:, None] if labels.ndim == 1 else labels


def _as_text(names: np.ndarray) -> np.ndarray:
    return (
        np.char.decode(names, "utf-8", "replace") if names.dtype.kind == "S" else names.astype(str)
    )


def check(table: Table, where: str) -> None:
    """Raises `TableError` naming ``where`` and the field if the table cannot be searched."""

    def fail(field: str, why: str) -> None:
        raise TableError(f"{where}: field {field!r} {why}")

    encoding, valid = table.encoding, table.valid
    if encoding.ndim != 2 or 0 in encoding.shape:
        fail("encoding", f"has shape {encoding.shape}; expected [N, D], one row an architecture")
    n = len(encoding)
    if not np.isfinite(encoding).all():
        row = int(np.flatnonzero(~np.isfinite(encoding).all(axis=1))[0])
        fail("encoding", f"has a NaN or infinite value in row {row}; give every feature a number")
    if table.signal not in ("valid", "test") or (table.signal == "test" and table.test is None):
        fail("signal", f"is {table.signal!r}; expected 'valid', or 'test' in a table with 'test'")
    for name in ("valid", "test"):
        labels = getattr(table, name)
        if labels is None:
            continue
        if labels.ndim != 2 or labels.shape[0] != n or labels.shape[1] == 0:
            fail(name, f"has shape {labels.shape}; expected [{n}, R] as 'encoding' has {n} rows")
        if np.isinf(labels).any():
            fail(name, f"has an infinite value in row {np.argwhere(np.isinf(labels))[0][0]}")
        if not np.isfinite(labels).any():
            fail(name, "has no finite label: there is nothing to search for")
        low, high = np.nanmin(labels), np.nanmax(labels)
        if max(-low, high) > LARGEST:
            fail(name, f"ranges from {low:g} to {high:g}; scale it to at most {LARGEST:g}")
        if table.unit == "%" and (low < 0 or high > 100):
            fail(name, f"ranges from {low:g} to {high:g}; expected percent, as 'unit' says")
    if table.unit not in UNITS:
        fail("unit", f"is {table.unit!r}; expected '%' or 'score', or none")
    for name, column in [
        ("names", table.names),
        *((f"extra_{k}", v) for k, v in table.extra.items()),
        *((f"column_{k}", v) for k, v in table.columns.items()),
    ]:
        if column is not None and np.shape(column) != (n,):
            fail(name, f"has shape {np.shape(column)}; expected [{n}]")
    if table.structure is not None:
        try:
            structure_columns.settled(table.structure, table.columns, encoding)
        except SpaceError as error:
            raise TableError(f"{where}: field 'structure': {error}") from None
    if table.graphs is not None:
        check_graphs(table.graphs, n, where)
    if table.names is not None:
        _, first, count = np.unique(table.names, return_index=True, return_counts=True)
        if (count > 1).any():
            name = table.names[first[count > 1].min()]
            rows = np.flatnonzero(table.names == name)[:2].tolist()
            fail("names", f"has duplicate rows: {rows[0]} and {rows[1]} are both {str(name)!r}")
    else:
        labels = [valid] if table.test is None else [valid, table.test]
        rows = np.hstack([encoding, *(np.nan_to_num(a, nan=np.inf) for a in labels)])
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        if len(first) < n:
            row = int(np.flatnonzero(first[inverse.ravel()] != np.arange(n))[0])
            duplicate = int(first[inverse.ravel()][row])
            fail(
                "encoding",
                f"has duplicate rows: {duplicate} and {row} agree in features and labels; "
                "drop one, or give the rows different 'names'",
            )


def check_graphs(graphs: Graphs, size: int, where: str) -> None:
    """Raises `TableError` unless they are the graphs of ``size`` architectures."""
    try:
        graph_arrays.check(graphs, size)
    except SpaceError as error:
        raise TableError(f"{where}: graphs: {error}") from None
