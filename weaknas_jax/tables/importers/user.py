"""Tables of your own: CSV files and ``.npz`` of any names -> `Table`. `save_table` keeps it."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core import called, scaling
from weaknas_jax.spaces.graph_arrays import Graphs
from weaknas_jax.spaces.structures import Structure
from weaknas_jax.storage.npz import TableError, read_npz
from weaknas_jax.tables import canonical
from weaknas_jax.tables.importers import direction, repeated_rows, sheet
from weaknas_jax.tables.importers.features import Feature, decision, groups, remarks
from weaknas_jax.tables.table import Table

MAX_CHOICES = 256  # more different texts than that name things; they are not a choice
_NAMED = 1000  # features; of more none can be named in an expression, and none is described


class Imported(NamedTuple):
    """A table, and what is to be said of how the file was read: decisions, then remarks."""

    table: Table
    decisions: list[str]
    remarks: list[str]


def read_csv(path: str | os.PathLike, **options: Any) -> Table:
    """A table from comma-separated text: that of `import_csv`, which has the options."""
    return import_csv(path, **options).table


def read_arrays(path: str | os.PathLike, **options: Any) -> Table:
    """A table from the arrays of an ``.npz``: that of `import_arrays`, which has the options."""
    return import_arrays(path, **options).table


def import_csv(
    path: str | os.PathLike,
    *,
    valid: Sequence[str] = (),
    test: Sequence[str] = (),
    name: str | None = None,
    features: Sequence[str] = (),
    one_hot: Sequence[str] = (),
    extra: Sequence[str] = (),
    scale: float | None = None,
    minimize: bool | None = None,
    merge_repeats: bool = False,
    dataset: str = "",
    structure: Structure | None = None,
    graphs: Graphs | None = None,
) -> Imported:
    """A table from comma-separated UTF-8 text with a header line, one architecture a line.

    Numbers are features as they are; a column of texts becomes one feature a text, in sorted
    order. `Table.source` says which column became what.

    Args:
      valid, test: columns of labels, one a training run; default ``valid`` or ``valid_1``,
        ``valid_2``, ... and likewise for test. An empty cell is a run that does not exist.
      name: column of names; default ``name`` if there is one.
      features: columns that describe the architecture; default all that have no other use.
      one_hot: columns of numbers that are choices, not amounts: treated as texts.
      extra: columns to keep beside (costs, other accuracies). An empty number is NaN.
      scale: what labels are multiplied by; 100 makes fractions percent.
      minimize: whether the lowest labels are the best. It must be said of columns that are named
        like a loss; else the highest are.
      merge_repeats: rows that agree in all features become runs of one row; numbers kept beside
        become their means.
      dataset: name of the data set; default the file's name.
      structure: a `Cell` or `Chain` that columns are the edges or layers of, by their names.
      graphs: the architectures as graphs, a row each (`spaces.graphs_file`).

    Raises:
      TableError: the file cannot be read or used; the message names line and column.
    """
    text = sheet.read(path)
    where, columns = text.where, list(text.columns)
    valid = _labels(where, columns, "valid", valid)
    test = _labels(where, columns, "test", test, required=False)
    name = name or ("name" if "name" in columns else None)
    taken = {"valid": valid, "test": test, "name": [name] if name else [], "extra": extra}
    used = [column for group in taken.values() for column in group]
    taken["features"] = list(features) or [c for c in columns if c not in used]
    _check_columns(where, columns, {**taken, "one_hot": one_hot}, apart=tuple(taken))
    if not taken["features"]:
        raise TableError(f"{where}: no column is left to describe the architectures")
    minimize = direction.decide(where, [*valid, *test], minimize)
    if stray := [column for column in one_hot if column not in taken["features"]]:
        raise TableError(f"{where}: --one_hot={stray[0]} is not among the features")
    described = [_feature(text, column, column in one_hot) for column in taken["features"]]
    return _imported(
        path,
        described,
        labels=(valid, test),
        valid=np.stack([text.numbers(c, gaps=True) for c in valid], axis=1),
        test=np.stack([text.numbers(c, gaps=True) for c in test], axis=1) if test else None,
        names=np.array(text.columns[name]) if name else None,
        extra={column: _extra(text, column) for column in extra},
        scale=scale,
        minimize=minimize,
        merge_repeats=merge_repeats,
        dataset=dataset,
        structure=structure,
        graphs=graphs,
    )


def import_arrays(
    path: str | os.PathLike,
    *,
    valid: Sequence[str] = (),
    test: Sequence[str] = (),
    name: str | None = None,
    encoding: Sequence[str] = (),
    extra: Sequence[str] = (),
    scale: float | None = None,
    minimize: bool | None = None,
    merge_repeats: bool = False,
    dataset: str = "",
    structure: Structure | None = None,
    graphs: Graphs | None = None,
) -> Imported:
    """A table from the arrays of an ``.npz``; pickled arrays are refused.

    Arguments are as in `read_csv`, with arrays for columns. A label array is [N] or [N, R];
    ``encoding`` (default ``encoding``) names arrays of numbers [N, ...], flattened and put side by
    side.

    Raises:
      TableError: the file cannot be read or used; the message names the array.
    """
    arrays, where = read_npz(path), str(path)
    if arrays.get("format", np.array("")).tolist() == canonical.FORMAT:
        search = called.another("search", f"--table={path}")
        raise TableError(f"{where}: a canonical table already; search it by {search}")
    valid = _labels(where, arrays, "valid", valid)
    test = _labels(where, arrays, "test", test, required=False)
    encoding = list(encoding) or ["encoding"]
    name = name or next((n for n in ("names", "name") if n in arrays), None)
    taken = {"valid": valid, "test": test, "name": [name] if name else [], "extra": extra}
    taken["encoding"] = encoding
    _check_columns(where, arrays, taken, apart=tuple(taken))
    minimize = direction.decide(where, [*valid, *test], minimize)
    rows = arrays[encoding[0]].shape[:1]
    for column in (c for group in taken.values() for c in group):
        if arrays[column].shape[:1] != rows or rows == ():
            raise TableError(
                f"{where}: field {column!r} has shape {arrays[column].shape}, "
                f"{encoding[0]!r} has {arrays[encoding[0]].shape}; "
                "expected one row an architecture in each"
            )
        if column in (*valid, *test, *encoding) and arrays[column].dtype.kind not in "fiub":
            raise TableError(
                f"{where}: field {column!r} has dtype {arrays[column].dtype}; expected numbers"
            )

    def flat(names: Iterable[str]) -> np.ndarray:
        if not rows[0]:
            return np.zeros((0, 0))
        return np.hstack([arrays[n].reshape(rows[0], -1).astype(np.float64) for n in names])

    names = arrays[name] if name else None
    if names is not None:
        decode = np.char.decode(names, "utf-8", "replace") if names.dtype.kind == "S" else names
        names = decode.astype(str)
    return _imported(
        path,
        [feature for column in encoding for feature in _columns_of(column, flat([column]))],
        labels=(valid, test),
        valid=flat(valid),
        test=flat(test) if test else None,
        names=names,
        extra={column: arrays[column] for column in extra},
        scale=scale,
        minimize=minimize,
        merge_repeats=merge_repeats,
        dataset=dataset,
        structure=structure,
        graphs=graphs,
    )


def _columns_of(array: str, block: np.ndarray) -> list[Feature]:
    """The columns of an array [N, d], named after it."""
    several = block.shape[1] > 1
    return [
        Feature(f"{array}_{at}" if several else array, _whole(column), column[:, None])
        for at, column in enumerate(block.T)
    ]


def _imported(
    path: str | os.PathLike,
    features: list[Feature],
    labels: tuple[Sequence[str], Sequence[str]],
    *,
    scale: float | None,
    minimize: bool,
    merge_repeats: bool,
    dataset: str,
    **fields: Any,
) -> Imported:
    """A checked table of features, ``labels`` (names of valid and test columns) and ``fields``."""
    percent = not minimize
    for part, names in zip(("valid", "test"), labels, strict=True):
        values = fields[part]
        if values is None:
            continue
        finite = values[np.isfinite(values)]
        accuracy = not minimize and all(direction.is_percent(name, finite) for name in names)
        if scale is None and accuracy and finite.max() <= 1:
            raise TableError(
                f"{path}: no {part} accuracy is above 1. If they are fractions, add --scale=100; "
                "if they are percent, --scale=1"
            )
        fields[part] = values * (1.0 if scale is None else scale)
        inside = (finite * (scale or 1) >= 0) & (finite * (scale or 1) <= 100)
        percent &= bool(inside.all()) and (accuracy or scale == 100)
    described, few = features, len(features) <= _NAMED
    decisions = [decision(feature) for feature in features] if few else []
    said = "; ".join(decisions) or f"{len(features)} columns of numbers"
    encoding = [feature.block for feature in features] or [np.zeros((0, 0))]
    with np.errstate(over="ignore"):  # the check names an overflow
        encoding = scaling.to_float32(np.hstack(encoding))
    table = Table(
        space="table",
        dataset=dataset or Path(path).stem,
        encoding=encoding,
        minimize=minimize,
        unit="%" if percent else "score",
        columns={feature.name: feature.raw for feature in features} if few else {},
        source=f"{Path(path).name}; features: {said}",
        **fields,
    )
    if table.graphs is not None:
        canonical.check_graphs(table.graphs, len(table), str(path))
        features = [*features, _told_apart(table.graphs)]
    first, group = groups(features) if len(table) else (np.arange(0), np.arange(0))
    twins = len(table) - len(first)
    if merge_repeats and twins:
        table = repeated_rows.merged(table, first, group)
        decisions.append(f"{twins:,} rows were merged into runs of {len(first):,} architectures")
    try:
        canonical.check(table, str(path))
    except TableError as error:
        hint = "; repeated trainings are merged by --merge_repeats" if twins else ""
        raise TableError(f"{error}{hint}") from None
    return Imported(table, decisions, remarks(described, 0 if merge_repeats else twins))


def _told_apart(graphs: Graphs) -> Feature:
    """A feature that is the same where graphs are, so that others are no repeats."""
    flat = [np.asarray(part).reshape(len(graphs), -1) for part in (graphs.ops, graphs.adjacency)]
    _, number = np.unique(np.hstack(flat), axis=0, return_inverse=True)
    return Feature("graphs", number.ravel(), number.reshape(-1, 1))


def _labels(
    where: str, columns: Iterable[str], part: str, given: Sequence[str], required: bool = True
) -> list[str]:
    """The columns of accuracies: those named, else ``part``, else ``part_1``, ``part_2``, ..."""
    numbered = [c for c in columns if re.fullmatch(rf"{part}_[0-9]{{1,9}}", c)]
    numbered.sort(key=lambda column: int(column.rpartition("_")[2]))
    if given:
        return list(given)
    if part in columns and numbered:
        raise TableError(
            f"{where}: has both {part!r} and {numbered[0]!r}; say which by --{part}=COL[,COL]"
        )
    found = [part] if part in columns else numbered
    if required and not found:
        raise TableError(
            f"{where}: no column {part!r} or '{part}_1', ...; name it by --{part}=COL[,COL] "
            f"(there are {_some(columns)})"
        )
    return found


def _check_columns(where, columns: Iterable[str], taken: dict, apart: tuple[str, ...]) -> None:
    """Each named column exists and has one use."""
    use: dict[str, str] = {}
    for option, group in taken.items():
        for column in group:
            if column not in columns:
                raise TableError(
                    f"{where}: --{option}={column}: no such column (there are {_some(columns)})"
                )
            if option in apart and column in use:
                raise TableError(
                    f"{where}: column {column!r} is named by --{use[column]} and --{option}"
                )
            if option in apart:
                use[column] = option


def _some(columns: Iterable[str]) -> str:
    names = list(columns)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _feature(text: sheet.Sheet, column: str, choice: bool) -> Feature:
    """A column as predictors get it."""
    cells = text.columns[column]
    if "" in cells:
        raise text.bad(cells.index(""), column, "every feature needs a value")
    words = [row for row, cell in enumerate(cells) if sheet.number(cell) is None]
    if not words and not choice:
        numbers = text.numbers(column, gaps=False)
        if (large := np.abs(numbers) > np.finfo(np.float32).max).any():
            raise text.bad(int(large.argmax()), column, "it is too large for float32")
        return Feature(column, _whole(numbers), numbers[:, None])
    if 0 < len(words) < len(cells) and not choice:
        why = f"others are numbers; correct it, or add --one_hot={column} if all are choices"
        raise text.bad(words[0], column, why)
    options, which = np.unique(cells, return_inverse=True)
    if len(options) > MAX_CHOICES:
        raise TableError(
            f"{text.where}: column {column!r} has {len(options):,} different texts: no choice "
            f"but a name? Use --name={column} or --extra={column}, or list the --features"
        )
    raw = np.array(cells) if words else _whole(text.numbers(column, gaps=False))
    return Feature(column, raw, np.eye(len(options))[which], tuple(options.tolist()))


def _extra(text: sheet.Sheet, column: str) -> np.ndarray:
    """Integers or floats if all cells are, else texts."""
    if any(sheet.number(cell) is None for cell in text.columns[column] if cell):
        return np.array(text.columns[column])
    return _whole(text.numbers(column, gaps=True))


def _whole(numbers: np.ndarray) -> np.ndarray:
    """Numbers as integers, if all are whole."""
    whole = bool((np.abs(numbers) < 2**53).all()) and bool((numbers == np.rint(numbers)).all())
    return numbers.astype(np.int64) if whole else numbers
