"""Elementwise operations on columns with missing values (None or NaN)."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np


def compare(operation: Callable[..., Any], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``operation(a, b)`` elementwise, bool; False where either is missing."""
    kinds = np.asarray(a).dtype.kind, np.asarray(b).dtype.kind
    if kinds == ("U", "U"):
        return operation(a, b)
    if "O" not in kinds and "U" not in kinds:
        return operation(number(a), number(b)) & present(a) & present(b)

    def one(x: Any, y: Any) -> bool:
        if absent(x) or absent(y):
            return False
        if isinstance(x, str) != isinstance(y, str):
            return operation is operator.ne
        return bool(operation(x, y))

    return np.asarray(np.frompyfunc(one, 2, 1)(a, b), bool)


def number(value: np.ndarray) -> np.ndarray:
    """Values as float64; NaN where missing or text."""
    value = np.asarray(value)
    if value.dtype.kind in "OU":
        value = np.asarray(np.frompyfunc(lambda x: x if is_number(x) else np.nan, 1, 1)(value))
    return np.asarray(value, np.float64)


def truth(value: np.ndarray) -> np.ndarray:
    """Truth of each value as in Python, bool; False where missing."""
    value = np.asarray(value)
    return (value != "" if value.dtype.kind == "U" else value.astype(bool)) & present(value)


def present(value: np.ndarray) -> np.ndarray:
    """Whether each value is there, bool."""
    value = np.asarray(value)
    if value.dtype.kind == "O":
        return ~np.asarray(np.frompyfunc(absent, 1, 1)(value), bool)
    return np.ones(value.shape, bool) if value.dtype.kind == "U" else ~np.isnan(value)


def absent(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def is_number(value: Any) -> bool:
    """Whether a value is a real number or a bool, of Python or NumPy."""
    return isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating)
