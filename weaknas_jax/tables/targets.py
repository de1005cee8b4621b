"""Scores of queries and target architectures, from the labels of a table."""

import jax
import jax.numpy as jnp
import numpy as np

from weaknas_jax.tables.table import Table, TableError


def possible_scores(table: Table, which: str) -> jax.Array:
    """Scores that a query may return, float32 [N, R], larger is better; NaN = no such run.

    Args:
      table: the table.
      which: ``labels`` of `protocol.Protocol`.

    Raises:
      TableError: the table has no such labels; the message names the flag.
    """
    return jnp.asarray(table.worth(_scores(table, which)), jnp.float32)


def _scores(table: Table, which: str) -> np.ndarray:
    runs = table.valid.shape[1]
    if (which == "test") != (table.signal == "test"):
        has = "validation accuracy; search by that"
        if table.signal == "test":
            has = "test accuracy alone; use --labels=test"
        raise TableError(f"--labels={which}: {table.space}/{table.dataset} has {has}")
    if which in ("mean", "test"):
        return table.valid_mean[:, None]
    if runs == 1:
        hint = (
            "--table_version=nats has them"
            if table.version == "v1.1"
            else ("give field 'valid' one column a run")
        )
        raise TableError(
            f"--labels={which} needs the runs behind each mean, and this table "
            f"({table.dataset}{', ' + table.version if table.version else ''}) "
            f"has only one column; {hint}"
        )
    if which == "single_run":
        return table.valid
    run = int(which.removeprefix("run"))
    if run >= runs:
        raise TableError(f"--labels={which}: the table has runs run0..run{runs - 1}")
    missing = int(np.isnan(table.valid[:, run]).sum() - np.isnan(table.valid_mean).sum())
    if missing > 0:
        raise TableError(
            f"--labels={which}: {missing:,} of {len(table):,} architectures have no "
            "such run; choose a run that all have, or --labels=single_run"
        )
    return table.valid[:, run : run + 1]


def target_mask(table: Table, target: str) -> np.ndarray:
    """The best architectures by mean ``test`` or ``valid`` label, bool [N]; ties all count.

    Architectures without a validation label are left out, since they cannot be found.
    """
    accuracy = table.test_mean if target == "test" else table.valid_mean
    accuracy = table.worth(np.where(np.isfinite(table.valid_mean), accuracy, np.nan))
    if not np.isfinite(accuracy).any():
        raise TableError(f"--target={target}: no architecture has both that and a 'valid' label")
    return accuracy == np.nanmax(accuracy)
