"""What a user may say of the architectures of a table: which are allowed, what each costs."""

import difflib

import numpy as np

from weaknas_jax.core import quoting
from weaknas_jax.spaces import expressions
from weaknas_jax.storage.npz import TableError
from weaknas_jax.tables import canonical
from weaknas_jax.tables.table import Table


def columns(table: Table) -> dict[str, np.ndarray]:
    """What expressions may name, [N] each.

    The columns that the features were made of, those kept beside, ``name``, and ``row``, the
    number of the row. Labels are not among them: a search may not know them.
    """
    names = {} if table.names is None else {"name": table.names}
    return {"row": np.arange(len(table)), **names, **table.extra, **table.columns}


def _parsed(table: Table, what: str, text: str) -> tuple[expressions.Expression, dict]:
    """An expression and the columns for it.

    Raises:
      ValueError: it is none, or names a column that there is not; says which there are.
    """
    expression, there = expressions.parse(text, what), columns(table)
    for name in expression.names:
        if name not in there:
            close = difflib.get_close_matches(name, there, 1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            known = ", ".join(map(quoting.as_name, sorted(there)))
            more = "another column of your file: import it again with --extra=COL"
            if name in ("valid", "test"):
                more = "labels are none: a search may not know them"
            elif not table.columns and table.space == "table":
                more += " (or as it is, for its features)"
            raise TableError(f"{what}: there is no {name!r}; {hint}There are: {known}. {more}")
    return expression, there


def remarks(table: Table, constraint: str) -> list[str]:
    """How many architectures a constraint drops for want of a value, one line a column."""
    expression, there = _parsed(table, f"--constraint={constraint!r}", constraint)
    return expression.remarks(there)


def constrained(table: Table, constraint: str) -> Table:
    """The table of the architectures that meet a condition (`Table.where`).

    Args:
      table: the whole table.
      constraint: e.g. ``params < 5e6``; an unknown value (NaN) does not meet it.

    Raises:
      ValueError: it is no condition on the table's columns, or leaves nothing to search.
    """
    what = f"--constraint={constraint!r}"
    expression, there = _parsed(table, what, constraint)
    allowed = expression(there)
    if allowed.dtype != bool:
        why = f"is no condition; compare it with something, e.g. --constraint='{constraint} < 1'"
        raise TableError(f"{what}: {why}")
    if not allowed.any():
        why = f"none of the {len(table):,} architectures of the table meets it; loosen it"
        raise TableError(f"{what}: {why}")
    kept = table.where(allowed)
    canonical.check(kept, what)
    return kept


def cost(table: Table, expression: str) -> np.ndarray:
    """What each architecture costs, float64 [N]; NaN = unknown.

    Raises:
      ValueError: it is no number made of the table's columns, or known of no architecture.
    """
    what = f"--cost={expression!r}"
    parsed, there = _parsed(table, what, expression)
    value = parsed(there)
    if value.dtype != np.float64:
        why = "a condition" if value.dtype == bool else "text"
        raise TableError(f"{what}: is {why}; give a column of numbers, or a formula of some")
    if not np.isfinite(value).any():
        raise TableError(f"{what}: is known of no architecture of the table; name another column")
    return value
