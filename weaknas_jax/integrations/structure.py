"""The space of a study, inferred from its trials: parameters and their conditions.

An objective asks for parameters as it runs, so the space is known only from trials. A
parameter that only some of them have is *conditional*: if the values of one or two parameters of
the same trials tell those that have it from those that have not, these are its condition. Of an
ordered parameter, values that no trial had are read as the nearest that one had.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from weaknas_jax.integrations.levels import Parameter, parameter
from weaknas_jax.spaces.choices import Arch, Choice

LATEST = 10
"""Trials that tell the range of a parameter, and whether one that is not searched varies."""
_PARENTS, _SWITCHES = 2, 2
_LATE = 5, 3  # trials without a parameter, and then with it: it is asked for since then


class Plan(NamedTuple):
    """Parameters that are searched together.

    Attributes:
      distributions: by name, those that others depend on first.
      parameters: the same as levels.
      when: of a conditional parameter the levels of each that it depends on.
      finite: every trial had all of them, and nothing else, from the same lists of values.
      rest: something else varies beside them.
    """

    distributions: dict[str, BaseDistribution]
    parameters: dict[str, Parameter]
    when: Mapping[str, Mapping[str, Collection[int]]]
    finite: bool
    rest: bool

    def choices(self) -> dict[str, Choice]:
        """The space."""
        made = {}
        for name, one in self.parameters.items():
            needs = {
                parent: tuple(self.parameters[parent].choice.options[level] for level in levels)
                for parent, levels in self.when.get(name, {}).items()
            }
            made[name] = dataclasses.replace(one.choice, when=needs)
        return made

    def read(self, values: Mapping[str, Any], *, lacking: bool = False) -> tuple[Arch, bool]:
        """Those of ``values`` that the space has a use for, and whether they are all it needs.

        Args:
          values: of parameters by name, as Optuna has them.
          lacking: what is needed and not among them counts as the middle one of its levels, as in
            trials from before it was asked for.

        Returns:
          Options of the space's choices by name, without those that are inactive.
        """
        levels, complete = {}, True
        for name, one in self.parameters.items():
            needs = self.when.get(name, {})
            active = all(levels.get(parent) in allowed for parent, allowed in needs.items())
            undecided = not lacking and any(parent not in values for parent in needs)
            if name in values and (active or undecided):
                try:
                    levels[name] = one.place(values[name])
                except (ValueError, TypeError):  # out of range, or not among the values
                    complete = False
            elif active:
                complete &= lacking
                levels |= {name: len(one.values) // 2} if lacking else {}
        options = {name: self.parameters[name].choice.options[at] for name, at in levels.items()}
        return options, complete

    def stored(self, values: Mapping[str, Any]) -> dict[str, float]:
        """The ``values`` of parameters in the space, as Optuna stores them."""
        distributions = self.distributions
        return {
            name: float(distributions[name].to_internal_repr(values[name]))
            for name in distributions
            if name in values
        }


class Structure:
    """Reads trials as they complete, and infers their common parameters."""

    def __init__(self):
        self._trials: dict[int, FrozenTrial] = {}
        self._alike = True
        self._plans: dict[Any, tuple[int, Plan]] = {}

    def add(self, trials: Iterable[FrozenTrial]) -> None:
        """Records completed trials; known ones are skipped."""
        for trial in trials:
            if trial.number not in self._trials:
                self._trials[trial.number] = trial
                first = next(iter(self._trials.values()))
                self._alike &= trial.distributions == first.distributions

    def plan(self, names: Collection[str] | None = None) -> Plan:
        """The parameters searched together; ``names``: only these."""
        if names is not None and set(names) == set(self.plan().distributions):
            return self.plan()
        key = names if names is None else frozenset(names)
        count, plan = self._plans.get(key, (-1, None))
        if count != len(self._trials):
            plan = self._planned(names)
            self._plans[key] = len(self._trials), plan
        return plan

    def _planned(self, names: Collection[str] | None) -> Plan:
        trials = [self._trials[number] for number in sorted(self._trials)]
        distributions = _distributions(trials)
        wanted = {n: d for n, d in distributions.items() if names is None or n in names}
        parameters = {name: parameter(d) for name, d in sorted(wanted.items())}
        if self._alike and all(one.whole for one in parameters.values()):
            ordered = {name: wanted[name] for name in parameters}
            rest = _varies(trials, set(distributions) - set(wanted))
            return Plan(ordered, parameters, {}, finite=not rest, rest=rest)
        when = _conditions(trials, parameters)
        depth: dict[str, int] = {}
        for name, needs in when.items():
            depth[name] = max((1 + depth[parent] for parent in needs), default=0)
        order = sorted(when, key=lambda name: (depth[name], name))
        together = {name: wanted[name] for name in order}
        return Plan(
            together,
            {name: parameters[name] for name in order},
            {name: needs for name, needs in when.items() if needs},
            finite=False,
            rest=_varies(trials, set(distributions) - set(together)),
        )


def _distributions(trials: list[FrozenTrial]) -> dict[str, BaseDistribution]:
    """Distributions of parameters with several values: the union of the `LATEST` trials'."""
    history: dict[str, list[BaseDistribution]] = {}
    for trial in reversed(trials):
        for name, distribution in trial.distributions.items():
            some = history.setdefault(name, [])
            if len(some) < LATEST:
                some.append(distribution)
    merged = {name: _union(some) for name, some in history.items()}
    return {
        name: distribution for name, distribution in merged.items() if not distribution.single()
    }


