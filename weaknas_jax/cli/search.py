"""Run repeated searches on a benchmark table and report them.

    weaknas search

searches NAS-Bench-201 with a mixture of Gaussian processes, 100 runs to the optimum on each of its
three data sets; ``--dataset=cifar10`` selects one. Each search writes ``summary.json``,
``trace.npz``, ``config.json`` and ``curve.png`` to its own folder. After an interruption,
``--out=FOLDER --resume`` continues the same runs. For lists of settings: `weaknas sweep`.
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
    settings = values()
    out = settings["out"]
    resumable = settings["resume"] and out and os.path.exists(os.path.join(out, "config.json"))
    several = [] if settings["space"] == "table" else registry.SHIPPED[settings["space"]].datasets
    is_single = settings["dataset"] or settings["table"] or len(several) < 2
    if (settings["resume"] and sweep.holds_one(out)) or not (is_single or resumable):
        return sweep.run({"dataset": list(several)})
    if sweep.holds_one(out):
        return console.fail(f"--out={out}: holds a sweep; name another folder")
    try:
        stored = _adopt() if settings["resume"] else None
        settings = values()
        search = configure(settings)
        idle.refuse(idle.present(NAMES), [(settings, len(search.table))])
    except ValueError as error:
        return console.fail(str(error))

    def work(folder: Path, stop: console.Stop, again: str) -> int:
        runs = wanted(search.seeds, settings["first_run"], stored)
        return _search(Member(folder, settings, search, runs, stored), stop, again)

    name = f"{search.table.space}-{search.table.dataset}-{settings['method']}"
    may_hold_one = stored is not None or settings["overwrite"]
    return in_folder(out, name, may_hold_one, work)


def _adopt() -> dict | None:
    """The stored configuration of the experiment to resume; sets the flags of this call from it.

    None = nothing is stored yet, so that the same command line starts and resumes.

    Raises:
      ValueError: --resume contradicts other flags, or the folder cannot be read.
      IdentityError: flags or the backend differ; names them.
    """
    may_resume("experiment")
    out = OUT.value
    stored = run_folder.stored_config(Path(out))
    if stored is None:
        console.note(f"{out}: nothing to resume, starting")
        return None
    before = stored["flags"] | {k: stored["settings"][k] for k in ("lanes", "chunk")}
    resume.check(out, stored, before, resume.asked(NAMES), FREE)
    adopt(before)
    return stored


def _search(member: Member, stop: console.Stop, again: str) -> int:
    """Does the missing runs of a search, saves and prints them; returns the exit status."""
    checkpoints = run_folder.checkpoints(member.folder, member.stored)
    outcome = execute([member], checkpoints, stop)
    (summary,) = outcome.summaries
    if summary is not None:
        print(text.text(summary, run_folder.paths(member.folder)))
    if not outcome.worked:
        state = f"all {len(member.runs)} runs had finished already"
        console.note(f"{member.folder}: {state}")
        return 0
    if not outcome.complete:
        if summary is None:
            return console.fail(f"interrupted; resume with {again}", stop.code)
        state = f"{summary['num_runs']} of {len(member.runs)} runs are finished and saved"
        return console.fail(f"interrupted: {state}; resume with {again}", stop.code)
    message = broken([summary], [member.folder], member.values["seed"])
    return console.fail(message, 1) if message else 0


def start() -> NoReturn:
    """Reads the flags, does the work and ends the process."""
    entry.start(main, About("weaknas search", __doc__, NAMES, SIZES))
