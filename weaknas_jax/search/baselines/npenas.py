"""NPENAS (Wei et al., 2020): evolution guided by a graph isomorphism network.

In each round the `predictors.graph.npenas` is fitted anew, and the best by it among mutants of the
best evaluated are asked for. It is `loop.weaknas` with these parts. Known deviations from the
released code (github.com/auroua/NPENASv1): it mutates the best evaluated, one after the other,
until there are 100 candidates whose paths are new, where the candidates here are all neighbours of
the ten best; the predictor is the ``clean`` one, on ranks.
"""

from weaknas_jax.core.types import Method
from weaknas_jax.predictors.graph import npenas as network
from weaknas_jax.search import label_transforms, sampling
from weaknas_jax.search.loop import weaknas


def npenas(
    *,
    init: int = 10,
    per_round: int = 10,
    budget: int = 150,
    parents: int = 10,
    epochs: int = 300,
    width: int = 32,
    chunk: int | None = None,
) -> Method:
    """NPENAS as `Method`.

    >>> npenas(init=10, per_round=10, budget=25).sizes
    (10, 10, 5)

    Args:
      init, per_round, budget, chunk: see `loop.weaknas` and `refit.refit`.
      parents: number of the best evaluated whose neighbours are candidates.
      epochs, width: of the network.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no neighbours or no graphs.
    """
    return weaknas(
        network.npenas(epochs=epochs, width=width, chunk=chunk),
        init=init,
        per_round=per_round,
        budget=budget,
        transform=label_transforms.rank_normal,
        sampler=sampling.greedy(),
        near_best=parents,
    )
