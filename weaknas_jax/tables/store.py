"""The canonical table file: one data set of one benchmark as a flat ``.npz`` without pickles.

Fields: ``format = "weaknas-table-1"``, ``space``, ``dataset``, ``encoding [N, D]``,
``valid [N, R]`` and ``test [N, R']`` in percent (NaN = that training run does not exist; ``test``
may be absent), optional ``names [N]``, ``version``, ``source``, ``licence``, any ``extra_NAME [N]``
column, and ``sha256`` of all of them. Indices in every output are row numbers of the table.
"""

import dataclasses
import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from weaknas_jax import files

FORMAT = "weaknas-table-1"
_TEXT = ("space", "dataset", "version", "signal", "source", "licence")


class TableError(ValueError):
    """A table file or array that cannot be used; the message says which, why and what to do."""


@dataclasses.dataclass(frozen=True)
class Table:
    """One data set of a benchmark, on the host.

    Attributes:
      space: name of the architecture space, e.g. ``nasbench201``.
      dataset: name of the data set, e.g. ``cifar10``.
      encoding: float32 [N, D].
      valid: float64 [N, R], percent; NaN = that run does not exist.
      test: float64 [N, R'], percent, or None.
      names: str [N], or None.
      version: which edition of the benchmark the labels are from.
      signal: ``valid``; or ``test``: there is no validation accuracy, ``valid`` repeats ``test``.
      extra: further columns [N]: costs, other test accuracies.
      source, licence: where the figures come from and on what terms.
    """

    space: str
    dataset: str
    encoding: np.ndarray
    valid: np.ndarray
    test: np.ndarray | None = None
    names: np.ndarray | None = None
    version: str = ""
    signal: str = "valid"
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    source: str = ""
    licence: str = ""

    def __len__(self) -> int:
        return len(self.encoding)

    @property
    def rows(self) -> np.ndarray:
        """Each row's number in the whole table, int64 [N]; see `where`."""
        column = self.extra.get("row")
        if column is None or column.dtype.kind not in "iu":
            return np.arange(len(self))
        return column.astype(np.int64)

    def where(self, mask: np.ndarray) -> "Table":
        """The table of some of the rows, and a column ``row`` of their numbers in this one.

        A table that has such a column keeps it, so that it numbers the rows of the largest.

        Args:
          mask: bool [N], which rows are kept.

        Raises:
          TableError: the mask is not that.
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            why = f"is {mask.dtype} {mask.shape}; expected bool [{len(self)}], a mark for each row"
            raise TableError(f"{self.space}/{self.dataset}: the mask {why}")
        parts = {name: getattr(self, name) for name in ("encoding", "valid", "test", "names")}
        extra = {"row": np.arange(len(self)), **self.extra}
        return dataclasses.replace(
            self,
            **{name: None if part is None else part[mask] for name, part in parts.items()},
            extra={name: np.asarray(column)[mask] for name, column in extra.items()},
        )

    @property
    def valid_mean(self) -> np.ndarray:
        """Mean over the existing runs, float64 [N], percent; NaN where there is none."""
        return _mean(self.valid)

    @property
    def test_mean(self) -> np.ndarray:
        """Mean over the existing runs, float64 [N], percent; NaN where there is none.

        Raises:
          TableError: the table has no test accuracy.
        """
        if self.test is None:
            raise TableError(
                f"the table {self.space}/{self.dataset} has no field 'test': "
                "use --target=valid, or add test accuracies to the file"
            )
        return _mean(self.test)


def _mean(x: np.ndarray) -> np.ndarray:
    exists = np.isfinite(x)
    count = exists.sum(axis=1)
    total = np.where(exists, x, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def check_edition(benchmark, dataset, datasets, version, versions) -> None:
    """Raises `TableError` where a benchmark has no such data set or edition."""
    if dataset not in datasets:
        raise TableError(f"unknown dataset {dataset!r}; {benchmark} has {', '.join(datasets)}")
    if version not in versions:
        raise TableError(f"unknown table version {version!r}; known: {', '.join(versions)}")


def content_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every array, names in order, no ``sha256``."""
    digest = hashlib.sha256()
    for name in sorted(set(arrays) - {"sha256"}):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_npz(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], *, overwrite: bool = False
) -> None:
    """Writes a compressed ``.npz`` with its checksum, atomically; equal content, equal bytes.

    ``overwrite``: as of `files.replacing`.
    """
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    arrays["sha256"] = np.asarray(content_sha256(arrays))
    with files.replacing(path, overwrite=overwrite) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def read_npz(path: str | os.PathLike, *, require_checksum: bool = False) -> dict[str, np.ndarray]:
    """Reads every array of an ``.npz``; never unpickles; verifies ``sha256`` where it is present.

    Raises:
      TableError: missing, unreadable, truncated, pickled or corrupted file.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if not (magic.startswith(b"PK") or magic == b"\x93NUM" or len(magic) < 4):
            raise TableError(f"{path}: not an .npz file (pickles and text are not read)")
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise TableError(f"{path}: a single array (.npy); expected an .npz with named fields")
        with archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise TableError(f"{path}: a folder; name an .npz file") from None
    except PermissionError:
        raise TableError(f"{path}: no permission to read it") from None
    except TableError:
        raise
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise TableError(
                f"{path}: holds pickled Python objects, which are never loaded; "
                "save plain arrays (numbers and fixed-width strings) with numpy.savez"
            ) from None
        raise TableError(f"{path}: not a readable .npz ({error})") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        KeyError,
        NotImplementedError,
        SyntaxError,
        RuntimeError,
        MemoryError,
        OverflowError,
        UnicodeError,
    ) as error:
        raise TableError(
            f"{path}: truncated or corrupted .npz ({error}); copy or download it again"
        ) from None
    if "sha256" not in arrays:
        if require_checksum:
            raise TableError(f"{path}: no field 'sha256'; the file is not the one that was shipped")
        return arrays
    stated, actual = str(arrays.pop("sha256")), content_sha256(arrays)
    if stated != actual:
        raise TableError(
            f"{path}: checksum mismatch (field 'sha256' says {stated[:12]}..., the content is "
            f"{actual[:12]}...): the file was altered or damaged; restore it, or write it anew "
            "with weaknas_jax.tables.save_table"
        )
    return arrays


def save_table(path: str | os.PathLike, table: Table, overwrite: bool = True) -> None:
    """Writes a canonical table, checked first; the file appears whole or not at all.

    Args:
      path: a file, which need not exist.
      table: what to write.
      overwrite: replace whatever file is there; False = nothing but a table.

    Raises:
      TableError: the table cannot be searched, or there is no such folder.
      ownership.NotOurs: what is there is not to be replaced, or no file.
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
    )
    check(table, str(path))
    arrays = {"format": FORMAT, "encoding": table.encoding, "valid": table.valid}
    arrays |= {name: getattr(table, name) for name in _TEXT}
    arrays |= {name: a for name in ("test", "names") if (a := getattr(table, name)) is not None}
    arrays |= {f"extra_{name}": column for name, column in table.extra.items()}
    write_npz(path, arrays, overwrite=overwrite)


