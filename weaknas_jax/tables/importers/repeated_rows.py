"""Merges rows that are trainings of the same architecture into runs of one row."""

import dataclasses

import numpy as np

from weaknas_jax.tables.table import Table


def merged(table: Table, first: np.ndarray, group: np.ndarray) -> Table:
    """The table with one row for each group; its labels are those of the group's rows in order.

    Names, features and texts are the first row's, and extra numbers are means.

    Args:
      table: of N rows.
      first: int64 [G], the first row of each group, ascending.
      group: int64 [N], the group of each row.
    """
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    position = np.empty(len(group), np.int64)  # position of each row in its group
    position[order] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)

    def runs(labels: np.ndarray) -> np.ndarray:
        padded = np.full((len(first), counts.max(), labels.shape[1]), np.nan)
        padded[group, position] = labels
        return padded.reshape(len(first), -1)

    def extra(column: np.ndarray) -> np.ndarray:
        if column.dtype.kind not in "fiu":
            return column[first]
        same = (column == column[first][group]) | np.isnan(column)
        mean = np.bincount(group, column.astype(np.float64)) / counts
        return column[first] if same.all() else mean

    return dataclasses.replace(
        table,
        encoding=table.encoding[first],
        valid=runs(table.valid),
        test=None if table.test is None else runs(table.test),
        names=None if table.names is None else table.names[first],
        extra={name: extra(np.asarray(column)) for name, column in table.extra.items()},
        columns={name: column[first] for name, column in table.columns.items()},
        graphs=None if table.graphs is None else table.graphs.rows(first),
    )
