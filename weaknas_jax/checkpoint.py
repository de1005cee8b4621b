"""Batches under way, on disk: Orbax's atomic folders, with a checksum over what they hold.

A checkpoint appears whole or not at all; the latest two are kept. One that is damaged all the same
is passed over for the one before it. Arrays only: nothing is ever unpickled.
"""

import contextlib
import logging as stdlib
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from weaknas_jax.tables.store import content_sha256

_KEEP = 2


class CheckpointError(OSError):
    """A checkpoint that could not be written; those before it are as they were."""


class Checkpoints:
    """The checkpoints in a folder, which need not exist yet; numbered from 1."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()

    def _numbers(self) -> list[int]:
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(int(p.name) for p in found if p.name.isdigit())

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps ``arrays``.

        Raises:
          CheckpointError: the disk would not take it.
        """
        save(self.folder / str(max(self._numbers(), default=0) + 1), arrays)
        kept = {str(n) for n in self._numbers()[-_KEEP:]}
        for path in self.folder.iterdir():  # older ones, and halves of a process that died
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def load(self) -> dict[str, np.ndarray] | None:
        """The latest checkpoint that is whole; None = there is none. Damaged ones are removed."""
        for number in reversed(self._numbers()):
            if (arrays := load(self.folder / str(number))) is not None:
                return arrays
            shutil.rmtree(self.folder / str(number), ignore_errors=True)
        return None

    def remove(self) -> None:
        """Removes all of them, and the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes ``arrays`` as the folder ``path``, which must not be there yet.

    Raises:
      CheckpointError: the disk would not take it.
    """
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    digest = np.frombuffer(bytes.fromhex(content_sha256(arrays)), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _quiet(), ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path.absolute(), {**arrays, "sha256": digest})
    except Exception as error:  # Orbax and TensorStore raise their own kinds
        raise CheckpointError(
            f"{path}: a checkpoint could not be written ({_reason(error)})"
        ) from error


def load(path: Path) -> dict[str, np.ndarray] | None:
    """What `save` wrote; None = it is not that, or damaged."""
    path = path.absolute()
    try:
        with _quiet(), ocp.StandardCheckpointer() as checkpointer:
            arrays = {k: np.asarray(v) for k, v in checkpointer.restore(path).items()}
        stated = bytes(arrays.pop("sha256")).hex()
    except Exception:  # whatever is wrong with it, the one before may serve
        return None
    return arrays if stated == content_sha256(arrays) else None


def _reason(error: Exception) -> str:
    """What the system said, if it is in there; else the beginning of what Orbax says."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code.group(1)))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs pages of what it also raises, some of it from threads that end later."""
    if sys.unraisablehook is not _unraisable:
        _unraisable.before = sys.unraisablehook
        sys.unraisablehook = _unraisable
    level = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    stdlib.getLogger("asyncio").addFilter(_not_a_write)
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _unraisable(what) -> None:
    if "Event loop is closed" not in str(what.exc_value):
        _unraisable.before(what)


def _not_a_write(record: stdlib.LogRecord) -> bool:
    """Whether asyncio speaks of something else than a write that failed, which is raised too."""
    return "exception was never retrieved" not in record.getMessage()
