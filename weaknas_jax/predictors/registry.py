"""Predictors by name: one record each, from which flag, documentation and tests are made."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from weaknas_jax.core.types import Predictor, Scorer, numbers
from weaknas_jax.predictors.ensemble import ensemble, warm_ensemble
from weaknas_jax.predictors.gp import gp
from weaknas_jax.predictors.gp_ml import gp_ml
from weaknas_jax.predictors.graph import gates, neural_predictor
from weaknas_jax.predictors.graph.bonas import bonas
from weaknas_jax.predictors.graph.brp import PRINTED as BRP_PRINTED
from weaknas_jax.predictors.graph.brp import brp
from weaknas_jax.predictors.graph.gp_wl import gp_wl
from weaknas_jax.predictors.knn import knn
from weaknas_jax.predictors.linear import linear
from weaknas_jax.predictors.members import MIXTURE, Members
from weaknas_jax.predictors.mixture import mixture
from weaknas_jax.predictors.mlp import mlp
from weaknas_jax.predictors.trees import forest, gbrt


class PredictorRecord(NamedTuple):
    """A predictor by name: its builder, its inputs and outputs. Calling a record calls its builder.

    Attributes:
      build: the builder; its keywords of type `Number` are numeric settings, and flags.
      title: a description of one line.
      reads: its input: ``encoding``; ``features``, blocks of the space; or its ``graph``.
      deviation: whether it gives a deviation with each score.
      draws: whether it gives draws of the whole function: ``always``, as many as ``asked`` for, or
        ``no``.
      host: whether it is fitted on the host, one fit a core; its builder takes the encoding [N, D].
      scores: how it scores the space: ``in chunks`` of the plan (`core.plan`), or ``at once``.
      takes_chunk: whether its builder takes the chunk, since it scores the space itself.
      members: how to read a state with ``weights``; None = it weighs no members.
      goes_on: whether a fit begins from that of the round before, so that its result depends on
        the order of the labels.
      printed: whether it follows a released program in all that decides its figures, faults
        included; such a one is offered by name, and left out where all predictors are compared.
    """

    build: Callable[..., Predictor | Scorer]
    title: str
    reads: Literal["encoding", "features", "graph"] = "encoding"
    deviation: bool = False
    draws: Literal["no", "asked", "always"] = "no"
    host: bool = False
    scores: Literal["in chunks", "at once"] = "in chunks"
    takes_chunk: bool = False
    members: Members | None = None
    goes_on: bool = False
    printed: bool = False

    def __call__(self, *args: Any, **settings: Any) -> Predictor | Scorer:
        return self.build(*args, **settings)

    @property
    def numbers(self) -> Mapping[str, float]:
        """Its numeric settings with their defaults."""
        return numbers(self.build)


_PROCESS = {"reads": "features", "deviation": True, "scores": "at once"}
_CELLS = {"reads": "graph", "deviation": True, "scores": "at once"}
_MEMBERS = {"deviation": True, "draws": "always"}
_GRAPH = {"reads": "graph", "takes_chunk": True}
PREDICTORS: dict[str, PredictorRecord] = {
    "gp": PredictorRecord(gp, "exact Gaussian process", draws="asked", **_PROCESS),
    "gp_ml": PredictorRecord(
        gp_ml, "Gaussian process with fitted kernel weights", goes_on=True, **_PROCESS
    ),
    "mixture": PredictorRecord(
        mixture,
        "Gaussian processes of several kernels, weighted by the data",
        draws="asked",
        members=MIXTURE,
        **_PROCESS,
    ),
    "gp_wl": PredictorRecord(gp_wl, "Gaussian process on subgraphs (NASBOWL)", **_CELLS),
    "gp_wl_printed": PredictorRecord(
        functools.partial(gp_wl, printed=True),
        "the same, as its authors released it",
        printed=True,
        **_CELLS,
    ),
    "linear": PredictorRecord(linear, "Bayesian ridge regression", deviation=True, draws="asked"),
    "knn": PredictorRecord(knn, "mean of the k nearest"),
    "mlp": PredictorRecord(mlp, "the paper's multilayer perceptron"),
    "mlp_pairwise": PredictorRecord(
        functools.partial(mlp, loss="pairwise"), "the same, with a pairwise ranking loss"
    ),
    "mlp_listwise": PredictorRecord(
        functools.partial(mlp, loss="listwise"), "the same, with a listwise ranking loss"
    ),
    "ensemble": PredictorRecord(ensemble, "five of the paper's perceptrons", **_MEMBERS),
    "warm_ensemble": PredictorRecord(
        warm_ensemble,
        "small perceptrons, trained on from the round before",
        takes_chunk=True,
        goes_on=True,
        **_MEMBERS,
    ),
    "gbrt": PredictorRecord(
        gbrt, "boosted regression trees (XGBoost)", host=True, scores="at once"
    ),
    "forest": PredictorRecord(
        forest,
        "random forest (scikit-learn)",
        deviation=True,
        draws="asked",
        host=True,
        scores="at once",
    ),
    "brp": PredictorRecord(brp, "graph network trained on all pairs (BRP-NAS)", **_GRAPH),
    "brp_printed": PredictorRecord(
        functools.partial(brp, **BRP_PRINTED._asdict()),
        "the same, as its authors released it",
        printed=True,
        **_GRAPH,
    ),
    "bonas": PredictorRecord(
        bonas, "graph convolutions under Bayesian regression (BONAS)", deviation=True, **_GRAPH
    ),
    "bonas_printed": PredictorRecord(
        functools.partial(bonas, printed=True),
        "the same, as its released code has it",
        deviation=True,
        printed=True,
        **_GRAPH,
    ),
    "neural_predictor": PredictorRecord(
        neural_predictor.neural_predictor, "graph network of the Neural Predictor", **_GRAPH
    ),
    "neural_predictor_two_stage": PredictorRecord(
        functools.partial(neural_predictor.neural_predictor, stages=2),
        "the same, behind one that tells the good",
        **_GRAPH,
    ),
    "neural_predictor_printed": PredictorRecord(
        functools.partial(neural_predictor.neural_predictor, **neural_predictor.PRINTED),
        "the Neural Predictor, trained as its re-implementation does",
        printed=True,
        **_GRAPH,
    ),
    "gates": PredictorRecord(gates.gates, "graph network gated by operations, of pairs", **_GRAPH),
    "gates_printed": PredictorRecord(
        functools.partial(gates.gates, **gates.PRINTED),
        "the same, trained as the released code does",
        printed=True,
        **_GRAPH,
    ),
}


def make(
    name: str,
    encoding: np.ndarray | None = None,
    draws: int = 0,
    chunk: int | None = None,
    **settings: Any,
) -> Predictor | Scorer:
    """A registered predictor.

    >>> type(make("linear", noise=0.1)).__name__
    'Predictor'

    Args:
      name: in `PREDICTORS`.
      encoding: [N, D] of a table that does not change, for predictors on the host.
      draws: E, draws of the posterior, for predictors that give them when asked.
      chunk: architectures scored at once, for predictors that score the space themselves.
      **settings: of its builder.
    """
    record = PREDICTORS[name]
    if record.host:
        settings["encoding"] = encoding
    if record.draws == "asked":
        settings["draws"] = draws
    if record.takes_chunk:
        settings["chunk"] = chunk
    return record.build(**settings)
