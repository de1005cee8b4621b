"""Figures 1 and 5: accuracy against queries, of searches that differ in one thing."""

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


def weak_and_strong(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 1."""
    del axes
    quick = tables.QUICK.value
    given = pages.fixed(given, 10, 3)
    most = given["budget"] or (210 if quick else 510)
    where = {"space": "nasbench101", "table": None, "budget": most}
    if flags.FLAGS["space"].present:
        del where["space"], where["table"]
    common = printed.SETTING | where | {"stop": "budget"}
    first, asked = (given[k] or common[k] for k in ("init", "per_round"))
    sizes = [n for n in (100, 150, 200, 300, 400, 500, 1000, 2000) if first <= n <= most - asked]
    if quick:
        sizes = sizes[::2] if len(sizes) > 2 else sizes
    if not sizes:
        raise ValueError(f"--budget={most}: a strong predictor needs one of 110 or more")
    name = f"{given['predictor']}-{given['space'] if 'space' not in where else 'nasbench101'}"
    pages.claim(folder, f"figure1-{name}")
    for search in (f"weak-{name}-{most}", *(f"strong-{name}-{n}" for n in sizes)):
        run_folder.claim(folder / f"figure1-{search}", may_hold_one=True)
    weak = pages.search_in(folder, f"figure1-weak-{name}-{most}", given, stop, common)
    strong = {}
    for n in sizes:
        line = given | {"init": n, "budget": n + asked}
        own = {k: v for k, v in common.items() if k not in ("init", "budget")}
        strong[n] = pages.search_in(folder, f"figure1-strong-{name}-{n}", line, stop, own)
    ends = [_curve(place, "").accuracy[:, -1] for place in strong.values()]
    uniform = _curve(strong[sizes[-1]], f"{sizes[-1]} uniform samples")
    curves = [
        _curve(weak, f"weak predictors, {asked} queries each", first - 1),
        Curve(
            f"one strong predictor, asked for {asked}",
            np.array(sizes) + asked,
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
    where_ = f"{table.space} / {table.dataset}"
    title = f"Figure 1: weak and strong predictors ({given['predictor']})"
    at = [first, *(n + asked for n in sizes)]
    lines, shown = _numbers({where_: curves}, at)
    best = {where_: float(np.nanmax(figures.accuracy_of(table)))}
    said = [
        f"Test accuracy (%) of the best evaluated so far, mean and deviation over the same "
        f"{given['seeds']} seeds. The strong predictor is fitted once, on uniform samples, and "
        f"asked once for {asked}; the weak ones begin with {first} and are refitted every {asked}.",
        *pages.said_of(weak),
    ]
    draw = partial(figures.draw_curves, {where_: curves}, best)
    return Page(f"figure1-{name}", title, lines, shown, said, draw)


def predictors(folder: Path, given: Mapping[str, Any], stop: console.Stop, axes: Mapping) -> Page:
    """Figure 5."""
    quick = tables.QUICK.value
    given = dict(pages.fixed(given, 5, 2))
    names = axes.get("predictor") or ["gp", "linear", "knn"]
    if flags.FLAGS["predictor"].present:
        names = [given["predictor"]]
    elif not axes and importlib.util.find_spec("xgboost"):
        names += ["gbrt"] if quick else ["gbrt", "forest"]
    pages.claim(folder, f"figure5-{'-'.join(names)}")
    budget = 60 if quick else 150
    own = pages.ALIKE | {"init": 10, "per_round": 10, "budget": budget, "stop": "budget"}
    panels, best, last = {}, {}, None
    given["budget"] = given["budget"] or budget
    wanted = [given["dataset"]] if given["dataset"] else registry.SHIPPED["nasbench201"].datasets
    places = {
        (dataset, predictor): f"figure5-{dataset}-{predictor}-{given['budget']}"
        for dataset in wanted
        for predictor in names
    }
    for place in places.values():
        run_folder.claim(folder / place, may_hold_one=True)
    for dataset in wanted:
        for predictor in names:
            line = {**given, "dataset": dataset, "predictor": predictor}
            place = places[dataset, predictor]
            last = pages.search_in(folder, place, line, stop, own)
            panels.setdefault(dataset, []).append(_curve(last, predictor, 9))
        best[dataset] = float(np.nanmax(pages.source_of(last, None).search.table.test_mean))
    at = [10, *(n for n in (50, 100, 150, 200) if n < given["budget"]), given["budget"]]
    lines, shown = _numbers(panels, at)
    said = [
        f"Test accuracy (%) of the best by validation so far, mean and deviation over the same "
        f"{given['seeds']} seeds. All start from the same 10 and draw ten a round, evenly in the "
        "predicted top 100, as the paper does: nothing differs but the predictor, and the features "
        "that the Gaussian process brings. None has the habits that suit it.",
        *pages.said_of(last),
    ]
    title = "Figure 5: predictors on NAS-Bench-201"
    stem = f"figure5-{'-'.join(names)}"
    return Page(stem, title, lines, shown, said, partial(figures.draw_curves, panels, best))


def _curve(place: Path, name: str, since: int = 0) -> Curve:
    """Reported accuracy of each run of a search, from so many queries on."""
    source = pages.source_of(place, None)
    found = metrics.curves(source.trace, source.search.table, source.search.protocol)
    accuracy = getattr(found, source.search.protocol.report)[:, since:]
    return Curve(name, np.arange(since, since + accuracy.shape[1]) + 1, accuracy)


def _numbers(panels: Mapping[str, Sequence[Curve]], at: Sequence[int]) -> tuple[list, list]:
    """The rows of the CSV, and those at some numbers of queries."""
    head = ["panel", "curve", "queries", "runs", "mean", "sd"]
    lines, shown = [head], [head]
    for panel, curves in panels.items():
        for curve in curves:
            numbers = zip(curve.queries, curve.mean, curve.deviation, strict=True)
            for queries, mean, deviation in numbers:
                row = [panel, curve.name, int(queries), len(curve.accuracy)]
                lines.append([*row, round(float(mean), 5), round(float(deviation), 5)])
                if curve.points or queries in at:
                    shown.append([*row, float(mean), float(deviation)])
    return lines, shown
