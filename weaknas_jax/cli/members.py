"""Show what the members of a mixture weighed in a finished search, and how well they predicted.

    weaknas members RUN_FOLDER [--run=0] [--out=members.png]

For predictors of several weighed members (--predictor=mixture). Replays the queries of the search
and prints, for about ten rounds, the weight of each member and the leave-one-out score of the
mixture, of each member and of a constant model, in nats per label; says from which round on the
mixture was no better than the constant model. The picture shows all rounds. Several runs: the mean.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
from absl import flags

from weaknas_jax.cli import console, entry, resume
from weaknas_jax.cli.configure import Configured, configure, with_defaults
from weaknas_jax.cli.help import About
from weaknas_jax.core.trace import Trace
from weaknas_jax.predictors.members import Members
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.report import members, run_folder
from weaknas_jax.report.run_folder import FolderError
from weaknas_jax.runs import weighing
from weaknas_jax.search.methods import METHODS
from weaknas_jax.storage import ownership

_help = "Numbers of runs, separated by commas, or all; default: the first of the folder."
_RUN = flags.DEFINE_list("run", None, _help)
_OUT = flags.DEFINE_string("out", "members.png", "Picture to write; .png, .pdf or .svg.")
_help = "Replace the file --out even if this program did not draw it."
_OVERWRITE = flags.DEFINE_bool("overwrite", False, _help)
NAMES = [flag.name for flag in flags.FLAGS.get_flags_for_module(sys.modules[__name__])]
_TABLE = dict.fromkeys(("dataset", "table", "table_version", "constraint", "minimize"))
_HERE = {"devices": None, "cost": None}  # not needed for a replay


@entry.checked_with_arguments
def main(argv: list[str]) -> int:
    if len(argv) != 2:
        return console.fail("name the folder of one experiment")
    folder, path = argv[1], Path(_OUT.value)
    try:
        if path.is_file() and not (_OVERWRITE.value or ownership.is_picture(path)):
            return console.fail(
                f"--out={path}: this program did not draw it; add --overwrite to replace it"
            )
        ownership.check(path, overwrite=_OVERWRITE.value)
        trace, stored = run_folder.load_trace(folder), run_folder.stored_config(Path(folder))
        if stored is None:
            raise FolderError(f"{folder}: has no config.json; name the folder of an experiment")
        parts = _members(folder, stored["flags"])
        runs = _runs(trace)
        search = configure({**_TABLE, **with_defaults(stored["flags"]), **_HERE})
        resume.check_table(folder, stored, search.table_sha256)
        jax.config.update("jax_default_matmul_precision", stored["matmul_precision"])
        result = _weighed(parts, search, trace, stored, runs)
    except (ValueError, OSError) as error:
        return console.fail(str(error))
    what = f"run {runs[0]}" if len(runs) == 1 else f"mean of {len(runs)} runs"
    name = f"{search.record['predictor']}, {search.table.space} / {search.table.dataset}, {what}"
    print(f"{name}\n\n{members.text(result)}\n")
    try:
        members.draw(result, name, path, _OVERWRITE.value)
    except (OSError, ValueError) as error:
        return console.fail(f"--out={path}: cannot be written ({error})")
    print(path)
    return 0


def _members(folder: str, asked: Mapping[str, Any]) -> Members:
    """The members of the predictor of a search.

    Raises:
      FolderError: it has none.
    """
    have = ", ".join(f"--predictor={n}" for n, record in PREDICTORS.items() if record.members)
    method, predictor = asked["method"], asked["predictor"]
    if method not in METHODS or not METHODS[method].predictor:
        what = f"--method={method} weighs no members"
    elif predictor not in PREDICTORS or (parts := PREDICTORS[predictor].members) is None:
        what = f"--predictor={predictor} is a single model, without members to weigh"
    else:
        return parts
    raise FolderError(f"{folder}: {what}; name a search with {have}")


def _runs(trace: Trace) -> list[int]:
    """The runs that --run names."""
    there = trace.run.tolist()
    if _RUN.value is None:
        return there[:1]
    if _RUN.value == ["all"]:
        return there
    texts = [text.strip() for text in _RUN.value]
    if not all(text.isdecimal() for text in texts):
        raise ValueError(f"--run={','.join(texts)}: give numbers of runs, or all")
    runs = list(dict.fromkeys(map(int, texts)))
    if strange := set(runs) - set(there):
        few = ", ".join(map(str, there[:8])) + ", ..." * (len(there) > 8)
        raise ValueError(f"--run={min(strange)}: the folder has the runs {few}")
    return runs


def _weighed(
    parts: Members, search: Configured, trace: Trace, stored: Mapping[str, Any], runs: list[int]
) -> weighing.Weighing:
    """The weights and scores of some runs, replayed one by one: their mean."""
    strict = not resume.note_elsewhere(stored)
    tell = console.every(10, "{} of {} runs are replayed".format)
    done = []
    for run in runs:
        done.append(
            weighing.weigh(
                parts,
                search.build,
                search.problem,
                trace,
                run,
                seed=stored["flags"]["seed"],
                point=search.point,
                chunk=stored["settings"]["chunk"],
                strict=strict,
            )
        )
        if len(done) < len(runs):
            tell(len(done), len(runs))
    return weighing.mean(done)


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas members", __doc__, NAMES))
