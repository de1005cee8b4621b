"""The paper's tables, ours beside what it prints: 1 to 4 on NAS-Bench-101, 5 on NAS-Bench-201.

    weaknas paper tables --table=1

runs what the table needs (20 runs, Gaussian process) and writes it as Markdown, CSV and picture;
searches that tables share are done once. Whatever stops it, the same line goes on. The paper's
predictor to 200 queries is ``--predictor=mlp --seeds=3 --budget=200``: rows of more queries are
then read at 200. ``--quick``: three runs of 200 queries. Table 5 is made by `paper.optimum`.
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
flags.FLAGS["table"].help = f"Which one: {', '.join(KNOWN)} (m0: ablation over M0)."
SEEDS = 20
_HEAD = ("row", "queries", "runs", "test", "sd", "regret", "mean rank")
_HEAD += ("minus weak predictors [95 %]",)
_PRINTED = ("paper: queries", "test", "sd", "regret", "mean rank")


@entry.checked
def main(argv: list[str]) -> int:
    del argv
    return make(values())


def make(given: dict[str, Any]) -> int:
    """The table that ``given`` names, by the flags of this line; returns the exit status."""
    if given["table"] not in KNOWN:
        known = ", ".join(KNOWN)
        return console.fail(f"--table={given['table']}: there are {known}")
    taken = [name for name in _ROWS_SAY if flags.FLAGS[name].present]
    if taken:
        return console.fail(f"--{taken[0]}: the rows of the tables say that; leave it out")
    of_optimum = given["table"] == "5"
    given["seeds"] = given["seeds"] or (3 if QUICK.value else None if of_optimum else SEEDS)
    given["budget"] = given["budget"] or (200 if QUICK.value else None)
    out = given["out"] = "runs/paper" if given["out"] is None else given["out"]

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        del again
        return (optimum.table if of_optimum else _table)(folder, given, stop)

    return in_folder(out, "paper", True, work, names=())


_ROWS_SAY = sorted(
    {name for search in paper.SEARCHES.values() for name in search} - {"budget"}
    | {"space", "dataset", "constraint", "top_end", "near_best", "pseudo_labels", "stop"}
)


def _table(folder: Path, given: dict[str, Any], stop: console.Stop) -> int:
    table = paper.TABLES[given["table"]]
    asked = _rows(table, given["budget"])
    absent = [row.name for row, _ in asked if row.search and not _possible(row.search, given)]
    asked = [(row, at) for row, at in asked if row.name not in absent]
    names = dict.fromkeys(row.search for row, _ in asked if row.search)
    if not names:
        raise ValueError(f"--budget={given['budget']}: the table has no row of so few queries")
    stem = folder / "-".join((f"table{given['table']}", given["predictor"]))
    ownership.claim(folder, [stem.name + ending for ending in (".md", ".csv", ".png")])
    searches = [_search(folder, name, given) for name in names]
    rows.check(searches)
    summaries = run_all(searches, stop)
    if summaries is None:
        return console.fail(INTERRUPTED, stop.code)

    read = {search.name: _reader(search) for search in searches}
    lines = [_line(row, at, read) for row, at in asked]
    said = _said(table, summaries, absent)
    text = _markdown(table, lines, said)
    files.write_text(stem.with_suffix(".md"), text)
    files.write_csv(stem.with_suffix(".csv"), _sheet(lines))
    results = [plots.Result(name, summary) for name, summary in summaries.items()]
    printed = [(row.queries, row.printed.test, row.name) for row, _ in asked if row.printed]
    plots.draw_beside(results, printed, table.title, stem.with_suffix(".png"))
    print(text)
    print("\n".join(str(stem.with_suffix(ending)) for ending in (".md", ".csv", ".png")))
    folders = [search.folder for search in searches]
    lost = broken(list(summaries.values()), folders, given["seed"])
    return console.fail(lost, 1) if lost else 0


def _rows(table: paper.Table, most: int | None) -> list[tuple[paper.Row, int]]:
    """Each row with the queries after which it is read: at most ``most``, none twice."""
    found = {}
    for row in table.rows:
        at = min(row.queries, most or row.queries)
        whole = at == row.queries
        begins = paper.SEARCHES[row.search].get("init", 0) if row.search else row.queries
        early = (begins < at or row.search == "strong") and (row.name, at) not in found
        if whole or early:
            found[row.name, at] = row, at
    return list(found.values())


def _possible(search: str, given: dict[str, Any]) -> bool:
    """Whether the predictor gives what the search needs."""
    try:
        methods.check_together(
            given["predictor"], paper.SEARCHES[search].get("acquisition", "mean")
        )
    except ValueError:
        return False
    return True


def _search(folder: Path, name: str, given: dict[str, Any]) -> Search:
    own = {"space": "nasbench101"} | paper.SEARCHES[name]
    own["budget"] = min(own["budget"], given["budget"] or own["budget"])
    if name == "strong":
        own["init"] = own["budget"] - own["per_round"]
    which = "" if own.get("method") == "random" else f"-{given['predictor']}"
    place = folder / f"{name}{which}-{own['budget']}"
    return rows.search(name, place, given, own)


class _Read(NamedTuple):
    """Runs of a search: numbers [S], test accuracy of the best after each query [S, Q]."""

    run: np.ndarray
    accuracy: np.ndarray
    table: np.ndarray

    def __call__(self, queries: int) -> dict:
        """What a row says of the runs after so many queries."""
        return report.of_accuracy(self.accuracy[:, queries - 1], self.table)


def _reader(search: Search) -> _Read:
    table, protocol = search.configured.table, search.configured.protocol
    trace = run_folder.load_trace(search.folder)
    accuracy = metrics.curves(trace, table, protocol).best_valid_test
    return _Read(trace.run, accuracy, metrics.test_accuracy(table))


def _against(name: str, at: int, read: dict[str, _Read]) -> str:
    """The paired difference from the weak predictors after as many queries."""
    weak, own = read.get("weak"), read[name]
    if weak is None or name == "weak" or at > weak.accuracy.shape[1]:
        return ""
    _, a, b = np.intersect1d(own.run, weak.run, return_indices=True)
    found = stats.paired_difference(own.accuracy[a, at - 1], weak.accuracy[b, at - 1])
    return compare.difference(found, 3)


def _line(row: paper.Row, at: int, read: dict) -> list[str]:
    """The cells of a row, `_HEAD` and `_PRINTED`; empty = unknown."""
    cells = [row.name, str(at)]
    if row.search is None:
        cells += [""] * 6
    else:
        of = read[row.search](at)
        keys = ("test_mean", "test_std", "regret")
        figures = [f"{of[k]:.3f}" if of[k] is not None else "" for k in keys]
        cells += [str(of["runs"]), *figures, f"{of['mean_rank']:.1f}"]
        cells.append(_against(row.search, at, read))
    printed = (row.queries, *row.printed) if row.printed else (None,) * len(_PRINTED)
    formats = ("d", ".2f", ".2f", ".2f", ".1f")
    cells += ["" if p is None else format(p, f) for p, f in zip(printed, formats, strict=True)]
    return cells


def _said(table: paper.Table, summaries: dict[str, dict], absent: list[str]) -> list[str]:
    """Sentences below the table."""
    first = next(iter(summaries.values()))
    times = [
        f"{name} {summary['timing']['run_s'] / summary['num_runs']:.1f}"
        for name, summary in summaries.items()
    ]
    said = [table.note, f"Ours: {report.TEST_LABELS}."]
    if "weak" in summaries:
        said.append("n.s.: the paired interval over the same seeds holds 0.")
    said.append(f"Seconds a run on {first['device']}: {', '.join(times)}.")
    if absent:
        said.append(f"Absent: {', '.join(absent)}.")
    return [sentence for sentence in said if sentence]


def _markdown(table: paper.Table, lines: list[list[str]], said: list[str]) -> str:
    command = called.this_line()
    body = markdown([[*_HEAD, *_PRINTED], *lines])
    return f"**{table.title}**\n\n{body}\n" + "\n".join(said) + f"\n\n`{command}`\n"


def _sheet(lines: list[list[str]]) -> list[list[str]]:
    """The lines of the CSV, in which no two columns have one name."""
    paper_ = [f"paper {name.removeprefix('paper: ')}" for name in _PRINTED]
    return [[*_HEAD, *paper_], *lines]


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    names = ["quick", *(name for name in NAMES if name not in _ROWS_SAY)]
    entry.start(main, About("weaknas paper tables", __doc__, names))
