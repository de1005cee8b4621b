"""One choice of a search space: its options, their order and the condition that activates it.

The options of an `integer` are a `range`, so one of 1e12 values takes no memory: options are only
counted, read by index, and looked up.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BIG = 2**15
"""Number of options beyond which an integer is described by its ends and mutated by steps."""
MOST = 2**62
"""Most options of a choice: their indices, and sums of two, must fit into int64."""
_ENDS = 2**63


class SpaceError(ValueError):
    """A space or architecture cannot be used; the message names the choice and the remedy."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """One choice of a search space; made by `categorical`, `ordinal` or `integer`.

    Attributes:
      options: the values in order, a tuple or a range.
      ordered: whether the order of the options means something.
      when: values that earlier choices must have for this one to be active; {} = always active.
      optional: it may be inactive whatever the others are, as in a list of architectures.
    """

    options: Sequence
    ordered: bool
    when: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    optional: bool = False

    @property
    def conditional(self) -> bool:
        """Whether the choice may be inactive."""
        return bool(self.when) or self.optional

    @property
    def numeric(self) -> bool:
        """Whether all options are numbers."""
        return isinstance(self.options, range) or self._table.dtype.kind == "f"

    def place(self, value: Any) -> int | None:
        """The index of a value among the options, None = not an option; True is not 1."""
        if isinstance(self.options, range):
            number = whole(value)
            there = number is not None and number in self.options
            return self.options.index(number) if there else None
        try:
            return self._places.get(_key(value))
        except TypeError:  # neither a text nor a number
            return None

    def values(self, codes: np.ndarray) -> list:
        """Values of codes [N]; None where a code is -1."""
        return [self.options[code] if code >= 0 else None for code in codes.tolist()]

    def column(self, codes: np.ndarray) -> np.ndarray:
        """Values of codes [N] for `expressions`: float64 (NaN = inactive), text or objects."""
        if isinstance(self.options, range):
            numbers = self.options.start + self.options.step * codes.astype(np.float64)
            return np.where(codes < 0, np.nan, numbers)
        table = self._table
        if table.dtype.kind == "U" and (codes < 0).any():
            table = table.astype(object)
            table[-1] = None
        return table[codes]

    def describe(self) -> dict[str, Any]:
        """The choice as JSON of a space file; a range of many values by its ends."""
        options = self.options
        if isinstance(options, range) and len(options) > BIG:
            described = {"integer": [options[0], options[-1], options.step]}
        else:
            described = {"ordinal" if self.ordered else "categorical": list(options)}
        if self.when:
            described["when"] = {name: list(values) for name, values in self.when.items()}
        return described

    @functools.cached_property
    def _places(self) -> dict[tuple, int]:
        return {_key(option): at for at, option in enumerate(self.options)}

    @functools.cached_property
    def _table(self) -> np.ndarray:
        """The options as an array; the last entry, index -1, stands for no value."""
        if all(isinstance(option, str) for option in self.options):
            return np.array([*self.options, ""])
        if not any(isinstance(option, str | bool) for option in self.options):
            return np.array([*self.options, np.nan], np.float64)
        table = np.empty(len(self.options) + 1, object)
        table[:-1] = self.options
        return table


def categorical(*options: Any, when: Mapping[str, Any] | None = None) -> Choice:
    """A choice among unordered ``options``: strings, numbers or booleans.

    >>> op = categorical("conv", "pool")
    >>> op.options, op.ordered
    (('conv', 'pool'), False)

    Args:
      *options: the values, each once.
      when: values that earlier choices must have for it to be active, by name.

    Raises:
      SpaceError: no options, one twice, or one of another type.
    """
    return _choice(options, False, when)


def ordinal(*options: Any, when: Mapping[str, Any] | None = None) -> Choice:
    """A choice among ordered ``options``, taken as evenly spaced; arguments as `categorical`.

    >>> width = ordinal(16, 32, 64, when={"op": "conv"})
    >>> width.options, width.when
    ((16, 32, 64), {'op': ('conv',)})
    """
    return _choice(options, True, when)


def integer(low: int, high: int, step: int = 1, when: Mapping[str, Any] | None = None) -> Choice:
    """A whole number from ``low`` to ``high``, both included, in steps of ``step``.

    Values are not listed, so there may be very many. A constraint reads numbers as float64, which
    tells whole numbers apart up to 2^53.

    >>> list(integer(2, 8, 3).options)
    [2, 5, 8]

    Raises:
      SpaceError: not whole numbers, an empty range, or too many values.
    """
    given = f"integer({low}, {high}, {step})"
    ends = [n for end in (low, high, step) if (n := whole(end)) is not None]
    if len(ends) < 3:
        raise SpaceError(f"{given}: give whole numbers")
    low, high, step = ends
    if step < 1 or high < low:
        raise SpaceError(f"{given}: needs low <= high and step >= 1")
    if max(abs(low), abs(high), step) >= _ENDS or (high - low) // step >= MOST:
        raise SpaceError(f"{given}: has too many values; at most 2^62, between -2^63 and 2^63")
    return Choice(range(low, high + 1, step), True, _condition(when))


def stepped(codes: np.ndarray, options: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Codes [N] moved by random steps, log-uniform in length; ``options`` [N] are counts."""
    furthest = np.maximum(options // 2, 1)
    length = np.exp(rng.random(len(codes)) * np.log(furthest + 1.0)).astype(np.int64)
    length = np.clip(length, 1, furthest)
    up = rng.random(len(codes)) < 0.5
    codes = codes.astype(np.int64)
    up = np.where(codes + length > options - 1, False, np.where(codes - length < 0, True, up))
    return np.clip(np.where(up, codes + length, codes - length), 0, options - 1)


def whole(value: Any) -> int | None:
    """A whole number, such as 3 or 1e9, as an int; None = not a whole number."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return int(value)
    return None


def some(options: Sequence[Any]) -> str:
    """The first options as text for an error message."""
    shown = ", ".join(repr(option) for option in options[:12])
    return shown + (f" and {len(options) - 12:,} more" if len(options) > 12 else "")


def check_value(option: Any) -> None:
    """Raises SpaceError unless ``option`` is a string, a number or a boolean."""
    if not isinstance(option, str | int | float) or option != option:
        raise SpaceError(f"option {option!r}: give texts, numbers or booleans")
    if isinstance(option, int) and abs(option) > 1e300:
        raise SpaceError(f"an option of {int(math.log10(abs(option)))} digits: give a smaller one")


def _choice(options: tuple, ordered: bool, when: Mapping[str, Any] | None) -> Choice:
    for option in options:
        check_value(option)
    if not options or len({_key(option) for option in options}) < len(options):
        raise SpaceError(f"options {some(options)}: give one or more, each of them once")
    return Choice(tuple(options), ordered, _condition(when))


def _condition(when: Mapping[str, Any] | None) -> dict[str, tuple]:
    if when is not None and not isinstance(when, Mapping):
        raise SpaceError(f"when={when!r}: give {{CHOICE: VALUES}}")
    needs = {name: as_tuple(values) for name, values in (when or {}).items()}
    for name, values in needs.items():
        if not values:
            raise SpaceError(f"'when' lists no value of {name!r}: it would never be active")
    return needs


def _key(option: Any) -> tuple:
    return isinstance(option, bool), option  # True is not 1


def as_tuple(values: Any) -> tuple:
    """Values as a tuple; a single one as a tuple of it."""
    if isinstance(values, set | frozenset):  # in an order that is the same in every process
        return tuple(sorted(values, key=lambda value: (type(value).__name__, value)))
    return tuple(values) if isinstance(values, list | tuple | range) else (values,)
