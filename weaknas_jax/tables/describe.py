"""Text description of a table."""

import numpy as np

from weaknas_jax.core.protocol import CHOICES
from weaknas_jax.spaces.graph_arrays import Graphs
from weaknas_jax.tables.table import Table
from weaknas_jax.tables.targets import target_mask

TIES = 3  # number of the best architectures to name


def labels(table: Table) -> list[str]:
    """Values of ``--labels`` that this table allows."""
    if table.signal == "test":
        return ["test"]
    runs = table.valid.shape[1]
    known = ["mean"] + ["single_run"] * (runs > 1)
    for run in range(runs if runs > 1 else 0):
        everywhere = np.isfinite(table.valid[:, run]) | np.isnan(table.valid_mean)
        if f"run{run}" in CHOICES["labels"] and everywhere.all():
            known.append(f"run{run}")
    return known


def title(table: Table) -> str:
    """Space, data set and edition."""
    return f"{table.space} / {table.dataset} {table.version}".rstrip()


def info(table: Table, checksum: str) -> str:
    """Description of a table, about 15 lines.

    Raises:
      TableError: no architecture has both a valid and a test label.
    """
    parts = ["valid"] if table.test is None else ["valid", "test"]
    if table.signal == "test":
        parts = ["test"]
    lines = [
        ("architectures", f"{len(table):,}"),
        ("features", f"{table.encoding.shape[1]}, {_range(table.encoding)}"),
        *((part, _labels(getattr(table, part), table.percent)) for part in parts),
        ("best is", f"the {'lowest' if table.minimize else 'highest'}"),
        *([("structure", table.structure.summary())] if table.structure else []),
        *([("graphs", _graphs(table.graphs))] if table.graphs else []),
        *([] if table.test is not None else [("test", "none: only --target=valid can be met")]),
        *([("valid", "none: the search sees test accuracy")] if table.signal == "test" else []),
        ("--labels", ", ".join(labels(table))),
    ]
    for part in parts:
        lines += _best(table, part)
    for name, column in table.extra.items():
        number = column.dtype.kind in "fiub"
        values = _range(column.astype(np.float64)) if number else f"{column[0]!s} ..., not numbers"
        lines.append((f"extra {name}", values))
    lines += [
        ("source", table.source or "not stated"),
        ("licence", table.licence or "not stated"),
        ("sha256", checksum),
    ]
    width = max(len(key) for key, _ in lines)
    return "\n".join([title(table), *(f"  {key:<{width}}  {value}" for key, value in lines)])


def _graphs(graphs: Graphs) -> str:
    nodes = np.asarray(graphs.present).sum(axis=1)
    return f"{nodes.min()} to {nodes.max()} nodes, {len(graphs.operations)} operations"


def _labels(x: np.ndarray, percent: bool) -> str:
    runs, missing = x.shape[1], np.isnan(x)
    summary = f"{runs} run{'s' * (runs > 1)}, {_range(x)}" + " %" * percent
    if missing.any():
        summary += f"; {missing.sum():,} labels missing"
        if unlabelled := int(missing.all(axis=1).sum()):
            summary += f", {unlabelled:,} architectures have none"
    return summary


def _range(x: np.ndarray) -> str:
    x = x[np.isfinite(x)]
    return f"{x.min():.8g} .. {x.max():.8g}" if x.size else "all missing"


def _best(table: Table, part: str) -> list[tuple[str, str]]:
    mean = table.test_mean if part == "test" else table.valid_mean
    rows = np.flatnonzero(target_mask(table, part))
    tie = f" ({len(rows)} tie)" if len(rows) > 1 else ""
    lines = []
    for row in rows[:TIES]:
        name = "" if table.names is None else f"  {table.names[row]}"
        best = f"{mean[row]:.3f} %" if table.percent else f"{mean[row]:.8g}"
        lines.append((f"best {part}", f"{best}  row {row}{name}{tie}"))
    return lines
