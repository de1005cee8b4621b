"""Searches that share a program: compiled once, run together, each saved in its own folder."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from absl import flags

from weaknas_jax.cli import console, progress, resume
from weaknas_jax.cli.configure import Configured
from weaknas_jax.core import called
from weaknas_jax.core.plan import Plan, PlanError
from weaknas_jax.core.trace import join
from weaknas_jax.measures import pareto, repeats
from weaknas_jax.report import provenance, run_folder, text
from weaknas_jax.runs import session
from weaknas_jax.runs.program import Job, Program
from weaknas_jax.storage.checkpoint import CheckpointError, Checkpoints


class Member(NamedTuple):
    """One search.

    Attributes:
      folder: its run folder.
      values: of all flags, by name.
      search: what they configure.
      runs: numbers of the runs wanted in the end.
      stored: ``config.json`` of what is gone on with; None = it begins.
    """

    folder: Path
    values: Mapping[str, Any]
    search: Configured
    runs: set[int]
    stored: dict | None


class Outcome(NamedTuple):
    """What was achieved.

    Attributes:
      summaries: of each member; None = no run of it has ended.
      complete: all runs of all members are done.
      worked: whether there was anything to do.
    """

    summaries: list[dict | None]
    complete: bool
    worked: bool


def execute(
    members: Sequence[Member], checkpoints: Checkpoints, stop: Callable[[], bool]
) -> Outcome:
    """Does what is missing of ``members``, which differ in numeric settings only; saves each.

    Raises:
      IdentityError: the folder of one began with a table of other content.
    """
    for member in members:
        if member.stored is not None:
            resume.check_table(member.folder, member.stored, member.search.table_sha256)
    earlier = [run_folder.earlier(m.folder) if m.stored else (None, None) for m in members]
    missing = [
        m.runs - set(old.run.tolist() if old else ())
        for m, (old, _) in zip(members, earlier, strict=True)
    ]
    whole = all(summary is not None for _, summary in earlier)
    if whole and not any(missing):
        return Outcome([summary for _, summary in earlier], complete=True, worked=False)

    first = members[0].values
    said = {
        "command": called.this_line(),
        "device": provenance.device(),
        "versions": provenance.versions(),
        "matmul_precision": first["matmul_precision"],
    }
    before = [summary for _, summary in earlier if summary]
    spent = {
        part: sum(summary["timing"][part] / summary["timing_of_searches"] for summary in before)
        for part in ("compile_s", "run_s")
    }
    result = session.Result([], spent["run_s"], complete=True)
    if any(missing):
        for line in dict.fromkeys(line for member in members for line in member.search.notes):
            console.note(f"note: {line}")
        program = compile_program(members, said["device"])
        for member in members:
            config = {
                **(member.stored or _config(member, program, said)),
                "runs": sorted(member.runs),
                "sessions": [*(member.stored["sessions"] if member.stored else []), said],
            }
            run_folder.begin(member.folder, config, anew=member.stored is None)
        with progress.shown() as show:
            result = session.execute(
                program,
                first["seed"],
                [Job(i, run) for i, runs in enumerate(missing) for run in sorted(runs)],
                checkpoints,
                every=first["checkpoint_every"],
                seconds=spent["run_s"],
                progress=show,
                stop=stop,
            )
        spent = {"compile_s": program.compile_s, "run_s": result.seconds}

    summaries = []
    for i, (member, (old, summary)) in enumerate(zip(members, earlier, strict=True)):
        new = [trace for job, trace in result.ended if job.point == i]
        if new or (old is not None and summary is None):
            trace = join([*([old] if old else []), *new])
            table, cost, traded = member.search.table, member.search.cost, None
            rule, again = member.search.protocol, None
            if member.values["repeat_top"]:
                how = member.values["seed"], member.values["repeat_top"]
                again = repeats.ask_again(trace, table, rule, *how)
            if cost is not None:
                traded = pareto.measure(trace, table, member.values["cost"], cost)
            summary = text.summarize(
                trace,
                table,
                rule,
                again,
                costs=None if cost is None else {member.values["cost"]: cost},
                complete=set(trace.run.tolist()) >= member.runs,
                timing=spent,
                timing_of_searches=len(members),
                **said,
                **member.search.said,
                **({"pareto": pareto.summary(traded, table)} if traded else {}),
            )
            run_folder.save(member.folder, trace, summary, traded)
        summaries.append(summary)
    if result.complete:
        checkpoints.remove()
    return Outcome(summaries, result.complete, worked=True)


def in_folder(
    out: str | None,
    name: str,
    may_hold_one: bool,
    work: Callable[[Path, console.Stop, str], int],
    names: Iterable[str] = run_folder.NAMES,
) -> int:
    """Work in a folder that is this process's alone; errors become one line and an exit status.

    Args:
      out, name, may_hold_one, names: as of `run_folder.prepare`.
      work: ``work(folder, stop, again)``, where ``again`` is the line to go on by.
    """
    again = called.line(f"--out={out}", "--resume") if out else "it again"
    try:
        made = out is None or not os.path.lexists(out)
        folder = run_folder.prepare(out, name, may_hold_one, names)
        again = called.line(f"--out={folder}", "--resume")
        try:
            with run_folder.locked(folder), console.stoppable() as stop:
                return work(folder, stop, again)
        finally:
            if made:
                run_folder.discard(folder)
    except CheckpointError as error:
        more = f"earlier ones are intact: make room, then go on by {again}"
        return console.fail(f"{error}; {more}", 1)
    except ValueError as error:
        return console.fail(str(error))
    except OSError as error:
        code = console.status(error)
        do = "name another" if code == 2 else f"make room, then go on by {again}"
        return console.fail(f"--out={out or 'runs'}: {error}; {do}", code)
    except KeyboardInterrupt:
        return console.fail(f"interrupted; go on from the last checkpoint by {again}", 130)


def compile_program(members: Sequence[Member], device: str) -> Program:
    """The program of all ``members``, and its plan printed.

    Raises:
      PlanError: it does not fit; names the flags.
    """
    values, search = members[0].values, members[0].search
    jax.config.update("jax_default_matmul_precision", values["matmul_precision"])
    console.note(f"compiling for {device} ...")
    try:
        program = Program(
            search.build,
            search.problem,
            search.settings,
            points=[member.search.point for member in members],
            given=Plan(values["lanes"] or search.lanes, values["chunk"]),
            bound=values["memory"] and values["memory"] * 2**20,
            devices=jax.devices()[: values["devices"]],
        )
    except PlanError as error:
        raise PlanError(f"{error}; raise --memory, or lower --lanes or --chunk") from None
    console.note(
        f"plan: {program.plan.lanes} lane(s) on each of {program.devices} device(s), "
        f"{program.plan.chunk:,} architectures scored at once; at most "
        f"{program.peak / 2**20:,.0f} MiB of a device, {program.bound / 2**20:,.0f} allowed"
    )
    return program


def broken(summaries: Sequence[dict | None], folders: Sequence[Path], seed: int) -> str | None:
    """One line that names the runs whose predictor returned NaN; None = there is none."""
    found = [
        f"{folder}: " + ", ".join(f"run {run} in round {at}" for run, at in s["broken"].items())
        for folder, s in zip(folders, summaries, strict=True)
        if s and s["broken"]
    ]
    if not found:
        return None
    runs = "; ".join(found)
    return (
        f"the predictor returned NaN (--seed={seed}) and ended the run; kept in trace.npz: {runs}"
    )


def _config(member: Member, program: Program, said: dict) -> dict:
    """What ``config.json`` holds of a search that begins."""
    rule = member.search.protocol
    return {
        **said,
        "platform": jax.default_backend(),
        "flags": dict(member.values),
        "protocol": {"name": rule.name, **rule.switches()},
        "numbers": member.search.point,
        "settings": {
            **member.search.settings._asdict(),
            **program.plan._asdict(),
            "round_sizes": list(program.sizes),
        },
        "memory": {"planned_peak_bytes": program.peak, "bound_bytes": program.bound},
        "table_sha256": member.search.table_sha256,
    }


def wanted(seeds: int, first_run: int, stored: dict | None) -> set[int]:
    """Numbers of the runs that are wanted: those stored, and those that the flags add."""
    runs = set(stored["runs"]) if stored else set()
    if stored is None or any(flags.FLAGS[name].present for name in ("seeds", "first_run")):
        runs |= set(range(first_run, first_run + seeds))
    return runs
