"""Disk cache of neighbour tables that are slow to compute."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from weaknas_jax.storage import ownership
from weaknas_jax.storage.npz import TableError, content_sha256, read_npz, write_npz


def folder() -> Path:
    """``weaknas_jax`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``; its files may be deleted."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weaknas_jax"


def rows(kind: str, names: np.ndarray, make: Callable[[], np.ndarray]) -> np.ndarray:
    """The result of ``make``, int32 [N, d], -1 only at the ends of rows; computed once and cached.

    A damaged file is replaced; where none can be written, the rows are computed each time.

    Args:
      kind: content and method, a part of the file name.
      names: of the N architectures; their checksum is a part of the file name.
      make: computes the rows.
    """
    try:
        path = folder() / f"{kind}-{content_sha256({'names': names})[:16]}.npz"
    except RuntimeError:  # no home folder
        return make()
    with contextlib.suppress(TableError):
        stored = read_npz(path, require_checksum=True)
        result = np.full((len(names), stored["count"].max(initial=0)), -1, np.int32)
        result[np.arange(result.shape[1]) < stored["count"][:, None]] = stored["rows"]
        return result
    result = make()
    with contextlib.suppress(OSError, ownership.NotOurs):
        path.parent.mkdir(parents=True, exist_ok=True)
        exists = result >= 0
        arrays = {"count": exists.sum(axis=1, dtype=np.int32), "rows": result[exists]}
        write_npz(path, arrays, overwrite=True)  # in a folder of ours
    return result
