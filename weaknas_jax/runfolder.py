"""What an experiment leaves: ``config.json``, ``trace.npz``, ``summary.json``, ``curve.png``."""

import contextlib
import json
import os
import platform
import re
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from weaknas_jax import files, plots
from weaknas_jax._version import __version__
from weaknas_jax.batch import Trace

FILES = ("summary.json", "trace.npz", "config.json", "curve.png")


class FolderError(ValueError):
    """A folder that cannot be used; the message says which, why and what to do."""


def prepare(out: str | None, default_name: str, overwrite: bool = False) -> Path:
    """The folder to write to, made and shown to be writable before anything is computed.

    Args:
      out: as asked for; None = ``runs/<default_name>-<date>-<time>``.
      default_name: begins the name of a folder that was not asked for.
      overwrite: whether an experiment in ``out`` may be replaced.

    Raises:
      FolderError: not a folder, not writable, or it holds an experiment already.
    """
    if out is None:
        name = re.sub(r"[^\w-]+", "_", default_name)  # a table may call itself anything
        out = _new_folder(Path("runs"), f"{name}-{time.strftime('%Y%m%d-%H%M%S')}")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with files.replacing(folder / ".writable"):
            pass
        (folder / ".writable").unlink()
    except (FileExistsError, NotADirectoryError):
        raise FolderError(f"--out={out}: is a file, or lies below one; name a folder") from None
    except OSError as error:
        raise FolderError(
            f"--out={out}: cannot be written to ({error.strerror}); name another"
        ) from None
    if (folder / "summary.json").exists() and not overwrite:
        raise FolderError(
            f"--out={out}: holds a finished experiment; name another folder, or say --overwrite"
        )
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
    """Removes a folder that nothing was written to."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def save(folder: Path, config: dict, trace: Trace, summary: dict) -> list[str]:
    """Writes all of an experiment; returns the paths. ``summary.json`` comes last: it says done."""
    (folder / "summary.json").unlink(missing_ok=True)
    _write_json(folder / "config.json", config)
    with files.replacing(folder / "trace.npz") as file:
        np.savez_compressed(file, allow_pickle=False, **trace._asdict())
    plots.draw([plots.Result(summary["method"], summary)], folder / "curve.png")
    _write_json(folder / "summary.json", summary)
    return [str(folder / name) for name in FILES]


def load_trace(folder: str | os.PathLike) -> Trace:
    """The trace of an experiment."""
    with np.load(Path(folder) / "trace.npz", allow_pickle=False) as archive:
        return Trace(**{name: archive[name] for name in Trace._fields})


def load_summary(folder: str | os.PathLike) -> dict:
    """The summary of an experiment.

    Raises:
      FolderError: there is none, or it cannot be read.
    """
    path = Path(folder) / "summary.json"
    try:
        summary = json.loads(path.read_text())
        for part, field in (("curve", "queries"), ("queries_to_optimum", "budget")):
            summary[part][field]
        for field in ("final", "space", "dataset"):
            summary[field]
        return summary
    except FileNotFoundError:
        raise FolderError(
            f"{folder}: no summary.json there; name the folder of a finished experiment"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{path}: not the summary of an experiment ({error})") from None


def device() -> str:
    """The device in words."""
    first = jax.devices()[0]
    if first.platform == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{len(jax.devices())} x {first.device_kind} ({first.platform})"


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    names = ("jax", "jaxlib", "flax", "optax", "numpy")
    found = {name: metadata.version(name) for name in names}
    return {"weaknas_jax": __version__, "python": platform.python_version(), **found}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with files.replacing(path) as file:
        file.write((json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
