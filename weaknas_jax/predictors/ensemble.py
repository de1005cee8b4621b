"""Ensembles of MLPs: the predictor of the paper's Bayesian-optimisation variant (Table 3).

Five networks that differ in their initial weights and the order of their batches; mean and
deviation (of the population, as in the reference) are over them, and they are the draws of
Thompson sampling. On a CPU they are trained one after the other, elsewhere side by side.

`warm_ensemble` is ours: smaller networks whose training continues from the round before.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from weaknas_jax.core import plan, scaling
from weaknas_jax.core.types import Number, Prediction, Predictor, Scorer, Space
from weaknas_jax.predictors import refit
from weaknas_jax.predictors.mlp import Params, apply, default_widths, init_params, mlp, train


def ensemble(
    members: int = 5,
    hidden: Sequence[int] = (1000, 1000, 1000, 1000),
    *,
    learning_rate: Number = 1e-3,
    l2: Number = 1e-4,
    widths: Sequence[int] | None = None,
) -> Predictor:
    """``members`` of the paper's MLPs, each fitted anew on all labels; ``widths``: see `mlp`."""
    one = mlp(hidden, learning_rate=learning_rate, l2=l2, widths=widths)

    def fit(key, x, y, mask):
        return _each(lambda member: one.fit(member, x, y, mask), jax.random.split(key, members))

    return Predictor(fit, _predict)


def warm_ensemble(
    members: int = 5,
    hidden: Sequence[int] = (128, 128, 128),
    *,
    keep: Number = 0.5,
    learning_rate: Number = 1e-3,
    l2: Number = 1e-4,
    widths: Sequence[int] | None = None,
    chunk: int | None = None,
) -> Scorer:
    """Networks that start from their weights of the round before, shrunk and perturbed.

    Ash & Adams (2020): the start is ``keep w + (1 - keep) w'``, w' drawn anew; 1 would be a plain
    warm start, which generalises worse. ``chunk``: architectures scored at once, by default as many
    as fit (`plan.first`).
    """

    def fresh(key: jax.Array, width: int) -> Params:
        return init_params(key, (width, *hidden, 1))

    def init(space: Space, budget: int) -> tuple[jax.Array, Params]:
        del budget
        zeros = jax.tree.map(jnp.zeros_like, fresh(jax.random.key(0), space.encoding.shape[1]))
        return jnp.bool_(False), jax.tree.map(lambda a: jnp.stack([a] * members), zeros)

    def update(key, state, space, queried, y, mask, indices):
        del indices
        started, before = state
        weight = jnp.where(started, keep, 0.0)
        scale = scaling.columns_of(space.encoding)
        x = jnp.where(mask[:, None], scale(space.encoding[jnp.maximum(queried, 0)]), 0.0)

        def one(member):
            key, before = member
            start_key, order_key = jax.random.split(key)
            start = jax.tree.map(
                lambda old, new: weight * old + (1 - weight) * new,
                before,
                fresh(start_key, x.shape[1]),
            )
            settings = {
                "learning_rate": learning_rate,
                "l2": l2,
                "widths": widths or default_widths(),
            }
            return train(order_key, start, x, y, mask, **settings)[0]

        params = _each(one, (jax.random.split(key, members), before))
        size = chunk or plan.first(space.size).chunk
        prediction = refit.score_in_chunks(
            lambda params, x: _predict(params, scale(x)), params, space.encoding, size
        )
        return (jnp.bool_(True), params), prediction

    return Scorer(init, update)


def _predict(params: Params, x: jax.Array) -> Prediction:
    scores = _each(lambda one: apply(one, x), params)
    return Prediction(jnp.mean(scores, axis=0), jnp.std(scores, axis=0), scores)


def _each(f: Callable[..., Any], members: Any) -> Any:
    """``f`` of each member, in turn on a CPU, where one network fills the cores."""
    if jax.default_backend() == "cpu":
        return jax.lax.map(f, members)
    return jax.vmap(f)(members)
