"""BANANAS (White et al., AAAI 2021): an ensemble on path encodings, the best mutated.

Five networks of ten layers of twenty on the path encoding, independent Thompson sampling, and
candidates one edit away from the best that were evaluated. It is `loop.weaknas` with these
parts. Known deviations: paths are those of the space's ``paths`` block, square roots of counts
with skips left out (a space without such a block is described by its encoding); the loss is the
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

    Args:
      init, per_round, budget, chunk: as of `loop.weaknas` and `refit.refit`.
      parents: of how many of the best the neighbours are candidates.
      members, hidden: the networks and their layers.

    Raises:
      ValueError: a size is below 1; or, at the start, the space knows no neighbours.
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
