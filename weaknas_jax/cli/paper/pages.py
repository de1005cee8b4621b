"""Shared by the figures: the searches behind them, and the page that shows one."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags

from weaknas_jax.cli import console, resume
from weaknas_jax.cli.configure import Configured, configure
from weaknas_jax.cli.flags import NAMES
from weaknas_jax.cli.paper import rows, tables
from weaknas_jax.core import called, protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.report import run_folder
from weaknas_jax.report import text as report
from weaknas_jax.report.run_folder import FolderError
from weaknas_jax.runs.replay import Round, replay
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.text import markdown
from weaknas_jax.tables import Table

ENDINGS = ".md", ".csv", ".png"
ALIKE = {"acquisition": "mean", "sampling": "uniform", "label_transform": "standardize"}
"""Common settings of searches that differ only in the compared setting."""


class Page(NamedTuple):
    """A figure, ready to be saved.

    Attributes:
      stem: name of its files, without ending.
      title: heading of the page.
      rows: plotted numbers, the rows of the CSV; column names first.
      shown: rows of the table on the Markdown page.
      notes: sentences below the table.
      draw: writes the picture to a path.
    """

    stem: str
    title: str
    rows: list[list[Any]]
    shown: list[list[Any]]
    notes: list[str]
    draw: Callable[[Path], None]


class Source(NamedTuple):
    """A finished search with everything needed to replay it."""

    folder: Path
    search: Configured
    trace: Trace
    runs: list[int]
    stored: dict

    def rounds(self, run: int) -> Iterator[Round]:
        """Replays the rounds of a run."""
        return replay(
            self.search.build,
            self.search.problem,
            self.trace,
            run,
            seed=self.stored["flags"]["seed"],
            point=self.search.point,
            chunk=self.stored["settings"]["chunk"],
            strict=not resume.note_elsewhere(self.stored),
        )


class Interrupted(Exception):
    """A signal ended a search; finished work is saved."""


def search_in(folder: Path, name: str, settings: Mapping, stop: console.Stop, own: Mapping) -> Path:
    """Runs a search unless it is done; returns its folder. Flags of the line override ``own``."""
    own = {k: v for k, v in own.items() if not flags.FLAGS[k].present}
    search = rows.search(name, folder / name, settings, {"table": settings["table"]} | own)
    _need_percent(search.folder, search.configured.table)
    rows.check([search])
    if rows.run_all([search], stop) is None:
        raise Interrupted
    return search.folder


def fixed(settings: Mapping[str, Any], full: int, quick: int) -> Mapping[str, Any]:
    """The settings with a default for the number of runs."""
    return {**settings, "seeds": settings["seeds"] or (quick if tables.QUICK.value else full)}


def source_of(place: Path, runs: int | None) -> Source:
    """The search in a folder, with its first ``runs`` runs (None = all).

    Raises:
      ValueError: the folder holds none, or it cannot be read.
    """
    trace, stored = run_folder.load_trace(place), run_folder.stored_config(place)
    if stored is None:
        raise FolderError(f"{place}: has no config.json; name the folder of an experiment")
    default_flags = {name: flags.FLAGS[name].default for name in NAMES}
    search = configure({**default_flags, **stored["flags"]})
    _need_percent(place, search.table)
    resume.check_table(place, stored, search.table_sha256)
    jax.config.update("jax_default_matmul_precision", stored["matmul_precision"])
    first = flags.FLAGS["first_run"].value
    numbers = [run for run in trace.run.tolist() if run >= first][:runs]
    if not numbers:
        raise FolderError(f"--first_run={first}: {place} has no such run")
    return Source(place, search, trace, numbers, stored)


def _need_percent(place: Path, table: Table) -> None:
    if not table.percent:
        raise FolderError(
            f"{place}: figures need accuracies in percent; the labels of this table are not"
        )


def notes_of(place: Path) -> list[str]:
    """Sentences about the protocol and device of a search."""
    summary = run_folder.load_summary(place)
    rule = summary["protocol"]
    switches = ", ".join(f"{name}={rule[name]}" for name in protocol.CHOICES)
    notes = [f"Protocol {rule['name']}: {switches}. Device: {summary['device']}."]
    if rule["labels"] == "test":
        notes.append(f"Ours: {report.TEST_LABELS}.")
    return notes


def claim(folder: Path, stem: str) -> None:
    """Checks, before anything is computed, that the files of a page may be written.

    Raises:
      ownership.NotOurs: a file of that name exists that this program did not write.
    """
    ownership.claim(folder, [stem + ending for ending in ENDINGS])


def save(folder: Path, page: Page) -> int:
    """Writes and prints a page; returns 0, the exit status."""
    paths = {ending: folder / f"{page.stem}{ending}" for ending in ENDINGS}
    page.draw(paths[".png"])
    files.write_csv(paths[".csv"], page.rows)
    command = called.this_line()
    table = markdown([[_cell(value) for value in row] for row in page.shown])
    notes = "\n".join(page.notes)
    text = (
        f"**{page.title}**\n\n![{page.title}]({page.stem}.png)\n\n{table}\n{notes}\n\n`{command}`\n"
    )
    files.write_text(paths[".md"], text)
    print(text)
    print("\n".join(map(str, paths.values())))
    return 0


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
