"""Spaces given as a list of architectures: their choices and codes."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from weaknas_jax.spaces.choice import Choice, SpaceError, check_value

Arch = dict[str, Any]


def read(architectures: Any) -> list[Arch]:
    """Copies of listed architectures, checked.

    Raises:
      SpaceError: not a list, empty, or an entry is not a dict of strings, numbers and booleans.
    """
    if isinstance(architectures, str | bytes | Mapping) or not isinstance(architectures, Iterable):
        raise SpaceError("architectures: give a list of architectures, each a dict")
    listed = list(architectures)
    if not listed:
        raise SpaceError("architectures: the list is empty; give one or more")
    for at, arch in enumerate(listed):
        if not isinstance(arch, Mapping):
            raise SpaceError(f"architectures[{at}]: {arch!r} is no dict of a value for each choice")
        for name, value in arch.items():
            if not isinstance(name, str):
                raise SpaceError(f"architectures[{at}]: choice {name!r}: its name must be a text")
            if value is not None:
                try:
                    check_value(value)
                    if value in (math.inf, -math.inf):
                        raise SpaceError("is infinite; give a finite number")
                except SpaceError as error:
                    raise SpaceError(f"architectures[{at}]: choice {name!r}: {error}") from None
    return [dict(arch) for arch in listed]


def choices_of(architectures: Sequence[Arch]) -> dict[str, Choice]:
    """Choices of a space, inferred from its architectures.

    A choice whose values are all numbers is ordered; others are categorical, options in order of
    appearance. A choice that an architecture lacks, or has as None, is inactive there.
    """
    values: dict[str, list] = {}
    for arch in architectures:
        for name, value in arch.items():
            values.setdefault(name, [])
            if value is not None:
                values[name].append(value)
    choices = {}
    for name, those in values.items():
        if not those:
            raise SpaceError(f"architectures: choice {name!r} has no value in any; leave it out")
        numbers = not any(isinstance(value, str | bool) for value in those)
        options = {(isinstance(value, bool), value): value for value in those}.values()
        optional = len(those) < len(architectures)
        options = tuple(sorted(options) if numbers else options)
        choices[name] = Choice(options, ordered=numbers, optional=optional)
    return choices


def unique(codes: np.ndarray) -> np.ndarray:
    """Rows of codes [N, choices] without duplicates, in order of first appearance."""
    first = np.unique(codes, axis=0, return_index=True)[1]
    return codes[np.sort(first)]


def among(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether each of codes [N, choices] is one of ``rows``, bool [N]."""
    names = {row.tobytes() for row in np.ascontiguousarray(rows)}
    codes = np.ascontiguousarray(codes, rows.dtype)
    return np.fromiter((row.tobytes() in names for row in codes), bool, len(codes))


def nearest(rows: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Number of choices in which each row [N, choices] differs from its nearest parent, int [N]."""
    distances = [(rows != parent).sum(axis=1) for parent in parents]
    return np.min(distances, axis=0)
