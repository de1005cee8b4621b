"""Lanes: states of runs under way, of fixed size, and the functions that start and advance them.

Lanes stand side by side in axis 0 of every array. A lane that is done is frozen.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from weaknas_jax.core.types import Method, Number
from weaknas_jax.runs import dynamics, task

Point = Mapping[str, Number]
"""Numeric settings by name: they may differ between the lanes of one program."""


class Lane(struct.PyTreeNode):
    """State of one run under way.

    Attributes:
      point: the run's numeric settings.
      state: the method's, without the space.
      labels: float32 [N], the scores of queries in this run.
      tells: int32, finished rounds.
      done: bool, whether the run has ended.
      nan_round: int32, the round in which the predictor returned NaN; -1 = none.
      dynamics: `dynamics.Dynamics` with fields [T+1].
    """

    point: Point
    state: Any
    labels: jax.Array
    tells: jax.Array
    done: jax.Array
    nan_round: jax.Array
    dynamics: dynamics.Dynamics


class Settings(NamedTuple):
    """Settings of a compiled program besides method, task and plan.

    >>> Settings(stop_at_target=True).rounds_per_call
    1

    Attributes:
      stop_at_target: a run ends with the round in which its target was queried (and, with
        ``free_look``, in which it was the predictor's best).
      free_look: see `protocol.Protocol.predicted_top`.
      measure: whether to measure the dynamics (`predicted_top` is always stored).
      rounds_per_call: rounds of one call of the program.
    """

    stop_at_target: bool = False
    free_look: bool = False
    measure: bool = True
    rounds_per_call: int = 1


def start(
    build: Callable[[Point], Method], keys: jax.Array, points: Point, problem: task.Task
) -> Lane:
    """Lanes at the start of their runs: keys [lanes], points with fields [lanes]."""

    def one(key: jax.Array, point: Point) -> Lane:
        method = build(point)
        tells = len(method.sizes)
        nothing = jnp.full(tells, jnp.nan)
        return Lane(
            point=point,
            state=method.init(key, problem.space).replace(space=None),
            labels=task.draw_labels(key, problem),
            tells=jnp.int32(0),
            done=jnp.bool_(False),
            nan_round=jnp.int32(-1),
            dynamics=dynamics.Dynamics(jnp.full(tells, -1, jnp.int32), nothing, nothing, nothing),
        )

    return jax.vmap(one)(keys, points)


def refill(
    build: Callable[[Point], Method],
    problem: task.Task,
    keys: jax.Array,
    points: Point,
    new: jax.Array,
    lanes: Lane,
) -> Lane:
    """``lanes`` with those where ``new``, bool [lanes], replaced by starts of new runs."""

    def choose(fresh: jax.Array, old: jax.Array) -> jax.Array:
        return jnp.where(new.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)

    return jax.tree.map(choose, start(build, keys, points, problem), lanes)


def advance(
    build: Callable[[Point], Method], settings: Settings, problem: task.Task, lanes: Lane
) -> Lane:
    """Up to ``rounds_per_call`` rounds of each lane that is not done."""
    step = functools.partial(_round, build, settings, problem)
    alone = len(lanes.done) == 1
    if alone:  # no batch axis: `vmap` would run every branch of a switch
        lanes = jax.tree.map(lambda a: a[0], lanes)

    def unless_done(lane: Lane) -> Lane:
        return jax.tree.map(functools.partial(jnp.where, lane.done), lane, step(lane))

    def body(carry):
        count, lanes = carry
        return count + 1, step(lanes) if alone else jax.vmap(unless_done)(lanes)

    def unfinished(carry):
        count, lanes = carry
        return (count < settings.rounds_per_call) & ~jnp.all(lanes.done)

    _, lanes = jax.lax.while_loop(unfinished, body, (jnp.int32(0), lanes))
    return jax.tree.map(lambda a: a[None], lanes) if alone else lanes


def _round(
    build: Callable[[Point], Method], settings: Settings, problem: task.Task, lane: Lane
) -> Lane:
    method = build(lane.point)
    state, indices = method.ask(lane.state.replace(space=problem.space))
    real = indices >= 0
    scores = jnp.where(real, lane.labels[jnp.maximum(indices, 0)], jnp.nan)
    state, info = method.tell(state, indices, scores)
    history, measured = state.history, lane.dynamics
    nan_round = lane.nan_round
    met = jnp.any(problem.target[jnp.maximum(indices, 0)] & jnp.isfinite(scores))
    if info.prediction is not None:
        mean = info.prediction.mean
        nan_round = jnp.where(jnp.any(jnp.isnan(mean)), history.round - 1, nan_round)
        if settings.measure:
            now = dynamics.measure(mean, problem.truth, history.seen, info.top)
        else:
            best = jnp.argmax(jnp.where(jnp.isnan(mean), -jnp.inf, mean)).astype(jnp.int32)
            now = dynamics.Dynamics(best, *[jnp.float32(jnp.nan)] * 3)
        measured = jax.tree.map(lambda all_, new: all_.at[lane.tells].set(new), measured, now)
        if settings.free_look:
            met |= problem.target[now.predicted_top]
    done = (history.asked >= method.budget) | ~jnp.any(real) | (nan_round >= 0)
    if settings.stop_at_target:
        done |= met
    return lane.replace(
        state=state.replace(space=None),
        tells=lane.tells + 1,
        done=done,
        nan_round=nan_round,
        dynamics=measured,
    )
