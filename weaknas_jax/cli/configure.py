"""From the values of flags to a search that can be compiled."""

import functools
import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import numpy as np

from weaknas_jax.core import plan, protocol
from weaknas_jax.core.types import Method, numbers
from weaknas_jax.measures import repeats
from weaknas_jax.predictors import PREDICTORS, Habits, habits_of
from weaknas_jax.runs import task
from weaknas_jax.runs.lanes import Settings
from weaknas_jax.search import label_transforms, methods
from weaknas_jax.search.acquisition import ACQUISITIONS
from weaknas_jax.search.methods import CHOICES
from weaknas_jax.search.sampling import NOT_IN_THE_TOP, SAMPLINGS
from weaknas_jax.tables import Table, TableError, constraints, load_table
from weaknas_jax.tables import registry as shipped

NUMBERS = {
    f"--{flag}={name}": numbers(builder)
    for flag, registry in (
        ("predictor", PREDICTORS),
        ("acquisition", ACQUISITIONS),
        ("sampling", SAMPLINGS),
    )
    for name, builder in registry.items()
}
"""The numeric settings that each choice brings, with their defaults."""


class Configured(NamedTuple):
    """A search, and what is to be said of it.

    Attributes:
      table, protocol, problem: what is searched, under which rules.
      build: ``build(chunk=..., **point) -> Method``.
      point: numeric settings by name.
      settings: of the program.
      seeds: how many runs are wanted.
      lanes: that suit the predictor; None = any, the plan decides.
      said: what the summary says of the method.
      table_sha256: of the file that --table names.
      cost: float64 [N], what --cost says of each architecture; None = nothing.
      notes: what is to be said before it begins.
    """

    table: Table
    protocol: protocol.Protocol
    problem: task.Task
    build: Callable[..., Method]
    point: dict[str, float]
    settings: Settings
    seeds: int
    lanes: int | None
    said: dict[str, Any]
    table_sha256: str | None
    cost: np.ndarray | None
    notes: tuple[str, ...]


def configure(values: Mapping[str, Any]) -> Configured:
    """The search that the flags name.

    Args:
      values: of all flags, by name.

    Raises:
      ValueError: they do not fit together, or the table cannot be had; names the flag or file.
    """
    flag = SimpleNamespace(**values)
    which = flag.space, flag.dataset, flag.table_version, flag.table
    table, sha256 = load(*which, flag.constraint, flag.minimize)
    habits, notes = _fill_in(flag, table)
    _check_numbers(flag, table)
    cost = None if flag.cost is None else constraints.cost(table, flag.cost)
    rule, point = _rules(flag, table), _point(flag, table, habits)
    searches = flag.method in methods.USES_PREDICTOR
    sizes = {name: getattr(flag, name) for name in ("init", "per_round", "budget")}

    transform = task.transform_for(table, rule)
    if flag.label_transform == "rank":
        transform = label_transforms.rank_normal

    def build(chunk: int | None = None, **number: float) -> Method:
        return methods.make(
            flag.predictor,
            method=flag.method,
            encoding=table.encoding,
            label_transform=transform,
            acquisition=flag.acquisition,
            sampling=flag.sampling,
            chunk=chunk,
            predicted_best_first=rule.predicted_top == "counted",
            near_best=flag.near_best,
            pseudo_labels=flag.pseudo_labels,
            **sizes,
            **number,
        )

    build(**point)  # what is missing or refused shows now
    whole, _ = load(*which, minimize=flag.minimize)
    if flag.constraint is not None:
        notes += constraints.remarks(whole, flag.constraint)
    problem = _problem(
        *(*which, sha256, flag.constraint, flag.minimize),
        *(rule, flag.features, flag.without),
        flag.method in methods.USES_NEIGHBOURS or flag.near_best > 0,
    )
    _check_repeats(flag, problem)
    return Configured(
        table=table,
        protocol=rule,
        problem=problem,
        build=build,
        point=point,
        settings=Settings(
            stop_at_target=flag.stop == "optimum",
            free_look=rule.predicted_top == "free",
            measure=flag.dynamics,
            rounds_per_call=25 if habits.quick else 1,
        ),
        seeds=flag.seeds,
        lanes=plan.cores() if habits.host else None,
        said={
            "constraint": flag.constraint,
            "table_size": len(whole),
            "method": flag.method,
            "predictor": flag.predictor if searches else None,
            **{name: getattr(flag, name) if searches else None for name in CHOICES},
            "features": flag.features,
            "without": flag.without,
            "near_best": flag.near_best,
            "pseudo_labels": flag.pseudo_labels,
            "numbers": point,
            "stop": flag.stop,
            "seed": flag.seed,
            **sizes,
            "top": point["top"],
        },
        table_sha256=sha256,
        cost=cost,
        notes=tuple(notes),
    )


