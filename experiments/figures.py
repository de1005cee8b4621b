"""The paper's figures from our searches: each as picture, CSV and a page of Markdown.

    python -m experiments.figures --figure=3

1: one strong predictor against many weak ones (NAS-Bench-101); 3: how the search moves; 4: the
same in a plane, by t-SNE; 5: predictors on the three data sets of NAS-Bench-201; 6: accuracy
against queries beside other methods (`experiments.tables --table=4`). Whatever stops it, the same
line goes on. 3 and 4 need nothing but a trace: ``--trace=RUNFOLDER`` looks at any finished search;
without it a small one, by the paper's predictor, is made first.
"""

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app, flags, logging

from experiments import console, paper, rows, sweep, tables
from experiments.configure import Configured, configure
from experiments.execute import in_folder
from experiments.flags import NAMES, values
from weaknas_jax import comparison, figures, files, metrics, protocol, report, runfolder
from weaknas_jax.figures import Curve
from weaknas_jax.predictors import PREDICTORS
from weaknas_jax.replay import Round, replay
from weaknas_jax.runfolder import FolderError
from weaknas_jax.tables import shipped
from weaknas_jax.trace import Trace

_FIGURE = flags.DEFINE_string("figure", None, "Which one: 1, 3, 4, 5 or 6.")
_RUNS = flags.DEFINE_integer("runs", None, "How many runs; of a trace: its first.", lower_bound=1)
_help = "Figures 3 and 4: folder of a finished search to look at, in place of a new one."
_TRACE = flags.DEFINE_string("trace", None, _help)
flags.FLAGS["quick"].help = "Less of everything: under two minutes on two cores."
_ALIKE = {"acquisition": "mean", "sampling": "uniform", "label_transform": "standardize"}
_SMALL = {"predictor": "mlp", "dataset": "cifar10", "dynamics": True, "stop": "budget"} | _ALIKE
_ROWS = 3000
"""Of the space that Figure 4 shows, besides all that was evaluated."""


class Page(NamedTuple):
    """What a figure is saved as.

    Attributes:
      stem: name of its files, without ending.
      title: above all.
      rows: what is plotted, of the CSV: a line of names and the lines.
      shown: the part of them that Markdown shows.
      said: sentences below.
      draw: writes the picture to a path.
    """

    stem: str
    title: str
    rows: list[list[Any]]
    shown: list[list[Any]]
    said: list[str]
    draw: Callable[[Path], None]


class Source(NamedTuple):
    """A finished search, and what is needed to replay it."""

    folder: Path
    search: Configured
    trace: Trace
    runs: list[int]
    stored: dict

    def rounds(self, run: int) -> Iterator[Round]:
        """Of one run."""
        return replay(
            self.search.build,
            self.search.problem,
            self.trace,
            run,
            seed=self.stored["flags"]["seed"],
            point=self.search.point,
            chunk=self.stored["settings"]["chunk"],
            strict=not _elsewhere(self.stored),
        )


class Interrupted(Exception):
    """A signal came; what was done is kept."""


def main(argv: list[str], axes: Mapping[str, list[str]]) -> int:
    if len(argv) > 1:
        return console.fail(f"unexpected argument {argv[1]!r}; flags begin with --")
    logging.set_verbosity(logging.WARNING)
    figure = _FIGURE.value
    if figure not in (*FIGURES, "6"):
        known = ", ".join([*FIGURES, "6"])
        return console.fail(f"--figure={figure}: there are {known} (2 is a drawing)")
    if axes and (list(axes) != ["predictor"] or figure != "5"):
        return console.fail(f"--{next(iter(axes))}: one value; figure 5 takes a list of predictors")
    if unknown := sorted(set(axes.get("predictor", [])) - set(PREDICTORS)):
        known = ", ".join(PREDICTORS)
        return console.fail(f"--predictor={unknown[0]}: choose of {known}")
    if _TRACE.value is not None and figure not in ("3", "4"):
        return console.fail(f"--trace: is for figures 3 and 4; leave it out for {figure}")
    given = values()
    given["seeds"], given["out"] = _RUNS.value or given["seeds"], given["out"] or "runs/paper"
    if figure == "6":
        return _table_4(given)

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        del again
        try:
            page = FIGURES[figure](folder, given, stop, axes)
        except Interrupted:
            return console.fail(rows.INTERRUPTED, stop.code)
        return _save(folder, page)

    return in_folder("experiments.figures", given["out"], "paper", True, work)


