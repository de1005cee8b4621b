"""Custom search spaces, described by named choices.

    space = Choices(
        {
            "depth": integer(2, 8),
            "width": ordinal(16, 32, 64, 128),
            "op": categorical("conv", "mbconv"),
            "ratio": ordinal(2, 4, 6, when={"op": "mbconv"}),
        },
        constraint="depth * width <= 512",
    )

An architecture is a dict of a value for each choice; a conditional choice (``when``) whose
condition does not hold is *inactive*, its value None. Internally, it is a row of codes: the index
of each value among the options, -1 = inactive. A small space is enumerated; of a large one the
search holds a sample (`spaces.candidates`). A list of architectures is a space too:
`Choices.from_list`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from weaknas_jax.core.types import Space
from weaknas_jax.spaces import choice_columns, expressions, graph_arrays, listed, structures
from weaknas_jax.spaces.choice import (
    Choice,
    SpaceError,
    categorical,
    integer,
    ordinal,
    some,
)
from weaknas_jax.spaces.clock import Clock
from weaknas_jax.spaces.listed import Arch
from weaknas_jax.spaces.structures import Structure

__all__ = ["Arch", "Choice", "Choices", "SpaceError", "categorical", "integer", "ordinal"]

_SAMPLE = 2_000  # architectures
_MOST = 200_000  # most rows of a space that is enumerated


class Choices:
    """A space of named choices.

    Args:
      choices: by name; a condition may only name choices above it. None = inferred
        from ``architectures``: numbers ordered, others categorical, missing or None = inactive.
      constraint: a condition that every architecture must meet: an expression of the choices
        (`expressions`; a comparison with an inactive choice is false), or a function of the
        architecture.
      cost: a value to be small beside a large score, in the same forms; reported, not optimised.
      encoding: a function of the architecture that returns D numbers, for predictors; by default
        options one-hot, ordered ones by their position in [0, 1].
      architectures: dicts, the whole of the space (duplicates count once); a constraint removes
        those that do not meet it.
      structure: a `Cell` or `Chain` that choices are the edges or layers of (`structures`).

    Raises:
      SpaceError: no choices, an unknown name in a condition, constraint, cost or structure, or an
        architecture that is not made of the choices.
    """

    def __init__(
        self,
        choices: Mapping[str, Choice] | None = None,
        *,
        constraint: str | Callable[[Arch], Any] | None = None,
        cost: str | Callable[[Arch], Any] | None = None,
        encoding: Callable[[Arch], Sequence[float]] | None = None,
        architectures: Iterable[Mapping[str, Any]] | None = None,
        structure: Structure | None = None,
    ):
        archs = None if architectures is None else listed.read(architectures)
        self.listed, self._inferred = archs is not None, choices is None and archs is not None
        choices = listed.choices_of(archs) if self._inferred else choices
        if not isinstance(choices, Mapping | None):
            kind = type(choices).__name__
            raise SpaceError(f"choices: give a dict of choices by name; this is a {kind}")
        if not choices:
            raise SpaceError("a space needs at least one choice")
        self.choices = dict(choices)
        self.dtype = _dtype(self.choices.values())
        self._conditions = [self._condition(name) for name in self.choices]
        if encoding is not None and not callable(encoding):
            raise SpaceError(f"encoding={encoding!r}: give a function of the architecture")
        self.constraint, self.cost, self.encoding = constraint, cost, encoding
        self._meets = self._function("constraint", constraint)
        self._costs = self._function("cost", cost)
        self._list = None if archs is None else self._listed(archs)
        self._rows: np.ndarray | None = None
        self.structure, self._blocks = structure, None
        if structure is not None:
            try:
                self._blocks = structures.of_choices(structure, self.choices)
            except SpaceError as error:
                raise SpaceError(f"structure: {error}") from None

    @classmethod
    def from_list(cls, architectures: Iterable[Mapping[str, Any]], **arguments: Any) -> "Choices":
        """The space of a list of architectures, dicts of values by name.

        >>> Choices.from_list([{"op": "conv", "k": 3}, {"op": "pool", "k": None}]).names
        ('op', 'k')

        Args:
          architectures: e.g. ``[{"op": "conv", "width": 16}, {"op": "pool", "width": None}]``.
          **arguments: ``constraint``, ``cost``, ``encoding``, ``structure``, as of `Choices`.
        """
        return cls(architectures=architectures, **arguments)

    def replace(self, **changes: Any) -> "Choices":
        """A copy of the space with some arguments changed."""
        same = {"choices": None if self._inferred else self.choices}
        same |= {"constraint": self.constraint, "cost": self.cost, "encoding": self.encoding}
        same |= {"architectures": self.architectures, "structure": self.structure}
        return type(self)(**same | changes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the choices, in order."""
        return tuple(self.choices)

    @property
    def architectures(self) -> list[Arch] | None:
        """The listed architectures, without duplicates; None where the space is not a list."""
        return None if self._list is None else self.archs(self._list)

    def codes(self, arch: Mapping[str, Any]) -> np.ndarray:
        """The codes of an architecture, whole numbers [choices]; an inactive one may be left out.

        Raises:
          SpaceError: an unknown choice or option, or one that should (not) be inactive.
        """
        if not isinstance(arch, Mapping):
            raise SpaceError(f"architecture {arch!r}: give a dict of a value for each choice")
        if unknown := [name for name in arch if name not in self.choices]:
            raise SpaceError(f"no choice {unknown[0]!r}; there are {', '.join(self.names)}")
        row = np.full((1, len(self.choices)), -1, self.dtype)
        for at, (name, choice) in enumerate(self.choices.items()):
            value, active = arch.get(name), bool(self._active(row, at)[0])
            if active != (value is not None) and not (active and choice.optional):
                what = "needs a value" if active else "is inactive here, it has no value"
                raise SpaceError(f"choice {name!r} {what}: {dict(arch)}")
            if value is not None:
                row[0, at] = self._place(name, value)
        return row[0]

    def arch(self, codes: np.ndarray) -> Arch:
        """The architecture of codes [choices]; the inverse of `codes`."""
        return self.archs(codes[None])[0]

    def archs(self, codes: np.ndarray) -> list[Arch]:
        """The architectures of codes [N, choices]."""
        pairs = zip(self.choices.values(), codes.T, strict=True)
        columns = [choice.values(column) for choice, column in pairs]
        return [dict(zip(self.choices, row, strict=True)) for row in zip(*columns, strict=True)]

    def columns(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """The values of codes [N, choices] by choice, as `expressions` reads them."""
        pairs = zip(self.choices.items(), codes.T, strict=True)
        return {name: choice.column(column) for (name, choice), column in pairs}

    def allowed(self, codes: np.ndarray) -> np.ndarray:
        """Which of codes [N, choices] meet the constraint and are listed, bool [N]."""
        allowed = np.ones(len(codes), bool)
        if self._list is not None:
            allowed &= listed.among(codes, self._list)
        if self._meets is not None and allowed.any():
            met = np.asarray(self._meets(codes[allowed]))
            allowed[allowed] = met.astype(bool) & (met == met)  # NaN counts as false
        return allowed

    def costs(self, codes: np.ndarray) -> np.ndarray | None:
        """The costs of codes [N, choices], float64 [N]; None where the space has no cost."""
        return None if self._costs is None else np.asarray(self._costs(codes), np.float64)

    def remarks(self) -> list[str]:
        """Warnings of architectures excluded only by a missing value, one line for each choice.

        They are estimated from a sample; empty for a constraint that is a function.
        """
        if not isinstance(self.constraint, str):
            return []
        blank = np.full((_SAMPLE, len(self.choices)), -1, self.dtype)
        columns = self.columns(self.complete(blank, np.random.default_rng(0)))
        what = f"constraint={self.constraint!r}, in a sample"
        return expressions.parse(self.constraint, what).remarks(columns)

    def enumerate(self) -> np.ndarray | None:
        """The codes of all allowed architectures, [N, choices]; None = too many to list."""
        if self._list is not None:
            if self._rows is None:
                self._rows = self._list[self.allowed(self._list)]
            return self._rows
        codes = np.zeros((1, 0), self.dtype)
        for at, choice in enumerate(self.choices.values()):
            active = self._active(codes, at)
            count = int(active.sum())
            if count * len(choice.options) + len(active) - count > _MOST:
                return None
            repeats = np.where(active, len(choice.options), 1)
            starts = np.repeat(np.cumsum(repeats) - repeats, repeats)
            column = np.where(np.repeat(active, repeats), np.arange(repeats.sum()) - starts, -1)
            codes = np.column_stack([np.repeat(codes, repeats, axis=0), column])
            codes = codes.astype(self.dtype)
        return codes[self.allowed(codes)]

    def complete(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Codes [N, choices] made consistent.

        Inactive choices become -1, and active ones without an option (-1) are drawn uniformly.
        """
        codes = codes.astype(self.dtype)
        for at, choice in enumerate(self.choices.values()):
            drawn = rng.integers(len(choice.options), size=len(codes))
            filled = np.where(codes[:, at] < 0, drawn, codes[:, at])
            codes[:, at] = np.where(self._active(codes, at), filled, -1)
        return codes

    def space(self, codes: np.ndarray) -> Space:
        """The `Space` of codes [N, choices]: encoding and feature blocks."""
        if self.encoding is not None:
            space = choice_columns.space_of_numbers(self._own_encoding(codes))
        else:
            space = choice_columns.space_of(list(self.choices.values()), codes)
        if self._blocks is None:
            return space
        blocks, names = self._blocks(codes), self.structure.names or self.names
        others = [name for name in self.names if name not in names]
        if others:
            at = [self.names.index(name) for name in others]
            beside = choice_columns.space_of([self.choices[n] for n in others], codes[:, at])
            blocks[structures.OTHERS] = beside.features["effects"]
        return structures.added(space, blocks)

    def graphs(self, codes: np.ndarray) -> graph_arrays.CellGraphs | None:
        """Codes [N, choices] as graphs, for predictors that read them; None = no structure."""
        if self.structure is None:
            return None
        structure, operations = structures.operations_of(self.structure, self.choices)
        return graph_arrays.cell_graphs(structure.graphs(operations(codes)))

    def describe(self) -> dict[str, Any]:
        """The space as JSON that `choices_file` reads; functions by name only."""
        described: dict[str, Any] = {}
        if not self._inferred:
            described["choices"] = {name: c.describe() for name, c in self.choices.items()}
        if self._list is not None:
            described["architectures"] = self.architectures
        if self.structure is not None:
            described["structure"] = self.structure.describe()
        settings = {"constraint": self.constraint, "cost": self.cost, "encoding": self.encoding}
        return described | {
            k: v if isinstance(v, str) else f"function {getattr(v, '__name__', '')}"
            for k, v in settings.items()
            if v is not None
        }

    def needs(self, name: str) -> set[str]:
        """The choices that decide whether a choice is active, and those that they depend on."""
        above = set(self.choices[name].when)
        return above.union(*(self.needs(other) for other in above))

    def _own_encoding(self, codes: np.ndarray) -> np.ndarray:
        archs = self.archs(codes)
        try:
            rows = [np.asarray(self.encoding(arch), np.float64) for arch in archs]
        except (TypeError, ValueError) as error:
            raise SpaceError(f"encoding: gives no numbers ({error})") from error
        if len({row.shape for row in rows}) > 1 or rows[0].ndim != 1 or not len(rows[0]):
            raise SpaceError("encoding: give the same number of numbers for every architecture")
        encoding = np.stack(rows)
        if not np.isfinite(encoding).all():
            bad = int(np.flatnonzero(~np.isfinite(encoding).all(axis=1))[0])
            raise SpaceError(f"encoding: not a number for {archs[bad]}")
        return encoding

    def _condition(self, name: str) -> list[tuple[int, list[int]]]:
        """The choices that decide whether ``name`` is active, with the indices they must have."""
        choice, above = self.choices[name], list(self.choices).index(name)
        if not isinstance(name, str):
            raise SpaceError(f"choice {name!r}: its name must be a text")
        if not isinstance(choice, Choice):
            raise SpaceError(f"choice {name!r}: use categorical(), ordinal() or integer()")
        condition = []
        for other, values in choice.when.items():
            if other not in self.names[:above]:
                raise SpaceError(
                    f"choice {name!r}: its 'when' names {other!r}; name a choice above it"
                )
            at = self.names.index(other)
            condition.append((at, [self._place(other, value) for value in values]))
        return condition

    def _active(self, codes: np.ndarray, at: int) -> np.ndarray:
        """Whether choice ``at`` is active, given the codes of those above it, bool [N]."""
        active = np.ones(len(codes), bool)
        for other, places in self._conditions[at]:
            active &= np.isin(codes[:, other], places)
        return active

    def _place(self, name: str, value: Any) -> int:
        choice = self.choices[name]
        place = choice.place(value)
        if place is None:
            has = some(choice.options)
            raise SpaceError(f"choice {name!r} has no option {value!r}; it has {has}")
        return place

    def _listed(self, archs: Sequence[Arch]) -> np.ndarray:
        rows = []
        for at, arch in enumerate(archs):
            try:
                rows.append(self.codes(arch))
            except SpaceError as error:
                raise SpaceError(f"architectures[{at}]: {error}") from None
        return listed.unique(np.stack(rows))

    def _function(self, what: str, given: str | Callable[[Arch], Any] | None):
        """``given`` as a function of codes [N, choices]."""
        if given is None:
            return None
        if callable(given):
            return lambda codes: self._called(what, given, codes)
        if not isinstance(given, str):
            raise SpaceError(f"{what}={given!r}: give an expression as a text, or a function")
        try:
            expression = expressions.parse(given, f"{what}={given!r}")
            expression(self.columns(np.zeros((1, len(self.choices)), self.dtype)))
        except ValueError as error:
            raise SpaceError(str(error)) from None
        return lambda codes: expression(self.columns(codes))

    def _called(self, what: str, function: Callable[[Arch], Any], codes: np.ndarray) -> np.ndarray:
        """A user's function applied to codes [N, choices]: bool for a constraint, else float64."""
        kind, results = bool if what == "constraint" else _number, []
        clock = Clock(f"{what}: called")
        for arch in self.archs(codes):
            try:
                results.append(kind(function(arch)))
            except ArithmeticError as error:  # the cost of this one is unknown
                if kind is bool:
                    raise _failure(what, arch, error) from error
                results.append(np.nan)
            except Exception as error:
                raise _failure(what, arch, error) from error
            if len(results) % 64 == 0:
                clock(f"for {len(results):,} of {len(codes):,} architectures")
        return np.array(results, bool if kind is bool else np.float64)


def _failure(what: str, arch: Arch, error: Exception) -> SpaceError:
    hint = " (an inactive choice is None)" if None in arch.values() else ""
    return SpaceError(f"{what}: fails by {type(error).__name__}: {error}, for {arch}{hint}")


def _dtype(choices: Iterable[Any]) -> type:
    """The smallest integer type that holds all codes, int16 or larger."""
    most = max((len(c.options) for c in choices if isinstance(c, Choice)), default=1)
    return next(t for t in (np.int16, np.int32, np.int64) if most - 1 <= np.iinfo(t).max)


def _number(value: Any) -> float:
    """A cost as a float; None, an unknown cost, is NaN."""
    return np.nan if value is None else float(value)