def _fill_in(flag: SimpleNamespace, table: Table) -> tuple[Habits, list[str]]:
    """Puts the habits of the predictor where nothing was asked for.

    Returns:
      The habits, and what is to be said where the table is too small for them.

    Raises:
      ValueError: what was asked for does not go together.
    """
    searches = flag.method in methods.USES_PREDICTOR
    habits = habits_of(flag.predictor if searches else None, table.space)
    habits = methods.HABITS.get(flag.method, habits)
    for name in CHOICES:
        if getattr(flag, name) is None:
            setattr(flag, name, getattr(habits, name))
    if not searches:
        flag.near_best = flag.pseudo_labels = 0
    notes = []
    for name, most in (("budget", len(table)), ("init", flag.budget or len(table))):
        if getattr(flag, name) is None and (usual := getattr(habits, name)) > most:
            setattr(flag, name, most)
            notes.append(f"--{name}={most}: the default, {usual}, is more than there is to ask for")
    for name in ("init", "per_round", "budget", "stop", "seeds"):
        if getattr(flag, name) is None:
            setattr(flag, name, getattr(habits, name))
    if flag.dynamics is None:
        flag.dynamics = not habits.quick
    if searches:
        try:
            methods.check_together(flag.predictor, flag.acquisition)
        except ValueError as error:
            raise ValueError(f"--{error}") from None
    return habits, notes


def load(
    space: str,
    dataset: str | None,
    version: str | None,
    file: str | None,
    constraint: str | None = None,
    minimize: bool | None = None,
) -> tuple[Table, str | None]:
    """The table that the flags name, and the checksum of its file, if it is one.

    Under a ``constraint`` it is that of the architectures that meet it; ``minimize`` is the
    direction of a file that does not state it.

    Raises:
      ValueError: it cannot be had.
    """
    if file is None and space == "table":
        raise TableError("--space=table needs --table=FILE, a canonical table (.npz)")
    if minimize and not file:
        raise TableError(f"--minimize: the accuracies of {space} are maximized; leave it out")
    try:
        sha256 = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
    except OSError:
        sha256 = None  # reading the table tells why
    return _table(space, dataset, version, file, sha256, constraint, minimize), sha256


@functools.lru_cache(maxsize=3)  # a sweep has many searches on few tables
def _whole(space: str, dataset, version, file: str | None, sha256: str | None, minimize) -> Table:
    del sha256  # of the file: another content is another table
    return load_table(file, minimize) if file else shipped.find(space, dataset, version)


@functools.lru_cache(maxsize=3)
def _table(space, dataset, version, file, sha256, constraint, minimize) -> Table:
    table = _whole(space, dataset, version, file, sha256, minimize)
    return table if constraint is None else constraints.constrained(table, constraint)


@functools.lru_cache(maxsize=3)
def _problem(
    space, dataset, version, file, sha256, constraint, minimize, rule, *blocks
) -> task.Task:
    table = _table(space, dataset, version, file, sha256, constraint, minimize)
    return task.make(table, rule, *blocks)


