"""Checks of arguments of the Python API: a ValueError that names the argument."""

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import jax

LARGEST_RUN = 2**31 - 1


def is_whole(number: Any) -> bool:
    """Whether a value is an integer of Python or NumPy, and no bool."""
    return isinstance(number, Integral) and not isinstance(number, bool)


def counts(**values: tuple[Any, int]) -> None:
    """Raises ValueError unless each value is None or a whole number of at least its minimum.

    >>> counts(lanes=(2, 1), chunk=(None, 1))
    """
    for name, (value, least) in values.items():
        if value is not None and not (is_whole(value) and value >= least):
            raise ValueError(f"{name}={value!r}: give a whole number, at least {least}")


def finite(least: float | None = None, /, **values: Any) -> None:
    """Raises ValueError unless each value is a finite number, at least ``least``.

    None and arrays, which may be traced, are not checked.
    """
    for name, value in values.items():
        if value is None or isinstance(value, jax.Array):
            continue
        real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not real or (least is not None and value < least):
            bound = "" if least is None else f", at least {least}"
            raise ValueError(f"{name}={value!r}: give a finite number{bound}")


def seed(value: Any) -> None:
    """Raises ValueError unless a seed is a whole number of 32 bits."""
    if not is_whole(value) or not -(2**31) <= value < 2**32:
        raise ValueError(f"seed={value!r}: give a whole number from 0 to {2**32 - 1}")


def runs(values: Any) -> None:
    """Raises ValueError unless ``values`` are distinct run numbers, at least one."""
    sequence = hasattr(values, "__len__") and getattr(values, "ndim", 1) == 1
    if isinstance(values, str | Mapping) or not sequence:
        raise ValueError(f"runs={values!r}: give a list of run numbers, such as range(10)")
    if not len(values):
        raise ValueError("runs is empty: give at least one run number")
    seen: set[int] = set()
    for run in values[:: len(values) - 1 or 1] if isinstance(values, range) else values:
        if not is_whole(run) or not 0 <= run <= LARGEST_RUN:
            raise ValueError(
                f"runs: {run!r} is not a run number; give whole numbers from 0 to {LARGEST_RUN}"
            )
        if int(run) in seen:
            raise ValueError(f"runs: {run} is listed twice; give each run number once")
        seen.add(int(run))
