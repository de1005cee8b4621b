"""One data set of one benchmark in memory.

Indices in every output are row numbers of the table.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from weaknas_jax.spaces.choice import SpaceError
from weaknas_jax.spaces.graph_arrays import Graphs
from weaknas_jax.spaces.structure_columns import settled
from weaknas_jax.spaces.structures import Structure
from weaknas_jax.storage.npz import TableError


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
      signal: ``valid``; or ``test`` = no validation accuracy, ``valid`` repeats ``test``.
      minimize: the lowest labels are the best (losses, times); else the highest.
      unit: of the labels, ``%`` or ``score``; empty = not stated, see `percent`.
      extra: further columns [N]: costs, other test accuracies.
      columns: source columns of the encoding, by name, [N] each, for constraints and costs.
      source, licence: where the figures come from and on what terms.
      structure: a `Cell` or `Chain` of the choices, which are named by ``columns``, or numbered as
        slots of the encoding (`spaces.structure_columns`); None = not stated.
      graphs: the architectures as graphs of N rows, for predictors that read graphs; None = those
        of the structure, or of the space, where it has them.
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
    structure: Structure | None = None
    graphs: Graphs | None = None

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
        """The table of selected rows, with a column ``row`` of their numbers in this one.

        An existing column ``row`` is kept, so that it numbers the rows of the original table.

        Args:
          mask: bool [N], which rows are kept.

        Raises:
          TableError: the mask has another dtype or shape, or the structure is not that of the
            columns.
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (len(self),):
            why = f"is {mask.dtype} {mask.shape}; expected bool [{len(self)}], a mark for each row"
            raise TableError(f"{self.space}/{self.dataset}: the mask {why}")
        parts = {name: getattr(self, name) for name in ("encoding", "valid", "test", "names")}
        extra = {"row": np.arange(len(self)), **self.extra}
        structure, columns = self.structure, self.columns
        if structure is not None:
            try:
                structure, columns = settled(structure, columns, self.encoding)
            except SpaceError as error:
                raise TableError(f"{self.space}/{self.dataset}: structure: {error}") from None
        return dataclasses.replace(
            self,
            **{name: None if part is None else part[mask] for name, part in parts.items()},
            extra={name: np.asarray(column)[mask] for name, column in extra.items()},
            columns={name: np.asarray(column)[mask] for name, column in columns.items()},
            structure=structure,
            graphs=None if self.graphs is None else self.graphs.rows(mask),
        )

    @property
    def percent(self) -> bool:
        """Whether the labels are percent: as stated by `unit`, else guessed from their range."""
        if self.unit:
            return self.unit == "%"
        low, high = np.nanmin(self.valid), np.nanmax(self.valid)
        return bool(not self.minimize and low >= 0 and high <= 100)

    def worth(self, labels: np.ndarray) -> np.ndarray:
        """Labels as the search sees them, larger is better; its own inverse."""
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
