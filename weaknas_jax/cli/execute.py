"""Runs searches that share a program: compiled once, each saved in its own folder."""

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
from weaknas_jax.core.trace import Trace, join
from weaknas_jax.core.types import Method
from weaknas_jax.measures import pareto, posterior, repeats
from weaknas_jax.measures.posterior import Posterior
from weaknas_jax.report import provenance, run_folder, text
from weaknas_jax.runs import last_fit, session
from weaknas_jax.runs.program import Job, Program
from weaknas_jax.storage.checkpoint import CheckpointError, Checkpoints


class Member(NamedTuple):
    """One search.

    Attributes:
      folder: its run folder.
      values: of all flags, by name.
      search: the configured search.
      runs: numbers of all requested runs.
      stored: ``config.json`` of the search to resume; None = a new one.
    """

    folder: Path
    values: Mapping[str, Any]
    search: Configured
    runs: set[int]
    stored: dict | None


class Outcome(NamedTuple):
    """Result of `execute`.

    Attributes:
      summaries: one for each member; None = none of its runs has ended.
      complete: all runs of all members are done.
      worked: whether any run was missing.
    """

    summaries: list[dict | None]
    complete: bool
    worked: bool


def execute(
    members: Sequence[Member], checkpoints: Checkpoints, stop: Callable[[], bool]
) -> Outcome:
    """Runs what is missing of ``members``, which differ in numeric settings only; saves each.

    Raises:
      IdentityError: a stored search was started on a table with other content.
    """
    for member in members:
        if member.stored is not None:
            resume.check_table(member.folder, member.stored, member.search.table_sha256)
    earlier = [run_folder.earlier(m.folder) if m.stored else (None, None) for m in members]
    missing = [
        m.runs - set(old.run.tolist() if old else ())
        for m, (old, _) in zip(members, earlier, strict=True)
    ]
    all_saved = all(summary is not None for _, summary in earlier)
    if all_saved and not any(missing):
        return Outcome([summary for _, summary in earlier], complete=True, worked=False)

    first = members[0].values
    session_info = {
        "command": called.this_line(),
        "device": provenance.device(),
        "versions": provenance.versions(),
        "matmul_precision": first["matmul_precision"],
    }
    old_summaries = [summary for _, summary in earlier if summary]
    spent = {
        part: sum(
            summary["timing"][part] / summary["timing_of_searches"] for summary in old_summaries
        )
        for part in ("compile_s", "run_s")
    }
    result, chunk = session.Result([], spent["run_s"], complete=True), first["chunk"]
    if any(missing):
        for line in dict.fromkeys(line for member in members for line in member.search.notes):
            console.note(f"note: {line}")
        program = compile_program(members, session_info["device"])
        chunk = program.plan.chunk
        for member in members:
            config = {
                **(member.stored or _config(member, program, session_info)),
                "runs": sorted(member.runs),
                "sessions": [*(member.stored["sessions"] if member.stored else []), session_info],
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
            table, cost, front = member.search.table, member.search.cost, None
            rule, again = member.search.protocol, None
            if member.values["repeat_top"]:
                seed_and_top = member.values["seed"], member.values["repeat_top"]
                again = repeats.ask_again(trace, table, rule, *seed_and_top)
            if cost is not None:
                front = pareto.measure(trace, table, member.values["cost"], cost)
            chosen = None
            if member.values["answer"] == "posterior":
                chosen = _by_predicted_mean(member, members[0].search.build, trace, chunk)
            summary = text.summarize(
                trace,
                table,
                rule,
                again,
                costs=None if cost is None else {member.values["cost"]: cost},
                posterior=chosen,
                complete=set(trace.run.tolist()) >= member.runs,
                timing=spent,
                timing_of_searches=len(members),
                **session_info,
                **member.search.record,
                **({"pareto": pareto.summary(front, table)} if front else {}),
            )
            run_folder.save(member.folder, trace, summary, front)
        summaries.append(summary)
    if result.complete:
        checkpoints.remove()
    return Outcome(summaries, result.complete, worked=True)


def _by_predicted_mean(
    member: Member, build: Callable[..., Method], trace: Trace, chunk: int | None
) -> Posterior:
    """The answers of a search by the predicted mean of a last fit.

    ``build`` is that of the program, so that searches of one program share the one of the fit.
    """
    search, seed = member.search, member.values["seed"]
    jax.config.update("jax_default_matmul_precision", member.values["matmul_precision"])
    console.note(f"fitting the predictor on all labels, once for each of {len(trace.run)} runs ...")
    fitted = last_fit.fit(
        build,
        search.problem,
        trace,
        seed=seed,
        point=search.point,
        chunk=chunk,
        by_rounds=search.goes_on,
    )
    return posterior.choose(trace, search.table, fitted)


def in_folder(
    out: str | None,
    name: str,
    may_hold_one: bool,
    work: Callable[[Path, console.Stop, str], int],
    names: Iterable[str] = run_folder.NAMES,
) -> int:
    """Does work in a locked folder; errors become one line and an exit status.

    Args:
      out, name, may_hold_one, names: as of `run_folder.prepare`.
      work: ``work(folder, stop, again)``, where ``again`` is the command line that resumes it.
    """
    again = called.line(f"--out={out}", "--resume") if out else "it again"
    try:
        is_new = out is None or not os.path.lexists(out)
        folder = run_folder.prepare(out, name, may_hold_one, names)
        again = called.line(f"--out={folder}", "--resume")
        try:
            with run_folder.locked(folder), console.stoppable() as stop:
                return work(folder, stop, again)
        finally:
            if is_new:
                run_folder.discard(folder)
    except CheckpointError as error:
        advice = f"earlier ones are intact: free some space, then resume with {again}"
        return console.fail(f"{error}; {advice}", 1)
    except ValueError as error:
        return console.fail(str(error))
    except OSError as error:
        code = console.status(error)
        do = "name another" if code == 2 else f"free some space, then resume with {again}"
        return console.fail(f"--out={out or 'runs'}: {error}; {do}", code)
    except KeyboardInterrupt:
        return console.fail(f"interrupted; resume from the last checkpoint with {again}", 130)


def compile_program(members: Sequence[Member], device: str) -> Program:
    """Compiles the program of all ``members`` and prints its plan.

    Raises:
      PlanError: it does not fit into memory; names the flags.
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
    """A line that names the runs whose predictor returned NaN; None = no such run."""
    parts = [
        f"{folder}: "
        + ", ".join(f"run {run} in round {number}" for run, number in summary["broken"].items())
        for folder, summary in zip(folders, summaries, strict=True)
        if summary and summary["broken"]
    ]
    if not parts:
        return None
    runs = "; ".join(parts)
    return (
        f"the predictor returned NaN (--seed={seed}) and ended the run; kept in trace.npz: {runs}"
    )


def _config(member: Member, program: Program, session_info: dict) -> dict:
    """Content of ``config.json`` for a new search."""
    rule = member.search.protocol
    return {
        **session_info,
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
    """Numbers of the requested runs: those stored, and those that the flags add."""
    runs = set(stored["runs"]) if stored else set()
    if stored is None or any(flags.FLAGS[name].present for name in ("seeds", "first_run")):
        runs |= set(range(first_run, first_run + seeds))
    return runs
