"""Reproduce the paper's tables: 1 to 4 on NAS-Bench-101, 5 on NAS-Bench-201.

    weaknas paper tables --table=1

runs the searches of the table (20 runs, Gaussian process) and writes it, with the printed numbers,
as Markdown, CSV and picture; tables share searches. The same command line resumes after an
interruption. ``--predictor=mlp --seeds=3 --budget=200`` is the paper's predictor to 200 queries:
rows of more queries are then reported at 200. ``--quick``: three runs of 200 queries.
"""

from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from absl import flags

from weaknas_jax.cli import console, entry
from weaknas_jax.cli.execute import broken, in_folder
from weaknas_jax.cli.flags import NAMES, values
from weaknas_jax.cli.help import About
from weaknas_jax.cli.paper import optimum, rows
from weaknas_jax.cli.paper import printed as paper
from weaknas_jax.cli.paper.rows import INTERRUPTED, Search, run_all
from weaknas_jax.core import called
from weaknas_jax.measures import metrics, stats
from weaknas_jax.report import compare, plots, run_folder
from weaknas_jax.report import text as report
from weaknas_jax.search import methods
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.text import markdown

QUICK = flags.DEFINE_bool("quick", False, "Three runs of 200 queries.")
KNOWN = [*paper.TABLES, "5"]
flags.FLAGS["table"].help = f"Table to make: {', '.join(KNOWN)} (m0: ablation over M0)."
SEEDS = 20
_HEAD = ("row", "queries", "runs", "test", "sd", "regret", "mean rank")
_HEAD += ("minus weak predictors [95 %]",)
_PRINTED = ("paper: queries", "test", "sd", "regret", "mean rank")


@entry.checked
def main(argv: list[str]) -> int:
    del argv
    return make(values())


def make(settings: dict[str, Any]) -> int:
    """Makes the table that ``settings["table"]`` names; returns the exit status."""
    if settings["table"] not in KNOWN:
        choices = ", ".join(KNOWN)
        return console.fail(f"--table={settings['table']}: choose from {choices}")
    present = [name for name in _SET_BY_ROWS if flags.FLAGS[name].present]
    if present:
        return console.fail(f"--{present[0]}: the rows of the table set this; leave it out")
    of_optimum = settings["table"] == "5"
    settings["seeds"] = settings["seeds"] or (3 if QUICK.value else None if of_optimum else SEEDS)
    settings["budget"] = settings["budget"] or (200 if QUICK.value else None)
    out = settings["out"] = "runs/paper" if settings["out"] is None else settings["out"]

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        del again
        return (optimum.table if of_optimum else _table)(folder, settings, stop)

    return in_folder(out, "paper", True, work, names=())


_SET_BY_ROWS = sorted(
    {name for search in paper.SEARCHES.values() for name in search} - {"budget"}
    | {"space", "dataset", "constraint", "top_end", "near_best", "pseudo_labels", "stop"}
)


def _table(folder: Path, settings: dict[str, Any], stop: console.Stop) -> int:
    table = paper.TABLES[settings["table"]]
    selected = _rows(table, settings["budget"])
    absent = [row.name for row, _ in selected if row.search and not _possible(row.search, settings)]
    selected = [(row, at) for row, at in selected if row.name not in absent]
    names = dict.fromkeys(row.search for row, _ in selected if row.search)
    if not names:
        raise ValueError(
            f"--budget={settings['budget']}: too few queries for every row of the table; raise it"
        )
    stem = folder / "-".join((f"table{settings['table']}", settings["predictor"]))
    ownership.claim(folder, [stem.name + ending for ending in (".md", ".csv", ".png")])
    searches = [_search(folder, name, settings) for name in names]
    rows.check(searches)
    summaries = run_all(searches, stop)
    if summaries is None:
        return console.fail(INTERRUPTED, stop.code)

    read = {search.name: _reader(search) for search in searches}
    lines = [_line(row, at, read) for row, at in selected]
    notes = _notes(table, summaries, absent)
    text = _markdown(table, lines, notes)
    files.write_text(stem.with_suffix(".md"), text)
    files.write_csv(stem.with_suffix(".csv"), _sheet(lines))
    results = [plots.Result(name, summary) for name, summary in summaries.items()]
    printed = [(row.queries, row.printed.test, row.name) for row, _ in selected if row.printed]
    plots.draw_beside(results, printed, table.title, stem.with_suffix(".png"))
    print(text)
    print("\n".join(str(stem.with_suffix(ending)) for ending in (".md", ".csv", ".png")))
    folders = [search.folder for search in searches]
    message = broken(list(summaries.values()), folders, settings["seed"])
    return console.fail(message, 1) if message else 0


