"""Many independent runs of a method on a task.

A run advances in one compiled program, of a fixed number of lanes (runs side by side) that
depends on backend and configuration but not on how many runs are asked for. On a CPU a lane at a
time is fastest (measured: a lone fit already fills the cores, and ``vmap`` would run every branch
of a switch); elsewhere lanes are the point. Runs are fed into the lanes and come out as they
end; lanes without a run repeat another and are thrown away. Run i thus sees the same program and
the same key, ``fold_in(key(seed), i)``, alone and in any company.

The program does at most ``rounds_per_call`` rounds, so that progress shows between calls.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from weaknas_jax import dynamics, ranking, task
from weaknas_jax.types import Method


class Trace(NamedTuple):
    """What S runs did; NumPy, all that metrics, reports and plots read.

    Attributes:
      run: int32 [S], run numbers.
      queried: int32 [S, Q], row numbers of the table in query order, -1 after a run has ended.
      scores: float32 [S, Q], what the queries returned; NaN = failed, or no query.
      round: int32 [Q], the round of each query; 0 = the initial one.
      predicted_top: int32 [S, T+1], the predictor's best after each tell, the last one included;
        -1 = no such tell, or no predictor.
      kendall, kendall_top50, top50_probability: float32 [S, T+1], see `dynamics.Dynamics`; NaN
        where not measured.
    """

    run: np.ndarray
    queried: np.ndarray
    scores: np.ndarray
    round: np.ndarray
    predicted_top: np.ndarray
    kendall: np.ndarray
    kendall_top50: np.ndarray
    top50_probability: np.ndarray


@struct.dataclass
class Lane:
    """One run under way.

    Attributes:
      state: the method's, without the space.
      labels: float32 [N], what a query returns in this run.
      tells: int32, rounds told.
      done: bool, nothing more will be asked.
      dynamics: `dynamics.Dynamics` with fields [T+1].
    """

    state: Any
    labels: jax.Array
    tells: jax.Array
    done: jax.Array
    dynamics: dynamics.Dynamics


class Settings(NamedTuple):
    """What the compiled program depends on besides method and task.

    Attributes:
      stop_at_target: a run ends with the round in which its target was queried (and, with
        ``free_look``, in which it was the predictor's best).
      free_look: see `protocol.Protocol.predicted_top`.
      top: N, for `dynamics.Dynamics.top50_probability`.
      measure: whether to measure the dynamics (`predicted_top` is always kept).
      rounds_per_call: rounds between two looks of the host.
      lanes: runs side by side; None = `ranking.plan_lanes`.
    """

    stop_at_target: bool = False
    free_look: bool = False
    top: int = 100
    measure: bool = True
    rounds_per_call: int = 1
    lanes: int | None = None


class Progress(NamedTuple):
    """Reported after each call of the program."""

    finished: int
    runs: int
    share: float  # of all queries that may be asked, runs that ended early counted whole
    seconds: float


class Timing(NamedTuple):
    """Seconds: compiling, and running what was compiled."""

    compile_s: float
    run_s: float


def run_keys(seed: int, runs: Sequence[int]) -> jax.Array:
    """Key of each run: ``fold_in(key(seed), run)``, threefry whatever the global default."""
    root = jax.random.key(seed, impl="threefry2x32")
    return jnp.stack([jax.random.fold_in(root, int(run)) for run in runs])


def _start(method: Method, key: jax.Array, problem: task.Task) -> Lane:
    tells = len(method.sizes)
    nothing = jnp.full(tells, jnp.nan)
    return Lane(
        state=method.init(key, problem.space).replace(space=None),
        labels=task.draw_labels(key, problem.scores),
        tells=jnp.int32(0),
        done=jnp.bool_(False),
        dynamics=dynamics.Dynamics(jnp.full(tells, -1, jnp.int32), nothing, nothing, nothing),
    )


def _round(method: Method, settings: Settings, problem: task.Task, lane: Lane) -> Lane:
    state, indices = method.ask(lane.state.replace(space=problem.space))
    real = indices >= 0
    scores = jnp.where(real, lane.labels[jnp.maximum(indices, 0)], jnp.nan)
    state, info = method.tell(state, indices, scores)
    history, measured = state.history, lane.dynamics
    met = jnp.any(problem.target[jnp.maximum(indices, 0)] & jnp.isfinite(scores))
    if info.prediction is not None:
        mean = info.prediction.mean
        if settings.measure:
            now = dynamics.measure(mean, problem.truth, history.seen, settings.top)
        else:
            top = jnp.argmin(ranking.positions(mean)).astype(jnp.int32)
            now = dynamics.Dynamics(top, *[jnp.float32(jnp.nan)] * 3)
        measured = jax.tree.map(lambda all_, new: all_.at[lane.tells].set(new), measured, now)
        if settings.free_look:
            met |= problem.target[now.predicted_top]
    done = (history.asked >= method.budget) | ~jnp.any(real)
    if settings.stop_at_target:
        done |= met
    return lane.replace(
        state=state.replace(space=None), tells=lane.tells + 1, done=done, dynamics=measured
    )


def _advance(method: Method, settings: Settings, problem: task.Task, lanes: Lane) -> Lane:
    """Up to ``rounds_per_call`` rounds of each lane that is not done; lanes stand in axis 0."""
    step = functools.partial(_round, method, settings, problem)
    alone = len(lanes.done) == 1
    if alone:  # no batch axis: a switch stays a switch
        lanes = jax.tree.map(lambda a: a[0], lanes)
    else:

        def keep_done(lane):
            new = step(lane)
            return jax.tree.map(lambda a, b: jnp.where(lane.done, a, b), lane, new)

    def body(carry):
        count, lanes = carry
        return count + 1, step(lanes) if alone else jax.vmap(keep_done)(lanes)

    def unfinished(carry):
        count, lanes = carry
        return (count < settings.rounds_per_call) & ~jnp.all(lanes.done)

    _, lanes = jax.lax.while_loop(unfinished, body, (jnp.int32(0), lanes))
    return jax.tree.map(lambda a: a[None], lanes) if alone else lanes


class Program:
    """The compiled start and advance of one method, task and settings; reused by every batch."""

    def __init__(self, method: Method, problem: task.Task, settings: Settings):
        if settings.lanes is None:
            settings = settings._replace(lanes=ranking.plan_lanes(problem.space.size))
        self.method, self.problem, self.settings = method, problem, settings
        began = time.perf_counter()
        start = jax.jit(jax.vmap(functools.partial(_start, method), in_axes=(0, None)))
        keys = run_keys(0, [0] * settings.lanes)
        self._start = start.lower(keys, problem).compile()
        lanes = jax.eval_shape(start, keys, problem)
        advance = functools.partial(_advance, method, settings)
        self._advance = jax.jit(advance, donate_argnums=1).lower(problem, lanes).compile()
        self.compile_s = time.perf_counter() - began

    def finished_runs(
        self, seed: int, runs: Sequence[int], progress: Callable[[Progress], None] | None = None
    ) -> Iterator[tuple[int, Lane]]:
        """Each run's number and final lane (NumPy, no batch axis), as they end."""
        waiting, width = list(runs)[::-1], self.settings.lanes
        slots = [waiting.pop() if waiting else None for _ in range(width)]
        if slots[0] is None:
            return

        def start():  # a lane without a run repeats another, to be thrown away
            keys = run_keys(seed, [runs[0] if slot is None else slot for slot in slots])
            return self._start(keys, self.problem)

        lanes = start()
        began, finished = time.perf_counter(), 0
        while any(slot is not None for slot in slots):
            lanes = self._advance(self.problem, lanes)
            asked, done = jax.device_get((lanes.state.history.asked, lanes.done))
            ended = [i for i, slot in enumerate(slots) if slot is not None and done[i]]
            for i in ended:
                finished += 1
                lane = jax.tree.map(lambda a, i=i: a[i], _outcome(lanes))
                yield slots[i], jax.device_get(lane)
                slots[i] = waiting.pop() if waiting else None
            if progress is not None:
                partly = sum(
                    int(asked[i]) for i, s in enumerate(slots) if s is not None and i not in ended
                )
                share = (finished + partly / self.method.budget) / len(runs)
                progress(Progress(finished, len(runs), share, time.perf_counter() - began))
            refill = [i for i in ended if slots[i] is not None]
            if refill:
                new = jnp.zeros(width, bool).at[jnp.array(refill)].set(True)
                lanes = jax.tree.map(functools.partial(_replace, new), start(), lanes)


def _replace(new: jax.Array, fresh: jax.Array, old: jax.Array) -> jax.Array:
    return jnp.where(new.reshape(-1, *[1] * (old.ndim - 1)), fresh, old)


def _outcome(lane: Lane) -> Lane:
    """What outlives a run: not its key, nor its fitted predictor."""
    return lane.replace(state=lane.state.history, labels=None)


def collect(method: Method, ended: Sequence[tuple[int, Lane]]) -> Trace:
    """The `Trace` of finished runs, in the order of their numbers."""
    ended = sorted(ended, key=lambda pair: pair[0])

    def stack(pick):
        return np.stack([np.asarray(pick(lane)) for _, lane in ended])

    return Trace(
        run=np.array([run for run, _ in ended], np.int32),
        queried=stack(lambda lane: lane.state.queried),
        scores=stack(lambda lane: lane.state.scores),
        round=np.repeat(np.arange(len(method.sizes), dtype=np.int32), method.sizes),
        **{
            field: stack(lambda lane, field=field: getattr(lane.dynamics, field))
            for field in dynamics.Dynamics._fields
        },
    )


def run_many(
    method: Method,
    problem: task.Task,
    seed: int,
    runs: Sequence[int],
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Trace, Timing]:
    """Runs ``runs`` of root ``seed``, each the same alone and in any company.

    To compile once for several calls, build a `Program` and `collect` its runs.

    Raises:
      ValueError: no run asked for.
    """
    if not len(runs):
        raise ValueError("no run asked for: give at least one run number")
    program = Program(method, problem, settings or Settings())
    began = time.perf_counter()
    ended = list(program.finished_runs(seed, runs, progress))
    return collect(method, ended), Timing(program.compile_s, time.perf_counter() - began)


def run(method: Method, problem: task.Task, seed: int, number: int = 0, **settings: Any) -> Trace:
    """Run ``number`` of root ``seed`` alone; ``settings`` as in `Settings`."""
    return run_many(method, problem, seed, [number], Settings(**settings))[0]
