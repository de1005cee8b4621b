"""Compare how well predictors rank.

    weaknas predictors

fits every registered predictor on n uniformly drawn architectures of NAS-Bench-201 / CIFAR-10, lets
it rank all others, and writes ``predictors.csv``, ``.md``, ``.png`` and ``.json`` to a new folder
below ``runs/``. After an interruption, ``--out=FOLDER --resume`` continues.
"""

import sys
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import numpy as np
from absl import flags

from weaknas_jax.cli import console, entry, idle, resume
from weaknas_jax.cli.configure import load
from weaknas_jax.cli.help import About
from weaknas_jax.core import called
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.types import Scorer
from weaknas_jax.measures import predictor_quality
from weaknas_jax.predictors import PREDICTORS, make, refit
from weaknas_jax.report import provenance, quality_folder, run_folder, standings
from weaknas_jax.runs import task
from weaknas_jax.search import defaults, label_transforms
from weaknas_jax.storage import identity
from weaknas_jax.tables import Table, registry

_enum, _int, _list = flags.DEFINE_enum, flags.DEFINE_integer, flags.DEFINE_list

OUT = flags.DEFINE_string("out", None, "Folder for the results; default: a new one below runs/.")
_help = "Resume the comparison in --out; --predictor, --n and --runs add to it."
RESUME = flags.DEFINE_bool("resume", False, _help)
_enum(
    "space",
    "nasbench201",
    [*registry.SHIPPED, "table"],
    "Benchmark whose architectures are ranked.",
)
_enum("dataset", "cifar10", registry.datasets(), "Data set of the benchmark.")
flags.DEFINE_string("table", None, "Canonical table (.npz) to use instead of a benchmark.")
_help = "The lowest labels of --table are the best. Default: as the file states."
flags.DEFINE_bool("minimize", None, _help)
_enum("table_version", None, registry.versions(), "Edition of the benchmark; default: the first.")
_list("predictor", None, f"Any of {', '.join(PREDICTORS)}, separated by commas; default: all.")
_list("n", ["20", "50", "100", "200", "1000"], "Numbers of labelled architectures to fit on.")
_list("k", ["10", "100"], "k of precision@k.")
_int("runs", 10, "Number of draws; run i has the key fold_in(seed, i).", 1, 100_000)
_help = "Labels to fit on: scaled, or normal scores of ranks; default: that of each predictor."
_enum("label_transform", None, list(label_transforms.TRANSFORMS), _help)
_int("seed", 0, "Root of all random numbers.", lower_bound=0, upper_bound=2**32 - 1)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]
FIXED = ("space", "dataset", "table_version", "minimize", "k", "label_transform", "seed")
GROWING = ("predictor", "n", "runs")  # select cells; do not change the content of one
Scorers = dict[str, tuple[Scorer, str]]  # each with the name of its label transform


@entry.checked
def main(argv: list[str]) -> int:
    del argv
    again = "the same command line"
    try:
        asked = {name: flags.FLAGS[name].value for name in (*FIXED, *GROWING, "table")}
        asked |= {name: _whole_numbers(name) for name in ("n", "k")}
        named = list(asked["predictor"] or ())
        stored = _adopt(asked) if RESUME.value and OUT.value != "" else None
        idle.refuse_beside_table(asked)
        which = (asked[k] for k in ("space", "dataset", "table_version", "table"))
        table, checksum = load(*which, minimize=asked["minimize"])
        if stored is not None:
            resume.check_table(OUT.value, stored, checksum)
        _fit_defaults(asked, table)
        _check_sizes(asked, table)
        scorers = _scorers(asked, named, table)
        name = f"{table.space}-{table.dataset}-predictors"
        folder = quality_folder.prepare(OUT.value, name, may_hold_one=stored is not None)
        again = called.line(f"--out={folder}", "--resume")
        sessions = [*(stored["sessions"] if stored else []), _here()]
        transforms = {name: transform for name, (_, transform) in scorers.items()}
        config = {"flags": asked, "label_transforms": transforms}
        config |= {"table_sha256": checksum, "sessions": sessions}
        with run_folder.locked(folder):
            _compare(folder, config, table, scorers)
        return 0
    except ValueError as error:
        return console.fail(str(error))
    except OSError as error:
        line = f"--out={OUT.value or 'runs'}: {error}; free some space, then resume with {again}"
        return console.fail(line, console.status(error))
    except KeyboardInterrupt:
        return console.fail(f"interrupted; computed cells are saved, resume with {again}", 130)


def _whole_numbers(name: str) -> list[int]:
    texts = flags.FLAGS[name].value
    if not texts or not all(t.strip().isdecimal() and int(t) > 0 for t in texts):
        value = ",".join(texts or ())
        raise ValueError(f"--{name}={value}: give whole numbers above 0, separated by commas")
    return sorted({int(t) for t in texts})