def _rows(table: paper.Table, budget: int | None) -> list[tuple[paper.Row, int]]:
    """Each row with the query count at which it is reported, at most ``budget``; no duplicates."""
    selected = {}
    for row in table.rows:
        at = min(row.queries, budget or row.queries)
        is_complete = at == row.queries
        init = paper.SEARCHES[row.search].get("init", 0) if row.search else row.queries
        is_possible = (init < at or row.search == "strong") and (row.name, at) not in selected
        if is_complete or is_possible:
            selected[row.name, at] = row, at
    return list(selected.values())


def _possible(search: str, settings: dict[str, Any]) -> bool:
    """Whether the predictor provides what the acquisition of the search needs."""
    try:
        methods.check_together(
            settings["predictor"], paper.SEARCHES[search].get("acquisition", "mean")
        )
    except ValueError:
        return False
    return True


def _search(folder: Path, name: str, settings: dict[str, Any]) -> Search:
    search_settings = {"space": "nasbench101"} | paper.SEARCHES[name]
    search_settings["budget"] = min(
        search_settings["budget"], settings["budget"] or search_settings["budget"]
    )
    if name == "strong":
        search_settings["init"] = search_settings["budget"] - search_settings["per_round"]
    suffix = "" if search_settings.get("method") == "random" else f"-{settings['predictor']}"
    place = folder / f"{name}{suffix}-{search_settings['budget']}"
    return rows.search(name, place, settings, search_settings)


class _Accuracies(NamedTuple):
    """Runs of a search: numbers [S], test accuracy of the best after each query [S, Q]."""

    run: np.ndarray
    accuracy: np.ndarray
    table: np.ndarray

    def __call__(self, queries: int) -> dict:
        """Statistics of the runs after ``queries`` queries."""
        return report.of_accuracy(self.accuracy[:, queries - 1], self.table)


def _reader(search: Search) -> _Accuracies:
    table, protocol = search.configured.table, search.configured.protocol
    trace = run_folder.load_trace(search.folder)
    accuracy = metrics.curves(trace, table, protocol).best_valid_test
    return _Accuracies(trace.run, accuracy, metrics.test_accuracy(table))


def _difference_from_weak(name: str, at: int, read: dict[str, _Accuracies]) -> str:
    """The paired difference from the weak predictors after as many queries."""
    weak, runs = read.get("weak"), read[name]
    if weak is None or name == "weak" or at > weak.accuracy.shape[1]:
        return ""
    _, indices, weak_indices = np.intersect1d(runs.run, weak.run, return_indices=True)
    result = stats.paired_difference(
        runs.accuracy[indices, at - 1], weak.accuracy[weak_indices, at - 1]
    )
    return compare.difference(result, 3)


def _line(row: paper.Row, at: int, read: dict) -> list[str]:
    """The cells of a row, in the order of `_HEAD` and `_PRINTED`; empty = unknown."""
    cells = [row.name, str(at)]
    if row.search is None:
        cells += [""] * 6
    else:
        statistics = read[row.search](at)
        keys = ("test_mean", "test_std", "regret")
        figures = [f"{statistics[k]:.3f}" if statistics[k] is not None else "" for k in keys]
        cells += [str(statistics["runs"]), *figures, f"{statistics['mean_rank']:.1f}"]
        cells.append(_difference_from_weak(row.search, at, read))
    printed = (row.queries, *row.printed) if row.printed else (None,) * len(_PRINTED)
    formats = ("d", ".2f", ".2f", ".2f", ".1f")
    cells += ["" if p is None else format(p, f) for p, f in zip(printed, formats, strict=True)]
    return cells


def _notes(table: paper.Table, summaries: dict[str, dict], absent: list[str]) -> list[str]:
    """Sentences below the table."""
    first = next(iter(summaries.values()))
    times = [
        f"{name} {summary['timing']['run_s'] / summary['num_runs']:.1f}"
        for name, summary in summaries.items()
    ]
    notes = [table.note, f"Ours: {report.TEST_LABELS}."]
    if "weak" in summaries:
        notes.append("n.s.: the paired interval over the same seeds contains 0.")
    notes.append(f"Seconds a run on {first['device']}: {', '.join(times)}.")
    if absent:
        notes.append(f"Absent: {', '.join(absent)}.")
    return [sentence for sentence in notes if sentence]


def _markdown(table: paper.Table, lines: list[list[str]], notes: list[str]) -> str:
    command = called.this_line()
    body = markdown([[*_HEAD, *_PRINTED], *lines])
    return f"**{table.title}**\n\n{body}\n" + "\n".join(notes) + f"\n\n`{command}`\n"


def _sheet(lines: list[list[str]]) -> list[list[str]]:
    """The lines of the CSV, with unique column names."""
    paper_ = [f"paper {name.removeprefix('paper: ')}" for name in _PRINTED]
    return [[*_HEAD, *paper_], *lines]


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    names = ["quick", *(name for name in NAMES if name not in _SET_BY_ROWS)]
    entry.start(main, About("weaknas paper tables", __doc__, names))
