"""Figures 3 and 4: progress of a search, replayed from its trace."""

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

_help = "Figures 3 and 4: folder of a finished search to show, instead of a new one."
TRACE = flags.DEFINE_string("trace", None, _help)
_SMALL = {
    "predictor": "mlp",
    "dataset": "cifar10",
    "dynamics": True,
    "stop": "budget",
} | pages.ALIKE
_ROWS = 3000
"""Random architectures that Figure 4 shows, besides all evaluated ones."""


def dynamics(folder: Path, settings: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 3: prediction and draws of each round."""
    del axes
    fixed_settings = _SMALL | {"init": 10, "per_round": 10, "budget": 60}
    source, stem = _source(folder, "figure3", pages.fixed(settings, 4, 1), stop, fixed_settings)
    table = source.search.table
    accuracy = figures.accuracy_of(table)
    looks = [
        look for run in source.runs for look in figures.looks(run, source.rounds(run), accuracy)
    ]
    rounds = sorted({look.round for look in looks})
    names = ("predicted_best", "kendall", "kendall_top50", "top50_probability")
    lines = [["run", "round", "queries", *names, "error EDF of the predicted top 200"]]
    for look in looks:
        errors = " ".join(f"{error:.3f}" for error in look.errors)
        cells = [round(getattr(look, name), 5) for name in names]
        lines.append([look.run, look.round, look.queries, *cells, errors])
    shown = [["round", "queries", *names, "mean error of the top 200"]]
    means = {name: figures.over_runs(looks, name, rounds)[0] for name in names}
    for number in figures.some(range(len(rounds)), 11):
        of_round = [look for look in looks if look.round == rounds[number]]
        error = float(np.mean([np.nanmean(look.errors) for look in of_round]))
        cells = [float(means[name][number]) for name in names]
        shown.append([rounds[number], max(look.queries for look in of_round), *cells, error])
    best = float(np.nanmax(accuracy))
    notes = [
        f"{len(source.runs)} run{'s' * (len(source.runs) > 1)} of {source.folder.name}, replayed "
        "from the trace; mean and deviation over runs. (a) test accuracy of the predicted best of "
        f"the whole space; the best of all is {best:.3f}. (b) test errors of the predicted best "
        "200, pooled over runs. "
        "(c) the probability that the next draw in the predicted top N is one of the 50 best by "
        "validation, and Kendall's tau of prediction and truth among these.",
        *pages.notes_of(source.folder),
    ]
    title = f"Figure 3: progress of the search ({_search_name(source)})"
    draw = partial(figures.draw_dynamics, looks, best, title)
    return Page(stem, title, lines, shown, notes, draw)


def plane(folder: Path, settings: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 4: the space in a plane, with the top N and draws of each round."""
    del axes
    fixed_settings = _SMALL | {"init": 40, "per_round": 40, "top": 400, "budget": 240}
    source, stem = _source(folder, "figure4", settings | {"seeds": 1}, stop, fixed_settings)
    run, table = source.runs[0], source.search.table
    accuracy = figures.accuracy_of(table)
    panels = figures.panels(source.trace, run, source.rounds(run))
    sample_size = min(len(table), 1000 if tables.QUICK.value else _ROWS)
    sample = figures.sample(panels, sample_size)
    positions = figures.plane(table.encoding, sample)
    shown = [["round", "queries", "mean of the top N", "mean of the drawn", "best of the drawn"]]
    for panel in panels:
        evaluated = int((panel.before | panel.drawn).sum())
        top = float(np.nanmean(accuracy[panel.top])) if panel.number else ""
        drawn = accuracy[panel.drawn]
        shown.append(
            [panel.number, evaluated, top, float(np.nanmean(drawn)), float(np.nanmax(drawn))]
        )
    index = source.trace.run.tolist().index(run)
    drawn_in = dict(
        zip(source.trace.queried[index].tolist(), source.trace.round.tolist(), strict=True)
    )
    head = [f"in the top N of round {panel.number}" for panel in panels[1:]]
    lines = [["row", "x", "y", "test accuracy", "drawn in round", *head]]
    for row, (x, y) in zip(sample.tolist(), positions, strict=True):
        numbers = [round(float(v), 4) for v in (x, y, accuracy[row])]
        lines.append(
            [row, *numbers, drawn_in.get(row, ""), *(int(panel.top[row]) for panel in panels[1:])]
        )
    notes = [
        f"Run {run} of {source.folder.name}, replayed from its trace. t-SNE of the encoding, "
        f"{len(sample):,} of {len(table):,} architectures: {sample_size:,} at random and all "
        "evaluated ones. Blue: the predicted top N of a round, as far as it is in the sample; "
        "means are over all of it.",
        *pages.notes_of(source.folder),
    ]
    title = f"Figure 4: sampling space and samples ({_search_name(source)})"
    draw = partial(figures.draw_plane, positions, sample, panels, accuracy, title)
    return Page(stem, title, lines, shown, notes, draw)


def _source(
    folder: Path, figure: str, settings: Mapping, stop: console.Stop, fixed_settings: Mapping
) -> tuple[Source, str]:
    """The search of --trace, or a new small one, and the stem of the figure's files."""
    if TRACE.value is not None:
        present = [
            n for n in NAMES if n not in ("out", "seeds", "first_run") and flags.FLAGS[n].present
        ]
        if present:
            raise ValueError(f"--{present[0]}: the search of --trace sets this; leave it out")
        place = Path(TRACE.value)
        pages.claim(folder, f"{figure}-{place.resolve().name}")
        return pages.source_of(place, settings["seeds"]), f"{figure}-{place.resolve().name}"
    merged = {
        **fixed_settings,
        **{k: settings[k] for k in fixed_settings if flags.FLAGS[k].present},
    }
    name = [
        figure,
        merged["predictor"],
        settings["space"],
        merged["dataset"],
        str(merged["budget"]),
    ]
    if settings["space"] != "nasbench201" and not flags.FLAGS["dataset"].present:
        fixed_settings = fixed_settings | {"dataset": None}
        del name[3]
    pages.claim(folder, "-".join(name))
    place = pages.search_in(folder, "-".join(name), settings, stop, fixed_settings)
    return pages.source_of(place, settings["seeds"]), "-".join(name)


def _search_name(source: Source) -> str:
    table, record = source.search.table, source.search.record
    return f"{record['predictor'] or record['method']}, {table.space} / {table.dataset}"