def _adopt(asked: dict) -> dict | None:
    """The stored configuration of --out, its flags put into ``asked``; None = nothing stored yet.

    Raises:
      IdentityError: flags contradict it; names them.
    """
    if OUT.value is None:
        raise ValueError("--resume needs --out=FOLDER, the comparison to resume")
    stored = quality_folder.stored(Path(OUT.value))
    if stored is None:
        console.note(f"{OUT.value}: nothing to resume, starting")
        return None
    before = {name: stored["flags"].get(name) for name in asked}
    fixed = {name: asked[name] for name in resume.asked(FIXED)}
    was = {f"--{name}": before[name] for name in fixed}
    now = {f"--{name}": value for name, value in fixed.items()}
    free = [f"--{name}" for name in GROWING]
    identity.check(OUT.value, was, now, free=free, do=resume.LEAVE_OUT)
    for name in asked:
        if not flags.FLAGS[name].present:
            asked[name] = before[name]
        elif name == "runs":
            asked[name] = max(asked[name], before[name])
        elif name in GROWING:  # for --predictor, None means all
            both = None not in (asked[name], before[name])
            asked[name] = list(dict.fromkeys([*before[name], *asked[name]])) if both else None
    asked["n"].sort()
    resume.note_elsewhere(stored["sessions"][-1])
    return stored


def _fit_defaults(asked: dict, table: Table) -> None:
    """Leaves out what is too large for a small table, of --n and --k that were not asked for."""
    labelled = int(np.isfinite(table.valid_mean).sum())
    for name, others in (("k", min(asked["n"])), ("n", None)):
        others = others or max(asked["k"])
        fitting = [size for size in asked[name] if size + others < labelled]
        if fitting and fitting != asked[name] and not flags.FLAGS[name].present:
            asked[name] = fitting
            told = ",".join(map(str, fitting))
            console.note(f"note: --{name}={told}: the larger defaults exceed the table")


def _check_sizes(asked: dict, table: Table) -> None:
    n, k, labelled = asked["n"][-1], asked["k"][-1], int(np.isfinite(table.valid_mean).sum())
    if n + k >= labelled:
        raise ValueError(
            f"--n={n} leaves {max(0, labelled - n):,} of the {labelled:,} labelled architectures "
            f"to rank, which must be more than --k={k}; lower one of them"
        )


def _scorers(asked: dict, named: list[str], table: Table) -> Scorers:
    """Each predictor with its label transform; unavailable ones are skipped unless named.

    Raises:
      ValueError: a predictor is unknown, or was named and is unavailable.
    """
    scorers = {}
    everything = [name for name, record in PREDICTORS.items() if not record.printed]
    for name in asked["predictor"] or [*everything, *named]:
        if name not in PREDICTORS:
            raise ValueError(f"--predictor={name}: unknown; choose from {', '.join(PREDICTORS)}")
        if PREDICTORS[name].reads == "graph" and not task.has_graphs(table):
            if asked["predictor"] or name in named:
                task.need_graphs(table)
            console.note(f"{name} is skipped: it reads graphs, and the table has none")
            continue
        usual = defaults.of("weaknas", name)
        own = PREDICTORS[name].numbers.keys() & usual.numbers.keys()
        try:
            predictor = make(name, table.encoding, **{key: usual.numbers[key] for key in own})
        except ValueError as error:
            if asked["predictor"] or name in named:
                raise ValueError(f"--predictor={name}: {error}") from None
            console.note(f"{name} is skipped: {error}")
            continue
        scorer = predictor if isinstance(predictor, Scorer) else refit.refit(predictor)
        scorers[name] = scorer, asked["label_transform"] or usual.label_transform
    return scorers


def _here() -> dict:
    versions = provenance.versions() | {"scipy": metadata.version("scipy")}
    command = called.this_line()
    return {"command": command, "device": provenance.device(), "versions": versions}


def _compare(folder: Path, config: dict, table: Table, scorers: Scorers) -> None:
    """Computes the missing cells of ``folder``; saves and prints the result of all cells."""
    asked, cells = config["flags"], quality_folder.begin(folder, config)
    done = {(cell.predictor, cell.n, cell.run) for cell in cells}
    console.note(f"{folder}: {', '.join(scorers)}; {len(done)} fits are done already")
    keys = run_keys(asked["seed"], range(asked["runs"]))
    graphs = any(PREDICTORS[name].reads == "graph" for name in scorers)
    space = task.space(table, graphs=graphs)
    truth = table.worth(table.valid_mean)
    for cell in predictor_quality.cells(scorers, asked["n"], keys, space, truth, asked["k"], done):
        cells.append(cell)
        quality_folder.append(folder, cell)
        if cell.run + 1 == asked["runs"]:
            console.note(f"{cell.predictor}: n = {cell.n} done")
    cells.sort(key=lambda cell: cell[:3])
    title = f"{table.space} / {table.dataset} {table.version}".strip()
    title += f": ranking of undrawn architectures, {asked['runs']} runs"
    paths = quality_folder.save(folder, config, cells, title)
    print(standings.text(cells), "", *paths, sep="\n")


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas predictors", __doc__, NAMES))
