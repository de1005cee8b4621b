"""Predictors by name. Registering one here is what offers it as a flag and gets it tested."""

from collections.abc import Callable

from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.types import Predictor

PREDICTORS: dict[str, Callable[..., Predictor]] = {
    "mlp": mlp,
}

__all__ = ["PREDICTORS", "mlp"]
