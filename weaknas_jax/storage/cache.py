"""Rows of neighbours on disk, for tables where they take long to find."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weaknas_jax.storage import ownership
from weaknas_jax.storage.npz import TableError, content_sha256, read_npz, write_npz


def folder() -> Path:
    """``weaknas_jax`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``; all in it may be deleted."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weaknas_jax"


def rows(kind: str, names: np.ndarray, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What ``make`` gives, int32 [N, d], -1 only at the ends of rows; made once and kept.

    A damaged file is made anew; where none can be written, they are made each time.

    Args:
      kind: says what is kept and by which method; other names, other files.
      names: of the N architectures; of other ones, another file.
      make: gives the rows.
    """
    try:
        path = folder() / f"{kind}-{content_sha256({'names': names})[:16]}.npz"
    except RuntimeError:  # there is no home
        return make()
    with contextlib.suppress(TableError):
        kept = read_npz(path, require_checksum=True)
        found = np.full((len(names), kept["count"].max(initial=0)), -1, np.int32)
        found[np.arange(found.shape[1]) < kept["count"][:, None]] = kept["rows"]
        return found
    found = make()
    with contextlib.suppress(OSError, ownership.NotOurs):
        path.parent.mkdir(parents=True, exist_ok=True)
        there = found >= 0
        arrays = {"count": there.sum(axis=1, dtype=np.int32), "rows": found[there]}
        write_npz(path, arrays, overwrite=True)  # in a folder of ours
    return found
