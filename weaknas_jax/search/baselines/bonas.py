"""BONAS (Shi et al., NeurIPS 2020): graph convolutions, Bayesian regression, mutants of the best.

In each round the `predictors.graph.bonas` is fitted anew, and the candidates with the highest
``mean + 0.5 deviation`` are asked for. It is `loop.weaknas` with these parts. Known deviations from
the released code (github.com/pipilurj/BONAS), which searches DARTS cells: it begins with 100, draws
100 candidates and asks for 100 in a round, too coarse for tables, so that the sizes here are those
of `bananas`; its evolution takes the best of a tournament of 10 in a population of 30 evaluated,
first in first out, and mutates it 30,000 times at random, where the candidates here are all
neighbours of the ten best evaluated; the predictor is the ``clean`` one, on ranks. Its printed
bound cannot run (``^`` stands for powers).
"""

from weaknas_jax.core.types import Method
from weaknas_jax.predictors.graph import bonas as network
from weaknas_jax.search import acquisition, label_transforms, sampling
from weaknas_jax.search.loop import weaknas


def bonas(
    *,
    init: int = 10,
    per_round: int = 10,
    budget: int = 200,
    parents: int = 10,
    epochs: int = 100,
    width: int = 64,
    chunk: int | None = None,
) -> Method:
    """BONAS as `Method`.

    >>> bonas(init=10, per_round=10, budget=25).sizes
    (10, 10, 5)

    Args:
      init, per_round, budget, chunk: see `loop.weaknas` and `refit.refit`.
      parents: number of the best evaluated whose neighbours are candidates.
      epochs, width: of the network.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no neighbours or no graphs.
    """
    return weaknas(
        network.bonas(epochs=epochs, width=width, chunk=chunk),
        init=init,
        per_round=per_round,
        budget=budget,
        transform=label_transforms.rank_normal,
        acquisition=acquisition.ucb(beta=0.5, patience=1e6),
        sampler=sampling.greedy(),
        near_best=parents,
    )
