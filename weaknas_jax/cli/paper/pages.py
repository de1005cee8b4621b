"""What the figures have in common: the searches behind them, and the page that shows one."""

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
"""Of searches that are to differ in nothing but what is compared."""


class Page(NamedTuple):
    """What a figure is saved as.

    Attributes:
      stem: name of its files, without ending.
      title: above all.
      rows: what is plotted, of the CSV: a line of names and the lines.
      shown: the part of them that Markdown shows.
      said: sentences below.
      draw: writes the picture to a path.
    """

    stem: str
    title: str
    rows: list[list[Any]]
    shown: list[list[Any]]
    said: list[str]
    draw: Callable[[Path], None]


class Source(NamedTuple):
    """A finished search, and what is needed to replay it."""

    folder: Path
    search: Configured
    trace: Trace
    runs: list[int]
    stored: dict

    def rounds(self, run: int) -> Iterator[Round]:
        """Of one run."""
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
    """A signal came; what was done is kept."""


def search_in(folder: Path, name: str, given: Mapping, stop: console.Stop, own: Mapping) -> Path:
    """The folder of a search that is done, or done now; a flag of the line goes before ``own``."""
    own = {k: v for k, v in own.items() if not flags.FLAGS[k].present}
    search = rows.search(name, folder / name, given, {"table": given["table"]} | own)
    _need_percent(search.folder, search.configured.table)
    rows.check([search])
    if rows.run_all([search], stop) is None:
        raise Interrupted
    return search.folder


def fixed(given: Mapping[str, Any], most: int, quick: int) -> Mapping[str, Any]:
    """How many runs, where that was not said."""
    return {**given, "seeds": given["seeds"] or (quick if tables.QUICK.value else most)}


def source_of(place: Path, runs: int | None) -> Source:
    """A search in a folder; ``runs``: the first so many of its runs, by default all.

    Raises:
      ValueError: there is none, or it cannot be made out.
    """
    trace, stored = run_folder.load_trace(place), run_folder.stored_config(place)
    if stored is None:
        raise FolderError(f"{place}: no config.json there; name the folder of an experiment")
    unsaid = {name: flags.FLAGS[name].default for name in NAMES}
    search = configure({**unsaid, **stored["flags"]})
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
        raise FolderError(f"{place}: figures are of accuracies in percent; this table's are none")


def said_of(place: Path) -> list[str]:
    """How a search was done."""
    summary = run_folder.load_summary(place)
    rule = summary["protocol"]
    switches = ", ".join(f"{name}={rule[name]}" for name in protocol.CHOICES)
    said = [f"Protocol {rule['name']}: {switches}. Device: {summary['device']}."]
    if rule["labels"] == "test":
        said.append(f"Ours: {report.TEST_LABELS}.")
    return said


def claim(folder: Path, stem: str) -> None:
    """Finds, before anything is computed, that the files of a page may be written.

    Raises:
      ownership.NotOurs: somebody else's has one of their names.
    """
    ownership.claim(folder, [stem + ending for ending in ENDINGS])


def save(folder: Path, page: Page) -> int:
    """Writes and prints a page; 0, the exit status."""
    paths = {ending: folder / f"{page.stem}{ending}" for ending in ENDINGS}
    page.draw(paths[".png"])
    files.write_csv(paths[".csv"], page.rows)
    command = called.this_line()
    table = markdown([[_cell(value) for value in row] for row in page.shown])
    said = "\n".join(page.said)
    text = (
        f"**{page.title}**\n\n![{page.title}]({page.stem}.png)\n\n{table}\n{said}\n\n`{command}`\n"
    )
    files.write_text(paths[".md"], text)
    print(text)
    print("\n".join(map(str, paths.values())))
    return 0


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
