"""What a user may say of the architectures of a table: which are allowed, what each costs."""

import numpy as np

from weaknas_jax import expressions
from weaknas_jax.tables import store
from weaknas_jax.tables.store import Table, TableError


def columns(table: Table) -> dict[str, np.ndarray]:
    """What expressions may name, [N] each: the extra columns, and ``row``, the number of the row.

    Labels are not among them: a search may not know them.
    """
    return {"row": np.arange(len(table)), **table.extra}


def constrained(table: Table, constraint: str) -> Table:
    """The table of the architectures that meet a condition (`Table.where`).

    Args:
      table: the whole table.
      constraint: e.g. ``params < 5e6``; an unknown value (NaN) does not meet it.

    Raises:
      ValueError: it is no condition on the table's columns, or leaves nothing to search.
    """
    what = f"--constraint={constraint!r}"
    allowed = expressions.parse(constraint, what)(columns(table))
    if allowed.dtype != bool:
        why = f"is no condition; compare it with something, e.g. --constraint='{constraint} < 1'"
        raise TableError(f"{what}: {why}")
    if not allowed.any():
        why = f"none of the {len(table):,} architectures of the table meets it; loosen it"
        raise TableError(f"{what}: {why}")
    kept = table.where(allowed)
    store.check(kept, what)
    return kept


def cost(table: Table, expression: str) -> np.ndarray:
    """What each architecture costs, float64 [N]; NaN = unknown.

    Raises:
      ValueError: it is no number made of the table's columns, or known of no architecture.
    """
    what = f"--cost={expression!r}"
    value = expressions.parse(expression, what)(columns(table))
    if value.dtype != np.float64:
        why = "a condition" if value.dtype == bool else "text"
        raise TableError(f"{what}: is {why}; give a column of numbers, or a formula of some")
    if not np.isfinite(value).any():
        raise TableError(f"{what}: is known of no architecture of the table; name another column")
    return value
