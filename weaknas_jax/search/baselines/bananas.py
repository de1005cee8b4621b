"""BANANAS (White et al., AAAI 2021): an ensemble on path encodings, and mutations of the best.

Five networks of ten layers of twenty on the path encoding, independent Thompson sampling, and
candidates one edit away from the best evaluated. It is `loop.weaknas` with these parts. Known
deviations: paths are those of the space's ``paths`` block, square roots of counts without skips (a
space without such a block has its encoding); the loss is the
squared error of standardized labels, not a percentage; training follows `predictors.mlp` (at most
100 epochs, batches of 32); all neighbours of the best are candidates, not a draw of 100 of them.
"""

from collections.abc import Sequence

from weaknas_jax.core.types import Method
from weaknas_jax.predictors import refit
from weaknas_jax.predictors.ensemble import ensemble
from weaknas_jax.search import acquisition, sampling
from weaknas_jax.search.loop import weaknas


def bananas(
    *,
    init: int = 10,
    per_round: int = 10,
    budget: int = 200,
    parents: int = 10,
    members: int = 5,
    hidden: Sequence[int] = (20,) * 10,
    chunk: int | None = None,
) -> Method:
    """BANANAS as `Method`.

    >>> bananas(init=10, per_round=10, budget=25).sizes
    (10, 10, 5)

    Args:
      init, per_round, budget, chunk: see `loop.weaknas` and `refit.refit`.
      parents: number of the best evaluated whose neighbours are candidates.
      members, hidden: number of networks, and widths of their layers.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no neighbours.
    """
    networks = ensemble(members, hidden, learning_rate=1e-2, widths=(32,))
    return weaknas(
        refit.refit(networks, chunk, block="paths"),
        init=init,
        per_round=per_round,
        budget=budget,
        acquisition=acquisition.its(),
        sampler=sampling.greedy(),
        near_best=parents,
    )
