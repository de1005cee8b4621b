"""A space of one's own, described by named choices.

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
condition does not hold is *inactive*, its value None. Inside, it is a row of codes: the place of
each value among the options, -1 = inactive. All of a small space is enumerated; of a large one the
search holds a `spaces.pool`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from weaknas_jax import expressions
from weaknas_jax.spaces import generic
from weaknas_jax.types import Space

Arch = dict[str, Any]
_SAMPLE = 2_000  # architectures
_MOST = 200_000  # rows that are looked at when a space is enumerated


class SpaceError(ValueError):
    """A space or architecture that cannot be used; says which choice or field, and what to do."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """One choice: its options in order, whether the order means something, and its condition."""

    options: tuple
    ordered: bool
    when: Mapping[str, tuple] = dataclasses.field(default_factory=dict)


def categorical(*options: Any, when: Mapping[str, Any] | None = None) -> Choice:
    """One of ``options`` (texts, numbers or booleans), which have no order."""
    return _choice(options, False, when)


def ordinal(*options: Any, when: Mapping[str, Any] | None = None) -> Choice:
    """One of ``options``, in their order, as if evenly spaced."""
    return _choice(options, True, when)


def integer(low: int, high: int, step: int = 1, when: Mapping[str, Any] | None = None) -> Choice:
    """A whole number from ``low`` to ``high``, both included, in steps."""
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (low, high, step)):
        raise SpaceError(f"integer({low}, {high}, {step}): give whole numbers")
    if step < 1 or high < low:
        raise SpaceError(f"integer({low}, {high}, {step}): needs low <= high and step >= 1")
    return _choice(tuple(range(low, high + 1, step)), True, when)


def _choice(options: tuple, ordered: bool, when: Mapping[str, Any] | None) -> Choice:
    for option in options:
        if not isinstance(option, str | int | float) or option != option:
            raise SpaceError(f"option {option!r}: give texts, numbers or booleans")
    if not options or len({_key(option) for option in options}) < len(options):
        raise SpaceError(f"options {options}: give one or more, each of them once")
    needs = {name: _tuple(values) for name, values in (when or {}).items()}
    return Choice(tuple(options), ordered, needs)


def _key(option: Any) -> tuple:
    return isinstance(option, bool), option  # True is not 1


def _tuple(values: Any) -> tuple:
    return tuple(values) if isinstance(values, list | tuple | set | range) else (values,)


class Choices:
    """A space of named choices.

    Args:
      choices: by name; a condition may only name choices above it.
      constraint: what every architecture must meet: an expression of the choices
        (`expressions`; a comparison with an inactive choice is false), or a function of the
        architecture.
      cost: what is to be small beside a large score, likewise; reported, not searched for.
      encoding: a function of the architecture that gives D numbers, for predictors; by default
        options one-hot, ordered ones by their place in [0, 1].

    Raises:
      SpaceError: no choices, or an unknown name in a condition, constraint or cost.
    """

    def __init__(
        self,
        choices: Mapping[str, Choice],
        *,
        constraint: str | Callable[[Arch], Any] | None = None,
        cost: str | Callable[[Arch], Any] | None = None,
        encoding: Callable[[Arch], Sequence[float]] | None = None,
    ):
        if not choices:
            raise SpaceError("a space needs at least one choice")
        self.choices = dict(choices)
        for at, (name, choice) in enumerate(self.choices.items()):
            if not isinstance(choice, Choice):
                raise SpaceError(f"choice {name!r}: use categorical(), ordinal() or integer()")
            for other, values in choice.when.items():
                if other not in list(self.choices)[:at]:
                    raise SpaceError(
                        f"choice {name!r}: its 'when' names {other!r}; name a choice above it"
                    )
                for value in values:
                    self._place(other, value)
        self.constraint, self.cost, self.encoding = constraint, cost, encoding
        self._meets = self._function("constraint", constraint)
        self._costs = self._function("cost", cost)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the choices, in order."""
        return tuple(self.choices)

    def codes(self, arch: Mapping[str, Any]) -> np.ndarray:
        """The codes of an architecture, int16 [choices]; an inactive choice may be left out.

        Raises:
          SpaceError: an unknown choice or option, or one that should (not) be inactive.
        """
        if unknown := [name for name in arch if name not in self.choices]:
            raise SpaceError(f"no choice {unknown[0]!r}; there are {', '.join(self.names)}")
        row = np.full((1, len(self.choices)), -1, np.int16)
        for at, name in enumerate(self.choices):
            value, active = arch.get(name), bool(self._active(row, at)[0])
            if active != (value is not None):
                what = "needs a value" if active else "is inactive here, it has no value"
                raise SpaceError(f"choice {name!r} {what}: {dict(arch)}")
            if active:
                row[0, at] = self._place(name, value)
        return row[0]

    def arch(self, codes: np.ndarray) -> Arch:
        """The architecture of codes [choices]; the inverse of `codes`."""
        pairs = zip(self.choices.items(), codes.tolist(), strict=True)
        return {name: choice.options[at] if at >= 0 else None for (name, choice), at in pairs}

    def allowed(self, codes: np.ndarray) -> np.ndarray:
        """Which of codes [N, choices] meet the constraint, bool [N]."""
        if self._meets is None:
            return np.ones(len(codes), bool)
        found = np.asarray(self._meets(codes))
        return found.astype(bool) & (found == found)  # NaN is no truth

    def costs(self, codes: np.ndarray) -> np.ndarray | None:
        """The costs of codes [N, choices], float64 [N]; None where the space has no cost."""
        return None if self._costs is None else np.asarray(self._costs(codes), np.float64)

    def remarks(self) -> list[str]:
        """Whether the constraint drops architectures for want of a value alone; one line a choice.

        It is told by a sample: a constraint that is a function says nothing of this.
        """
        if not isinstance(self.constraint, str):
            return []
        blank = np.full((_SAMPLE, len(self.choices)), -1, np.int16)
        columns = self._columns(self.complete(blank, np.random.default_rng(0)))
        what = f"constraint={self.constraint!r}, in a sample"
        return expressions.parse(self.constraint, what).remarks(columns)

    def enumerate(self) -> np.ndarray | None:
        """All architectures that are allowed, int16 [N, choices]; None: too many to list."""
        codes = np.zeros((1, 0), np.int16)
        for at, choice in enumerate(self.choices.values()):
            active = self._active(codes, at)
            repeats = np.where(active, len(choice.options), 1)
            if repeats.sum() > _MOST:
                return None
            starts = np.repeat(np.cumsum(repeats) - repeats, repeats)
            column = np.where(np.repeat(active, repeats), np.arange(repeats.sum()) - starts, -1)
            codes = np.column_stack([np.repeat(codes, repeats, axis=0), column]).astype(np.int16)
        return codes[self.allowed(codes)]

    def complete(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Codes [N, choices] made consistent.

        What is inactive becomes -1, and what is active and has no option (-1) is drawn evenly.
        """
        codes = codes.copy()
        for at, choice in enumerate(self.choices.values()):
            drawn = rng.integers(len(choice.options), size=len(codes))
            kept = np.where(codes[:, at] < 0, drawn, codes[:, at])
            codes[:, at] = np.where(self._active(codes, at), kept, -1)
        return codes

    def space(self, codes: np.ndarray) -> Space:
        """What a method may know of codes [N, choices]: encoding and feature blocks."""
        if self.encoding is not None:
            return self._own_space(codes)
        columns, slots = [], []
        for at, choice in enumerate(self.choices.values()):
            code, levels = codes[:, at], len(choice.options)
            if choice.ordered:
                place = np.where(code < 0, 0.5, code / max(1, levels - 1))
                columns.append(place[:, None])
                slots.append((place, None))
                if choice.when:
                    active = np.eye(2)[(code >= 0).astype(int)]
                    columns.append(active[:, 1:])
                    slots.append((active, None))
            else:
                one_hot = np.eye(levels + 1)[code]  # -1 = inactive: the last column
                columns.append(one_hot[:, :levels])
                slots.append((one_hot if choice.when else columns[-1], choice.options))
        features = generic.blocks(slots, len(codes))
        encoding = jnp.asarray(np.hstack(columns), jnp.float32)
        return Space(encoding, {name: jnp.asarray(block) for name, block in features.items()})

    def describe(self) -> dict[str, Any]:
        """What `spacefile` reads; functions are given by name only."""
        described = {}
        for name, choice in self.choices.items():
            described[name] = {"ordinal" if choice.ordered else "categorical": list(choice.options)}
            if choice.when:
                described[name]["when"] = {k: list(v) for k, v in choice.when.items()}
        more = {"constraint": self.constraint, "cost": self.cost, "encoding": self.encoding}
        said = {
            k: v if isinstance(v, str) else f"function {getattr(v, '__name__', '')}"
            for k, v in more.items()
            if v is not None
        }
        return {"choices": described, **said}

    def _own_space(self, codes: np.ndarray) -> Space:
        rows = [np.asarray(self.encoding(self.arch(row)), np.float64) for row in codes]
        if len({row.shape for row in rows}) > 1 or rows[0].ndim != 1:
            raise SpaceError("encoding: give the same number of numbers for every architecture")
        encoding = np.stack(rows)
        if not np.isfinite(encoding).all():
            bad = int(np.flatnonzero(~np.isfinite(encoding).all(axis=1))[0])
            raise SpaceError(f"encoding: not a number for {self.arch(codes[bad])}")
        low, high = encoding.min(axis=0), encoding.max(axis=0)
        places = (encoding - low) / np.where(high > low, high - low, 1.0)
        features = generic.blocks([(place, None) for place in places.T], len(codes))
        features = {name: jnp.asarray(block) for name, block in features.items()}
        return Space(jnp.asarray(encoding, jnp.float32), features)

    def _active(self, codes: np.ndarray, at: int) -> np.ndarray:
        """Whether choice ``at`` is active, given the codes of those above it, bool [N]."""
        active = np.ones(len(codes), bool)
        for other, values in list(self.choices.values())[at].when.items():
            places = [self._place(other, value) for value in values]
            active &= np.isin(codes[:, self.names.index(other)], places)
        return active

    def _place(self, name: str, value: Any) -> int:
        options = self.choices[name].options
        for at, option in enumerate(options):
            if _key(option) == _key(value):
                return at
        raise SpaceError(f"choice {name!r} has no option {value!r}; it has {_some(options)}")

    def _columns(self, codes: np.ndarray) -> dict[str, np.ndarray]:
        """Of each choice the values [N], None = inactive."""
        return {
            name: np.array([*choice.options, None], object)[codes[:, at]]
            for at, (name, choice) in enumerate(self.choices.items())
        }

    def _function(self, what: str, given: str | Callable[[Arch], Any] | None):
        """``given`` as a function of codes [N, choices]."""
        if given is None:
            return None
        if callable(given):
            return lambda codes: np.array([given(self.arch(row)) for row in codes])
        try:
            expression = expressions.parse(given, f"{what}={given!r}")
            expression(self._columns(np.zeros((1, len(self.choices)), np.int16)))
        except ValueError as error:
            raise SpaceError(str(error)) from None
        return lambda codes: expression(self._columns(codes))


def _some(options: Sequence[Any]) -> str:
    shown = ", ".join(repr(option) for option in options[:12])
    return shown + (f" and {len(options) - 12} more" if len(options) > 12 else "")
