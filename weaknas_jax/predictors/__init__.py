"""Predictors by name. Registering one here is what offers it as a flag and gets it tested."""

import functools
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.types import Predictor, Scorer
from weaknas_jax.predictors.ensemble import ensemble, warm_ensemble
from weaknas_jax.predictors.gp import gp
from weaknas_jax.predictors.gp_ml import gp_ml
from weaknas_jax.predictors.knn import knn
from weaknas_jax.predictors.linear import linear
from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.predictors.trees import forest, gbrt

PREDICTORS: dict[str, Callable[..., Predictor | Scorer]] = {
    "gp": gp,
    "gp_ml": gp_ml,
    "linear": linear,
    "knn": knn,
    "mlp": mlp,
    "mlp_pairwise": functools.partial(mlp, loss="pairwise"),
    "mlp_listwise": functools.partial(mlp, loss="listwise"),
    "ensemble": ensemble,
    "warm_ensemble": warm_ensemble,
    "gbrt": gbrt,
    "forest": forest,
}
HAS_DEVIATION = {"linear", "gp", "gp_ml", "ensemble", "warm_ensemble", "forest"}
HAS_DRAWS = {"linear", "gp", "ensemble", "warm_ensemble", "forest"}


class Habits(NamedTuple):
    """What goes with a predictor where nothing else is asked for.

    Attributes:
      label_transform: ``standardize`` (see `protocol.Protocol.normalize`) or ``rank``.
      acquisition: a name in `acquisition.ACQUISITIONS`.
      sampling: a name in `sampling.SAMPLINGS`.
      init, per_round, budget, stop, seeds: sizes of the search, when its runs end, and how many.
      numbers: numeric settings, in place of their builders' defaults.
      quick: rounds of milliseconds, which measuring the dynamics would slow down manyfold.
      host: fitted on the host, one fit a core: as many lanes as there are cores.
    """

    label_transform: str = "standardize"
    acquisition: str = "mean"
    sampling: str = "uniform"
    init: int = 10
    per_round: int = 10
    budget: int = 200
    stop: str = "budget"
    seeds: int = 6
    numbers: Mapping[str, float] = MappingProxyType({})
    quick: bool = False
    host: bool = False


_PROCESS = Habits(
    label_transform="rank",
    acquisition="ucb",
    sampling="greedy",
    init=1,
    per_round=1,
    budget=400,
    stop="optimum",
    seeds=20,
    quick=True,
)
HABITS = {
    "gp": _PROCESS._replace(seeds=100),
    "gp_ml": _PROCESS,
    # The paper's Bayesian-optimisation variant: its acquisition, and constants of its code.
    "ensemble": Habits(
        acquisition="ei",
        sampling="greedy",
        numbers={"calibration": 5.0, "beta": 0.5, "patience": 1e6},
    ),
    "gbrt": Habits(host=True),
    "forest": Habits(host=True),
}

_PROCESS_ON_NASBENCH101 = {"init": 20, "per_round": 10, "seeds": 20}
_PROCESS_ON_NASBENCH101 |= {"numbers": {"noise": 0.3, "beta": 2.0}}
_PAPER_ON_NASBENCH101 = {"init": 100}


def habits_of(predictor: str | None, space: str | None = None) -> Habits:
    """The habits of a predictor (None = of a method without), in a space where it has others."""
    usual = HABITS.get(predictor or "", Habits())
    if space != "nasbench101":
        return usual
    process = predictor in ("gp", "gp_ml")
    return usual._replace(**(_PROCESS_ON_NASBENCH101 if process else _PAPER_ON_NASBENCH101))


def make(
    name: str, encoding: np.ndarray | None = None, draws: int = 0, **settings: Any
) -> Predictor | Scorer:
    """A registered predictor.

    Args:
      name: in `PREDICTORS`.
      encoding: [N, D] of a table that stays, for those that keep it on the host.
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
    "ensemble",
    "forest",
    "gbrt",
    "gp",
    "gp_ml",
    "habits_of",
    "knn",
    "linear",
    "make",
    "mlp",
    "warm_ensemble",
]
