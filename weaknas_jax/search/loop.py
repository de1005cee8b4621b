"""The weak-predictor loop (WeakNAS, section 3.1, eq. 3-6). Read this file first.

    ask    M0 random architectures, then, round by round, M drawn from the predicted top N
    tell   record the scores, refit the predictor on all labels, score the whole space

The paper's answer is the best architecture by the *final* predictor, so every `tell` refits, the
last one included. A single strong predictor on uniform samples (Figure 1) is the setting
``init = budget``: one round, then the answer.

Random numbers: a run has one key; its use in round t is ``fold_in(fold_in(key, purpose), t)``.
The initial architectures thus depend on the run alone, not on predictor or settings, and runs of
two methods can be compared in pairs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core import history as histories
from weaknas_jax.core import ranking
from weaknas_jax.core.keys import ACQUIRE, DESIGN, FIT, SAMPLE, key_for
from weaknas_jax.core.types import Info, Method, Number, Prediction, Scorer, Space
from weaknas_jax.search import acquisition, label_transforms, sampling
from weaknas_jax.search.acquisition import Acquisition
from weaknas_jax.search.sampling import Sampler


class State(struct.PyTreeNode):
    """State of a run.

    Attributes:
      key: the run's key.
      space: the architectures.
      history: queries and scores.
      labels: float32 [Q], the labels that the predictor was last fitted on.
      scorer: state of the scorer.
      prediction: its latest prediction [N], zeros before the first `tell`.
    """

    key: jax.Array
    space: Space
    history: histories.History
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

    >>> from weaknas_jax import linear, refit
    >>> weaknas(refit(linear()), init=5, per_round=10, budget=30).sizes
    (5, 10, 10, 5)

    Args:
      scorer: the predictor, e.g. ``refit.refit(predictors.mlp())``.
      init: M0, random architectures of the first round.
      per_round: M, queries of each later round.
      top: N, the predicted best among which the M are drawn; may be traced.
      budget: Q, all queries.
      transform: label transform, applied to the evaluated scores before each fit.
      predicted_best_first: the best predicted unseen architecture is the first of the M.
      acquisition: score by which architectures are ranked.
      sampler: how the M are drawn; a greedy one leaves that to the scorer's own `select`, where
        there is one.
      top_end: N of the last round, where N falls from ``top`` to it (`sampling.schedule`).
      near_best: number of the best evaluated whose neighbours are the candidates, in place of the
        whole space: local search as the sampler (appendix G); 0 = all architectures.

    Raises:
      ValueError: at the start, ``near_best`` is set and the space has no neighbours.
    """
    sizes = histories.round_sizes(init, per_round, budget)
    batch = max(sizes)

    def start(key: jax.Array, space: Space) -> State:
        if near_best:
            space.need_neighbours(f"weaknas with near_best={near_best}")
        state, history = scorer.init(space, budget), histories.begin(space, budget)
        nothing = jnp.full(batch, -1, jnp.int32)
        arguments = key, state, space, history.queried, history.scores, history.mask, nothing
        _, prediction = jax.eval_shape(scorer.update, *arguments)
        prediction = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), prediction)
        return State(key, space, history, jnp.zeros(budget), state, prediction)

    def current_top(round_: jax.Array) -> Number:
        if top_end is None:
            return top
        tops = sampling.schedule(top, top_end, max(1, len(sizes) - 1))
        return tops[jnp.clip(round_ - 1, 0, len(tops) - 1)]

    def first(state: State) -> jax.Array:
        key = key_for(state.key, DESIGN, state.history.round)
        return sampling.draw(key, state.history.seen, batch)

    def chosen(state: State) -> jax.Array:
        history, prediction = state.history, state.prediction
        key = key_for(state.key, ACQUIRE)
        labelled = history.replace(scores=jnp.where(history.mask, state.labels, jnp.nan))
        most = max(sizes[1:], default=1)  # the initial round may be larger
        excluded = history.seen
        if near_best:
            excluded |= ~sampling.near_best(state.space, history, near_best, most)

        def score(prediction: Prediction) -> jax.Array:
            return acquisition(prediction, labelled, key)

        if sampler.greedy and scorer.select is not None:
            count = histories.quota(history, sizes)
            arguments = score, prediction, excluded, most, count
            indices = scorer.select(state.scorer, state.space, *arguments)
            indices = jnp.pad(indices, (0, batch - most), constant_values=-1)
        else:
            key = key_for(state.key, SAMPLE, history.round)
            current = current_top(history.round)
            indices = sampler.draw(key, score(prediction), excluded, current, batch)
        if predicted_best_first:
            indices = sampling.best_first(indices, ranking.positions(prediction.mean), excluded)
        return indices

    def ask(state: State) -> tuple[State, jax.Array]:
        indices = jax.lax.cond(state.history.round == 0, first, chosen, state)
        history, indices = histories.ask(state.history, indices, sizes)
        return state.replace(history=history), indices

    def tell(state: State, indices: jax.Array, scores: jax.Array) -> tuple[State, Info]:
        history = histories.tell(state.history, indices, scores)
        key = key_for(state.key, FIT, history.round)
        y = transform(history.scores, history.mask)
        fitted, prediction = scorer.update(
            key, state.scorer, state.space, history.queried, y, history.mask, indices
        )
        state = state.replace(history=history, labels=y, scorer=fitted, prediction=prediction)
        return state, Info(prediction, current_top(history.round))

    def expected_scores(state: State, indices: jax.Array) -> jax.Array:
        mean = state.prediction.mean[jnp.maximum(indices, 0)]
        return label_transforms.inverse(mean, state.labels, state.history.scores)

    def rebase(state: State, space: Space) -> State:
        history = state.history
        key = key_for(state.key, FIT, history.round)
        arguments = space, history.queried, state.labels, history.mask
        evaluated = jnp.where(history.mask, history.queried, -1)
        initial = scorer.init(space, budget)
        fitted, prediction = scorer.update(key, initial, *arguments, evaluated)
        return state.replace(space=space, scorer=fitted, prediction=prediction)

    return Method(start, ask, tell, expected_scores, rebase, sizes)
