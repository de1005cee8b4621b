"""The paper's tables on NAS-Bench-101, ours beside what it prints.

    python -m experiments.tables --table=1

runs what the table needs (20 runs, Gaussian process) and writes it as Markdown, CSV and picture;
searches that tables share are done once. Whatever stops it, the same line goes on. The paper's
predictor to 200 queries is ``--predictor=mlp --seeds=3 --budget=200``: rows of more queries are
then read at 200. ``--quick``: three runs of 200 queries.
"""

import csv
import io
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from absl import app, flags, logging

from experiments import console, paper
from experiments.configure import Configured, configure
from experiments.execute import Member, broken, check_platform, execute, in_folder
from experiments.flags import FREE, values
from weaknas_jax import comparison, files, metrics, plots, report, runfolder
from weaknas_jax.acquisition import NEEDS_DEVIATION
from weaknas_jax.predictors import HAS_DEVIATION
from weaknas_jax.runfolder import FolderError

_QUICK = flags.DEFINE_bool("quick", False, "Three runs of 200 queries.")
flags.FLAGS["table"].help = f"Which one: {', '.join(paper.TABLES)} (m0: ablation over M0)."
SEEDS = 20
_HEAD = ("row", "queries", "runs", "test", "sd", "regret", "mean rank")
_PRINTED = ("paper: queries", "test", "sd", "regret", "mean rank")


class Search(NamedTuple):
    """What stands for some rows: its name in `paper.SEARCHES`, its folder, what it does."""

    name: str
    folder: Path
    values: dict[str, Any]
    configured: Configured


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        return console.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
    logging.set_verbosity(logging.WARNING)
    given = values()
    if given["table"] not in paper.TABLES:
        known = ", ".join(paper.TABLES)
        return console.fail(f"--table={given['table']}: there are {known}")
    taken = [name for name in _ROWS_SAY if flags.FLAGS[name].present]
    if taken:
        return console.fail(f"--{taken[0]}: the rows of the tables say that; leave it out")
    given["seeds"] = given["seeds"] or (3 if _QUICK.value else SEEDS)
    given["budget"] = given["budget"] or (200 if _QUICK.value else None)
    out = given["out"] = given["out"] or "runs/paper"

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        del again
        return _table(folder, given, stop)

    return in_folder("experiments.tables", out, "paper", True, work)


_ROWS_SAY = sorted(
    {name for search in paper.SEARCHES.values() for name in search} - {"budget"}
    | {"space", "dataset", "constraint", "top_end"}
)


def _table(folder: Path, given: dict[str, Any], stop: console.Stop) -> int:
    table = paper.TABLES[given["table"]]
    rows = _rows(table, given["budget"])
    absent = [row.name for row, _ in rows if row.search and not _possible(row.search, given)]
    rows = [(row, at) for row, at in rows if row.name not in absent]
    names = dict.fromkeys(row.search for row, _ in rows if row.search)
    if not names:
        raise ValueError(f"--budget={given['budget']}: the table has no row of so few queries")
    searches = [_search(folder, name, given) for name in names]
    summaries = {}
    for number, search in enumerate(searches):
        console.note(f"[{number + 1}/{len(searches)}] {search.folder}")
        member = _member(search)
        outcome = execute([member], runfolder.checkpoints(search.folder), stop)
        summaries[search.name] = outcome.summaries[0]
        if not outcome.complete:
            return console.fail("interrupted; the same command goes on from here", stop.code)

    read = {search.name: _reader(search) for search in searches}
    lines = [_line(row, at, read) for row, at in rows]
    said = _said(table, summaries, absent)
    stem = folder / "-".join((f"table{given['table']}", given["predictor"]))
    texts = {".md": _markdown(table, lines, said), ".csv": _csv(lines)}
    for ending, text in texts.items():
        files.write_text(stem.with_suffix(ending), text)
    results = [plots.Result(name, summary) for name, summary in summaries.items()]
    printed = [(row.queries, row.printed.test, row.name) for row, _ in rows if row.printed]
    plots.draw_beside(results, printed, table.title, stem.with_suffix(".png"))
    print(texts[".md"])
    print("\n".join(str(stem.with_suffix(ending)) for ending in (*texts, ".png")))
    folders = [search.folder for search in searches]
    lost = broken(list(summaries.values()), folders, given["seed"])
    return console.fail(lost, 1) if lost else 0


