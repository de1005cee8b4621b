"""Predictors by name. Registering one here is what offers it as a flag and gets it tested."""

import inspect
from collections.abc import Callable
from typing import Any

from weaknas_jax.predictors.linear import linear
from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.types import Number, Predictor

PREDICTORS: dict[str, Callable[..., Predictor]] = {
    "mlp": mlp,
    "linear": linear,
}


def numbers(builder: Callable[..., Any]) -> dict[str, float]:
    """The numeric settings of a builder with their defaults: its keywords of type `Number`.

    >>> numbers(mlp)
    {'learning_rate': 0.001, 'l2': 0.0001}
    """
    keywords = inspect.signature(builder).parameters.values()
    return {k.name: k.default for k in keywords if k.annotation == Number}


__all__ = ["PREDICTORS", "linear", "mlp", "numbers"]
