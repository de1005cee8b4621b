"""BRP-NAS (Dudziak et al., NeurIPS 2020): a pairwise graph network, in stages, then a ranking.

20 random architectures; then, four times, 10 of the best and 10 drawn from the top N / 2^i of the
N (i = 1 ... 4); after each stage the same network is trained on, for 1/5, 2/5 ... of the epochs,
with a new optimiser. With 100 labels training ends, and queries go down the last ranking. It is
`loop.weaknas` with these parts.

Known deviations: the network is the default of `predictors.graph.brp`, whose known deviations hold
here too, or with ``printed`` that of the released code (SamsungLabs, ``eagle``, by its option
``sample_best2``); the best and the drawn are asked for by turns.
"""

from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.core import plan
from weaknas_jax.core.types import Method, Prediction, Scorer, Space
from weaknas_jax.predictors.graph import brp
from weaknas_jax.predictors.refit import need_graphs, score_in_chunks
from weaknas_jax.search import sampling
from weaknas_jax.search.loop import weaknas
from weaknas_jax.search.sampling import Sampler

STAGES = 5


def brp_nas(
    *,
    init: int = 20,
    per_round: int = 20,
    budget: int = 140,
    printed: bool = False,
    width: int | None = None,
    epochs: int | None = None,
    chunk: int | None = None,
) -> Method:
    """BRP-NAS as `Method`.

    >>> brp_nas().sizes
    (20, 20, 20, 20, 20, 20, 20)

    Args:
      init, per_round, budget: see `loop.weaknas`; what the budget leaves after five stages goes to
        the best of the last ranking.
      printed: whether network and training are those of the released code.
      width, epochs: of the network, and of the last stage's training.
      chunk: architectures scored at once, see `refit.refit`.

    Raises:
      ValueError: a size is below 1; or, at the start, the space has no graphs.
    """
    how = brp.PRINTED if printed else brp.CLEAN
    how = how._replace(width=width or how.width, epochs=epochs or how.epochs)

    def stage(asked: jax.Array) -> jax.Array:
        return 1 + jnp.maximum(0, asked - init) // per_round

    return weaknas(
        trained_on(how, stage, chunk),
        init=init,
        per_round=per_round,
        budget=budget,
        sampler=narrowing(stage),
    )


def narrowing(stage: Any) -> Sampler:
    """`sampling.half_best` in the top N / 2^i at stage i, and the best after the last stage.

    Args:
      stage: stages that are over, by the number of queries.
    """
    half, best = sampling.half_best(), sampling.greedy()

    def draw(key, scores, seen, top, batch):
        del top
        over = stage(jnp.sum(seen))
        mixed = half.draw(key, scores, seen, threshold(len(seen), over), batch)
        return jnp.where(over < STAGES, mixed, best.draw(key, scores, seen, 0, batch))

    return Sampler(draw)


def threshold(size: int, stage: jax.Array | int) -> jax.Array:
    """The rank above which stage i draws, of ``size`` architectures: size / 2^i.

    >>> threshold(100, jnp.arange(1, 5)).tolist()
    [50, 25, 12, 6]
    """
    return jnp.maximum(1, size >> jnp.minimum(stage, 30))


def trained_on(how: brp.Settings, stage: Any, chunk: int | None = None) -> Scorer:
    """The network of `brp` as `Scorer` that is trained on in each stage, and not after the last.

    Args:
      how: of the network.
      stage: stages that are over, by the number of queries.
      chunk: see `refit.refit`.
    """

    def init(space: Space, budget: int) -> tuple[jax.Array, brp.Params]:
        del budget
        x = need_graphs(space).contracted.rows(slice(1))
        like = jax.eval_shape(lambda key: brp.init(key, x, how), jax.random.key(0))
        return jnp.bool_(False), jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)

    def update(
        key: jax.Array, state: Any, space: Space, queried: Any, y: Any, mask: Any, indices: Any
    ) -> tuple[Any, Prediction]:
        del indices
        started, before = state
        graphs = need_graphs(space).contracted
        x = graphs.rows(jnp.maximum(queried, 0))
        init_key, train_key = jax.random.split(key)
        fresh = brp.init(init_key, x, how)
        params = jax.tree.map(lambda old, new: jnp.where(started, old, new), before, fresh)
        now = stage(jnp.sum(queried >= 0))
        share = jnp.where(started & (now > STAGES), 0, jnp.minimum(now, STAGES))
        params = brp.train(train_key, params, x, y, mask, how, share, STAGES)
        rows = chunk or plan.first(space.size).chunk
        scores = score_in_chunks(lambda p, x: brp.predict(p, x, how), params, graphs, rows)
        return (jnp.bool_(True), params), scores

    return Scorer(init, update)
