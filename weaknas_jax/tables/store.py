"""One data set of one benchmark in memory, and flat ``.npz`` files without pickles.

Indices in every output are row numbers of the table.
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


class TableError(ValueError):
    """A table file or array that cannot be used; the message says which, why and what to do."""


@dataclasses.dataclass(frozen=True)
class Table:
    """One data set of a benchmark, on the host.

    Attributes:
      space: name of the architecture space, e.g. ``nasbench201``.
      dataset: name of the data set, e.g. ``cifar10``.
      encoding: float32 [N, D].
      valid: float64 [N, R], in `unit`; NaN = that run does not exist.
      test: float64 [N, R'], in the same, or None.
      names: str [N], or None.
      version: which edition of the benchmark the labels are from.
      signal: ``valid``; or ``test``: there is no validation accuracy, ``valid`` repeats ``test``.
      minimize: the lowest labels are the best (losses, times); else the highest.
      unit: of the labels, ``%`` or ``score``; empty: not stated, see `percent`.
      extra: further columns [N]: costs, other test accuracies.
      columns: what the encoding was made of, by name, [N] each: for constraints and costs.
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
    minimize: bool = False
    unit: str = ""
    extra: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    columns: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
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
            columns={name: np.asarray(column)[mask] for name, column in self.columns.items()},
        )

    @property
    def percent(self) -> bool:
        """Whether the labels are percent: so it is stated, or could be, where nothing is."""
        if self.unit:
            return self.unit == "%"
        low, high = np.nanmin(self.valid), np.nanmax(self.valid)
        return bool(not self.minimize and low >= 0 and high <= 100)

    def worth(self, labels: np.ndarray) -> np.ndarray:
        """Labels as the search sees them, the more the better; its own inverse."""
        return -labels if self.minimize else labels

    @property
    def valid_mean(self) -> np.ndarray:
        """Mean over the existing runs, float64 [N], in `unit`; NaN where there is none."""
        return _mean(self.valid)

    @property
    def test_mean(self) -> np.ndarray:
        """Mean over the existing runs, float64 [N], in `unit`; NaN where there is none.

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
        if strange := [name for name, a in arrays.items() if not isinstance(a, np.ndarray)]:
            raise TableError(f"{path}: a zip archive that holds {strange[0]!r}, which is no array")
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
