"""Predictors by name. Registering one here is what offers it as a flag and gets it tested."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.predictors.gp import gp
from weaknas_jax.predictors.linear import linear
from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.predictors.trees import forest, gbrt
from weaknas_jax.types import Predictor, Scorer

PREDICTORS: dict[str, Callable[..., Predictor | Scorer]] = {
    "mlp": mlp,
    "linear": linear,
    "gp": gp,
    "gbrt": gbrt,
    "forest": forest,
}
HAS_DEVIATION = {"linear", "gp", "forest"}
HAS_DRAWS = {"linear", "gp", "forest"}


class Habits(NamedTuple):
    """What goes with a predictor where nothing else is asked for.

    Attributes:
      label_transform: ``standardize`` (see `protocol.Protocol.normalize`) or ``rank``.
      acquisition: a name in `acquisition.ACQUISITIONS`.
      sampling: a name in `sampling.SAMPLINGS`.
      numbers: numeric settings, in place of their builders' defaults.
      quick: rounds of milliseconds, which measuring the dynamics would slow down manyfold.
      host: fitted on the host, one fit a core: as many lanes as there are cores.
    """

    label_transform: str = "standardize"
    acquisition: str = "mean"
    sampling: str = "uniform"
    numbers: Mapping[str, float] = MappingProxyType({})
    quick: bool = False
    host: bool = False


HABITS = {
    "gp": Habits("rank", "ucb", "greedy", quick=True),
    "gbrt": Habits(host=True),
    "forest": Habits(host=True),
}


def make(name: str, encoding: np.ndarray, draws: int = 0, **settings: Any) -> Predictor | Scorer:
    """A registered predictor.

    Args:
      name: in `PREDICTORS`.
      encoding: [N, D] of the table, for those that keep it on the host.
      draws: E, draws of the posterior wanted, for those that do not always give some.
      **settings: of its builder.
    """
    accepted = inspect.signature(PREDICTORS[name]).parameters
    offered = {"encoding": encoding, "draws": draws}
    fitting = {k: v for k, v in offered.items() if k in accepted}
    return PREDICTORS[name](**fitting, **settings)


__all__ = [
    "HABITS",
    "HAS_DEVIATION",
    "HAS_DRAWS",
    "PREDICTORS",
    "Habits",
    "forest",
    "gbrt",
    "gp",
    "linear",
    "make",
    "mlp",
]
