"""Defaults of a search by method, predictor and space: one table, resolved by `of`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Defaults(NamedTuple):
    """Default settings of a method, predictor and space.

    Attributes:
      label_transform: a name in `label_transforms.TRANSFORMS`.
      acquisition: a name in `acquisition.ACQUISITIONS`.
      sampling: a name in `sampling.SAMPLINGS`.
      init, per_round, budget: M0, M and Q, queries.
      stop: when a run ends, at its ``budget`` or when it has found the ``optimum``.
      seeds: number of runs.
      numbers: numeric settings, in place of their builders' defaults.
      features: blocks that a predictor reads, see `spaces.registry.features`.
      quick: rounds take milliseconds, and measuring the dynamics would slow them down manyfold.
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
    features: str = "space"
    quick: bool = False


class Row(NamedTuple):
    """Settings for some methods, predictors and spaces by name; an empty tuple = all."""

    methods: tuple[str, ...]
    predictors: tuple[str, ...]
    spaces: tuple[str, ...]
    settings: Mapping[str, Any]


_PROCESSES = ("gp", "gp_ml", "mixture", "gp_wl", "gp_wl_printed")
_OF_GRAPHS = ("bonas", "neural_predictor", "neural_predictor_two_stage")
_ONE_BY_ONE = {"per_round": 1, "budget": 1000, "stop": "optimum", "seeds": 20, "quick": True}
TABLE = (
    # A Gaussian process asks for one at a time, by the upper confidence bound on ranked labels.
    Row(("weaknas",), _PROCESSES, (), {"label_transform": "rank", "acquisition": "ucb"}),
    Row(("weaknas",), _PROCESSES, (), {"sampling": "greedy", "init": 1, "per_round": 1}),
    Row(("weaknas",), _PROCESSES, (), {"budget": 400, "stop": "optimum", "seeds": 20}),
    Row(("weaknas",), _PROCESSES, (), {"quick": True}),
    Row(("weaknas",), ("gp", "mixture"), (), {"seeds": 100}),
    Row(("weaknas",), ("mixture",), (), {"features": "all"}),
    Row(
        ("weaknas",),
        ("gp_wl_printed",),
        (),
        {"label_transform": "standardize", "acquisition": "ei"},
    ),
    # The paper's Bayesian-optimisation variant: its acquisition, and constants of its code.
    Row(("weaknas",), ("ensemble",), (), {"acquisition": "ei", "sampling": "greedy"}),
    Row(
        ("weaknas",),
        ("ensemble",),
        (),
        {"numbers": {"calibration": 5.0, "beta": 0.5, "patience": 1e6}},
    ),
    # Predictors that read graphs: a few very poor architectures would rule the squared error.
    Row(("weaknas",), _OF_GRAPHS, (), {"label_transform": "rank"}),
    # BONAS takes the best by its upper confidence bound.
    Row(("weaknas",), ("bonas", "bonas_printed"), (), {"acquisition": "ucb", "sampling": "greedy"}),
    Row(
        ("weaknas",),
        ("bonas", "bonas_printed"),
        (),
        {"numbers": {"beta": 0.5, "patience": 1e6}},
    ),
    # NAS-Bench-101: the paper begins with 100; chosen on it for the processes.
    Row(("weaknas", "random"), (), ("nasbench101",), {"init": 100}),
    Row(("weaknas",), _PROCESSES, ("nasbench101",), {"init": 20, "per_round": 10, "seeds": 20}),
    Row(("weaknas",), ("mixture",), ("nasbench101",), {"features": "space"}),
    Row(("weaknas",), _PROCESSES, ("nasbench101",), {"numbers": {"noise": 0.3, "beta": 2.0}}),
    # Methods without a predictor.
    Row(("evolution", "local_search", "mcts", "lanas"), (), (), _ONE_BY_ONE),
    Row(("evolution", "lanas"), (), (), {"init": 50}),
    Row(("mcts",), (), (), {"init": 1}),
    Row(("bananas",), (), (), {"stop": "optimum", "budget": 300, "seeds": 20}),
    Row(("brp_nas",), (), (), {"init": 20, "per_round": 20, "budget": 140, "seeds": 20}),
    Row(("nasbowl",), (), (), {"per_round": 5, "budget": 160, "stop": "optimum", "seeds": 20}),
    # Jobs: random search and LaNAS ask for as many at a time as there are workers.
    Row(("random", "lanas"), (), ("jobs",), {"per_round": 1}),
    Row(("random",), (), ("jobs",), {"init": 1}),
    # Sub-networks of a supernet: as in the paper, except Gaussian processes.
    Row((), (), ("subnetworks",), {"init": 100, "per_round": 100, "budget": 1000}),
    Row(("weaknas",), _PROCESSES, ("subnetworks",), {"init": 10, "per_round": 1, "budget": 100}),
)
"""Later rows win."""


def of(method: str, predictor: str | None = None, space: str | None = None) -> Defaults:
    """Defaults of a method with a predictor (None = it has none) on a space (None = any).

    >>> of("weaknas", "gp").init, of("weaknas", "gp", "nasbench101").init
    (1, 20)
    """
    settings: dict[str, Any] = {}
    for row in TABLE:
        chosen = ((row.methods, method), (row.predictors, predictor), (row.spaces, space))
        if all(not names or name in names for names, name in chosen):
            settings |= row.settings
    return Defaults(**settings)


def of_jobs(
    method: str, predictor: str | None, *, workers: int, rounds: bool, most: int
) -> Defaults:
    """Defaults of a search with jobs, which keeps its workers busy.

    >>> of_jobs("weaknas", "gp", workers=8, rounds=True, most=1000)[3:6]
    (8, 8, 100)

    Args:
      method, predictor: see `of`.
      workers: jobs at once.
      rounds: whether the results of a round are told together, or else each as it comes.
      most: number of architectures.
    """
    default = of(method, predictor, "jobs")
    return default._replace(
        init=max(4, workers, default.init),
        per_round=max(workers, default.per_round) if rounds else 1,
        budget=min(100, most),
    )
