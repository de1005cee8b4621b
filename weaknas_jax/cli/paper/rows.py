"""The searches that rows of a table stand for, each in a folder of its own, done once."""

from pathlib import Path
from typing import Any, NamedTuple

from weaknas_jax.cli import console, idle, resume
from weaknas_jax.cli.configure import Configured, configure
from weaknas_jax.cli.execute import Member, execute
from weaknas_jax.cli.flags import FREE, NAMES
from weaknas_jax.report import run_folder

INTERRUPTED = "interrupted; the same command goes on from here"


class Search(NamedTuple):
    """What stands for some rows: its name, its folder, what it does."""

    name: str
    folder: Path
    values: dict[str, Any]
    configured: Configured


def search(name: str, folder: Path, given: dict[str, Any], own: dict[str, Any]) -> Search:
    """The search of the flags ``given``, but for what is its ``own``."""
    merged = given | {"table": None, "resume": False} | own | {"out": str(folder)}
    return Search(name, folder, merged, configure(merged))


def check(searches: list[Search]) -> None:
    """Raises ValueError where a flag of this line is read by none of the searches."""
    names = idle.given(set(NAMES) - {"table", "out", "overwrite"})
    idle.refuse(names, ((each.values, len(each.configured.table)) for each in searches))


def run_all(searches: list[Search], stop: console.Stop) -> dict[str, dict] | None:
    """Their summaries by name; None = interrupted."""
    summaries = {}
    for each in searches:
        there = run_folder.stored_config(each.folder) is not None
        run_folder.claim(each.folder, may_hold_one=there or each.values["overwrite"])
    for number, each in enumerate(searches):
        console.note(f"[{number + 1}/{len(searches)}] {each.folder}")
        member = _member(each)
        outcome = execute([member], run_folder.checkpoints(each.folder, member.stored), stop)
        summaries[each.name] = outcome.summaries[0]
        if not outcome.complete:
            return None
    return summaries


def _member(search: Search) -> Member:
    """The search as it is to be done, or gone on with.

    Raises:
      IdentityError: its folder holds another one, or one of another backend.
    """
    search.folder.mkdir(exist_ok=True)
    given, stored = search.values, run_folder.stored_config(search.folder)
    if given["overwrite"]:
        stored = None
    runs = set(range(given["first_run"], given["first_run"] + given["seeds"]))
    if stored is not None:
        plan = {name: stored["settings"][name] for name in ("lanes", "chunk")}
        here = {name: value for name, value in given.items() if name not in _NOT_COMPARED}
        do = "name another folder by --out, or replace it by --overwrite"
        resume.check(search.folder, stored, stored["flags"], here, FREE, do)
        given = given | plan
        runs |= set(stored["runs"])
    return Member(search.folder, given, search.configured, runs, stored)


_NOT_COMPARED = {"out", "overwrite", "resume", "lanes", "chunk"}  # the plan is the stored one
