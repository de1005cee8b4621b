"""Search a benchmark table many times over and report it.

    weaknas search

searches NAS-Bench-201 with the Gaussian process, 100 runs to the optimum on each of its three data
sets; ``--dataset=cifar10`` is one of them. Each search leaves ``summary.json``, ``trace.npz``,
``config.json`` and ``curve.png`` in a folder of its own. Whatever stops it, ``--out=FOLDER
--resume`` goes on with the same runs. Lists of settings: `weaknas sweep`.
"""

import os
from pathlib import Path
from typing import NoReturn

from weaknas_jax.cli import console, entry, idle, resume, sweep
from weaknas_jax.cli.configure import configure
from weaknas_jax.cli.execute import Member, broken, execute, in_folder, wanted
from weaknas_jax.cli.flags import FREE, NAMES, OUT, adopt, may_resume, values
from weaknas_jax.cli.help import SIZES, About
from weaknas_jax.report import run_folder, text
from weaknas_jax.tables import registry


@entry.checked
def main(argv: list[str]) -> int:
    del argv
    given = values()
    out = given["out"]
    resumable = given["resume"] and out and os.path.exists(os.path.join(out, "config.json"))
    several = [] if given["space"] == "table" else registry.SHIPPED[given["space"]].datasets
    named = given["dataset"] or given["table"] or len(several) < 2
    if (given["resume"] and sweep.holds_one(out)) or not (named or resumable):
        return sweep.run({"dataset": list(several)})
    if sweep.holds_one(out):
        return console.fail(f"--out={out}: holds a sweep of searches; name another folder")
    try:
        stored = _adopt() if given["resume"] else None
        given = values()
        search = configure(given)
        idle.refuse(idle.given(NAMES), [(given, len(search.table))])
    except ValueError as error:
        return console.fail(str(error))

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        runs = wanted(search.seeds, given["first_run"], stored)
        return _search(Member(folder, given, search, runs, stored), stop, again)

    name = f"{search.table.space}-{search.table.dataset}-{given['method']}"
    may_hold_one = stored is not None or given["overwrite"]
    return in_folder(out, name, may_hold_one, work)


def _adopt() -> dict | None:
    """The stored configuration of the experiment to resume, and its flags made those of this call.

    None = nothing is there yet, so that one command line serves the first start and all others.

    Raises:
      ValueError: --resume cannot be meant, or the folder cannot be read.
      IdentityError: a flag says otherwise, or the backend is another; names them.
    """
    may_resume("experiment")
    out = OUT.value
    stored = run_folder.stored_config(Path(out))
    if stored is None:
        console.note(f"{out}: nothing to resume there, starting")
        return None
    there = stored["flags"] | {k: stored["settings"][k] for k in ("lanes", "chunk")}
    resume.check(out, stored, there, resume.asked(NAMES), FREE)
    adopt(there)
    return stored


def _search(member: Member, stop: console.Stop, again: str) -> int:
    """Does what is missing of one search, saves and prints it."""
    kept = run_folder.checkpoints(member.folder, member.stored)
    outcome = execute([member], kept, stop)
    (summary,) = outcome.summaries
    if summary is not None:
        print(text.text(summary, run_folder.paths(member.folder)))
    if not outcome.worked:
        done = f"finished already, all {len(member.runs)} runs; nothing was done"
        console.note(f"{member.folder}: {done}")
        return 0
    if not outcome.complete:
        if summary is None:
            return console.fail(f"interrupted; go on by {again}", stop.code)
        done = f"{summary['num_runs']} of {len(member.runs)} runs are finished and saved"
        return console.fail(f"interrupted: {done}; go on by {again}", stop.code)
    lost = broken([summary], [member.folder], member.values["seed"])
    return console.fail(lost, 1) if lost else 0


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas search", __doc__, NAMES, SIZES))
