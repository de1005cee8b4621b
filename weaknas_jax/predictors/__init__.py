"""Predictors by name. Registering one here is what offers it as a flag and gets it tested."""

from collections.abc import Callable
from typing import NamedTuple

from weaknas_jax.predictors.gp import gp
from weaknas_jax.predictors.linear import linear
from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.types import Predictor, Scorer

PREDICTORS: dict[str, Callable[..., Predictor | Scorer]] = {
    "mlp": mlp,
    "linear": linear,
    "gp": gp,
}
HAS_DEVIATION = {"linear", "gp"}


class Habits(NamedTuple):
    """What goes with a predictor where nothing else is asked for.

    Attributes:
      label_transform: ``standardize`` (see `protocol.Protocol.normalize`) or ``rank``.
      acquisition: a name in `acquisition.ACQUISITIONS`.
      sampling: ``uniform`` in the top N, the paper's, or the ``greedy`` M best.
      quick: rounds of milliseconds, which measuring the dynamics would slow down manyfold.
    """

    label_transform: str = "standardize"
    acquisition: str = "mean"
    sampling: str = "uniform"
    quick: bool = False


HABITS = {"gp": Habits("rank", "ucb", "greedy", quick=True)}

__all__ = ["HABITS", "HAS_DEVIATION", "PREDICTORS", "Habits", "gp", "linear", "mlp"]
