"""Figures 1 and 5: accuracy against queries, of searches that differ in one setting."""

import importlib.util
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from weaknas_jax.cli import console
from weaknas_jax.cli.paper import pages, printed, tables
from weaknas_jax.cli.paper.pages import Page
from weaknas_jax.measures import metrics
from weaknas_jax.report import figures, run_folder
from weaknas_jax.report.figures import Curve
from weaknas_jax.tables import registry


def weak_and_strong(folder: Path, settings: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 1: weak predictors against one strong predictor."""
    del axes
    quick = tables.QUICK.value
    settings = pages.fixed(settings, 10, 3)
    budget = settings["budget"] or (210 if quick else 510)
    base = {"space": "nasbench101", "table": None, "budget": budget}
    if flags.FLAGS["space"].present:
        del base["space"], base["table"]
    common = printed.SETTING | base | {"stop": "budget"}
    first, per_round = (settings[k] or common[k] for k in ("init", "per_round"))
    sizes = [
        n for n in (100, 150, 200, 300, 400, 500, 1000, 2000) if first <= n <= budget - per_round
    ]
    if quick:
        sizes = sizes[::2] if len(sizes) > 2 else sizes
    if not sizes:
        raise ValueError(f"--budget={budget}: a strong predictor needs at least 110")
    name = f"{settings['predictor']}-{settings['space'] if 'space' not in base else 'nasbench101'}"
    pages.claim(folder, f"figure1-{name}")
    for search in (f"weak-{name}-{budget}", *(f"strong-{name}-{n}" for n in sizes)):
        run_folder.claim(folder / f"figure1-{search}", may_hold_one=True)
    weak = pages.search_in(folder, f"figure1-weak-{name}-{budget}", settings, stop, common)
    strong = {}
    for n in sizes:
        overrides = settings | {"init": n, "budget": n + per_round}
        fixed_settings = {k: v for k, v in common.items() if k not in ("init", "budget")}
        strong[n] = pages.search_in(
            folder, f"figure1-strong-{name}-{n}", overrides, stop, fixed_settings
        )
    ends = [_curve(place, "").accuracy[:, -1] for place in strong.values()]
    uniform = _curve(strong[sizes[-1]], f"{sizes[-1]} uniform samples")
    curves = [
        _curve(weak, f"weak predictors, {per_round} queries each", first - 1),
        Curve(
            f"one strong predictor, queried for {per_round}",
            np.array(sizes) + per_round,
            np.stack(ends, axis=1),
            points=True,
        ),
        uniform._replace(
            name="uniform samples alone",
            queries=uniform.queries[first - 1 : sizes[-1]],
            accuracy=uniform.accuracy[:, first - 1 : sizes[-1]],
        ),
    ]
    table = pages.source_of(weak, None).search.table
    panel = f"{table.space} / {table.dataset}"
    title = f"Figure 1: weak and strong predictors ({settings['predictor']})"
    counts = [first, *(n + per_round for n in sizes)]
    lines, shown = _numbers({panel: curves}, counts)
    best = {panel: float(np.nanmax(figures.accuracy_of(table)))}
    notes = [
        f"Test accuracy (%) of the best evaluated so far, mean and deviation over the same "
        f"{settings['seeds']} seeds. The strong predictor is fitted once, on uniform samples, and "
        f"queried once for {per_round}; the weak ones start with {first} and are refitted every "
        f"{per_round}.",
        *pages.notes_of(weak),
    ]
    draw = partial(figures.draw_curves, {panel: curves}, best)
    return Page(f"figure1-{name}", title, lines, shown, notes, draw)


def predictors(
    folder: Path, settings: Mapping[str, Any], stop: console.Stop, axes: Mapping
) -> Page:
    """Figure 5: predictors on NAS-Bench-201."""
    quick = tables.QUICK.value
    settings = dict(pages.fixed(settings, 5, 2))
    names = axes.get("predictor") or ["gp", "linear", "knn"]
    if flags.FLAGS["predictor"].present:
        names = [settings["predictor"]]
    elif not axes and importlib.util.find_spec("xgboost"):
        names += ["gbrt"] if quick else ["gbrt", "forest"]
    pages.claim(folder, f"figure5-{'-'.join(names)}")
    budget = 60 if quick else 150
    fixed_settings = pages.ALIKE | {"init": 10, "per_round": 10, "budget": budget, "stop": "budget"}
    panels, best, last = {}, {}, None
    settings["budget"] = settings["budget"] or budget
    datasets = (
        [settings["dataset"]] if settings["dataset"] else registry.SHIPPED["nasbench201"].datasets
    )
    places = {
        (dataset, predictor): f"figure5-{dataset}-{predictor}-{settings['budget']}"
        for dataset in datasets
        for predictor in names
    }
    for place in places.values():
        run_folder.claim(folder / place, may_hold_one=True)
    for dataset in datasets:
        for predictor in names:
            overrides = {**settings, "dataset": dataset, "predictor": predictor}
            place = places[dataset, predictor]
            last = pages.search_in(folder, place, overrides, stop, fixed_settings)
            panels.setdefault(dataset, []).append(_curve(last, predictor, 9))
        best[dataset] = float(np.nanmax(pages.source_of(last, None).search.table.test_mean))
    counts = [10, *(n for n in (50, 100, 150, 200) if n < settings["budget"]), settings["budget"]]
    lines, shown = _numbers(panels, counts)
    notes = [
        f"Test accuracy (%) of the best by validation so far, mean and deviation over the same "
        f"{settings['seeds']} seeds. All start from the same 10 and draw ten a round, uniformly in "
        "the predicted top 100, as in the paper: only the predictor differs, and the features of "
        "the Gaussian process. Each predictor's own default settings are not used.",
        *pages.notes_of(last),
    ]
    title = "Figure 5: predictors on NAS-Bench-201"
    stem = f"figure5-{'-'.join(names)}"
    return Page(stem, title, lines, shown, notes, partial(figures.draw_curves, panels, best))


def _curve(place: Path, name: str, since: int = 0) -> Curve:
    """Reported accuracy of each run of a search, from query ``since`` on."""
    source = pages.source_of(place, None)
    all_curves = metrics.curves(source.trace, source.search.table, source.search.protocol)
    accuracy = getattr(all_curves, source.search.protocol.report)[:, since:]
    return Curve(name, np.arange(since, since + accuracy.shape[1]) + 1, accuracy)


def _numbers(panels: Mapping[str, Sequence[Curve]], counts: Sequence[int]) -> tuple[list, list]:
    """The rows of the CSV, and those at the numbers of queries ``counts``."""
    head = ["panel", "curve", "queries", "runs", "mean", "sd"]
    lines, shown = [head], [head]
    for panel, curves in panels.items():
        for curve in curves:
            numbers = zip(curve.queries, curve.mean, curve.deviation, strict=True)
            for queries, mean, deviation in numbers:
                row = [panel, curve.name, int(queries), len(curve.accuracy)]
                lines.append([*row, round(float(mean), 5), round(float(deviation), 5)])
                if curve.points or queries in counts:
                    shown.append([*row, float(mean), float(deviation)])
    return lines, shown
