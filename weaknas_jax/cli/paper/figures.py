"""The paper's figures from our searches: each as picture, CSV and a page of Markdown.

    weaknas paper figures --figure=3

1: one strong predictor against many weak ones (NAS-Bench-101); 3: how the search moves; 4: the
same in a plane, by t-SNE; 5: predictors on the three data sets of NAS-Bench-201; 6: accuracy
against queries beside other methods (`weaknas paper tables --table=4`). Whatever stops it, the same
line goes on. 3 and 4 need nothing but a trace: ``--trace=RUNFOLDER`` looks at any finished search;
without it a small one, by the paper's predictor, is made first.
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

_FIGURE = flags.DEFINE_string("figure", None, "Which one: 1, 3, 4, 5 or 6.")
_RUNS = flags.DEFINE_integer("runs", None, "How many runs; of a trace: its first.", lower_bound=1)
flags.FLAGS["quick"].help = "Less of everything: under two minutes on two cores."


@entry.checked
def main(argv: list[str], axes: Mapping[str, list[str]]) -> int:
    del argv
    figure = _FIGURE.value
    if figure not in (*FIGURES, "6"):
        known = ", ".join([*FIGURES, "6"])
        return console.fail(f"--figure={figure}: there are {known} (2 is a drawing)")
    if axes and (list(axes) != ["predictor"] or figure != "5"):
        return console.fail(f"--{next(iter(axes))}: one value; figure 5 takes a list of predictors")
    if unknown := sorted(set(axes.get("predictor", [])) - set(PREDICTORS)):
        known = ", ".join(PREDICTORS)
        return console.fail(f"--predictor={unknown[0]}: choose of {known}")
    if moves.TRACE.value is not None and figure not in ("3", "4"):
        return console.fail(f"--trace: is for figures 3 and 4; leave it out for {figure}")
    given = values()
    given["seeds"] = _RUNS.value or given["seeds"]
    given["out"] = "runs/paper" if given["out"] is None else given["out"]
    if figure == "6":
        return tables.make(given | {"table": "4"})

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        del again
        try:
            page = FIGURES[figure](folder, given, stop, axes)
        except pages.Interrupted:
            return console.fail(rows.INTERRUPTED, stop.code)
        return pages.save(folder, page)

    return in_folder(given["out"], "paper", True, work, names=())


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
