"""The searches whose traces are evaluated under different switches; each is run once.

`switches` compares them, `weaknas paper protocols` is the command.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from weaknas_jax.core import trace as traces
from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.runs import task
from weaknas_jax.runs.lanes import Settings
from weaknas_jax.runs.program import run_many
from weaknas_jax.search import defaults, methods
from weaknas_jax.storage.npz import TableError, read_npz, write_npz
from weaknas_jax.tables import Table


class Searcher(NamedTuple):
    """A method of the comparison; its runs use their whole budget.

    Attributes:
      name: its label in tables.
      settings: of `methods.make`; the protocol's ``label_transform`` is the default.
      switches: switches that are measured with it.
      counts: numbers of queries at which accuracy is reported.
    """

    name: str
    settings: Mapping[str, Any]
    switches: tuple[str, ...]
    counts: tuple[int, ...]


class Runs(NamedTuple):
    """The trace of the runs of a search, and their table."""

    table: Table
    trace: Trace


Search = Callable[[Searcher, Table, Protocol], Runs]

_TEN_A_ROUND = {"acquisition": "mean", "sampling": "uniform", "per_round": 10, "budget": 200}
_ALL = ("report", "predicted_top", "labels", "target", "version")
GP = Searcher("GP, M = 1", {"label_transform": "rank", "budget": 100}, _ALL, (20, 50, 100))
GP_SCALED = Searcher("GP, M = 1, scaled labels", {"budget": 100}, ("normalize",), (20, 50, 100))
TEN = Searcher(
    "WeakNAS, M = 10",
    {"init": 10} | _TEN_A_ROUND,
    (*_ALL, "normalize", "counting", "all"),
    (50, 100, 200),
)
LOCAL = Searcher(
    "local search",
    {"method": "local_search", "budget": 1000},
    ("report", "labels", "target", "version"),
    (50, 100, 200),
)
RANDOM = Searcher(
    "random search",
    {"method": "random", "init": 10, "per_round": 10, "budget": 200},
    ("report",),
    (50, 100, 200),
)
ON_201 = (GP, GP_SCALED, TEN, LOCAL, RANDOM)

_GP_101 = {"init": 20, "per_round": 10, "budget": 200}
_GP_101 |= defaults.of("weaknas", "gp", "nasbench101").numbers
_NOISE_101 = {"noise": _GP_101["noise"]}
GP_101 = Searcher(
    "GP, M = 10, greedy",
    {"label_transform": "rank"} | _GP_101,
    ("predicted_top", "counting"),
    (150, 200),
)
GP_SCALED_101 = Searcher("GP, M = 10, greedy, scaled labels", _GP_101, ("normalize",), (150, 200))
TEN_101 = Searcher(
    "WeakNAS, M = 10",
    {"init": 100} | _TEN_A_ROUND | _NOISE_101,
    ("predicted_top", "normalize", "counting"),
    (150, 200),
)
RANDOM_101 = RANDOM._replace(switches=("counting",), counts=(150, 200))
ON_101 = (GP_101, GP_SCALED_101, TEN_101, RANDOM_101)


def searching(runs: int, seed: int = 0, folder: Path | None = None) -> Search:
    """A function that does a search of ``runs`` runs to the budget, each search only once.

    Traces are stored in ``folder``, if there is one, and reused by later calls.
    """
    done: dict[tuple, Runs] = {}

    def search(searcher: Searcher, table: Table, rule: Protocol) -> Runs:
        switches = "labels", "normalize", "predicted_top"  # switches on which a search depends
        key = searcher.name, table.space, table.dataset, table.version
        key += tuple(getattr(rule, switch).replace("free", "off") for switch in switches)
        if key not in done:
            path = None
            if folder is not None:
                name = "-".join(map(str, (*key, runs, seed, jax.default_backend())))
                path = folder / (re.sub(r"[^\w.=]+", "_", name) + ".npz")
            trace = _stored(path) or _search(searcher, table, rule, runs, seed)
            if path is not None and not os.path.lexists(path):
                write_npz(path, trace._asdict())
            done[key] = Runs(table, trace)
        return done[key]

    return search


def _stored(path: Path | None) -> Trace | None:
    """The trace of a file; None = the file is missing, or damaged, and is left alone."""
    if path is None or not path.is_file():
        return None
    try:
        return traces.from_arrays(read_npz(path, require_checksum=True))
    except (TableError, KeyError):
        return None


def _search(searcher: Searcher, table: Table, rule: Protocol, runs: int, seed: int) -> Trace:
    settings = {"label_transform": task.transform_for(table, rule)} | dict(searcher.settings)
    walks = methods.METHODS[settings.get("method", "weaknas")].neighbours
    problem = task.make(table, rule, neighbours=walks)

    def build(chunk: int | None = None):
        counted = rule.predicted_top == "counted"
        return methods.make(
            "gp", encoding=table.encoding, chunk=chunk, predicted_best_first=counted, **settings
        )

    program_settings = Settings(measure=False, rounds_per_call=25)
    return run_many(build, problem, seed, range(runs), program_settings)[0]
