"""Search at every combination of listed settings.

    weaknas sweep --top=10,100,1000 --sampling=uniform,linear,exponential

takes the flags of `weaknas search`, each with one value or a list. Combinations that differ only in
numeric settings share a compiled program. Each combination writes its own run folder, the sweep
``sweep.csv``, ``sweep.md`` and ``sweep.png``. ``--out=FOLDER --resume`` continues after an
interruption.
"""

import contextlib
import hashlib
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
from absl import flags

from weaknas_jax.cli import console, entry, idle, resume
from weaknas_jax.cli.configure import NUMBERS, Configured, configure
from weaknas_jax.cli.execute import Member, broken, execute, in_folder, wanted
from weaknas_jax.cli.flags import FREE, NAMES, OUT, adopt, may_resume, values
from weaknas_jax.cli.help import SIZES, About
from weaknas_jax.measures import summary as summaries
from weaknas_jax.report import answer_rows, compare, plots, provenance, run_folder
from weaknas_jax.report import text as report
from weaknas_jax.report.run_folder import FolderError
from weaknas_jax.storage import files, ownership

Axes = Mapping[str, Sequence[str]]

FILE = "sweep.json"
FILES = (FILE, "sweep.csv", "sweep.md", "sweep.png")
NUMERIC = {name for of in NUMBERS.values() for name in of} | {"top", "top_end"}
NUMERIC |= {"repeat_top", "answer"}  # chosen after the searches
UNLISTED = (FREE - {"table"}) | {"lanes", "chunk", "matmul_precision", "seed"}  # one value for all
ANSWERS = 20  # searches whose answers are printed; all are in their summaries
ADOPTED = {"table", "seeds", "first_run"}  # may differ from the stored sweep, but default to it


class Point(NamedTuple):
    """One combination: its values by name, the values of all flags, the configured search."""

    name: dict[str, str]
    values: dict[str, Any]
    search: Configured


def split(argv: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Splits arguments into those with one value, and the lists of the others.

    >>> split(["sweep", "--top=10,100", "--seeds=2"])
    (['sweep', '--seeds=2'], {'top': ['10', '100']})

    Commas in brackets or quotes do not separate values:

    >>> split(["sweep", "--constraint=min(a, b) < 5,op in ('conv', 'pool')"])
    (['sweep'], {'constraint': ['min(a, b) < 5', "op in ('conv', 'pool')"]})
    >>> split(["sweep", "--constraint=`a, b` < 5,op == 'a,b'"])
    (['sweep'], {'constraint': ['`a, b` < 5', "op == 'a,b'"]})
    """
    rest, axes = [], {}
    for argument in argv:
        name, equals, value = argument.partition("=")
        listed = _split_commas(value)
        if name.startswith("--") and equals and len(listed) > 1:
            axes[name[2:]] = listed
        else:
            rest.append(argument)
    return rest, axes


def _split_commas(text: str) -> list[str]:
    """Splits at commas outside brackets, quotes and backticks."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", lambda quoted: "_" * len(quoted[0]), text)
    depths = itertools.accumulate((c in "([") - (c in ")]") for c in bare)
    ends = [i for i, depth in enumerate(depths) if bare[i] == "," and depth <= 0]
    return [text[i:j] for i, j in zip([0, *(end + 1 for end in ends)], [*ends, None], strict=True)]


@entry.checked
def main(argv: list[str], axes: Axes) -> int:
    del argv
    return run(axes)


def holds_one(out: str | None) -> bool:
    """Whether the folder holds a sweep."""
    return out is not None and ownership.ours(Path(out) / FILE)


def run(axes: Axes) -> int:
    """Runs the sweep over ``axes``, all other flags from the command line; the exit status."""
    out = values()["out"]
    try:
        names = [*idle.present(NAMES), *axes]
        axes = _adopt(axes) if values()["resume"] else axes
        settings = values()
        points = _points(axes, settings)
        searches = ((point.values, len(point.search.table)) for point in points)
        idle.refuse(names, searches)
    except ValueError as error:
        return console.fail(str(error))
    may_hold_one = settings["resume"] or settings["overwrite"]

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        if holds_one(str(folder)) and not may_hold_one:
            raise FolderError(
                f"--out={out}: holds a sweep; add --resume to continue it, --overwrite to "
                "replace it, or name another folder"
            )
        return _sweep(folder, points, axes, settings, stop, again)

    name = f"{points[0].search.table.space}-{'-'.join(axes) or settings['method']}"
    return in_folder(out, name, may_hold_one, work, FILES)


