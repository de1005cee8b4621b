"""Folder of an experiment: ``config.json``, ``trace.npz``, ``summary.json``, ``curve.png``.

With a cost also ``pareto.png``; for a single run also ``best.json``, its answer.
``config.json`` is written before the first round, with ``.weaknas-checkpoints/`` beside it while
runs are in progress; the others are written at the end. Only one process at a time works in a
folder (`locked`). Other files are never changed; one with a needed name is an error (`ownership`).
"""

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import filelock
import numpy as np

from weaknas_jax.core import trace as traces
from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import answers
from weaknas_jax.measures import summary as summaries
from weaknas_jax.measures.pareto import Pareto
from weaknas_jax.report import plots, text
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.checkpoint import Checkpoints
from weaknas_jax.storage.npz import TableError, read_npz

FILES = ("summary.json", "trace.npz", "config.json", "curve.png")
PARETO = "pareto.png"
BEST = "best.json"
NAMES = (*FILES, PARETO, BEST)
CHECKPOINTS = ".weaknas-checkpoints"


class FolderError(ValueError):
    """A folder that cannot be used; the message names it, the reason and a remedy."""


def prepare(
    out: str | None,
    default_name: str,
    may_hold_one: bool = False,
    names: Iterable[str] = NAMES,
    kind: str = "search",
) -> Path:
    """Creates the folder to write to, and checks that it is writable.

    Args:
      out: its path; None = ``runs/<default_name>-<date>-<time>``.
      default_name: start of the default name.
      may_hold_one: whether the folder may hold an experiment already.
      names: names of the files that will be written.
      kind: kind of the ``summary.json`` that will be written, see `summary.KINDS`.

    Raises:
      FolderError: not a folder, not writable, or it holds an experiment already.
      ownership.NotOurs: another file, or another kind of result, has one of the names.
    """
    if out == "":
        raise FolderError("--out=: is empty; name a folder, or leave the flag out")
    if out is None:
        name = re.sub(r"[^\w-]+", "_", default_name)  # the name of a table is arbitrary text
        out = str(_new_folder(Path("runs"), f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.probe(folder)
    except (FileExistsError, NotADirectoryError):
        raise FolderError(f"--out={out}: is a file, or is below one; name a folder") from None
    except OSError as error:
        raise FolderError(
            f"--out={out}: cannot be written to ({error.strerror}); name another"
        ) from None
    claim(folder, may_hold_one, names, kind)
    return folder


def _new_folder(parent: Path, name: str) -> Path:
    """Makes a new folder, with a number if processes start in the same second."""
    folder, attempt = parent / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            attempt += 1
            folder = parent / f"{name}-{attempt}"
        except OSError as error:
            why = f"cannot be made ({error.strerror}); name another folder with --out"
            raise FolderError(f"{folder}: {why}") from None


def discard(folder: Path) -> None:
    """Removes a folder if it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks ``folder`` against other processes; the lock ends with the process.

    Raises:
      FolderError: another process has locked it.
    """
    handle = _handle(folder)
    try:
        if not filelock.lock_descriptor(handle, blocking=False):
            why = "another process is using it; wait for it, or name another folder"
            raise FolderError(f"--out={folder}: {why}")
        yield
    finally:
        os.close(handle)


def _handle(folder: Path) -> int:
    """Handle of the folder; on Windows, which cannot open folders, of a file in it."""
    if os.name == "nt":
        return os.open(folder / ".weaknas-lock", os.O_RDWR | os.O_CREAT)
    return os.open(folder, os.O_RDONLY)


def stored_config(folder: Path) -> dict | None:
    """The ``config.json`` of an experiment that may be resumed; None = no such file.

    Raises:
      SummaryError: it cannot be read.
    """
    try:
        return summaries.read(folder / "config.json", "config")
    except (FileNotFoundError, NotADirectoryError):
        return None


def begin(folder: Path, config: dict, anew: bool) -> None:
    """Writes ``config.json``; ``anew``: removes the existing experiment first.

    Raises:
      ownership.NotOurs: a file that this program did not write has a needed name.
    """
    claim(folder, may_hold_one=True)
    if anew:
        clear(folder)
        config = config | {"checkpoints": CHECKPOINTS}
    summaries.write(folder / "config.json", "config", config)


def claim(
    folder: Path,
    may_hold_one: bool,
    names: Iterable[str] = NAMES,
    kind: str = "search",
) -> None:
    """Checks that an experiment may be written to a folder, which need not exist yet.

    Arguments and errors as in `prepare`.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise ownership.NotOurs(f"{folder}: is not a folder; move it, or name another with --out")
    ownership.claim(folder, names, kind)
    checkpoints(folder).claim()
    if not may_hold_one and any(ownership.ours(folder / name) for name in FILES):
        raise FolderError(
            f"--out={folder}: holds an experiment; add --resume to continue it, "
            "--overwrite to replace it, or name another folder"
        )


def clear(folder: Path) -> None:
    """Removes the experiment in a folder; other files stay."""
    config = folder / "config.json"
    before = json.loads(config.read_bytes()) if ownership.ours(config) else None
    for name in NAMES:
        ownership.remove(folder / name)
    ownership.remove_list(folder)
    checkpoints(folder, before).remove()


def earlier(folder: Path) -> tuple[Trace | None, dict | None]:
    """The trace of earlier calls, and its summary if that covers all its runs; None = missing.

    Raises:
      FolderError, SummaryError: a file cannot be read.
    """
    trace = load_trace(folder) if (folder / "trace.npz").exists() else None
    summary = load_summary(folder) if (folder / "summary.json").exists() else None
    if trace is None or summary is None or summary.get("runs") != trace.run.tolist():
        summary = None
    return trace, summary


def checkpoints(folder: Path, stored: dict | None = None, part: str = "") -> Checkpoints:
    """The checkpoints of an experiment.

    Args:
      folder: its folder.
      stored: its stored ``config.json`` or ``sweep.json``, if it is resumed.
      part: number of the program, in a sweep.
    """
    before = None
    if stored is not None and "checkpoints" not in stored:  # written by version 0.1
        before = folder / "checkpoints" / part
    return Checkpoints(folder / "-".join(filter(None, (CHECKPOINTS, part))), before)


def save(folder: Path, trace: Trace, summary: dict, pareto: Pareto | None = None) -> list[str]:
    """Writes the results, ``summary.json`` last as a mark of completion; returns their paths."""
    ownership.remove(folder / "summary.json")
    with files.replacing(folder / "trace.npz") as file:
        np.savez_compressed(file, allow_pickle=False, **trace._asdict())
    plots.draw([plots.Result(summary["method"], summary)], folder / "curve.png")
    if pareto is not None:
        title, unit = plots.title(summary), text.axis(summary)
        plots.draw_pareto(pareto, title, folder / PARETO, unit)
    if (best := answers.best(summary)) is not None:
        summaries.write(folder / BEST, "best", best)
    else:
        ownership.remove(folder / BEST)
    summaries.write(folder / "summary.json", "search", summary)
    return paths(folder)


def paths(folder: Path) -> list[str]:
    """Paths of the files of a finished experiment."""
    return [str(folder / name) for name in NAMES if (folder / name).exists()]


def load_trace(folder: str | os.PathLike) -> Trace:
    """The trace of an experiment.

    Raises:
      FolderError: it is missing or cannot be read.
    """
    path = Path(folder) / "trace.npz"
    if not os.path.exists(path):
        raise FolderError(f"{folder}: has no trace.npz; name the folder of an experiment")
    try:
        return traces.from_arrays(read_npz(path))
    except (TableError, KeyError) as error:
        raise FolderError(f"{path}: not the trace of an experiment ({error})") from None


def load_summary(folder: str | os.PathLike) -> dict:
    """The summary of an experiment.

    Raises:
      FolderError: it is missing.
      SummaryError: it cannot be read.
    """
    try:
        return summaries.read(Path(folder) / "summary.json", "search")
    except (FileNotFoundError, NotADirectoryError):
        raise FolderError(
            f"{folder}: has no summary.json; name the folder of a finished experiment"
        ) from None