def _save(folder: Path, page: Page) -> int:
    stem = folder / page.stem
    page.draw(stem.with_suffix(".png"))
    files.write_text(stem.with_suffix(".csv"), comparison.csv_lines(page.rows))
    command = shlex.join(["python", "-m", "experiments.figures", *sys.argv[1:]])
    head, *body = [[_cell(value) for value in row] for row in page.shown]
    table = comparison.pipes([head, ["---"] * len(head), *body])
    said = "\n".join(page.said)
    text = (
        f"**{page.title}**\n\n![{page.title}]({stem.name}.png)\n\n{table}\n{said}\n\n`{command}`\n"
    )
    files.write_text(stem.with_suffix(".md"), text)
    print(text)
    print("\n".join(str(stem.with_suffix(ending)) for ending in (".md", ".csv", ".png")))
    return 0


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _search(folder: Path, name: str, given: Mapping, stop: console.Stop, own: Mapping) -> Path:
    """The folder of a search that is done, or done now; a flag of the line goes before ``own``."""
    own = {k: v for k, v in own.items() if not flags.FLAGS[k].present}
    search = rows.search(name, folder / name, given, {"table": given["table"]} | own)
    if rows.run_all([search], stop) is None:
        raise Interrupted
    return search.folder


def _fixed(given: Mapping[str, Any], most: int, quick: int) -> Mapping[str, Any]:
    """How many runs, where that was not said."""
    return {**given, "seeds": given["seeds"] or (quick if tables.QUICK.value else most)}


def _curve(place: Path, name: str, since: int = 0) -> Curve:
    """Reported accuracy of each run of a search, from so many queries on."""
    source = _source(place, None)
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


def _said(place: Path) -> list[str]:
    """How a search was done."""
    summary = runfolder.load_summary(place)
    rule = summary["protocol"]
    switches = ", ".join(f"{name}={rule[name]}" for name in protocol.CHOICES)
    said = [f"Protocol {rule['name']}: {switches}. Device: {summary['device']}."]
    if rule["labels"] == "test":
        said.append(f"Ours: {report.TEST_LABELS}.")
    return said


def _weak_and_strong(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 1."""
    del axes
    quick = tables.QUICK.value
    given = _fixed(given, 10, 3)
    most = given["budget"] or (210 if quick else 510)
    where = {"space": "nasbench101", "table": None, "budget": most}
    if flags.FLAGS["space"].present:
        del where["space"], where["table"]
    common = paper.SETTING | where | {"stop": "budget"}
    first, asked = (given[k] or common[k] for k in ("init", "per_round"))
    sizes = [n for n in (100, 150, 200, 300, 400, 500, 1000, 2000) if first <= n <= most - asked]
    if quick:
        sizes = sizes[::2] if len(sizes) > 2 else sizes
    if not sizes:
        raise ValueError(f"--budget={most}: a strong predictor needs one of 110 or more")
    name = f"{given['predictor']}-{given['space'] if 'space' not in where else 'nasbench101'}"
    weak = _search(folder, f"figure1-weak-{name}-{most}", given, stop, common)
    strong = {}
    for n in sizes:
        line = given | {"init": n, "budget": n + asked}
        own = {k: v for k, v in common.items() if k not in ("init", "budget")}
        strong[n] = _search(folder, f"figure1-strong-{name}-{n}", line, stop, own)
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
    table = _source(weak, None).search.table
    where_ = f"{table.space} / {table.dataset}"
    title = f"Figure 1: weak and strong predictors ({given['predictor']})"
    at = [first, *(n + asked for n in sizes)]
    lines, shown = _numbers({where_: curves}, at)
    best = {where_: float(np.nanmax(figures.accuracy_of(table)))}
    said = [
        f"Test accuracy (%) of the best evaluated so far, mean and deviation over the same "
        f"{given['seeds']} seeds. The strong predictor is fitted once, on uniform samples, and "
        f"asked once for {asked}; the weak ones begin with {first} and are refitted every {asked}.",
        *_said(weak),
    ]
    draw = partial(figures.draw_curves, {where_: curves}, best)
    return Page(f"figure1-{name}", title, lines, shown, said, draw)


def _predictors(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 5."""
    quick = tables.QUICK.value
    given = _fixed(given, 5, 2)
    names = axes.get("predictor") or ["gp", "linear", "knn"]
    if flags.FLAGS["predictor"].present:
        names = [given["predictor"]]
    elif not axes and importlib.util.find_spec("xgboost"):
        names += ["gbrt"] if quick else ["gbrt", "forest"]
    budget = 60 if quick else 150
    own = _ALIKE | {"init": 10, "per_round": 10, "budget": budget, "stop": "budget"}
    panels, best, last = {}, {}, None
    given["budget"] = given["budget"] or budget
    wanted = [given["dataset"]] if given["dataset"] else shipped.SHIPPED["nasbench201"].datasets
    for dataset in wanted:
        for predictor in names:
            line = {**given, "dataset": dataset, "predictor": predictor}
            place = f"figure5-{dataset}-{predictor}-{given['budget']}"
            last = _search(folder, place, line, stop, own)
            panels.setdefault(dataset, []).append(_curve(last, predictor, 9))
        best[dataset] = float(np.nanmax(_source(last, None).search.table.test_mean))
    at = [10, *(n for n in (50, 100, 150, 200) if n < given["budget"]), given["budget"]]
    lines, shown = _numbers(panels, at)
    said = [
        f"Test accuracy (%) of the best by validation so far, mean and deviation over the same "
        f"{given['seeds']} seeds. All start from the same 10 and draw ten a round, evenly in the "
        "predicted top 100, as the paper does: nothing differs but the predictor, and the features "
        "that the Gaussian process brings. None has the habits that suit it.",
        *_said(last),
    ]
    title = "Figure 5: predictors on NAS-Bench-201"
    stem = f"figure5-{'-'.join(names)}"
    return Page(stem, title, lines, shown, said, partial(figures.draw_curves, panels, best))


def _dynamics(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
    """Figure 3."""
    del axes
    own = _SMALL | {"init": 10, "per_round": 10, "budget": 60}
    source, stem = _looked_at(folder, "figure3", _fixed(given, 4, 1), stop, own)
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
        *_said(source.folder),
    ]
    title = f"Figure 3: how the search moves ({_what(source)})"
    draw = partial(figures.draw_dynamics, found, best, title)
    return Page(stem, title, lines, shown, said, draw)


def _plane(folder: Path, given: Mapping, stop: console.Stop, axes: Mapping) -> Page:
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
        *_said(source.folder),
    ]
    title = f"Figure 4: sampling space and samples ({_what(source)})"
    draw = partial(figures.draw_plane, at, rows_, found, accuracy, title)
    return Page(stem, title, lines, shown, said, draw)


