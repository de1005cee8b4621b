"""Files of results of the study: which searches are still to be made, and what is kept.

Files of other searches and queries than those asked for are not lost: one that has at least as
many of both stays, any other one is replaced by a file that has at least as many of both.
"""

from pathlib import Path

import numpy as np

from weaknas_jax.storage import ownership
from weaknas_jax.storage.npz import TableError, read_npz, write_npz


def size(path: Path) -> tuple[int, int]:
    """Searches and queries that a file was made for.

    Raises:
      TableError: the file is no result of a study.
    """
    arrays = read_npz(path)
    if "queried" not in arrays:
        raise TableError(
            f"{path}: no result of a study (there is no field 'queried'); move it away"
        )
    seeds, budget = arrays["queried"].shape  # of files that say neither
    return int(arrays.get("seeds", seeds)), int(arrays.get("budget", budget))


def missing(path: Path, seeds: int, budget: int) -> tuple[int, int] | None:
    """Searches and queries to make for ``path``; None = it has them.

    Raises:
      TableError, ownership.NotOurs: another file is in the way.
    """
    if not path.exists():
        return seeds, budget
    had = size(path)
    if had[0] >= seeds and had[1] >= budget:
        return None
    ownership.check(path)
    return max(had[0], seeds), max(had[1], budget)


def write(
    path: Path, queried: np.ndarray, regret: np.ndarray, seconds: float, seeds: int, budget: int
) -> None:
    """Writes the rows asked for and their regret, both [S, Q], in place of what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"queried": queried, "regret": regret, "seconds": seconds}
    write_npz(path, arrays | {"seeds": seeds, "budget": budget, "format": "weaknas-study-1"})
