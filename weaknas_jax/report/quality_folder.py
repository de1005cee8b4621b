"""Folder of a comparison of predictors.

``cells.jsonl`` holds one line for each (predictor, n, run), appended as it is computed, and is all
that resuming needs. The others are made from it: ``predictors.csv`` and ``predictors.md`` (mean and
standard error over runs), ``predictors.png``, and ``predictors.json``, which holds the flags from
the start and all cells at the end.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from weaknas_jax.measures import summary as summaries
from weaknas_jax.measures.predictor_quality import Cell, Quality
from weaknas_jax.report import run_folder, standings
from weaknas_jax.report.run_folder import FolderError
from weaknas_jax.storage import files, ownership

CELLS, CONFIG = "cells.jsonl", "predictors.json"
_RESULTS = ("predictors.csv", "predictors.md", "predictors.png", CONFIG)
FILES = (*_RESULTS, CELLS, ownership.LIST)


def prepare(out: str | None, default_name: str, may_hold_one: bool) -> Path:
    """Creates the folder to write to, as `run_folder.prepare`.

    Raises:
      FolderError: it cannot be used, or holds a comparison already.
      ownership.NotOurs: a file that this program did not write has a needed name.
    """
    folder = run_folder.prepare(out, default_name, names=_RESULTS)
    _claim_cells(folder / CELLS)
    if not may_hold_one and any((folder / name).exists() for name in (*_RESULTS, CELLS)):
        why = "holds a comparison; add --resume to continue it, or name another folder"
        raise FolderError(f"--out={out}: {why}")
    return folder


def stored(folder: Path) -> dict | None:
    """Content of ``predictors.json`` in ``folder``; None = no such file.

    Raises:
      SummaryError: it cannot be read.
    """
    try:
        return summaries.read(folder / CONFIG, "predictors")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _claim_cells(path: Path) -> None:
    """Raises NotOurs if ``path`` is a file that does not start like one of this program."""
    if not os.path.lexists(path):
        return
    start = json.dumps({"predictor": ""})[:-2].encode()
    if path.is_file():
        with open(path, "rb") as file:
            head = file.read(len(start))
        is_partial = ownership.ours(path.parent / CONFIG) and start.startswith(head)  # cut short
        if head == start or is_partial:
            return
    ownership.refuse(path)


def begin(folder: Path, config: dict) -> list[Cell]:
    """Writes ``predictors.json`` and returns the stored cells.

    An incomplete last line is removed, so that new cells start on their own line.

    Raises:
      FolderError: another line cannot be read.
    """
    path = folder / CELLS
    _claim_cells(path)
    content = path.read_bytes() if path.exists() else b""
    complete = content[: content.rfind(b"\n") + 1]
    try:
        lines = enumerate(complete.decode().splitlines(), 1)
        cells = [_parsed(line, f"{path}, line {number}") for number, line in lines]
    except UnicodeDecodeError:
        raise FolderError(f"{path}: is damaged; name another folder") from None
    if complete != content:
        with open(path, "r+b") as file:
            file.truncate(len(complete))
    _write_config(folder, config, cells)
    return cells


def append(folder: Path, cell: Cell) -> None:
    """Appends a cell to ``cells.jsonl``."""
    with open(folder / CELLS, "a") as file:
        file.write(json.dumps(_plain(cell), allow_nan=False) + "\n")


def save(folder: Path, config: dict, cells: Sequence[Cell], title: str) -> list[str]:
    """Writes all files that are made from the cells; returns the paths."""
    rows = standings.summarize(cells)
    files.write_csv(folder / "predictors.csv", [standings.Row._fields, *rows])
    transforms = ", ".join(map(" ".join, config["label_transforms"].items()))
    description = (
        f"Fitted on n labels drawn uniformly, the same for all (seed {config['flags']['seed']})"
    )
    description += f"; label transforms: {transforms}."
    page = f"# {title}\n\n{description}\n\n{standings.text(cells)}\n"
    files.write_text(folder / "predictors.md", page)
    standings.draw(rows, title, folder / "predictors.png")
    _write_config(folder, config, cells)
    return [str(folder / name) for name in (*_RESULTS, CELLS)]


def _plain(cell: Cell) -> dict:
    metrics = {k: v if math.isfinite(v) else None for k, v in cell.quality.metrics.items()}
    key = {"predictor": cell.predictor, "n": cell.n, "run": cell.run}
    return key | {"nan": cell.quality.nan, "metrics": metrics}


def _parsed(line: str, where: str) -> Cell:
    try:
        cell = json.loads(line)
        metrics = {k: math.nan if v is None else float(v) for k, v in cell["metrics"].items()}
        quality = Quality(int(cell["nan"]), metrics)
        return Cell(str(cell["predictor"]), int(cell["n"]), int(cell["run"]), quality)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FolderError(
            f"{where}: is damaged ({error!r}); remove the line, then resume"
        ) from None


def _write_config(folder: Path, config: dict, cells: Sequence[Cell]) -> None:
    content = config | {"cells": [_plain(cell) for cell in cells]}
    summaries.write(folder / CONFIG, "predictors", content)