def _adopt(axes: Axes) -> Axes:
    """The stored axes of the sweep to resume; sets the flags of this call from it.

    Raises:
      ValueError: --resume contradicts other flags, or the folder cannot be read.
      IdentityError: a flag differs; names it.
    """
    may_resume("sweep")
    out = OUT.value
    stored = _stored(Path(out))
    if stored is None:
        console.note(f"{out}: nothing to resume, starting")
        return axes
    current = resume.asked(NAMES) | {name: list(listed) for name, listed in axes.items()}
    resume.check(out, stored, stored["flags"] | stored["axes"], current, FREE)
    adopt(stored["flags"], also=ADOPTED)
    return stored["axes"]


def _points(axes: Axes, settings: Mapping[str, Any]) -> list[Point]:
    """Every combination of the axes, configured.

    Raises:
      ValueError: a flag is unknown or cannot be a list, or a value is invalid; names it.
    """
    for name in axes:
        if name not in NAMES or name in UNLISTED:
            allowed = ", ".join(sorted(set(NAMES) - UNLISTED))
            raise ValueError(f"--{name}: cannot be a list; these can: {allowed}")
        if len(set(axes[name])) < len(axes[name]):
            raise ValueError(f"--{name}={','.join(axes[name])}: a value is listed twice")
    points = []
    for combination in itertools.product(*axes.values()):
        combined, parsed = dict(zip(axes, combination, strict=True)), {}
        for name, text in combined.items():
            try:
                parsed[name] = flags.FLAGS[name].parser.parse(text)
            except ValueError as error:
                raise ValueError(f"--{name}={text}: {error}") from None
            parsed[name] = entry.usable(name, parsed[name])
        try:
            points.append(
                Point(combined, {**settings, **parsed}, configure({**settings, **parsed}))
            )
        except ValueError as error:
            raise ValueError(f"{_title(combined)}: {error}" if combined else str(error)) from None
    return points


def _sweep(
    folder: Path,
    points: list[Point],
    axes: Axes,
    settings: Mapping[str, Any],
    stop: console.Stop,
    again: str,
) -> int:
    groups: dict[str, list[int]] = {}
    for place, point in enumerate(points):
        shared = {k: v for k, v in point.values.items() if k not in NUMERIC}
        groups.setdefault(json.dumps([shared, sorted(point.search.point)]), []).append(place)
    stored = _stored(folder)
    stores = [
        run_folder.checkpoints(folder, stored if settings["resume"] else None, str(number))
        for number in range(len(groups))
    ]
    for checkpoints in stores:
        checkpoints.claim()
    for own in (folder / _folder_name(point.name) for point in points):
        is_stored = settings["resume"] and run_folder.stored_config(own) is not None
        run_folder.claim(own, may_hold_one=settings["overwrite"] or is_stored)
    if not settings["resume"]:
        _clear(folder, stored)
        for checkpoints in stores:
            checkpoints.remove()
    content = {"axes": axes, "flags": settings, "platform": jax.default_backend()}
    content |= {"device": provenance.device(), "versions": provenance.versions()}
    if not (settings["resume"] and stored and "checkpoints" not in stored):  # begun by version 0.1
        content["checkpoints"] = run_folder.CHECKPOINTS
    summaries.write(folder / FILE, "sweep", content)

    done: dict[int, tuple[Point, Path, dict]] = {}
    for number, places in enumerate(groups.values()):
        group = [points[place] for place in places]
        members = [_member(folder, point, settings["resume"]) for point in group]
        titles = "; ".join(_title(point.name) for point in group[:4])
        rest = f" and {len(group) - 4} more" * (len(group) > 4)
        console.note(f"[{number + 1}/{len(groups)}] {titles or 'one search'}{rest}")
        members = _planned_as_before(members)
        outcome = execute(members, stores[number], stop)
        for place, member, summary in zip(places, members, outcome.summaries, strict=True):
            if summary is not None:
                done[place] = points[place], member.folder, summary
        if not outcome.complete:
            so_far = f"{len(done)} of {len(points)} searches have finished runs"
            return console.fail(f"interrupted: {so_far}; resume with {again}", stop.code)

    results = [done[place] for place in sorted(done)]
    rows = [compare.row(point.name, summary) for point, _, summary in results]
    _write(folder, rows, results)
    print(compare.text(rows) + "\n")
    if len(results) <= ANSWERS:
        titles = [_title(point.name) or "one search" for point, *_ in results]
        print(answer_rows.of_several(titles, [summary for *_, summary in results]) + "\n")
    print(report.shared([summary for *_, summary in results]) + "\n")
    print("\n".join(str(folder / name) for name in ("sweep.csv", "sweep.md", "sweep.png")))
    pictures = "curve.png" + f", {run_folder.PARETO}" * any("pareto" in s for *_, s in results)
    print(f"{folder}/*/  config.json, trace.npz, summary.json, {pictures} of each")
    message = broken([s for *_, s in results], [f for _, f, _ in results], settings["seed"])
    return console.fail(message, 1) if message else 0


