"""Resumable batches: checkpoints of finished runs and of live lanes.

A checkpoint holds every run that has ended and every lane under way, by the number of its run. A
lane is resumed in any free slot of any device, with the same results. Lanes of more than `LARGEST`
bytes in all are not stored, and their runs begin again: they are large by the matrices of a
Gaussian process, which take longer to write, with several copies in memory, than to compute again.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from weaknas_jax.core import trace as traces
from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.trace import Trace
from weaknas_jax.runs.lanes import Lane
from weaknas_jax.runs.program import Job, Program, Progress, raw
from weaknas_jax.storage import identity
from weaknas_jax.storage.checkpoint import Checkpoints

LARGEST = 2**28


class Batch(NamedTuple):
    """A batch under way, as a checkpoint stores it.

    Attributes:
      ended: jobs that ended, each with its trace of one run.
      running: jobs under way, each with its lane (NumPy).
      seconds: spent on it so far.
    """

    ended: list[tuple[Job, Trace]]
    running: list[tuple[Job, Lane]]
    seconds: float = 0.0


class Result(NamedTuple):
    """Result of `execute`; ``complete``: all jobs ended, none was stopped."""

    ended: list[tuple[Job, Trace]]
    seconds: float
    complete: bool


@with_conventions
def execute(
    program: Program,
    seed: int,
    jobs: Sequence[Job],
    checkpoints: Checkpoints,
    *,
    every: float = 10.0,
    seconds: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Runs ``jobs`` from the latest checkpoint on, and writes checkpoints on the way.

    Args:
      program: of the configuration.
      seed: root of the random numbers.
      jobs: all jobs, finished ones included.
      checkpoints: where they are.
      every: seconds between checkpoints; 0 = after every call of the program.
      seconds: spent before, where no checkpoint has them.
      progress: called after each call of the program.
      stop: called after each call of the program; True = write a checkpoint and return.

    Raises:
      CheckpointError: one could not be written.
      IdentityError: the latest one is of another program.
    """
    wanted = set(jobs)
    stored = unpack(program, checkpoints.load(), seconds, checkpoints.folder)
    ended = [(job, trace) for job, trace in stored.ended if job in wanted]
    running = [(job, lane) for job, lane in stored.running if job in wanted]
    todo = [job for job in jobs if job not in {job for job, _ in ended}]
    before, start = len(ended), time.perf_counter()
    last, saved = start, before
    with_lanes = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(program.empty)) <= LARGEST
    for step in program.work(seed, todo, running):
        ended += step.ended
        if progress is not None:
            progress(_whole(step.progress, before))
        now, stopping = time.perf_counter(), stop()
        if step.progress.finished == step.progress.runs:
            break
        worthwhile = with_lanes or len(ended) > saved
        if stopping or (worthwhile and now - last >= every):
            seconds = stored.seconds + now - start
            running = step.running() if with_lanes else []
            checkpoints.save(pack(Batch(ended, running, seconds)))
            last, saved = time.perf_counter(), len(ended)
        if stopping:
            return Result(ended, stored.seconds + now - start, complete=False)
    return Result(ended, stored.seconds + time.perf_counter() - start, complete=True)


def _whole(now: Progress, before: int) -> Progress:
    """Progress of all jobs, where ``before`` had ended earlier."""
    runs = now.runs + before
    share = (now.share * now.runs + before) / runs
    return now._replace(finished=now.finished + before, runs=runs, share=share)


def pack(batch: Batch) -> dict[str, np.ndarray]:
    """A batch as arrays by name, for a checkpoint."""
    arrays = {"seconds": np.float64(batch.seconds)}
    if batch.ended:
        arrays["ended"] = np.array([job for job, _ in batch.ended], np.int32)
        columns = zip(*(trace for _, trace in batch.ended), strict=True)
        arrays |= {f"trace.{n}": np.stack(c) for n, c in zip(Trace._fields, columns, strict=True)}
    if batch.running:
        arrays["running"] = np.array([job for job, _ in batch.running], np.int32)
        columns = zip(*(jax.tree.leaves(lane) for _, lane in batch.running), strict=True)
        arrays |= {f"lane.{i}": np.stack(column) for i, column in enumerate(columns)}
    return arrays


def unpack(
    program: Program,
    arrays: dict[str, np.ndarray] | None,
    seconds: float = 0.0,
    place: Any = "checkpoint",
) -> Batch:
    """The inverse of `pack`; without ``arrays``, an empty batch with ``seconds``.

    Raises:
      IdentityError: the arrays, which are from ``place``, are not of this program.
    """
    if arrays is None:
        return Batch([], [], seconds)
    empty = jax.eval_shape(lambda lanes: jax.tree.map(raw, lanes), program.empty)
    leaves, structure = jax.tree.flatten(empty)
    ended = running = []
    if "ended" in arrays:
        columns = {n.removeprefix("trace."): a for n, a in arrays.items() if n.startswith("trace.")}
        each = zip(*traces.from_arrays(columns), strict=True)
        jobs = _jobs(arrays["ended"])
        ended = [(job, Trace(*fields)) for job, fields in zip(jobs, each, strict=True)]
    if "running" in arrays:
        lanes = {name: array for name, array in arrays.items() if name.startswith("lane.")}
        current = {f"lane.{i}": leaf for i, leaf in enumerate(leaves)}
        do = "it is of another method, table or version: name another folder, or begin anew"
        identity.check(place, _shapes(lanes), _shapes(current), do=do)
        columns = zip(*(lanes[name] for name in current), strict=True)
        running = [
            (job, structure.unflatten(lane))
            for job, lane in zip(_jobs(arrays["running"]), columns, strict=True)
        ]
    return Batch(ended, running, float(arrays["seconds"]))


def _shapes(lanes: dict[str, Any]) -> dict[str, list]:
    """Shape of one lane and dtype, by name."""
    return {name: [*leaf.shape[1:], str(leaf.dtype)] for name, leaf in lanes.items()}


def _jobs(numbers: np.ndarray) -> list[Job]:
    return [Job(int(point), int(run)) for point, run in numbers]
