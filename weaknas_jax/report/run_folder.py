"""What an experiment leaves: ``config.json``, ``trace.npz``, ``summary.json``, ``curve.png``.

With a cost, ``pareto.png`` as well; of a single run ``best.json``, its answer.
``config.json`` is there from the first round on, with ``.weaknas-checkpoints/`` beside it while
runs are under way; the others come at the end. One process at a time works in a folder (`locked`).
What others put there stays, and is refused where it is in the way (`ownership`).
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
    """A folder that cannot be used; the message says which, why and what to do."""


def prepare(
    out: str | None,
    default_name: str,
    may_hold_one: bool = False,
    names: Iterable[str] = NAMES,
    kind: str = "search",
) -> Path:
    """The folder to write to, made and shown to be writable before anything is computed.

    Args:
      out: as asked for; None = ``runs/<default_name>-<date>-<time>``.
      default_name: begins the name of a folder that was not asked for.
      may_hold_one: whether an experiment may be there already.
      names: of the files that will be written there.
      kind: of the ``summary.json`` that will be written, see `summary.KINDS`.

    Raises:
      FolderError: not a folder, not writable, or it holds an experiment already.
      ownership.NotOurs: another file, or another kind of result, has one of the names.
    """
    if out == "":
        raise FolderError("--out=: is empty; name a folder, or leave the flag out")
    if out is None:
        name = re.sub(r"[^\w-]+", "_", default_name)  # a table may call itself anything
        out = str(_new_folder(Path("runs"), f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.probe(folder)
    except (FileExistsError, NotADirectoryError):
        raise FolderError(f"--out={out}: is a file, or lies below one; name a folder") from None
    except OSError as error:
        raise FolderError(
            f"--out={out}: cannot be written to ({error.strerror}); name another"
        ) from None
    claim(folder, may_hold_one, names, kind)
    return folder


def _new_folder(parent: Path, name: str) -> Path:
    """Makes a folder that nobody else has, though several may start in the same second."""
    folder, attempt = parent / name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            attempt += 1
            folder = parent / f"{name}-{attempt}"
        except OSError as error:
            why = f"cannot be made ({error.strerror}); name a folder that can by --out"
            raise FolderError(f"{folder}: {why}") from None


def discard(folder: Path) -> None:
    """Removes a folder that this process made and nothing was written to."""
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes out of ``folder``; a process that dies lets go of it.

    Raises:
      FolderError: another process is at work there.
    """
    handle = _handle(folder)
    try:
        if not filelock.lock_descriptor(handle, blocking=False):
            why = "another process is at work there; wait for it, or name another folder"
            raise FolderError(f"--out={folder}: {why}")
        yield
    finally:
        os.close(handle)


def _handle(folder: Path) -> int:
    """Of the folder itself; of a file in it on Windows, which opens no folders."""
    if os.name == "nt":
        return os.open(folder / ".weaknas-lock", os.O_RDWR | os.O_CREAT)
    return os.open(folder, os.O_RDONLY)


def stored_config(folder: Path) -> dict | None:
    """The ``config.json`` of an experiment that may be resumed; None = there is none.

    Raises:
      SummaryError: it cannot be read.
    """
    try:
        return summaries.read(folder / "config.json", "config")
    except (FileNotFoundError, NotADirectoryError):
        return None


def begin(folder: Path, config: dict, anew: bool) -> None:
    """Writes ``config.json``; ``anew``: the experiment of ours that was there is removed first.

    Raises:
      ownership.NotOurs: somebody else's file has the name of one that will be written.
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
    """Finds that an experiment may be written to a folder, which need not exist yet.

    Args and errors as of `prepare`.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise ownership.NotOurs(f"{folder}: is no folder; move it away, or name another --out")
    ownership.claim(folder, names, kind)
    checkpoints(folder).claim()
    if not may_hold_one and any(ownership.ours(folder / name) for name in FILES):
        raise FolderError(
            f"--out={folder}: holds an experiment; go on with it by --resume, replace it by "
            "--overwrite, or name another folder"
        )


def clear(folder: Path) -> None:
    """Removes the experiment of ours that a folder holds; whatever else is there stays."""
    config = folder / "config.json"
    before = json.loads(config.read_bytes()) if ownership.ours(config) else None
    for name in NAMES:
        ownership.remove(folder / name)
    ownership.remove_list(folder)
    checkpoints(folder, before).remove()


def earlier(folder: Path) -> tuple[Trace | None, dict | None]:
    """The runs that earlier calls finished, and their summary if it is of all of those.

    Raises:
      FolderError, SummaryError: they are there and cannot be read.
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
      stored: what its JSON said of it before, if it is gone on with.
      part: of a sweep, which of its programs.
    """
    before = None
    if stored is not None and "checkpoints" not in stored:  # begun by version 0.1
        before = folder / "checkpoints" / part
    return Checkpoints(folder / "-".join(filter(None, (CHECKPOINTS, part))), before)


def save(folder: Path, trace: Trace, summary: dict, pareto: Pareto | None = None) -> list[str]:
    """Writes the results; returns the paths. ``summary.json`` comes last: it says done."""
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
    """Of an experiment that is finished."""
    return [str(folder / name) for name in NAMES if (folder / name).exists()]


def load_trace(folder: str | os.PathLike) -> Trace:
    """The trace of an experiment.

    Raises:
      FolderError: there is none, or it cannot be read.
    """
    path = Path(folder) / "trace.npz"
    if not os.path.exists(path):
        raise FolderError(f"{folder}: no trace.npz there; name the folder of an experiment")
    try:
        return traces.from_arrays(read_npz(path))
    except (TableError, KeyError) as error:
        raise FolderError(f"{path}: not the trace of an experiment ({error})") from None


def load_summary(folder: str | os.PathLike) -> dict:
    """The summary of an experiment.

    Raises:
      FolderError: there is none.
      SummaryError: it cannot be read.
    """
    try:
        return summaries.read(Path(folder) / "summary.json", "search")
    except (FileNotFoundError, NotADirectoryError):
        raise FolderError(
            f"{folder}: no summary.json there; name the folder of a finished experiment"
        ) from None