def _stored(folder: Path) -> dict[str, Any] | None:
    """Content of the stored ``sweep.json``; None = none is stored.

    Raises:
      SummaryError: it is damaged.
    """
    try:
        return summaries.read(folder / FILE, "sweep")
    except (FileNotFoundError, NotADirectoryError):
        return None


def _clear(folder: Path, stored: Mapping[str, Any] | None) -> None:
    """Removes the searches that ``stored`` lists, and their checkpoints."""
    if stored is None:
        return
    for combination in itertools.product(*stored["axes"].values()):
        subfolder = folder / _folder_name(dict(zip(stored["axes"], combination, strict=True)))
        run_folder.clear(subfolder)
        _remove_empty(subfolder)
    for place in list(folder.glob(f"{run_folder.CHECKPOINTS}-*")):
        run_folder.checkpoints(folder, part=place.name.rpartition("-")[2]).remove()
    of_version_0_1 = folder / "checkpoints"
    places = list(of_version_0_1.glob("[0-9]*"))
    for place in places:
        run_folder.checkpoints(folder, stored, place.name).remove()
    if places:
        _remove_empty(of_version_0_1)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _member(folder: Path, point: Point, goes_on: bool) -> Member:
    subfolder = folder / _folder_name(point.name)
    subfolder.mkdir(exist_ok=True)
    stored = run_folder.stored_config(subfolder) if goes_on else None
    runs = wanted(point.search.seeds, point.values["first_run"], stored)
    return Member(subfolder, {**point.values, "out": str(subfolder)}, point.search, runs, stored)


def _folder_name(name: Mapping[str, str]) -> str:
    """Folder name of a combination; a hash keeps it unique where characters were replaced."""
    title = _title(name).replace(", ", "_") or "search"
    safe = re.sub(r"[^\w=.,+-]+", "-", title)[:100]
    return safe if safe == title else f"{safe}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


def _planned_as_before(members: list[Member]) -> list[Member]:
    """Members with the plan (lanes, chunk) of a stored one, which resumed searches must keep."""
    for member in members:
        if member.stored is not None:
            plan = {k: member.stored["settings"][k] for k in ("lanes", "chunk")}
            return [m._replace(values={**m.values, **plan}) for m in members]
    return members


def _title(name: Mapping[str, str]) -> str:
    return ", ".join(f"{k}={Path(v).stem if k == 'table' else v}" for k, v in name.items())


def _write(folder: Path, rows: list[dict], results: list[tuple[Point, Path, dict]]) -> None:
    files.write_csv(folder / "sweep.csv", rows)
    files.write_text(folder / "sweep.md", compare.markdown(rows))
    panels = {summary["dataset"] for *_, summary in results}
    drawn = [
        plots.Result(
            _title({k: v for k, v in point.name.items() if k != "dataset" or len(panels) == 1})
            or summary["predictor"]
            or summary["method"],
            summary,
        )
        for point, _, summary in results
    ]
    plots.draw(drawn, folder / "sweep.png")


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    _argv, _axes = split(sys.argv)
    entry.start(
        lambda argv: main(argv, _axes), About("weaknas sweep", __doc__, NAMES, SIZES), _argv
    )
