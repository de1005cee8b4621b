"""Memory plans: runs side by side on a device, and architectures scored at once.

Equal results need an equal plan (a sum over another width may round otherwise). A plan therefore
depends on backend, memory bound and configuration, never on the number of runs or the memory that
is free; it is stored with the results and can be set.

The compiler counts the buffers of a program, `peak` adds them up, and `program.Program` makes a
plan smaller until it fits the bound, before anything runs.
"""

import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax

from weaknas_jax.core import checks

_CPU_CHUNK = 1024  # rows of 1000 activations stay in a CPU's cache
MAX_LANES = 32
"""Most lanes of a plan, unless the user sets more."""
_ROW_BYTES = 4 * 1000 * 4  # a few live float32 activations of the paper's width
_LANE_BYTES = 4 * 4 * 3_100_000  # four copies of the paper's MLP
_LEAST_CHUNK = 64
_RUN_BYTES = 2048  # Python objects of a job and its trace
_CPU_LIBRARIES = 32 * 2**20
_CPU_SORTING = 128  # bytes an architecture
_CONTROL_GROUP = Path("/sys/fs/cgroup")


class PlanError(ValueError):
    """A configuration that does not fit into memory; the message says by how much."""


class Plan(NamedTuple):
    """A memory plan; None = not decided.

    >>> first(15_625, Plan(lanes=2, chunk=512))
    Plan(lanes=2, chunk=512)

    Attributes:
      lanes: runs side by side on each device.
      chunk: architectures that a lane scores at once.
    """

    lanes: int | None = None
    chunk: int | None = None


def check(plan: Plan) -> None:
    """Raises ValueError unless lanes and chunk are None or at least 1."""
    checks.counts(lanes=(plan.lanes, 1), chunk=(plan.chunk, 1))


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_memory() -> int:
    """Bytes of one device; CPU devices share the machine's, or what its control group allows."""
    if jax.default_backend() != "cpu":
        stats = jax.local_devices()[0].memory_stats() or {}
        if "bytes_limit" in stats:
            return int(stats["bytes_limit"])
    return host_memory() // jax.local_device_count()


def host_memory() -> int:
    """Bytes of this machine's memory, or what the process's control group allows."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # version 2, version 1
        group = _CONTROL_GROUP / name
        if group.exists() and (text := group.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def default_bound() -> int:
    """Bytes that a program may take of one device: half of a CPU's memory, 9/10 of another's."""
    return int(device_memory() * (0.5 if jax.default_backend() == "cpu" else 0.9))


def most_runs(budget: int, rounds: int) -> int:
    """The number of runs whose traces fit twice, joined and one by one, into half of the memory.

    >>> most_runs(100, 10) > most_runs(10_000, 1000)
    True
    """
    trace = 8 * budget + 16 * rounds
    return host_memory() // 2 // (2 * trace + _RUN_BYTES)


def first(size: int, given: Plan = Plan(), bound: int | None = None) -> Plan:  # noqa: B008
    """The plan to try first.

    On a CPU one lane (a lone fit fills the cores, and ``vmap`` would run every branch of a
    switch), elsewhere up to 32; then as large a chunk as a quarter of the bound holds.

    Args:
      size: N.
      given: the part of the plan that is decided.
      bound: bytes, by default `default_bound`.

    >>> first(15_625, Plan(lanes=100, chunk=512))
    Plan(lanes=100, chunk=512)
    """
    bound = default_bound() if bound is None else bound
    cpu, (lanes, chunk) = jax.default_backend() == "cpu", given
    if lanes is None:
        fitting = bound // 4 // (_LANE_BYTES + 16 * size)
        lanes = 1 if cpu else max(1, min(MAX_LANES, fitting))
    if chunk is None:
        rows = bound // 4 // (_ROW_BYTES * lanes)
        chunk = equal_chunks(size, min(rows, _CPU_CHUNK) if cpu else rows)
    return Plan(lanes, chunk)


def equal_chunks(size: int, rows: int) -> int:
    """Length of the fewest equal chunks of at most ``rows`` that cover ``size``, a multiple of 8.

    >>> equal_chunks(15_625, 8_000)
    7816
    """
    chunks = math.ceil(size / max(8, min(rows, size)))
    return math.ceil(size / chunks / 8) * 8


def smaller(plan: Plan, size: int, given: Plan) -> Plan | None:
    """The next plan to try where ``plan`` does not fit; None = nothing is left to reduce."""
    if given.chunk is None and plan.chunk > _LEAST_CHUNK:
        return plan._replace(chunk=equal_chunks(size, max(_LEAST_CHUNK, plan.chunk // 4)))
    if given.lanes is None and plan.lanes > 1:
        return plan._replace(lanes=plan.lanes // 2)
    return None


def peak(size: int, *programs: Any) -> int:
    """Bytes of one device while the most demanding of compiled ``programs`` runs.

    By the compiler's own count: arguments, results that do not replace arguments, and temporaries.
    On a CPU also the memory of its libraries for sorting and matrix products, which the compiler
    does not count: measured, see ``benchmarks/memory.py``.

    Args:
      size: N.
      *programs: compiled by ``jax.jit(f).lower(...).compile()``.
    """
    counts = [program.memory_analysis() for program in programs]
    libraries = _CPU_LIBRARIES + _CPU_SORTING * size if jax.default_backend() == "cpu" else 0
    return libraries + max(
        c.argument_size_in_bytes
        + c.output_size_in_bytes
        - c.alias_size_in_bytes
        + c.temp_size_in_bytes
        for c in counts
    )