def _what(source: Source) -> str:
    table, said = source.search.table, source.search.said
    return f"{said['predictor'] or said['method']}, {table.space} / {table.dataset}"


def _looked_at(
    folder: Path, figure: str, given: Mapping, stop: console.Stop, own: Mapping
) -> tuple[Source, str]:
    """What --trace names, or a small search of our own, and the name of the figure's files."""
    if _TRACE.value is not None:
        taken = [
            n for n in NAMES if n not in ("out", "seeds", "first_run") and flags.FLAGS[n].present
        ]
        if taken:
            raise ValueError(f"--{taken[0]}: --trace says that; leave it out")
        place = Path(_TRACE.value)
        return _source(place, given["seeds"]), f"{figure}-{place.resolve().name}"
    line = {**own, **{k: given[k] for k in own if flags.FLAGS[k].present}}
    name = [figure, line["predictor"], given["space"], line["dataset"], str(line["budget"])]
    if given["space"] != "nasbench201" and not flags.FLAGS["dataset"].present:
        own = own | {"dataset": None}
        del name[3]
    place = _search(folder, "-".join(name), given, stop, own)
    return _source(place, given["seeds"]), "-".join(name)


def _source(place: Path, runs: int | None) -> Source:
    """A search in a folder; ``runs``: the first so many of its runs, by default all.

    Raises:
      ValueError: there is none, or it cannot be made out.
    """
    trace, stored = runfolder.load_trace(place), runfolder.stored_config(place)
    if stored is None:
        raise FolderError(f"{place}: no config.json there; name the folder of an experiment")
    unsaid = {name: flags.FLAGS[name].default for name in NAMES}
    search = configure({**unsaid, **stored["flags"]})
    if stored["table_sha256"] != search.table_sha256:
        table = stored["flags"]["table"]
        raise FolderError(f"{place}: {table} is not the file that it searched")
    jax.config.update("jax_default_matmul_precision", stored["matmul_precision"])
    first = flags.FLAGS["first_run"].value
    numbers = [run for run in trace.run.tolist() if run >= first][:runs]
    if not numbers:
        raise FolderError(f"--first_run={first}: {place} has no such run")
    return Source(place, search, trace, numbers, stored)


def _elsewhere(stored: Mapping[str, Any]) -> bool:
    """Whether a search was done where numbers round otherwise; says so."""
    now = {"platform": jax.default_backend(), "device": runfolder.device()}
    now["versions"] = runfolder.versions()
    other = [f"{k} ({stored[k]})" for k, value in now.items() if stored[k] != value]
    if other:
        console.note(f"note: the trace is of another {' and '.join(other)}; the replay may differ")
    return bool(other)


def _table_4(given: Mapping[str, Any]) -> int:
    """Figure 6: what `experiments.tables` draws of Table 4, by the line that says so."""
    given_here = [name for name in (*NAMES, "quick") if flags.FLAGS[name].present]
    line = [flags.FLAGS[name].serialize() for name in given_here if name not in ("table", "seeds")]
    if given["seeds"]:
        line.append(f"--seeds={given['seeds']}")
    sys.argv = ["tables", "--table=4", *line]
    flags.FLAGS.unparse_flags()
    flags.FLAGS(sys.argv)
    return tables.main(sys.argv[:1])


FIGURES = {"1": _weak_and_strong, "3": _dynamics, "4": _plane, "5": _predictors}


if __name__ == "__main__":
    arguments, lists = sweep.split(sys.argv)
    app.run(partial(main, axes=lists), argv=arguments)
