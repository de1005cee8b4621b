"""Table 5: queries to the test optimum of NAS-Bench-201, ours beside the paper's.

    weaknas paper tables --table=5

Each method is compared with the first row over pairs of runs of the same seeds, by a paired
bootstrap interval of the mean difference; a run that did not meet the optimum counts as its budget.
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
    "`>=`: some runs are censored and count as the budget. n.s.: the paired interval contains 0. "
    "The paper's WeakNAS is with its MLP. (!): more than two standard errors from the printed."
)


def table(folder: Path, settings: dict[str, Any], stop: console.Stop) -> int:
    """Runs the searches of the table and writes it; returns the exit status."""
    stem = folder / f"table5-{settings['predictor']}"
    ownership.claim(folder, [stem.name + ending for ending in (".md", ".csv", ".png")])
    table_rows = {key: row for key, row in paper.OPTIMUM.items() if _possible(row, settings)}
    searches = [
        _search(folder, dataset, key, row, settings)
        for key, row in table_rows.items()
        for dataset in paper.DATASETS
    ]
    rows.check(searches)
    summaries = rows.run_all(searches, stop)
    if summaries is None:
        return console.fail(rows.INTERRUPTED, stop.code)

    queries = {search.name: _queries(search) for search in searches}
    lines = []
    for key, row in table_rows.items():
        for column, dataset in enumerate(paper.DATASETS):
            name, first = f"{dataset}-{key}", f"{dataset}-{next(iter(table_rows))}"
            difference = None if name == first else _paired(queries[name], queries[first])
            printed = row.printed[column] if row.printed else None
            lines.append(_line(row.name, dataset, summaries[name], difference, printed))
    notes = _notes(summaries, [w.name for k, w in paper.OPTIMUM.items() if k not in table_rows])
    files.write_text(stem.with_suffix(".md"), text := _markdown(lines, notes))
    files.write_csv(stem.with_suffix(".csv"), [_HEAD, *lines])
    by_dataset = {
        dataset: {
            row.name: (
                summaries[f"{dataset}-{key}"],
                row.printed[column] if row.printed else None,
            )
            for key, row in table_rows.items()
        }
        for column, dataset in enumerate(paper.DATASETS)
    }
    plots.draw_optimum(by_dataset, stem.with_suffix(".png"))
    print(text)
    print("\n".join(str(stem.with_suffix(ending)) for ending in (".md", ".csv", ".png")))
    message = broken(list(summaries.values()), [s.folder for s in searches], settings["seed"])
    return console.fail(message, 1) if message else 0


def _possible(row: paper.Table5Row, settings: dict[str, Any]) -> bool:
    """Whether the predictor can be fitted on pseudo-labels, if the row needs them."""
    builder = PREDICTORS[settings["predictor"]]
    return "pseudo_labels" not in row.flags or isinstance(builder(), Predictor)


def _search(
    folder: Path, dataset: str, key: str, row: paper.Table5Row, settings: dict[str, Any]
) -> rows.Search:
    row_settings = {"space": "nasbench201", "dataset": dataset, "stop": "optimum"} | row.flags
    row_settings["budget"] = min(
        row_settings["budget"], settings["budget"] or row_settings["budget"]
    )
    row_settings["seeds"] = settings["seeds"] or row.runs
    suffix = "" if "method" in row_settings else f"-{settings['predictor']}"
    name = f"{dataset}-{key}"
    return rows.search(
        name, folder / f"{name}{suffix}-{row_settings['budget']}", settings, row_settings
    )


def _queries(search: rows.Search) -> tuple[np.ndarray, np.ndarray]:
    """Run numbers, and queries to the optimum; the budget for censored runs."""
    configured, trace = search.configured, run_folder.load_trace(search.folder)
    target = np.asarray(configured.problem.target)
    queries = metrics.queries_to_target(trace, target, configured.protocol)
    return trace.run, np.where(np.isfinite(queries), queries, trace.queried.shape[1])


def _paired(runs: tuple, first: tuple) -> dict[str, Any]:
    common, indices, first_indices = np.intersect1d(runs[0], first[0], return_indices=True)
    del common
    return stats.paired_difference(runs[1][indices], first[1][first_indices])


def _line(
    name: str, dataset: str, summary: dict, difference: dict | None, printed: float | None
) -> list[str]:
    """The cells of a row, in the order of `_HEAD`."""
    result = summary["queries_to_optimum"]
    error, bound = result["standard_error"], result["mean_is_lower_bound"]
    cells = [name, dataset, str(summary["num_runs"]), ">= " * bound + f"{result['mean']:.1f}"]
    cells.append("" if error is None else f"{error:.1f}")
    cells.append("" if result["median"] is None else f"{result['median']:.0f}")
    cells.append(str(result["censored"]))
    cells.append("" if difference is None else compare.difference(difference))
    if printed is None:
        return [*cells, "", ""]
    distance = (printed - result["mean"]) / error if error else None
    significant = distance is not None and abs(distance) > 2 and not (bound and distance > 0)
    return [
        *cells,
        f"{printed:.1f}",
        "" if distance is None else f"{distance:+.1f}" + " (!)" * significant,
    ]


def _notes(summaries: dict[str, dict], absent: list[str]) -> list[str]:
    """Sentences below the table."""
    first = next(iter(summaries.values()))
    seconds = sum(s["timing"]["run_s"] + s["timing"]["compile_s"] for s in summaries.values())
    notes = [NOTE, f"Protocol: {first['protocol']['name']}. {seconds:.0f} s on {first['device']}."]
    if absent:
        notes.append(f"Absent with this predictor: {', '.join(absent)}.")
    return notes


def _markdown(lines: list[list[str]], notes: list[str]) -> str:
    command = called.this_line()
    body = markdown([_HEAD, *lines])
    title = "**Table 5: queries to the optimum of NAS-Bench-201**"
    return f"{title}\n\n{body}\n" + "\n".join(notes) + f"\n\n`{command}`\n"
