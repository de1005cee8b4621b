"""Figures 3 and 4: how a search moves, replayed from its trace."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from absl import flags

from weaknas_jax.cli import console
from weaknas_jax.cli.flags import NAMES
from weaknas_jax.cli.paper import pages, tables
from weaknas_jax.cli.paper.pages import Page, Source
from weaknas_jax.report import figures

_help = "Figures 3 and 4: folder of a finished search to look at, in place of a new one."
TRACE = flags.DEFINE_string("trace", None, _help)
_SMALL = {
    "predictor": "mlp",
    "dataset": "cifar10",
    "dynamics": True,
    "stop": "budget",
} | pages.ALIKE
_ROWS = 3000
"""Of the space that Figure 4 shows, besides all that was evaluated."""


def dynamics(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 3."""
    del axes
    own = _SMALL | {"init": 10, "per_round": 10, "budget": 60}
    source, stem = _looked_at(folder, "figure3", pages.fixed(given, 4, 1), stop, own)
    table = source.search.table
    accuracy = figures.accuracy_of(table)
    found = [
        look for run in source.runs for look in figures.looks(run, source.rounds(run), accuracy)
    ]
    rounds = sorted({look.round for look in found})
    names = ("predicted_best", "kendall", "kendall_top50", "top50_probability")
    lines = [["run", "round", "queries", *names, "error EDF of the predicted top 200"]]
    for look in found:
        errors = " ".join(f"{error:.3f}" for error in look.errors)
        of = [round(getattr(look, name), 5) for name in names]
        lines.append([look.run, look.round, look.queries, *of, errors])
    shown = [["round", "queries", *names, "mean error of the top 200"]]
    means = {name: figures.over_runs(found, name, rounds)[0] for name in names}
    for number in figures.some(range(len(rounds)), 11):
        now = [look for look in found if look.round == rounds[number]]
        error = float(np.mean([np.nanmean(look.errors) for look in now]))
        of = [float(means[name][number]) for name in names]
        shown.append([rounds[number], max(look.queries for look in now), *of, error])
    best = float(np.nanmax(accuracy))
    said = [
        f"{len(source.runs)} run{'s' * (len(source.runs) > 1)} of {source.folder.name}, replayed "
        "from the trace; mean and deviation over runs. (a) test accuracy of the predicted best of "
        f"the whole space; the best there is is {best:.3f}. (b) test errors of the predicted best "
        "200, pooled over runs. "
        "(c) the chance that the next draw in the predicted top N is one of the 50 best by "
        "validation, and Kendall's tau of prediction and truth among these.",
        *pages.said_of(source.folder),
    ]
    title = f"Figure 3: how the search moves ({_what(source)})"
    draw = partial(figures.draw_dynamics, found, best, title)
    return Page(stem, title, lines, shown, said, draw)


def plane(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 4."""
    del axes
    own = _SMALL | {"init": 40, "per_round": 40, "top": 400, "budget": 240}
    source, stem = _looked_at(folder, "figure4", given | {"seeds": 1}, stop, own)
    run, table = source.runs[0], source.search.table
    accuracy = figures.accuracy_of(table)
    found = figures.panels(source.trace, run, source.rounds(run))
    few = min(len(table), 1000 if tables.QUICK.value else _ROWS)
    rows_ = figures.sample(found, few)
    at = figures.plane(table.encoding, rows_)
    shown = [["round", "queries", "mean of the top N", "mean of the drawn", "best of the drawn"]]
    for each in found:
        told = int((each.before | each.drawn).sum())
        top = float(np.nanmean(accuracy[each.top])) if each.number else ""
        drawn = accuracy[each.drawn]
        shown.append([each.number, told, top, float(np.nanmean(drawn)), float(np.nanmax(drawn))])
    place = source.trace.run.tolist().index(run)
    when = dict(zip(source.trace.queried[place].tolist(), source.trace.round.tolist(), strict=True))
    head = [f"in the top N of round {each.number}" for each in found[1:]]
    lines = [["row", "x", "y", "test accuracy", "drawn in round", *head]]
    for row, (x, y) in zip(rows_.tolist(), at, strict=True):
        numbers = [round(float(v), 4) for v in (x, y, accuracy[row])]
        lines.append(
            [row, *numbers, when.get(row, ""), *(int(each.top[row]) for each in found[1:])]
        )
    said = [
        f"Run {run} of {source.folder.name}, replayed from its trace. t-SNE of the encoding, "
        f"{len(rows_):,} of {len(table):,} architectures: {few:,} at random and all that were "
        f"evaluated. Blue: the predicted top N, in which a round draws, as far as it is in the "
        "sample; means are of all of it.",
        *pages.said_of(source.folder),
    ]
    title = f"Figure 4: sampling space and samples ({_what(source)})"
    draw = partial(figures.draw_plane, at, rows_, found, accuracy, title)
    return Page(stem, title, lines, shown, said, draw)


def _looked_at(
    folder: Path, figure: str, given: Mapping, stop: console.Stop, own: Mapping
) -> tuple[Source, str]:
    """What --trace names, or a small search of our own, and the name of the figure's files."""
    if TRACE.value is not None:
        taken = [
            n for n in NAMES if n not in ("out", "seeds", "first_run") and flags.FLAGS[n].present
        ]
        if taken:
            raise ValueError(f"--{taken[0]}: --trace says that; leave it out")
        place = Path(TRACE.value)
        pages.claim(folder, f"{figure}-{place.resolve().name}")
        return pages.source_of(place, given["seeds"]), f"{figure}-{place.resolve().name}"
    line = {**own, **{k: given[k] for k in own if flags.FLAGS[k].present}}
    name = [figure, line["predictor"], given["space"], line["dataset"], str(line["budget"])]
    if given["space"] != "nasbench201" and not flags.FLAGS["dataset"].present:
        own = own | {"dataset": None}
        del name[3]
    pages.claim(folder, "-".join(name))
    place = pages.search_in(folder, "-".join(name), given, stop, own)
    return pages.source_of(place, given["seeds"]), "-".join(name)


def _what(source: Source) -> str:
    table, said = source.search.table, source.search.said
    return f"{said['predictor'] or said['method']}, {table.space} / {table.dataset}"
