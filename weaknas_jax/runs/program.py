"""Many independent runs of a method on a task, over seeds, settings and devices.

One program advances a fixed number of lanes on each device. A lane takes a new run when its last
one ends; lanes without a run repeat another, and their results are dropped. Run i thus has the same
program and the same key, ``fold_in(key(seed), i)``, alone or in any batch, on one device or many.
Numeric settings are arguments of the program, whether they vary or not, so that a sweep gives the
queries of its single points.

The program returns to the host after ``rounds_per_call`` rounds, where progress is reported, lanes
are refilled, and checkpoints may be written (`session`).
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from weaknas_jax.core import checks, plan
from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.plan import Plan, PlanError
from weaknas_jax.core.trace import Trace, join
from weaknas_jax.core.types import Method
from weaknas_jax.runs import dynamics, lanes, task
from weaknas_jax.runs.lanes import Lane, Point, Settings


class Job(NamedTuple):
    """One run at one point: the index of the point, and the run's number."""

    point: int
    run: int


class Progress(NamedTuple):
    """Progress after a call of the program."""

    finished: int  # runs that ended
    runs: int  # all runs
    share: float  # of all queries; a run that ended early counts as complete
    seconds: float  # since the start


class Step(NamedTuple):
    """Result of one call of the program.

    Attributes:
      ended: the jobs that ended, each with its trace of one run.
      running: returns the jobs under way, each with its lane (NumPy, no batch axis); call it
        before the next step, which reuses their memory.
      progress: of all jobs.
    """

    ended: list[tuple[Job, Trace]]
    running: Callable[[], list[tuple[Job, Lane]]]
    progress: Progress


class Timing(NamedTuple):
    """Seconds of compilation and of running the program."""

    compile_s: float
    run_s: float


