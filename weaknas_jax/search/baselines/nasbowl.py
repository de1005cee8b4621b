"""NASBOWL (Ru et al., ICLR 2021): a Gaussian process on subgraphs, and mutations of the best.

Ten random architectures, then five a round by expected improvement among the mutants of the ten
best. It is `loop.weaknas` with these parts and `predictors.graph.gp_wl`, whose printed form has the
released code's process. That code's incumbent is the observed label of the architecture of the
highest posterior mean; the five are those of the largest *different* expected improvements, so that
no two of equal ones, such as isomorphic cells, are asked for in one round. The clean form, the
default, has labels of ranks, improves on the best label, and picks the five jointly
(`predictors.gp`).

Known deviations: a mutant is one edit away, and all of those of the ten best are candidates, not
100 or 200 draws; no random architectures beside them, which the released code has on NAS-Bench-101;
no architecture is asked for twice.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from weaknas_jax.core.history import History
from weaknas_jax.core.types import Method, Prediction
from weaknas_jax.predictors.graph.gp_wl import gp_wl
from weaknas_jax.search import acquisition, label_transforms, sampling
from weaknas_jax.search.acquisition import Acquisition
from weaknas_jax.search.loop import weaknas
from weaknas_jax.search.sampling import Sampler

_EQUAL = 1e-4  # of two logarithms of expected improvements; ties are broken by less (`keys.jitter`)


def nasbowl(
    *,
    init: int = 10,
    per_round: int = 5,
    budget: int = 160,
    parents: int = 10,
    form: Literal["dot", "oa"] = "dot",
    printed: bool = False,
) -> Method:
    """NASBOWL as `Method`.

    >>> nasbowl(init=10, per_round=5, budget=23).sizes
    (10, 5, 5, 3)

    Args:
      init, per_round, budget: see `loop.weaknas`.
      parents: number of the best evaluated whose neighbours are candidates.
      form, printed: see `gp_wl.gp_wl`.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no neighbours or no graphs.
    """
    process = gp_wl(form=form, printed=printed)
    return weaknas(
        process._replace(select=None) if printed else process,
        init=init,
        per_round=per_round,
        budget=budget,
        transform=label_transforms.TRANSFORMS["standardize" if printed else "rank"].apply,
        acquisition=at_highest_mean(acquisition.ei()) if printed else acquisition.ei(),
        sampler=different() if printed else sampling.greedy(),
        near_best=parents,
    )


def at_highest_mean(inner: Acquisition) -> Acquisition:
    """An acquisition whose best label is that of the evaluated of the highest predicted mean."""

    def score(prediction: Prediction, history: History, key: jax.Array) -> jax.Array:
        means = prediction.mean[jnp.maximum(history.queried, 0)]
        best = jnp.argmax(jnp.where(history.mask, means, -jnp.inf))
        only = jnp.where(jnp.arange(len(means)) == best, history.scores, jnp.nan)
        return inner(prediction, history.replace(scores=only), key)

    return score


def different() -> Sampler:
    """The best unseen architectures of different scores: of equal ones the first.

    Where there are too few, the best of the others follow.

    >>> scores, seen = jnp.array([3.0, 3.0, 1.0, 2.0]), jnp.zeros(4, bool)
    >>> different().draw(None, scores, seen, top=4, batch=3).tolist()
    [0, 3, 2]
    """

    def draw(key, scores, seen, top, batch):
        del key, top
        order = jnp.argsort(jnp.where(seen, jnp.inf, -scores), stable=True)
        values = jnp.where(seen, -jnp.inf, scores)[order]
        step = jnp.append(jnp.inf, values[:-1] - values[1:])
        repeated = jnp.zeros(len(seen), bool).at[order].set(~(step > _EQUAL))
        # Those of a score that is there already come after all others.
        worst = jnp.min(jnp.where(seen, jnp.inf, scores))
        span = jnp.max(values) - worst + 1.0
        return sampling.best(scores - jnp.where(repeated, span, 0.0), seen, batch)

    return Sampler(draw)