def _rows(table: paper.Table, most: int | None) -> list[tuple[paper.Row, int]]:
    """Each row with the queries after which it is read: at most ``most``, none twice."""
    rows = {}
    for row in table.rows:
        at = min(row.queries, most or row.queries)
        whole = at == row.queries
        begins = paper.SEARCHES[row.search].get("init", 0) if row.search else row.queries
        early = (begins < at or row.search == "strong") and (row.name, at) not in rows
        if whole or early:
            rows[row.name, at] = row, at
    return list(rows.values())


def _possible(search: str, given: dict[str, Any]) -> bool:
    """Whether the predictor gives what the search needs."""
    needs = paper.SEARCHES[search].get("acquisition") in NEEDS_DEVIATION
    return not needs or given["predictor"] in HAS_DEVIATION


def _search(folder: Path, name: str, given: dict[str, Any]) -> Search:
    own = {"space": "nasbench101", "table": None, "resume": False} | paper.SEARCHES[name]
    own["budget"] = min(own["budget"], given["budget"] or own["budget"])
    if name == "strong":
        own["init"] = own["budget"] - own["per_round"]
    which = "" if own.get("method") == "random" else f"-{given['predictor']}"
    place = folder / f"{name}{which}-{own['budget']}"
    merged = given | own | {"out": str(place)}
    return Search(name, place, merged, configure(merged))


def _member(search: Search) -> Member:
    """The search as it is to be done, or gone on with.

    Raises:
      ValueError: its folder holds another one, or one of another backend.
    """
    search.folder.mkdir(exist_ok=True)
    given, stored = search.values, runfolder.stored_config(search.folder)
    if given["overwrite"]:
        stored = None
    runs = set(range(given["first_run"], given["first_run"] + given["seeds"]))
    if stored is not None:
        there = stored["flags"]
        planned = {"lanes", "chunk"}
        other = [k for k in given if k not in FREE | planned and given[k] != there.get(k)]
        if other:
            differs = ", ".join(f"--{k}={given[k]} (there: {there.get(k)})" for k in other)
            raise FolderError(
                f"{search.folder}: was begun otherwise: {differs}; name another folder by --out, "
                "or replace it by --overwrite"
            )
        check_platform(stored, str(search.folder))
        given = given | {k: stored["settings"][k] for k in planned}
        runs |= set(stored["runs"])
    return Member(search.folder, given, search.configured, runs, stored)


def _reader(search: Search):
    """``read(queries) -> dict``: the runs of a search after so many queries."""
    table, protocol = search.configured.table, search.configured.protocol
    trace = runfolder.load_trace(search.folder)
    curves, test = metrics.curves(trace, table, protocol), metrics.test_accuracy(table)
    return lambda queries: report.of_accuracy(curves.best_valid_test[:, queries - 1], test)


def _line(row: paper.Row, at: int, read: dict) -> list[str]:
    """The cells of a row, `_HEAD` and `_PRINTED`; empty = unknown."""
    cells = [row.name, str(at)]
    if row.search is None:
        cells += [""] * 5
    else:
        of = read[row.search](at)
        keys = ("test_mean", "test_std", "regret")
        figures = [f"{of[k]:.3f}" if of[k] is not None else "" for k in keys]
        cells += [str(of["runs"]), *figures, f"{of['mean_rank']:.1f}"]
    printed = (row.queries, *row.printed) if row.printed else (None,) * len(_PRINTED)
    formats = ("d", ".2f", ".2f", ".2f", ".1f")
    cells += ["" if p is None else format(p, f) for p, f in zip(printed, formats, strict=True)]
    return cells


def _said(table: paper.Table, summaries: dict[str, dict], absent: list[str]) -> list[str]:
    """Sentences below the table."""
    first = next(iter(summaries.values()))
    times = [
        f"{name} {summary['timing']['run_s'] / summary['seeds']:.1f}"
        for name, summary in summaries.items()
    ]
    said = [table.note, f"Ours: {report.TEST_LABELS}."]
    said.append(f"Seconds a run on {first['device']}: {', '.join(times)}.")
    if absent:
        said.append(f"Absent: {', '.join(absent)}.")
    return [sentence for sentence in said if sentence]


def _markdown(table: paper.Table, lines: list[list[str]], said: list[str]) -> str:
    command = shlex.join(["python", "-m", "experiments.tables", *sys.argv[1:]])
    head = [*_HEAD, *_PRINTED]
    body = comparison.pipes([head, ["---"] * len(head), *lines])
    return f"**{table.title}**\n\n{body}\n" + "\n".join(said) + f"\n\n`{command}`\n"


def _csv(lines: list[list[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    paper_ = [f"paper {name.removeprefix('paper: ')}" for name in _PRINTED]
    writer.writerows([[*_HEAD, *paper_], *lines])
    return out.getvalue()


if __name__ == "__main__":
    app.run(main)
