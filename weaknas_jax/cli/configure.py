"""Builds a search that can be compiled from the values of flags."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np

from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.types import Method
from weaknas_jax.measures import repeats
from weaknas_jax.runs import prepare, task
from weaknas_jax.runs.config import FIELDS, ConfigError, SearchConfig
from weaknas_jax.runs.lanes import Settings
from weaknas_jax.search import methods
from weaknas_jax.search.methods import PARTS
from weaknas_jax.tables import Table, TableError, constraints, load_table, registry

NUMBERS = {
    f"--{part}={name}": record.numbers
    for part, records in PARTS.items()
    for name, record in records.items()
    if record.numbers
}
"""The numeric settings of each choice, with their defaults."""
NUMERIC = sorted({name for numbers in NUMBERS.values() for name in numbers})


class Configured(NamedTuple):
    """A configured search.

    Attributes:
      table, protocol, problem: the table, the evaluation protocol, and the task of both.
      build: ``build(chunk=..., **point) -> Method``.
      point: numeric settings by name.
      settings: settings of the program.
      seeds: number of runs.
      lanes: number of lanes that suits the predictor; None = the plan decides.
      goes_on: whether the predictor's fits go on from the round before.
      record: fields of the summary that describe the method.
      table_sha256: checksum of the file --table.
      cost: float64 [N], --cost of each architecture; None = not asked for.
      notes: messages to print before the search starts.
    """

    table: Table
    protocol: Protocol
    problem: task.Task
    build: Callable[..., Method]
    point: dict[str, float]
    settings: Settings
    seeds: int
    lanes: int | None
    goes_on: bool
    record: dict[str, Any]
    table_sha256: str | None
    cost: np.ndarray | None
    notes: tuple[str, ...]


def search_config(values: Mapping[str, Any], space: str | None = None) -> SearchConfig:
    """The configuration in the values of flags, with defaults not yet filled in.

    Numeric settings that the search does not have are left out; `idle` reports unread flags.

    Raises:
      ConfigError: a value is invalid.
    """
    asked = SearchConfig(**{name: values[name] for name in FIELDS})
    allowed = methods.numeric(**asked.parts(space))
    numbers = {name: values.get(name) for name in NUMERIC if name in allowed}
    return dataclasses.replace(
        asked, numbers={name: value for name, value in numbers.items() if value is not None}
    )


def with_defaults(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values of flags; the default stands for settings added in later versions."""
    default = SearchConfig()
    return {name: getattr(default, name) for name in FIELDS} | dict(stored)


def configure(values: Mapping[str, Any]) -> Configured:
    """Configures the search that the flags describe.

    Args:
      values: values of all flags, by name.

    Raises:
      ValueError: flags contradict each other, or the table cannot be loaded; names either.
    """
    flag = SimpleNamespace(**values)
    source = flag.space, flag.dataset, flag.table_version, flag.table
    table, sha256 = load(*source, flag.constraint, flag.minimize)
    cost = None if flag.cost is None else constraints.cost(table, flag.cost)
    if flag.devices and flag.devices > len(jax.devices()):
        raise ValueError(f"--devices={flag.devices}: this machine has {len(jax.devices())}")

    def problem(rule: Protocol, layout: tuple) -> task.Task:
        return _problem(*source, sha256, flag.constraint, flag.minimize, rule, *layout)

    try:
        search = prepare.prepare(
            table, search_config(values, table.space), problem=problem, constraint=flag.constraint
        )
        _check_repeats(search)
    except ConfigError as error:
        raise ValueError(error.flags) from None
    whole, _ = load(*source, minimize=flag.minimize)
    notes = list(search.notes)
    if flag.constraint is not None:
        notes += constraints.remarks(whole, flag.constraint)
    return Configured(
        table=table,
        protocol=search.protocol,
        problem=search.problem,
        build=search.build,
        point=search.config.point,
        settings=search.settings,
        seeds=search.config.seeds,
        lanes=search.lanes,
        goes_on=search.goes_on,
        record={
            "constraint": flag.constraint,
            "table_size": len(whole),
            **search.config.describe(),
        },
        table_sha256=sha256,
        cost=cost,
        notes=tuple(notes),
    )


def load(
    space: str,
    dataset: str | None,
    version: str | None,
    file: str | None,
    constraint: str | None = None,
    minimize: bool | None = None,
) -> tuple[Table, str | None]:
    """Loads the table that the flags name, and the checksum of its file, if it has one.

    A ``constraint`` restricts it to the architectures that meet it; ``minimize`` is the direction
    for a file that does not state one.

    Raises:
      ValueError: the table cannot be loaded.
    """
    if file is None and space == "table":
        raise TableError("--space=table needs --table=FILE, a canonical table (.npz)")
    if minimize and not file:
        raise TableError(f"--minimize: the accuracies of {space} are maximized; leave it out")
    try:
        sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except OSError:
        sha256 = None  # reading the table below reports why
    return _table(space, dataset, version, file, sha256, constraint, minimize), sha256


@functools.lru_cache(maxsize=3)  # a sweep runs many searches on few tables
def _whole(space: str, dataset, version, file: str | None, sha256: str | None, minimize) -> Table:
    del sha256  # part of the cache key: other content is another table
    return load_table(file, minimize) if file else registry.find(space, dataset, version)


@functools.lru_cache(maxsize=3)
def _table(space, dataset, version, file, sha256, constraint, minimize) -> Table:
    table = _whole(space, dataset, version, file, sha256, minimize)
    return table if constraint is None else constraints.constrained(table, constraint)


@functools.lru_cache(maxsize=3)
def _problem(
    space, dataset, version, file, sha256, constraint, minimize, rule, *layout
) -> task.Task:
    table = _table(space, dataset, version, file, sha256, constraint, minimize)
    return task.make(table, rule, *layout)


def _check_repeats(search: prepare.Search) -> None:
    """Raises ValueError, naming the flag, where repeats at the end would have no effect."""
    settings = search.config
    if not settings.repeat_top:
        return
    try:
        scores = np.asarray(search.problem.scores)
        repeats.check(scores, settings.label_noise, settings.repeat_top)
    except ValueError as error:
        raise ValueError(f"--{error}") from None