def _point(flag: SimpleNamespace, table: Table, habits: Habits) -> dict[str, float]:
    """The numeric settings: defaults of what was chosen, and the flags in their place."""
    searches, known = flag.method in methods.USES_PREDICTOR, {}
    choices = ("predictor", "acquisition", "sampling") if searches else ()
    for name in choices:
        known |= NUMBERS[f"--{name}={getattr(flag, name)}"]
    known |= {name: value for name, value in habits.numbers.items() if name in known}
    for name in sorted({name for of in NUMBERS.values() for name in of}):
        value = getattr(flag, name, None)
        if value is None or name not in known:
            continue  # of flags that no search reads `idle` tells
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"--{name}={value}: give a finite number, not below 0")
        known[name] = value
    falling = {} if flag.top_end is None else {"top_end": min(flag.top_end, len(table))}
    return {"top": min(flag.top, len(table)), **falling, **known}


def _rules(flag: SimpleNamespace, table: Table) -> protocol.Protocol:
    """The protocol that the flags name, for this table."""
    switches = {name: getattr(flag, name) for name in protocol.CHOICES}
    if table.test is None:
        for name, blind in (("target", "valid"), ("report", "best_valid")):
            if switches[name] not in (None, blind):
                raise TableError(
                    f"--{name}={switches[name]}: {flag.table} has no field 'test'; "
                    f"use --{name}={blind}"
                )
            switches[name] = blind
    if table.signal == "test" and switches["labels"] is None:
        switches["labels"] = "test"
    if switches["report"] == "predicted_best_test" and flag.method not in methods.USES_PREDICTOR:
        raise ValueError(
            f"--report=predicted_best_test needs a predictor, and --method={flag.method} has none"
        )
    return protocol.resolve(flag.protocol, label_noise=flag.label_noise, **switches)


def _check_repeats(flag: SimpleNamespace, problem: task.Task) -> None:
    """Raises ValueError, naming the flag, where repeats at the end would have no effect."""
    if not flag.repeat_top:
        return
    if flag.repeat_top > flag.budget:
        most = f"--repeat_top={flag.repeat_top} is more than --budget={flag.budget}"
        raise ValueError(f"{most}: repeats are of the best few; lower it")
    try:
        repeats.check(np.asarray(problem.scores), flag.label_noise, flag.repeat_top)
    except ValueError as error:
        raise ValueError(f"--{error}") from None


def _check_numbers(flag: SimpleNamespace, table: Table) -> None:
    """Raises ValueError, naming the flag, where the numbers do not fit together."""
    if flag.devices and flag.devices > len(jax.devices()):
        raise ValueError(f"--devices={flag.devices}: there are {len(jax.devices())} here")
    if flag.first_run + flag.seeds > 2**31:
        raise ValueError(f"--first_run={flag.first_run}: run numbers end at {2**31 - 1}")
    most = plan.most_runs(flag.budget, 1 + max(0, flag.budget - flag.init) // flag.per_round)
    if flag.seeds > most:
        raise ValueError(
            f"--seeds={flag.seeds}: this machine's memory holds at most {most:,} runs of "
            f"{flag.budget} queries; do fewer at once, others by --first_run"
        )
    if flag.budget < flag.init:
        raise ValueError(
            f"--budget={flag.budget} is less than --init={flag.init}: "
            "raise --budget or lower --init"
        )
    if flag.budget > len(table):
        those, do = "architectures of the table", "lower --budget"
        if flag.constraint is not None:
            those += f" that meet --constraint={flag.constraint!r}"
            do += " or loosen --constraint"
        raise ValueError(f"--budget={flag.budget} is more than the {len(table):,} {those}; {do}")
    draws = flag.method in methods.USES_PREDICTOR and flag.sampling not in NOT_IN_THE_TOP
    least = min(flag.top, flag.top_end or flag.top)
    if flag.per_round > least and draws:
        name = "top" if least == flag.top else "top_end"
        raise ValueError(
            f"--per_round={flag.per_round} (M) is more than --{name}={least} (N): M architectures "
            f"are drawn from the predicted top N; lower --per_round or raise --{name}"
        )