class Program:
    """The compiled program of one configuration, reused by every batch of runs.

    >>> import weaknas_jax as wn
    >>> scores = np.arange(8.0)[:, None]
    >>> table = wn.Table("table", "toy", np.eye(8, dtype=np.float32), scores, test=scores)
    >>> method = wn.random_search(init=2, per_round=2, budget=6)
    >>> program = Program(method, task.make(table, wn.HONEST))
    >>> steps = program.work(0, [Job(0, run) for run in range(3)])
    >>> sum(len(step.ended) for step in steps)
    3

    Args:
      method: a `Method`, or a builder ``method(chunk=..., **point) -> Method``, whose sizes do not
        depend on the point.
      problem: the task.
      settings: see `Settings`.
      points: numeric settings to run at, all with the same names; values are traced.
      given: the plan, or the part of it that is decided.
      bound: bytes of each device that may be used, by default `plan.default_bound`.
      devices: to run on, by default all.

    Attributes:
      plan: the complete plan.
      peak: most bytes of each device in use (`plan.peak`).

    Raises:
      PlanError: no plan fits the bound.
      ValueError: an argument is of another type, or the budget is above the size of the space.
    """

    @with_conventions
    def __init__(
        self,
        method: Method | Callable[..., Method],
        problem: task.Task,
        settings: Settings | None = None,
        *,
        points: Sequence[Mapping[str, float]] = ({},),
        given: Plan | None = None,
        bound: int | None = None,
        devices: Sequence[jax.Device] | None = None,  # pyright: ignore[reportInvalidTypeForm]
    ):
        start = time.perf_counter()
        _check_parts(method, problem, settings, points)
        fixed, given = isinstance(method, Method), given or Plan()
        plan.check(given)
        self.settings, self.points = settings or Settings(), [typed(point) for point in points]
        if len({tuple(point) for point in self.points}) != 1:
            raise ValueError("points: give at least one point, all with the same names")
        self.bound = plan.default_bound() if bound is None else bound
        mesh = Mesh(np.array(jax.devices() if devices is None else devices), ("device",))
        self._spread, everywhere = (NamedSharding(mesh, spec) for spec in (P("device"), P()))
        self.problem = jax.device_put(problem, everywhere)

        size, self.plan = problem.space.size, plan.first(problem.space.size, given, self.bound)
        first = method if fixed else method(chunk=self.plan.chunk, **self.points[0])  # pyright: ignore[reportCallIssue]
        if first.budget > size:
            raise ValueError(
                f"budget={first.budget} is more than the {size:,} architectures of "
                "the space; lower the budget"
            )
        while True:
            chunk = {} if fixed else {"chunk": self.plan.chunk}
            build = (lambda _: method) if fixed else lambda p, c=chunk: method(**c, **p)  # pyright: ignore[reportCallIssue]
            self.peak = self._least(build) if self.plan.lanes > plan.MAX_LANES else 0
            if self.peak <= self.bound:
                self._compile(build, mesh)
            if self.peak <= self.bound:
                break
            smaller = plan.smaller(self.plan, size, given._replace(chunk=0) if fixed else given)
            if smaller is None:
                raise PlanError(
                    f"{self.plan.lanes} lane(s) a device that score {self.plan.chunk} architectures"
                    f" at once need {self.peak / 2**20:,.0f} MiB, and "
                    f"{self.bound / 2**20:,.0f} MiB may be used"
                )
            self.plan = smaller
        method = build(self.points[0])
        self.sizes, self.budget, self.devices = method.sizes, method.budget, mesh.size
        self.compile_s = time.perf_counter() - start

    def _least(self, build: Callable[[Point], Method]) -> int:
        """Bytes of a device's lanes alone, without compiling: a lower bound for very many lanes."""
        points = jax.tree.map(lambda value: np.stack([value]), self.points[0])
        start = functools.partial(lanes.start, build)
        lane = jax.eval_shape(start, run_keys(0, [0]), points, self.problem)
        return self.plan.lanes * sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(lane))

    def _compile(self, build: Callable[[Point], Method], mesh: Mesh) -> None:
        """Compiles the program, which each device runs on its own lanes without communication."""
        self.width = self.plan.lanes * mesh.size
        each = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)
        device = P("device")
        refill = each(
            functools.partial(lanes.refill, build),
            in_specs=(P(), device, device, device, device),
            out_specs=device,
        )
        advance = each(
            functools.partial(lanes.advance, build, self.settings),
            in_specs=(P(), device),
            out_specs=device,
        )
        inputs = self._inputs(0, [Job(0, 0)] * self.width, [])
        self.empty = jax.eval_shape(
            functools.partial(lanes.start, build), *inputs[:2], self.problem
        )
        state = jax.tree.map(
            lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=self._spread), self.empty
        )
        refill = jax.jit(refill, donate_argnums=4).lower(self.problem, *inputs, state)
        advance = jax.jit(advance, donate_argnums=1).lower(self.problem, state)
        self._refill, self._advance = refill.compile(), advance.compile()
        self.peak = plan.peak(self.problem.space.size, self._refill, self._advance)

    def _inputs(
        self, seed: int, jobs: Sequence[Job], new: Sequence[int]
    ) -> tuple[jax.Array, Point, jax.Array]:
        points = [self.points[job.point] for job in jobs]
        stacked = jax.tree.map(lambda *values: np.stack(values), *points)
        keys = run_keys(seed, [job.run for job in jobs])
        return jax.device_put((keys, stacked, np.isin(range(len(jobs)), new)), self._spread)

    @with_conventions
    def work(
        self, seed: int, jobs: Sequence[Job], parked: Sequence[tuple[Job, Lane]] = ()
    ) -> Iterator[Step]:
        """Runs all ``jobs``, a call of the program at a time; ``parked`` lanes are continued."""
        parked, start = list(parked), time.perf_counter()
        started = {job for job, _ in parked}
        waiting = [job for job in reversed(jobs) if job not in started]
        total, finished = len(waiting) + len(parked), 0
        slots: list[Job | None] = [None] * self.width
        state = None
        while True:
            state = self._fill(seed, state, slots, waiting, parked)
            if not any(slots):
                return
            state = self._advance(self.problem, state)
            queries, done = jax.device_get((state.state.history.asked, state.done))
            ended = [i for i, job in enumerate(slots) if job is not None and done[i]]
            lane = {i: jax.device_get(_at(_outcome(state), i)) for i in ended}
            traces = [(slots[i], self._trace(slots[i], lane[i])) for i in ended]
            finished += len(ended)
            for i in ended:
                slots[i] = None
            under_way = sum(int(queries[i]) for i, job in enumerate(slots) if job is not None)
            share = (finished + under_way / self.budget) / total
            progress = Progress(finished, total, share, time.perf_counter() - start)
            park = functools.partial(self._park, state, tuple(slots), parked)
            yield Step(traces, park, progress)

    def _fill(self, seed, state, slots, waiting, parked):
        """Puts jobs into all free slots, parked ones first."""
        free = [i for i, job in enumerate(slots) if job is None]
        back, free = free[: len(parked)], free[len(parked) :]
        fresh = [i for i in free if waiting]
        fresh = fresh[: len(waiting)]
        for i in fresh:
            slots[i] = waiting.pop()
        if state is None:  # a lane without a job repeats another
            state, fresh = self._zeros(), range(self.width)
        if len(fresh):
            filler = next((job for job in slots if job is not None), Job(0, 0))
            inputs = self._inputs(seed, [job or filler for job in slots], fresh)
            state = self._refill(self.problem, *inputs, state)
        if back:
            state = jax.tree.map(raw, state)
            for i in back:
                slots[i], lane = parked.pop(0)
                state = jax.tree.map(lambda all_, one, i=i: all_.at[i].set(one), state, lane)
            state = self._put(state)
        return state

    def _zeros(self) -> Lane:
        raws = jax.eval_shape(lambda state: jax.tree.map(raw, state), self.empty)
        return self._put(jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), raws))

    def _put(self, raws: Lane) -> Lane:
        """Raw lanes, moved to the devices."""
        return jax.device_put(jax.tree.map(_as, raws, self.empty), self._spread)

    @with_conventions
    def _park(self, state, slots, parked):
        state = jax.device_get(jax.tree.map(raw, state))
        return [(job, _at(state, i)) for i, job in enumerate(slots) if job is not None] + parked

    def _trace(self, job: Job, lane: Lane) -> Trace:
        return Trace(
            run=np.array([job.run], np.int32),
            queried=lane.state.queried[None],
            scores=(-lane.state.scores if self.problem.minimize else lane.state.scores)[None],
            nan_round=lane.nan_round[None],
            round=np.repeat(np.arange(len(self.sizes), dtype=np.int32), self.sizes),
            **{name: getattr(lane.dynamics, name)[None] for name in dynamics.Dynamics._fields},
        )


