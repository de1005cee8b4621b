"""NAS-Bench-101's own files -> `Table`: ``nasbench_only108.tfrecord``, ``nasbench_full.tfrecord``.

A record is one training: a JSON list of the cell's hash, the epochs, the adjacency matrix as a
text of 0 and 1, the operations with commas between, and in base 64 a protocol-buffer message:

    ModelMetrics    1 EvaluationData (at the start, half-way, at the end), 2 int32 parameters
    EvaluationData  1 epoch, 2 training time, 4 valid accuracy, 5 test accuracy, all double

Neither TensorFlow nor the benchmark's own package takes part.
"""

import base64
import json
import math
import os
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.spaces.nasbench101 import cells as nasbench101
from weaknas_jax.spaces.nasbench101 import encodings
from weaknas_jax.spaces.nasbench101.cells import ABSENT, INPUT, MAX_EDGES, NODES, OUTPUT
from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables import canonical
from weaknas_jax.tables import nasbench101 as packed
from weaknas_jax.tables.importers import tfrecord, wire
from weaknas_jax.tables.table import Table

EPOCHS, REPEATS = 108, 3
_HASH = 32  # letters of a hash; a text that is none may be longer
_OPS = {"input": INPUT, "output": OUTPUT} | {op: i for i, op in enumerate(nasbench101.OPS)}
_EVALUATION, _PARAMETERS = (1, wire.BYTES), (2, wire.VARINT)
_EPOCH, _TIME, _VALID, _TEST = ((number, wire.DOUBLE) for number in (1, 2, 4, 5))
_NEEDED = {_TIME: "training time", _VALID: "valid accuracy", _TEST: "test accuracy"}


class _Cell(NamedTuple):
    row: int  # in the order of the file
    adjacency: str  # n x n of 0 and 1
    operations: str


class _Run(NamedTuple):
    valid: float  # percent
    test: float
    time: float  # seconds
    parameters: float


def read_nasbench101(
    path: str | os.PathLike, dataset: str = "cifar10", epochs: int = EPOCHS
) -> Table:
    """The trainings of so many epochs in an official NAS-Bench-101 file.

    Rows are in the order of the cells' numbers, `nasbench101.code`. ``valid`` and ``test`` [N, 3]
    are after the last epoch; a column is a repeat, in the order of the file, NaN where the file
    has fewer. Further columns: ``params``, and ``train_time_s``, the mean over the repeats.

    Args:
      path: the file; one record of it is in memory at a time.
      dataset: ``cifar10``; there is no other.
      epochs: 108; the full file also has 4, 12 and 36.

    Raises:
      TableError: the file cannot be read (`tfrecord.records`), or a record is not as described
        above, or its cell is not one of the space; the record's number and hash are named.
    """
    if dataset != "cifar10":
        raise TableError(f"unknown dataset {dataset!r}; NAS-Bench-101 has cifar10")
    cells, results = _read(path, epochs)
    codes = nasbench101.code(_cells(cells.values()))
    order = np.argsort(codes)
    codes = codes[order]
    if (same := np.flatnonzero(codes[1:] == codes[:-1])).size:
        one, two = (list(cells)[order[same[0] + i]][:_HASH] for i in (0, 1))
        raise TableError(f"{path}: the hashes {one} and {two} have the same graph")
    by: Any = _Run(*np.moveaxis(results[order], -1, 0))  # of arrays [N, R]
    table = Table(
        space="nasbench101",
        dataset=dataset,
        encoding=encodings.org(nasbench101.decode(codes)),
        valid=by.valid,
        test=by.test,
        names=nasbench101.names(codes),
        version=f"official{epochs}",
        extra={
            "params": by.parameters[:, 0].astype(np.int64),
            "train_time_s": np.nanmean(by.time, axis=1),
        },
        source=f"NAS-Bench-101 (Ying et al., ICML 2019), {Path(path).name}, {epochs} epochs",
        unit="%",
        licence="Apache-2.0",
    )
    canonical.check(table, str(path))
    return table


def _read(path: str | os.PathLike, epochs: int) -> tuple[dict[str, _Cell], np.ndarray]:
    """Cells by their hash, in the order of the file, and their runs [N, 3, 4], fields of `_Run`."""
    cells: dict[str, _Cell] = {}
    slots, runs, repeats, others = array("I"), array("d"), bytearray(), set()
    for number, record in enumerate(tfrecord.records(path)):
        key = ""
        try:
            key, trained, adjacency, operations, metrics = _parts(record)
            if trained != epochs:
                others.add(trained)
                continue
            if (cell := cells.get(key)) is None:
                _check(adjacency, operations.split(","))
                cell = cells[key] = _Cell(len(cells), adjacency, operations)
                repeats.append(0)
            if cell[1:] != (adjacency, operations):
                raise TableError("its graph is not that of the records before with its hash")
            if repeats[cell.row] == REPEATS:
                raise TableError(f"more than {REPEATS} repeats")
            runs.extend(_run(metrics, epochs))
        except TableError as error:
            where = f"record {number}" + (f" ({key[:_HASH]})" if key else "")
            raise TableError(f"{path}: {where}: {error}") from None
        slots.append(REPEATS * cell.row + repeats[cell.row])
        repeats[cell.row] += 1
    if not cells:
        there = ", ".join(map(str, sorted(others)[:9]))[:99] or "no training at all"
        raise TableError(f"{path}: no training of {epochs} epochs; it has {there}")
    results = np.full((REPEATS * len(cells), len(_Run._fields)), np.nan)
    results[slots] = np.reshape(runs, (len(slots), -1))
    return cells, results.reshape(len(cells), REPEATS, -1)