def _union(some: list[Any]) -> BaseDistribution:
    """The first of ``some``, widened by those of the others that are of its kind."""
    latest = some[0]
    if isinstance(latest, CategoricalDistribution) or all(one == latest for one in some):
        return latest

    def fits(one: Any) -> bool:
        if (type(one), one.log, one.step) != (type(latest), latest.log, latest.step):
            return False
        shift = (one.low - latest.low) / latest.step if latest.step else 0.0
        return abs(shift - round(shift)) < 1e-6

    alike = [one for one in some if fits(one)]
    low, high = min(one.low for one in alike), max(one.high for one in alike)
    return type(latest)(low, high, log=latest.log, step=latest.step)


def _varies(trials: list[FrozenTrial], names: Collection[str]) -> bool:
    """Whether one of ``names`` had several values in the latest trials."""
    values = {name: [t.params[name] for t in trials if name in t.params] for name in names}
    return any(
        len(some) < 2 or any(value != some[-1] for value in some[-LATEST:])
        for some in values.values()
    )


def _conditions(
    trials: list[FrozenTrial], parameters: Mapping[str, Parameter]
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Conditions of the parameters that can be searched together; {} = unconditional."""
    levels = {name: _levels(trials, one, name) for name, one in parameters.items()}
    has = {name: np.array([name in t.params for t in trials], bool) for name in parameters}
    when: dict[str, dict[str, tuple[int, ...]]] = {}
    for name in sorted(parameters, key=lambda name: (-has[name].sum(), name)):
        above = {parent: levels[parent] for parent in when if (has[parent] >= has[name]).all()}
        since = int(has[name].argmax())
        late = since >= _LATE[0] and len(trials) - since >= _LATE[1] and has[name][since:].all()
        needs = {} if late else _condition(has[name], above, parameters)
        if needs is None and has[name][since:].all():
            needs = {}
        if needs is None:
            later = {parent: column[since:] for parent, column in above.items()}
            needs = _condition(has[name][since:], later, parameters)
        if needs is not None:
            when[name] = needs
    return when


def _levels(trials: list[FrozenTrial], one: Parameter, name: str) -> np.ndarray:
    """The level of a parameter in each trial, int [trials]; -1 = absent, or not a level."""
    levels = np.full(len(trials), -1)
    for at, trial in enumerate(trials):
        if name in trial.params:
            try:
                levels[at] = one.place(trial.params[name])
            except (ValueError, TypeError):
                continue
    return levels


def _condition(
    has: np.ndarray, above: Mapping[str, np.ndarray], parameters: Mapping[str, Parameter]
) -> dict[str, tuple[int, ...]] | None:
    """The levels of each parent that tell trials that ``has`` it from the others; None = no such.

    Args:
      has: bool [trials].
      above: of each possible parent its levels, int [trials].
    """
    needs, open_ = {}, ~has
    while open_.any():
        if len(needs) == _PARENTS:
            return None
        best = None
        for parent, column in above.items():
            seen = np.unique(column[has])
            if seen.max() < 0:
                continue
            separated = open_ & ~np.isin(column, seen)
            if not separated.any():
                continue
            allowed, switches = _allowed(seen, np.unique(column[separated]), parameters[parent])
            options = len(parameters[parent].values)
            if switches > _SWITCHES and options > 16:
                continue
            rank = -separated.sum(), switches, options
            if best is None or rank < best[0]:
                best = rank, parent, allowed, separated
        if best is None:
            return None
        _, parent, allowed, separated = best
        needs[parent], open_ = allowed, open_ & ~separated
    return needs


def _allowed(with_it: np.ndarray, without: np.ndarray, one: Parameter) -> tuple[tuple, int]:
    """The levels at which a parameter is asked for, and how often that changes along them."""
    with_it, without = with_it[with_it >= 0], without[without >= 0]
    if not one.choice.ordered or not len(without):
        levels = with_it if len(without) else np.arange(len(one.values))
        return tuple(map(int, levels)), 1
    every = np.arange(len(one.values))[:, None]
    allowed = abs(every - with_it).min(axis=1) <= abs(every - without).min(axis=1)
    return tuple(map(int, np.flatnonzero(allowed))), int(np.sum(allowed[1:] != allowed[:-1]))