def typed(point: Mapping[str, float]) -> Point:
    """A point with whole numbers as int32, others as float32, ordered by name."""
    checks.finite(**point)
    return {
        name: (np.int32 if isinstance(point[name], int) else np.float32)(point[name])
        for name in sorted(point)
    }


def _check_parts(method: Any, problem: Any, settings: Any, points: Any) -> None:
    """Raises ValueError where an argument of `Program` has the wrong type."""
    if not (isinstance(method, Method) or callable(method)):
        raise ValueError(
            f"method={method!r}: give a Method, such as methods.make('gp'), or a builder of one"
        )
    if not isinstance(problem, task.Task):
        raise ValueError(f"problem={type(problem).__name__}: give task.make(table, protocol)")
    if not isinstance(settings, Settings | None):
        raise ValueError(f"settings={settings!r}: give Settings(...), or leave it out")
    if isinstance(points, str | Mapping) or not all(isinstance(p, Mapping) for p in points):
        raise ValueError("points: give a list of settings by name, such as [{'top': 10}]")


def _at(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda a: a[i], tree)


def raw(a: jax.Array) -> jax.Array:
    """The data of a key array, which NumPy can hold; other arrays as they are."""
    return jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a


def _as(a: jax.Array, like: jax.ShapeDtypeStruct) -> jax.Array:
    """The inverse of `raw`."""
    is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    return jax.random.wrap_key_data(a, impl="threefry2x32") if is_key else a


