"""Checkpoints of unfinished batches: Orbax's atomic folders, with a checksum of their content.

Checkpoints are written atomically, and the latest two are kept. If the latest is damaged, the one
before it is read. They hold arrays only: nothing is ever unpickled. A folder of checkpoints has a
marker: nothing is written to a folder without it, and only our checkpoints are removed from one
that has it.
"""

import contextlib
import json
import logging as stdlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.npz import content_sha256

_KEEP = 2
_MARKER, _FORMAT = "weaknas.json", {"format": "weaknas-checkpoints-1"}
_OF_A_CHECKPOINT = re.compile(  # paths in it, as Orbax names them
    r"_CHECKPOINT_METADATA|_METADATA|_sharding|commit_success\.txt|array_metadatas/process_\d+"
    r"|(ocdbt\.process_\d+/)?(manifest\.ocdbt|d/[0-9a-f]{32})(\.__lock)?"
)
_FOLDERS_OF_ONE = re.compile(r"\.|array_metadatas|ocdbt\.process_\d+|(ocdbt\.process_\d+/)?d")


class CheckpointError(OSError):
    """A checkpoint could not be written; earlier ones are unchanged."""


class Checkpoints:
    """The checkpoints in a folder, which need not exist yet; numbered from 1.

    Args:
      folder: folder of the checkpoints.
      before: folder of version 0.1, without a marker; read, never written to.
    """

    def __init__(self, folder: Path, before: Path | None = None):
        self.folder, self.before = folder.absolute(), before and before.absolute()

    def claim(self) -> None:
        """Raises `ownership.NotOurs` if the folder exists and is not ours."""
        free = not os.path.lexists(self.folder)
        if not (free or _is_marked(self.folder) or _is_empty(self.folder)):
            why = "was not made by weaknas_jax; move it away, or name another place by --out"
            raise ownership.NotOurs(f"{self.folder}: {why}")

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes ``arrays`` as the next checkpoint.

        Raises:
          CheckpointError: it could not be written.
          ownership.NotOurs: the folder exists and is not ours.
        """
        self.claim()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not _is_marked(self.folder):
                files.write_text(self.folder / _MARKER, json.dumps(_FORMAT) + "\n")
        except OSError as error:
            raise _unwritten(self.folder, error) from error
        save(self.folder / str(max(_numbers(self.folder), default=0) + 1), arrays)
        self._prune(_KEEP)

    def load(self) -> dict[str, np.ndarray] | None:
        """The latest undamaged checkpoint, None = there is none."""
        for folder in filter(None, (self.folder, self.before)):
            for number in reversed(_numbers(folder)):
                if (arrays := load(folder / str(number))) is not None:
                    return arrays
        return None

    def remove(self) -> None:
        """Removes all checkpoints, and the folder if it is empty then; other files stay."""
        if _is_marked(self.folder):
            self._prune(0)
            if os.listdir(self.folder) == [_MARKER]:
                ownership.remove(self.folder / _MARKER)
                _remove_empty(self.folder)
        if self.before:
            steps = [self.before / str(number) for number in _numbers(self.before)]
            ours = [step for step in steps if load(step) is not None]
            for step in ours:
                _remove(step)
            if ours:  # an empty folder of that name may not be ours
                _remove_empty(self.before)

    def _prune(self, keep: int) -> None:
        """Removes all but the latest, and incomplete ones of a process that died."""
        for number in _numbers(self.folder)[: -keep or None]:
            _remove(self.folder / str(number))
        for half in self.folder.glob("*.orbax-checkpoint-tmp*"):
            _remove(half)


def _numbers(folder: Path) -> list[int]:
    names = os.listdir(folder) if folder.is_dir() else ()
    return sorted(int(name) for name in names if re.fullmatch("[1-9][0-9]{0,8}", name))


def _is_marked(folder: Path) -> bool:
    return ownership.ours(folder / _MARKER)


def _is_empty(folder: Path) -> bool:
    """Whether a folder is empty, except for an incomplete marker of a process that died."""
    return folder.is_dir() and not [n for n in os.listdir(folder) if not files.is_scratch(n)]


def _remove(step: Path) -> None:
    """Removes the files of a checkpoint, whole or not, and folders that are empty then."""
    if step.is_symlink():
        return
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if "('sha256',)" not in json.loads((step / "_METADATA").read_text())["tree_metadata"]:
            return  # not ours
    for folder, _, names in os.walk(step, topdown=False):
        for path in (Path(folder) / name for name in names):
            ours = _OF_A_CHECKPOINT.fullmatch(path.relative_to(step).as_posix())
            if ours and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.unlink()
        if _FOLDERS_OF_ONE.fullmatch(Path(folder).relative_to(step).as_posix()):
            _remove_empty(Path(folder))


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes ``arrays`` as the folder ``path``, which must not be there yet.

    Raises:
      CheckpointError: it could not be written.
    """
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    digest = np.frombuffer(bytes.fromhex(content_sha256(arrays)), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _quiet(), _checkpointer() as checkpointer:
            checkpointer.save(path.absolute(), {**arrays, "sha256": digest})
    except Exception as error:  # Orbax and TensorStore raise their own kinds
        raise _unwritten(path, error) from error


def load(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays that `save` wrote; None = not a checkpoint, or damaged."""
    path = path.absolute()
    try:
        with _quiet(), _checkpointer() as checkpointer:
            arrays = {k: np.asarray(v) for k, v in checkpointer.restore(path).items()}
        stated = bytes(arrays.pop("sha256")).hex()
    except Exception:  # whatever is wrong with it, the one before may serve
        return None
    return arrays if stated == content_sha256(arrays) else None


def _checkpointer() -> Any:
    import orbax.checkpoint as ocp  # here: it takes a second, and most runs write no checkpoint

    return ocp.StandardCheckpointer()


def _unwritten(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path}: a checkpoint could not be written ({_reason(error)})")


def _reason(error: Exception) -> str:
    """The system's error message, if there is one; else the first line of the error."""
    if code := re.search(r"os_error_code='(\d+)'", str(error)):
        return os.strerror(int(code.group(1)))
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax, which logs the errors that it raises, some from threads that end later."""
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


def _unraisable(event) -> None:
    if "Event loop is closed" not in str(event.exc_value):
        _unraisable.before(event)


def _not_a_write(record: stdlib.LogRecord) -> bool:
    """Whether a record of asyncio is not of a failed write, which is raised too."""
    return "exception was never retrieved" not in record.getMessage()
