"""The weak-predictor loop (WeakNAS, section 3.1, eq. 3-6). Read this file first.

    ask    M0 random architectures, then, round by round, M drawn from the predicted top N
    tell   record the scores, refit the predictor on everything known, score the whole space

The paper's answer is the best architecture by the *final* predictor, so every `tell` refits, the
last one included. A single strong predictor on uniform samples (Figure 1) is the setting
``init = budget``: one round, then the answer.

Random numbers: a run has one key; its use in round t is ``fold_in(fold_in(key, purpose), t)``.
The initial architectures thus depend on the run alone, whatever predictor or setting follows, and
runs of two methods can be compared in pairs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core import history, ranking
from weaknas_jax.core.keys import ACQUIRE, DESIGN, FIT, SAMPLE, key_for
from weaknas_jax.core.types import Info, Method, Number, Prediction, Scorer, Space
from weaknas_jax.search import acquisition, label_transforms, sampling
from weaknas_jax.search.acquisition import Acquisition
from weaknas_jax.search.sampling import Sampler


class State(struct.PyTreeNode):
    """All that a run knows.

    Attributes:
      key: the run's key.
      space: what is known of all architectures.
      history: what was asked and told.
      labels: float32 [Q], the scores as the predictor was last given them.
      scorer: the scorer's own state.
      prediction: its latest scores [N], zeros before the first `tell`.
    """

    key: jax.Array
    space: Space
    history: history.History
    labels: jax.Array
    scorer: Any
    prediction: Prediction


def weaknas(
    scorer: Scorer,
    *,
    init: int = 10,
    per_round: int = 10,
    top: Number = 100,
    budget: int = 200,
    transform: Callable[[jax.Array, jax.Array], jax.Array] = label_transforms.standardize_observed,
    predicted_best_first: bool = False,
    acquisition: Acquisition = acquisition.mean(),  # noqa: B008
    sampler: Sampler = sampling.uniform(),  # noqa: B008
    top_end: Number | None = None,
    near_best: int = 0,
) -> Method:
    """WeakNAS as `Method`.

    Args:
      scorer: learns and scores, e.g. ``refit.refit(predictors.mlp())``.
      init: M0, random architectures of the first round.
      per_round: M, queries of each later round.
      top: N, the predicted best among which they are drawn; may be traced.
      budget: Q, all queries.
      transform: label transform, applied to the known scores before each fit.
      predicted_best_first: the best predicted unseen architecture is the first of the M.
      acquisition: what architectures are ranked by.
      sampler: how the M are drawn by it; one that asks for the best leaves that to the scorer's
        own `select`, if there is one.
      top_end: N of the last round, where N falls from ``top`` to it (`sampling.schedule`).
      near_best: only neighbours of so many of the best evaluated are candidates, in place of the
        whole space: local search as the sampler (appendix G); 0 = all are.

    Raises:
      ValueError: at the start, ``near_best`` is asked for and the space knows no neighbours.
    """
    sizes = history.round_sizes(init, per_round, budget)
    batch = max(sizes)

    def start(key: jax.Array, space: Space) -> State:
        if near_best:
            space.need_neighbours(f"weaknas with near_best={near_best}")
        state, known = scorer.init(space, budget), history.begin(space, budget)
        nothing = jnp.full(batch, -1, jnp.int32)
        arguments = key, state, space, known.queried, known.scores, known.mask, nothing
        _, prediction = jax.eval_shape(scorer.update, *arguments)
        prediction = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), prediction)
        return State(key, space, known, jnp.zeros(budget), state, prediction)

    def current_top(round_: jax.Array) -> Number:
        if top_end is None:
            return top
        tops = sampling.schedule(top, top_end, max(1, len(sizes) - 1))
        return tops[jnp.clip(round_ - 1, 0, len(tops) - 1)]

    def first(state: State) -> jax.Array:
        key = key_for(state.key, DESIGN, state.history.round)
        return sampling.draw(key, state.history.seen, batch)

    def chosen(state: State) -> jax.Array:
        known, prediction = state.history, state.prediction
        key = key_for(state.key, ACQUIRE)
        told = known.replace(scores=jnp.where(known.mask, state.labels, jnp.nan))
        most = max(sizes[1:], default=1)  # the initial round may be larger
        closed = known.seen
        if near_best:
            closed |= ~sampling.near_best(state.space, known, near_best, most)

        def score(prediction: Prediction) -> jax.Array:
            return acquisition(prediction, told, key)

        if sampler.greedy and scorer.select is not None:
            count = history.quota(known, sizes)
            arguments = score, prediction, closed, most, count
            indices = scorer.select(state.scorer, state.space, *arguments)
            indices = jnp.pad(indices, (0, batch - most), constant_values=-1)
        else:
            key = key_for(state.key, SAMPLE, known.round)
            now = current_top(known.round)
            indices = sampler.draw(key, score(prediction), closed, now, batch)
        if predicted_best_first:
            indices = sampling.best_first(indices, ranking.positions(prediction.mean), closed)
        return indices

    def ask(state: State) -> tuple[State, jax.Array]:
        indices = jax.lax.cond(state.history.round == 0, first, chosen, state)
        asked, indices = history.ask(state.history, indices, sizes)
        return state.replace(history=asked), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        known = history.tell(state.history, indices, scores)
        key = key_for(state.key, FIT, known.round)
        y = transform(known.scores, known.mask)
        learnt, prediction = scorer.update(
            key, state.scorer, state.space, known.queried, y, known.mask, indices
        )
        state = state.replace(history=known, labels=y, scorer=learnt, prediction=prediction)
        return state, Info(prediction, current_top(known.round))

    def expected_scores(state: State, indices: jax.Array) -> jax.Array:
        mean = state.prediction.mean[jnp.maximum(indices, 0)]
        return label_transforms.inverse(mean, state.labels, state.history.scores)

    def rebase(state: State, space: Space) -> State:
        known = state.history
        key = key_for(state.key, FIT, known.round)
        arguments = space, known.queried, state.labels, known.mask
        everything = jnp.where(known.mask, known.queried, -1)
        fresh = scorer.init(space, budget)
        learnt, prediction = scorer.update(key, fresh, *arguments, everything)
        return state.replace(space=space, scorer=learnt, prediction=prediction)

    return Method(start, ask, tell, expected_scores, rebase, sizes)