def _parts(record: bytes) -> list:
    """Hash, epochs, adjacency, operations and metrics, their types checked."""
    try:
        parts = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise TableError(f"not JSON ({error})") from None
    match parts:
        case [str(), int() | float(), str(), str(), str()]:
            return parts
    raise TableError("not a list of hash, epochs, adjacency, operations and metrics")


def _run(metrics: str, epochs: int) -> _Run:
    """One training, after its last epoch."""
    try:
        message = base64.b64decode(metrics)  # line breaks in it are allowed
    except ValueError as error:
        raise TableError(f"its metrics are not base 64 ({error})") from None
    top = {(number, kind): value for number, kind, value in wire.fields(message)}
    if _EVALUATION not in top:
        raise TableError("no evaluation data")
    last = {(number, kind): value for number, kind, value in wire.fields(top[_EVALUATION])}
    if missing := [name for field, name in _NEEDED.items() if field not in last]:
        raise TableError(f"its last evaluation has no {missing[0]}")
    if not abs(last.get(_EPOCH, epochs) - epochs) < 1:
        raise TableError(f"its last evaluation is after {last[_EPOCH]:g} of {epochs} epochs")
    for field, most in ((_TIME, math.inf), (_VALID, 1), (_TEST, 1)):
        if not 0 <= last[field] <= most:
            raise TableError(f"its {_NEEDED[field]} is {last[field]:g}; expected 0 to {most}")
    if not 0 <= top.get(_PARAMETERS, -1) < 2**31:
        raise TableError("no number of parameters, or no sensible one")
    return _Run(100 * last[_VALID], 100 * last[_TEST], last[_TIME], top[_PARAMETERS])


def _check(adjacency: str, operations: list[str]) -> None:
    """Raises `TableError` if a graph is not of the space."""
    n = len(operations)
    if not 2 <= n <= NODES:
        raise TableError(f"{n} operations; a cell has 2 to {NODES}, input and output included")
    if len(adjacency) != n * n or not set(adjacency) <= {"0", "1"}:
        raise TableError(f"its adjacency is not {n} x {n} of 0 and 1")
    inner = operations[1:-1]
    if (operations[0], operations[-1]) != ("input", "output") or set(inner) - {*nasbench101.OPS}:
        raise TableError(
            f"its operations are {','.join(operations)[:120]}; expected input, "
            f"any of {', '.join(nasbench101.OPS)}, and output"
        )
    rows = [adjacency[n * i : n * i + n] for i in range(n)]
    if any("1" in row[: i + 1] for i, row in enumerate(rows)):
        raise TableError("its adjacency is not upper triangular: an edge leads back")
    if (edges := adjacency.count("1")) > MAX_EDGES:
        raise TableError(f"it has {edges} edges; a cell has at most {MAX_EDGES}")
    for i in range(n - 1):  # upper triangular, so that a path follows from an edge at each end
        if "1" not in rows[i] or "1" not in adjacency[i + 1 :: n]:
            raise TableError("a node is not on a path from input to output")


def _cells(cells: Iterable[_Cell]) -> nasbench101.Cells:
    """Checked graphs as arrays."""
    matrix, ops = bytearray(), array("b")
    for cell in cells:
        n = math.isqrt(len(cell.adjacency))
        rows = (cell.adjacency[n * i : n * i + n].ljust(NODES, "0") for i in range(n))
        matrix += "".join(rows).ljust(NODES * NODES, "0").encode()
        ops.extend(_OPS[name] for name in cell.operations.split(","))
        ops.extend([ABSENT] * (NODES - n))
    square = np.frombuffer(matrix, np.uint8).reshape(-1, NODES, NODES) - ord("0")
    return nasbench101.from_padded(square, np.frombuffer(ops, np.int8).reshape(-1, NODES))


def agreement(table: Table) -> tuple[int, int]:
    """Of the rows with three repeats that the shipped table has: equal test means, and all."""
    codes = nasbench101.code(nasbench101.read_names(table.names))
    shipped = packed.codes()
    row = np.minimum(np.searchsorted(shipped, codes), len(shipped) - 1)
    known = (shipped[row] == codes) & np.isfinite(table.test).all(axis=1)  # pyright: ignore[reportCallIssue]
    means = packed.read_packed()["test"][row] * 100.0 / packed.IMAGES
    return int((np.abs(table.test_mean - means)[known] < 1e-3).sum()), int(known.sum())