def load_table(path: str | os.PathLike) -> Table:
    """Reads and checks a canonical table.

    Raises:
      TableError: the file cannot be read (`read_npz`), or a field is missing or of a wrong shape.
    """
    arrays = read_npz(path)
    stated = str(arrays.get("format", ""))
    if stated != FORMAT:
        raise TableError(
            f"{path}: field 'format' is {stated!r}, expected {FORMAT!r}: not a canonical table "
            "(weaknas_jax.tables.save_table writes one)"
        )
    if missing := [name for name in ("encoding", "valid") if name not in arrays]:
        raise TableError(f"{path}: field {missing[0]!r} is missing")
    for name in ("encoding", "valid", "test"):
        if name in arrays and arrays[name].dtype.kind not in "fiub":
            raise TableError(
                f"{path}: field {name!r} has dtype {arrays[name].dtype}; expected numbers"
            )
    table = Table(
        encoding=arrays["encoding"].astype(np.float32),
        valid=_columns(arrays["valid"]),
        test=_columns(arrays["test"]) if "test" in arrays else None,
        names=_as_text(arrays["names"]) if "names" in arrays else None,
        extra={k.removeprefix("extra_"): v for k, v in arrays.items() if k.startswith("extra_")},
        **{
            name: str(arrays[name])
            for name in _TEXT
            if name in arrays and name not in ("space", "dataset")
        },
        space=str(arrays.get("space", "table")),
        dataset=str(arrays.get("dataset", Path(path).stem)),
    )
    check(table, str(path))
    return table


def _columns(labels: np.ndarray) -> np.ndarray:
    """Labels as float64 [N, R]; one run may be given as [N]."""
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
        if np.nanmin(labels) < 0 or np.nanmax(labels) > 100:
            fail(
                name,
                f"ranges from {np.nanmin(labels):g} to {np.nanmax(labels):g}; expected percent",
            )
    for name, column in [
        ("names", table.names),
        *((f"extra_{k}", v) for k, v in table.extra.items()),
    ]:
        if column is not None and np.shape(column) != (n,):
            fail(name, f"has shape {np.shape(column)}; expected [{n}]")
    if table.names is not None:
        _, first, count = np.unique(table.names, return_index=True, return_counts=True)
        if (count > 1).any():
            name = table.names[first[count > 1].min()]
            rows = np.flatnonzero(table.names == name)[:2].tolist()
            fail("names", f"has duplicate rows: {rows[0]} and {rows[1]} are both {str(name)!r}")
    else:
        labels = [valid] if table.test is None else [valid, table.test]
        rows = np.hstack([encoding, *(np.nan_to_num(a, nan=-1.0) for a in labels)])
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        if len(first) < n:
            row = int(np.flatnonzero(first[inverse.ravel()] != np.arange(n))[0])
            twin = int(first[inverse.ravel()][row])
            fail(
                "encoding",
                f"has duplicate rows: {twin} and {row} agree in features and labels; "
                "drop one, or give the rows different 'names'",
            )
