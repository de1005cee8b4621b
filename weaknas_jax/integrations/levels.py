"""A parameter of Optuna as an ordered or unordered choice of levels.

Parameters whose values can be listed have a level for each of them. Floats without a step, integers
of wide ranges and logarithmic ones are *graded*: their range, in the scale of the distribution, is
divided by `LEVELS` values, and every other value counts as the nearest of them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from weaknas_jax.spaces.choices import Choice, categorical, ordinal

MOST_LEVELS = 1000
"""Values of an ordered parameter that are listed; one that has more is graded."""
LEVELS = 128
"""Of a graded parameter; a logarithmic one that has more values is graded."""


class Parameter(NamedTuple):
    """A parameter as a choice.

    Attributes:
      values: of the levels, as Optuna has them.
      choice: the same as ours, in the same order.
      place: (value) -> its level; ValueError: it is none of the distribution's.
      near: (level, share in [0, 1)) -> a value that counts as that level.
      whole: every value of the distribution is a level.
    """

    values: Sequence[Any]
    choice: Choice
    place: Callable[[Any], int]
    near: Callable[[int, float], Any]
    whole: bool


def parameter(distribution: Any) -> Parameter:
    """The levels of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return _categorical(distribution)
    low, high, step = distribution.low, distribution.high, distribution.step
    if step and (high - low) / step < (LEVELS if distribution.log else MOST_LEVELS):
        return _listed(low, high, step)
    return _graded(distribution)


def _categorical(distribution: CategoricalDistribution) -> Parameter:
    # Of values that are equal, as 1 and True are, Optuna only ever stores the first.
    places = sorted({int(distribution.to_internal_repr(v)) for v in distribution.choices})
    values = [distribution.choices[at] for at in places]
    plain = all(isinstance(value, str | int | float) and value == value for value in values)
    return Parameter(
        values,
        categorical(*(values if plain else map(repr, values))),  # None may be among them
        lambda value: places.index(int(distribution.to_internal_repr(value))),
        lambda level, share: values[level],
        whole=True,
    )


def _listed(low: float, high: float, step: float) -> Parameter:
    values = [min(low + i * step, high) for i in range(round((high - low) / step) + 1)]

    def place(value: Any) -> int:
        at = round((value - low) / step)
        if not 0 <= at < len(values) or abs(values[at] - value) > 1e-6 * step:
            raise ValueError(f"{value} is not one of {low}, {low + step}, ..., {high}")
        return at

    return Parameter(
        values, ordinal(*values), place, lambda level, share: values[level], whole=True
    )


def _graded(distribution: FloatDistribution | IntDistribution) -> Parameter:
    low, high, step = distribution.low, distribution.high, distribution.step
    unit = 1.0 if math.isfinite(float(high) - float(low)) else 0.25

    def share(value: float) -> float:
        """The position of a value in the range, from 0 to 1."""
        if distribution.log:
            return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return (value * unit - low * unit) / (high * unit - low * unit)

    def at(share: float) -> Any:
        """The value of the distribution nearest to a position in the range."""
        if not 0 < share < 1:
            return low if share <= 0 else high
        if distribution.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low * (1 - share) + high * share
        if isinstance(distribution, IntDistribution):
            value = low + step * ((2 * (round(value) - low) + step) // (2 * step))
        elif step:
            value = low + step * round((value - low) / step)
        return min(max(value, low), high)

    values = sorted({at(i / (LEVELS - 1)) for i in range(LEVELS)})
    shares = np.array([share(value) for value in values])
    edges = np.concatenate([[0.0], (shares[1:] + shares[:-1]) / 2, [1.0]])

    def place(value: Any) -> int:
        if not low <= value <= high:
            raise ValueError(f"{value} is not in {low} ... {high}")
        return min(int(np.searchsorted(edges[1:], share(value))), len(values) - 1)

    def near(level: int, share: float) -> Any:
        value = at(edges[level] + share * (edges[level + 1] - edges[level]))
        return value if place(value) == level else values[level]

    return Parameter(values, ordinal(*values), place, near, whole=False)