def _outcome(lane: Lane) -> Lane:
    """The parts of a lane that its trace needs."""
    return lane.replace(state=lane.state.history, labels=None)


def run_grid(
    method: Callable[..., Method],
    problem: task.Task,
    seed: int,
    runs: Sequence[int],
    points: Sequence[Mapping[str, float]],
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    **layout: Any,
) -> tuple[list[Trace], Timing]:
    """Runs ``runs`` of root ``seed`` at each of H points, in one compiled program.

    >>> import weaknas_jax as wn
    >>> scores = np.arange(8.0)[:, None]
    >>> table = wn.Table("table", "toy", np.eye(8, dtype=np.float32), scores, test=scores)
    >>> def build(chunk, noise):
    ...     scorer = wn.refit(wn.linear(noise=noise), chunk)
    ...     return wn.weaknas(scorer, init=2, per_round=2, budget=4, top=4)
    >>> points = [{"noise": 0.1}, {"noise": 1.0}]
    >>> traces, timing = run_grid(build, task.make(table, wn.HONEST), 0, range(3), points)
    >>> [trace.queried.shape for trace in traces]
    [(3, 4), (3, 4)]

    Args:
      method: builder, ``method(chunk=..., **point) -> Method``.
      problem: the task.
      seed: root of the random numbers.
      runs: run numbers.
      points: H points, numeric settings by name, e.g. ``[{"top": 10}, {"top": 100}]``.
      settings: see `Settings`.
      progress: called after each call of the program.
      **layout: ``given``, ``bound``, ``devices`` of `Program`.

    Returns:
      A trace for each point, each the same as alone, and the time taken.

    Raises:
      ValueError: ``runs`` is empty, or has a number twice or an invalid one; or as of `Program`.
      PlanError: it does not fit into memory.
    """
    checks.seed(seed)
    checks.runs(runs)
    program = Program(method, problem, settings, points=points, **layout)
    most = plan.most_runs(program.budget, len(program.sizes)) // len(points)
    if len(runs) > most:
        raise ValueError(f"runs: {len(runs):,} do not fit into memory; give at most {most:,}")
    start = time.perf_counter()
    jobs = [Job(point, int(run)) for point in range(len(points)) for run in runs]
    ended = []
    for step in program.work(seed, jobs):
        ended += step.ended
        if progress is not None:
            progress(step.progress)
    traces = [join([t for job, t in ended if job.point == h]) for h in range(len(points))]
    return traces, Timing(program.compile_s, time.perf_counter() - start)


def run_many(
    method: Method | Callable[..., Method],
    problem: task.Task,
    seed: int,
    runs: Sequence[int],
    settings: Settings | None = None,
    progress: Callable[[Progress], None] | None = None,
    **layout: Any,
) -> tuple[Trace, Timing]:
    """`run_grid` at one point; also takes a `Method` in place of a builder.

    >>> import weaknas_jax as wn
    >>> scores = np.arange(8.0)[:, None]
    >>> table = wn.Table("table", "toy", np.eye(8, dtype=np.float32), scores, test=scores)
    >>> method = wn.random_search(init=2, per_round=2, budget=6)
    >>> trace, timing = run_many(method, task.make(table, wn.HONEST), seed=0, runs=range(3))
    >>> trace.queried.shape
    (3, 6)
    """
    (trace,), timing = run_grid(method, problem, seed, runs, [{}], settings, progress, **layout)
    return trace, timing


def run(method: Method, problem: task.Task, seed: int, number: int = 0, **settings: Any) -> Trace:
    """Run ``number`` of root ``seed`` alone; ``settings`` as in `Settings`.

    >>> import weaknas_jax as wn
    >>> scores = np.arange(8.0)[:, None]
    >>> table = wn.Table("table", "toy", np.eye(8, dtype=np.float32), scores, test=scores)
    >>> trace = run(wn.random_search(budget=8), task.make(table, wn.HONEST), seed=0)
    >>> sorted(trace.queried[0].tolist())
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    return run_many(method, problem, seed, [number], Settings(**settings))[0]
