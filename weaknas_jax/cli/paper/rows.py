"""The searches behind the rows of a table, each run once, in its own folder."""

from pathlib import Path
from typing import Any, NamedTuple

from weaknas_jax.cli import console, idle, resume
from weaknas_jax.cli.configure import Configured, configure
from weaknas_jax.cli.execute import Member, execute
from weaknas_jax.cli.flags import FREE, NAMES
from weaknas_jax.report import run_folder

INTERRUPTED = "interrupted; run the same command line to resume"


class Search(NamedTuple):
    """A search behind rows: name, folder, values of all flags, the configured search."""

    name: str
    folder: Path
    values: dict[str, Any]
    configured: Configured


def search(name: str, folder: Path, given: dict[str, Any], own: dict[str, Any]) -> Search:
    """The search with the flags ``given``, overridden by its ``own`` ones."""
    merged = given | {"table": None, "resume": False} | own | {"out": str(folder)}
    return Search(name, folder, merged, configure(merged))


def check(searches: list[Search]) -> None:
    """Raises ValueError where no search reads a flag of this command line."""
    names = idle.present(set(NAMES) - {"table", "out", "overwrite"})
    idle.refuse(names, ((each.values, len(each.configured.table)) for each in searches))


def run_all(searches: list[Search], stop: console.Stop) -> dict[str, dict] | None:
    """Runs searches one after another; their summaries by name, None = interrupted."""
    summaries = {}
    for each in searches:
        exists = run_folder.stored_config(each.folder) is not None
        run_folder.claim(each.folder, may_hold_one=exists or each.values["overwrite"])
    for number, each in enumerate(searches):
        console.note(f"[{number + 1}/{len(searches)}] {each.folder}")
        member = _member(each)
        outcome = execute([member], run_folder.checkpoints(each.folder, member.stored), stop)
        summaries[each.name] = outcome.summaries[0]
        if not outcome.complete:
            return None
    return summaries


def _member(search: Search) -> Member:
    """The search as a member for `execute`, new or resumed.

    Raises:
      IdentityError: its folder holds another search, or one of another backend.
    """
    search.folder.mkdir(exist_ok=True)
    settings, stored = search.values, run_folder.stored_config(search.folder)
    if settings["overwrite"]:
        stored = None
    runs = set(range(settings["first_run"], settings["first_run"] + settings["seeds"]))
    if stored is not None:
        plan = {name: stored["settings"][name] for name in ("lanes", "chunk")}
        current = {name: value for name, value in settings.items() if name not in _NOT_COMPARED}
        do = "name another folder with --out, or replace it with --overwrite"
        resume.check(search.folder, stored, stored["flags"], current, FREE, do)
        settings = settings | plan
        runs |= set(stored["runs"])
    return Member(search.folder, settings, search.configured, runs, stored)


_NOT_COMPARED = {"out", "overwrite", "resume", "lanes", "chunk"}  # the plan is the stored one
