"""Reproduce the paper's figures by our own searches, as picture, CSV and Markdown page.

    weaknas paper figures --figure=3

1: one strong predictor against many weak ones (NAS-Bench-101); 3: progress of a search; 4: the
same as a t-SNE plane; 5: predictors on the three data sets of NAS-Bench-201; 6: accuracy against
queries beside other methods (`weaknas paper tables --table=4`). The same command line resumes after
an interruption. 3 and 4 need only a trace: ``--trace=RUNFOLDER`` shows any finished search; without
it a small search with the paper's predictor is run first.
"""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn

from absl import flags

from weaknas_jax.cli import console, entry, sweep
from weaknas_jax.cli.execute import in_folder
from weaknas_jax.cli.flags import NAMES, values
from weaknas_jax.cli.help import About
from weaknas_jax.cli.paper import curves, moves, pages, rows, tables
from weaknas_jax.predictors import PREDICTORS

_FIGURE = flags.DEFINE_string("figure", None, "Number of the figure: 1, 3, 4, 5 or 6.")
_RUNS = flags.DEFINE_integer(
    "runs", None, "Number of runs; of a trace: its first runs.", lower_bound=1
)
flags.FLAGS["quick"].help = "Smaller settings: under two minutes on two cores."


@entry.checked
def main(argv: list[str], axes: Mapping[str, list[str]]) -> int:
    del argv
    figure = _FIGURE.value
    if figure not in (*FIGURES, "6"):
        choices = ", ".join([*FIGURES, "6"])
        return console.fail(f"--figure={figure}: choose from {choices} (2 is a drawing)")
    if axes and (list(axes) != ["predictor"] or figure != "5"):
        return console.fail(
            f"--{next(iter(axes))}: give one value; only figure 5 takes a list of predictors"
        )
    if unknown := sorted(set(axes.get("predictor", [])) - set(PREDICTORS)):
        choices = ", ".join(PREDICTORS)
        return console.fail(f"--predictor={unknown[0]}: choose from {choices}")
    if moves.TRACE.value is not None and figure not in ("3", "4"):
        return console.fail(f"--trace: only for figures 3 and 4; leave it out for {figure}")
    settings = values()
    settings["seeds"] = _RUNS.value or settings["seeds"]
    settings["out"] = "runs/paper" if settings["out"] is None else settings["out"]
    if figure == "6":
        return tables.make(settings | {"table": "4"})

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        del again
        try:
            page = FIGURES[figure](folder, settings, stop, axes)
        except pages.Interrupted:
            return console.fail(rows.INTERRUPTED, stop.code)
        return pages.save(folder, page)

    return in_folder(settings["out"], "paper", True, work, names=())


FIGURES = {
    "1": curves.weak_and_strong,
    "3": moves.dynamics,
    "4": moves.plane,
    "5": curves.predictors,
}


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    arguments, lists = sweep.split(sys.argv)
    names = ["figure", "runs", "trace", "quick", *NAMES]
    entry.start(
        partial(main, axes=lists), About("weaknas paper figures", __doc__, names), arguments
    )
