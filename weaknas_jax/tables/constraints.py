"""Constraints and costs of a table's architectures, written as expressions."""

import difflib

import numpy as np

from weaknas_jax.core import quoting
from weaknas_jax.spaces import expressions
from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables import canonical
from weaknas_jax.tables.table import Table


def columns(table: Table) -> dict[str, np.ndarray]:
    """The columns that expressions may name, [N] each.

    The source columns of the features, the extra columns, ``name``, and ``row``, the number of the
    row. Labels are excluded, since a search must not know them.
    """
    names = {} if table.names is None else {"name": table.names}
    return {"row": np.arange(len(table)), **names, **table.extra, **table.columns}


def _parsed(table: Table, what: str, text: str) -> tuple[expressions.Expression, dict]:
    """An expression and the columns for it.

    Raises:
      ValueError: invalid expression or unknown column; lists the columns.
    """
    expression, known_columns = expressions.parse(text, what), columns(table)
    for name in expression.names:
        if name not in known_columns:
            close = difflib.get_close_matches(name, known_columns, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            known = ", ".join(map(quoting.as_name, sorted(known_columns)))
            advice = "another column of your file: import it again with --extra=COL"
            if name in ("valid", "test"):
                advice = "labels are none: a search may not know them"
            elif not table.columns and table.space == "table":
                advice += " (or as it is, for its features)"
            raise TableError(f"{what}: there is no {name!r}; {hint}There are: {known}. {advice}")
    return expression, known_columns


def remarks(table: Table, constraint: str) -> list[str]:
    """Counts of architectures that a constraint excludes by a missing value, one line a column."""
    expression, known_columns = _parsed(table, f"--constraint={constraint!r}", constraint)
    return expression.remarks(known_columns)


def constrained(table: Table, constraint: str) -> Table:
    """The table of the architectures that meet a condition (`Table.where`).

    Args:
      table: the whole table.
      constraint: e.g. ``params < 5e6``; an unknown value (NaN) does not meet it.

    Raises:
      ValueError: it is not a condition on the table's columns, or no architecture meets it.
    """
    what = f"--constraint={constraint!r}"
    expression, known_columns = _parsed(table, what, constraint)
    allowed = expression(known_columns)
    if allowed.dtype != bool:
        why = f"is no condition; compare it with something, e.g. --constraint='{constraint} < 1'"
        raise TableError(f"{what}: {why}")
    if not allowed.any():
        why = f"none of the {len(table):,} architectures of the table meets it; loosen it"
        raise TableError(f"{what}: {why}")
    part = table.where(allowed)
    canonical.check(part, what)
    return part


def cost(table: Table, expression: str) -> np.ndarray:
    """The cost of each architecture, float64 [N]; NaN = unknown.

    Raises:
      ValueError: it is not a number computed from the table's columns, or unknown for all.
    """
    what = f"--cost={expression!r}"
    parsed, known_columns = _parsed(table, what, expression)
    value = parsed(known_columns)
    if value.dtype != np.float64:
        why = "a condition" if value.dtype == bool else "text"
        raise TableError(f"{what}: is {why}; give a column of numbers, or a formula of some")
    if not np.isfinite(value).any():
        raise TableError(f"{what}: is known of no architecture of the table; name another column")
    return value
