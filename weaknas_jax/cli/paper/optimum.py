"""Table 5: queries to the test optimum of NAS-Bench-201, every method here beside what is printed.

    weaknas paper tables --table=5

Methods are compared in pairs of runs of the same seeds with the first row, by a paired bootstrap
interval of the mean difference; a run that did not meet the optimum counts as its budget.
"""

from pathlib import Path
from typing import Any

import numpy as np

from weaknas_jax.cli import console
from weaknas_jax.cli.execute import broken
from weaknas_jax.cli.paper import printed as paper
from weaknas_jax.cli.paper import rows
from weaknas_jax.core import called
from weaknas_jax.core.types import Predictor
from weaknas_jax.measures import metrics, stats
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.report import compare, plots, run_folder
from weaknas_jax.storage import files, ownership
from weaknas_jax.storage.text import markdown

_HEAD = ("method", "data set", "runs", "queries to optimum", "+-", "median", "censored")
_HEAD += ("minus the first row [95 %]", "paper", "paper's, in standard errors of ours")
NOTE = (
    "`>=`: some runs are censored and count as the budget. n.s.: the paired interval holds 0. "
    "The paper's WeakNAS is with its MLP. (!): more than two standard errors from what is printed."
)


def table(folder: Path, given: dict[str, Any], stop: console.Stop) -> int:
    """Runs what the table needs and writes it; the exit status."""
    stem = folder / f"table5-{given['predictor']}"
    ownership.claim(folder, [stem.name + ending for ending in (".md", ".csv", ".png")])
    walks = {key: walk for key, walk in paper.OPTIMUM.items() if _possible(walk, given)}
    searches = [
        _search(folder, dataset, key, walk, given)
        for key, walk in walks.items()
        for dataset in paper.DATASETS
    ]
    rows.check(searches)
    summaries = rows.run_all(searches, stop)
    if summaries is None:
        return console.fail(rows.INTERRUPTED, stop.code)

    queries = {search.name: _queries(search) for search in searches}
    lines = []
    for key, walk in walks.items():
        for place, dataset in enumerate(paper.DATASETS):
            name, first = f"{dataset}-{key}", f"{dataset}-{next(iter(walks))}"
            against = None if name == first else _paired(queries[name], queries[first])
            printed = walk.printed[place] if walk.printed else None
            lines.append(_line(walk.name, dataset, summaries[name], against, printed))
    said = _said(summaries, [w.name for k, w in paper.OPTIMUM.items() if k not in walks])
    files.write_text(stem.with_suffix(".md"), text := _markdown(lines, said))
    files.write_csv(stem.with_suffix(".csv"), [_HEAD, *lines])
    by_dataset = {
        dataset: {
            walk.name: (
                summaries[f"{dataset}-{key}"],
                walk.printed[place] if walk.printed else None,
            )
            for key, walk in walks.items()
        }
        for place, dataset in enumerate(paper.DATASETS)
    }
    plots.draw_optimum(by_dataset, stem.with_suffix(".png"))
    print(text)
    print("\n".join(str(stem.with_suffix(ending)) for ending in (".md", ".csv", ".png")))
    lost = broken(list(summaries.values()), [s.folder for s in searches], given["seed"])
    return console.fail(lost, 1) if lost else 0


def _possible(walk: paper.Walk, given: dict[str, Any]) -> bool:
    """Whether the predictor is one that can be fitted on pseudo-labels, where they are needed."""
    builder = PREDICTORS[given["predictor"]]
    return "pseudo_labels" not in walk.flags or isinstance(builder(), Predictor)


def _search(
    folder: Path, dataset: str, key: str, walk: paper.Walk, given: dict[str, Any]
) -> rows.Search:
    own = {"space": "nasbench201", "dataset": dataset, "stop": "optimum"} | walk.flags
    own["budget"] = min(own["budget"], given["budget"] or own["budget"])
    own["seeds"] = given["seeds"] or walk.runs
    which = "" if "method" in own else f"-{given['predictor']}"
    name = f"{dataset}-{key}"
    return rows.search(name, folder / f"{name}{which}-{own['budget']}", given, own)


def _queries(search: rows.Search) -> tuple[np.ndarray, np.ndarray]:
    """Run numbers, and queries to the optimum with the budget in place of what is censored."""
    configured, trace = search.configured, run_folder.load_trace(search.folder)
    target = np.asarray(configured.problem.target)
    found = metrics.queries_to_target(trace, target, configured.protocol)
    return trace.run, np.where(np.isfinite(found), found, trace.queried.shape[1])


def _paired(of: tuple, first: tuple) -> dict[str, Any]:
    common, a, b = np.intersect1d(of[0], first[0], return_indices=True)
    del common
    return stats.paired_difference(of[1][a], first[1][b])


def _line(
    name: str, dataset: str, summary: dict, against: dict | None, printed: float | None
) -> list[str]:
    """The cells of a row, `_HEAD`."""
    found = summary["queries_to_optimum"]
    error, bound = found["standard_error"], found["mean_is_lower_bound"]
    cells = [name, dataset, str(summary["num_runs"]), ">= " * bound + f"{found['mean']:.1f}"]
    cells.append("" if error is None else f"{error:.1f}")
    cells.append("" if found["median"] is None else f"{found['median']:.0f}")
    cells.append(str(found["censored"]))
    cells.append("" if against is None else compare.difference(against))
    if printed is None:
        return [*cells, "", ""]
    off = (printed - found["mean"]) / error if error else None
    certain = off is not None and abs(off) > 2 and not (bound and off > 0)
    return [*cells, f"{printed:.1f}", "" if off is None else f"{off:+.1f}" + " (!)" * certain]


def _said(summaries: dict[str, dict], absent: list[str]) -> list[str]:
    """Sentences below the table."""
    first = next(iter(summaries.values()))
    seconds = sum(s["timing"]["run_s"] + s["timing"]["compile_s"] for s in summaries.values())
    said = [NOTE, f"Protocol: {first['protocol']['name']}. {seconds:.0f} s on {first['device']}."]
    if absent:
        said.append(f"Absent with this predictor: {', '.join(absent)}.")
    return said


def _markdown(lines: list[list[str]], said: list[str]) -> str:
    command = called.this_line()
    body = markdown([_HEAD, *lines])
    title = "**Table 5: queries to the optimum of NAS-Bench-201**"
    return f"{title}\n\n{body}\n" + "\n".join(said) + f"\n\n`{command}`\n"
