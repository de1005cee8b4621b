"""Search with real jobs: `search` asks a method, runs the jobs, and tells it what came of them.

Two modes:

``rounds``  all of a round is told at once, in the order in which it was asked for: the queries
            depend on the scores alone, not on the speed of workers or on kills.
``async``   each result is told as it comes, and another query asked for at once; those under way
            are taken into account (`drive`). No worker waits for another.

With a journal nothing that is finished is lost, and the same call goes on where it was ended.
"""

import collections
import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax import journal as journals
from weaknas_jax import workers as pools
from weaknas_jax.drive import Driver
from weaknas_jax.spaces.choices import Choices
from weaknas_jax.spaces.pool import SIZE
from weaknas_jax.types import Method, Space
from weaknas_jax.workers import Outcome, Workers

MODES = ("rounds", "async")


class JobsError(ValueError):
    """A search that cannot go on; says why and what to do."""


class Evaluation(NamedTuple):
    """A finished query.

    Attributes:
      arch: the architecture; its row in a `Space`.
      score: None = it failed for good.
      error: of its last attempt, None = none.
      attempts: how many it took.
      seconds: of the last.
      info: what else the function returned, by name.
    """

    arch: Any
    score: float | None
    error: str | None = None
    attempts: int = 1
    seconds: float = 0.0
    info: Mapping[str, Any] = {}


class Progress(NamedTuple):
    """How far a search is.

    Attributes:
      last: the query that has just finished.
      best: of those that finished, None = none has a score yet.
      finished, budget, running: queries.
      failed: of those that finished.
      left: seconds, at the pace of this call.
    """

    last: Evaluation
    best: Evaluation | None
    finished: int
    budget: int
    running: int
    failed: int
    left: float


class Result(NamedTuple):
    """What a search came to.

    Attributes:
      best: the best evaluation, None = none has a score.
      evaluations: all that finished, in the order in which the method was told.
      complete: the method has finished; otherwise it was stopped.
      torn: the journal had a torn last line, which was cut off.
      resumed: how many of the evaluations were there already.
      busy: share of the workers' time that jobs took in this call.
    """

    best: Evaluation | None
    evaluations: list[Evaluation]
    complete: bool
    torn: bool
    resumed: int
    busy: float


def search(
    method: Method,
    evaluate: Callable[[Any], Any],
    space: Choices | Space,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    mode: str = "rounds",
    seed: int = 0,
    pool: int = SIZE,
    journal: str | None = None,
    about: Mapping[str, Any] = {},
    retries: int = 1,
    timeout: float | None = None,
    give_up: int = 10,
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Searches ``space`` by ``method`` with jobs.

    Args:
      method: e.g. ``methods.make("gp", budget=100, per_round=4)``. In rounds mode no more than
        its ``per_round`` jobs run at once.
      evaluate: a function of an architecture (a dict; in a `Space` a row) that returns its score,
        larger is better, or a dict with ``score`` and whatever else is worth keeping. Raising,
        or a score that is not finite, is a failure.
      space: what is searched.
      executor: where jobs run: None = processes of our own, or any executor. Ours and threads
        were built for it; Dask's, loky's (joblib's) and those of the standard library are tested.
      workers: jobs at once.
      mode: ``rounds`` or ``async``.
      seed: of the method's random numbers.
      pool: rows of a space that is too large to list.
      journal: a file that keeps what is finished; made if it is not there, gone on with if it is.
      about: what else tells this search from others, as JSON; a journal that says otherwise is not
        gone on with.
      retries: further attempts at an architecture that failed.
      timeout: seconds that an attempt may take.
      give_up: failed architectures after which the search ends if none has succeeded by then.
      progress: called with each finished query.
      stop: looked at now and then; once it is True no more jobs begin, and those that run are
        waited for.

    Raises:
      JobsError: nothing but failures, or settings that make no sense.
      journal.JournalError: the journal is another search's, damaged, or in use.
      workers.WorkersError: ``evaluate`` cannot be sent to the workers.
    """
    if mode not in MODES:
        raise JobsError(f"mode={mode!r}: choose one of {', '.join(MODES)}")
    if retries < 0:
        raise JobsError(f"retries={retries}: must not be negative")
    driver = Driver(method, space, seed=seed, pool=pool)
    header = {
        "mode": mode,
        "seed": seed,
        "pool": pool,
        "method": said(method),
        **_named(space),
        **about,
    }
    with (
        pools.opened(evaluate, executor, workers, timeout) as at_work,
        _journal(journal, header) as book,
    ):
        running = _Search(driver, mode, retries, give_up, book)
        running.replay(book.records if book else [])
        complete = running.work(at_work, progress, stop)
        evaluations = running.finished
        return Result(
            best=_best(evaluations),
            evaluations=evaluations,
            complete=complete,
            torn=bool(book and book.torn),
            resumed=running.resumed,
            busy=running.busy(at_work.count),
        )


class _Search:
    """A search under way: what was asked for, what is finished, what is told."""

    def __init__(self, driver: Driver, mode: str, retries: int, give_up: int, book: Any):
        self.driver, self.rounds, self.book = driver, mode == "rounds", book
        self.retries, self.give_up, self.resumed = retries, give_up, 0
        self.told: list[Evaluation] = []
        self._out: dict[int, int] = {}  # rows asked for and not finished: failed attempts
        self._round: list[int] = []  # rows of the round under way, as asked for
        self._done: dict[int, Evaluation] = {}  # of those, the finished ones
        self._queue: collections.deque[int] = collections.deque()
        self._jobs_s, self._asks_s, self._asks, self._wall_s = 0.0, 0.0, 0, 0.0

    @property
    def finished(self) -> list[Evaluation]:
        """In the order of telling; what waits for the rest of its round comes last."""
        return self.told + [self._done[row] for row in self._round if row in self._done]

    def replay(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Does again what the journal says was done."""
        records = list(records)
        again = [at for at, record in enumerate(records) if record["kind"] == "again"]
        records = records[again[-1] + 1 :] if again else records
        done = [record for record in records if record["kind"] == "done"]
        if done and all(record["score"] is None for record in done):
            self._write({"kind": "again"})  # nothing ever succeeded: what was wrong may be mended
            records = []
        asked = 0
        for record in records:
            if record["kind"] == "asked":
                asked += len(record["archs"])
                if asked > self.driver.method.budget:
                    raise JobsError(
                        f"budget={self.driver.method.budget}: the journal has more queries than "
                        "that already; give the budget that it had, or a larger one"
                    )
                self._asked(self.driver.mark(record["archs"]))
                continue
            row = self.driver.row(record["arch"])
            if record["kind"] == "tried":
                self._out[row] += 1
            elif record["kind"] == "done":
                fields = {name: record[name] for name in Evaluation._fields}
                self._finish(row, Evaluation(**fields))
        self.resumed = len(self.finished)

    def work(self, workers: Workers, progress: Any, stop: Callable[[], bool]) -> bool:
        """Runs jobs until the method has finished (True), or ``stop`` says so (False)."""
        running: dict[Future, tuple[int, float]] = {}
        given_up: set[Future] = set()
        if self._queue or len(self.told) + len(self._out) < self.driver.method.budget:
            self.driver.prepare(0 if self.rounds else workers.count)
        start, exhausted, began = time.perf_counter(), False, len(self.finished)
        while True:
            given_up = {future for future in given_up if not future.done()}
            if len(given_up) >= workers.count:
                workers.replace()
                given_up.clear()
            free = workers.count - len(given_up)
            halted = stop()
            while not halted and self._queue and len(running) < free:
                row = self._queue.popleft()
                running[workers.submit(self.driver.arch(row))] = row, time.monotonic()
            self._wall_s = time.perf_counter() - start
            if not halted and not exhausted and self._wants_more(free):
                exhausted = not self._ask()
                continue
            if not running:
                return exhausted and not self._out
            wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future, (row, since) in list(running.items()):
                late = not workers.supervised and workers.late(since)
                if not (future.done() or late):
                    continue
                del running[future]
                outcome = workers.outcome(future) if future.done() else workers.expired()
                if not future.done() and not future.cancel():
                    given_up.add(future)
                last = self._ended(row, outcome)
                if last and progress:
                    progress(self._progress(last, len(running), start, began))

    def busy(self, count: int) -> float:
        """Share of the time of ``count`` workers that jobs took."""
        return min(1.0, self._jobs_s / (count * self._wall_s)) if self._wall_s else 0.0

    def _wants_more(self, free: int) -> bool:
        if self.rounds:
            return not self._out
        # With jobs so short that a worker would notice the ask, one query is kept ready.
        finished = max(1, len(self.told) - self.resumed)
        quick = self._asks_s / max(1, self._asks) > 0.01 * self._jobs_s / finished
        return len(self._out) < free + (quick and self._asks > 1)

    def _ask(self) -> bool:
        start = time.perf_counter()
        rows = self.driver.ask(() if self.rounds else list(self._out))
        self._asks, self._asks_s = self._asks + 1, self._asks_s + time.perf_counter() - start
        if rows:
            self._write({"kind": "asked", "archs": [self.driver.arch(row) for row in rows]})
            self._asked(rows)
        return bool(rows)

    def _asked(self, rows: list[int]) -> None:
        self._round = rows
        self._out |= dict.fromkeys(rows, 0)
        self._queue.extend(rows)

    def _ended(self, row: int, outcome: Outcome | None) -> Evaluation | None:
        """An attempt at a row ended; returns what it came to, if that is final."""
        if outcome is None:  # not the job's fault
            self._queue.append(row)
            return None
        self._jobs_s += outcome.seconds
        arch, attempts = self.driver.arch(row), self._out[row] + 1
        if outcome.score is None and attempts <= self.retries:
            self._write({"kind": "tried", "arch": arch, "error": outcome.error})
            self._out[row] = attempts
            self._queue.append(row)
            return None
        last = Evaluation(arch, outcome.score, outcome.error, attempts, *outcome[2:])
        self._write({"kind": "done", **last._asdict()})
        self._finish(row, last)
        finished = self.finished
        if len(finished) >= self.give_up and all(e.score is None for e in finished):
            why = (last.error or "").strip().splitlines()[-1:]
            raise JobsError(
                f"all of the first {len(finished)} architectures failed, the last by: "
                f"{' '.join(why)}\nmend it and call again: what failed is then tried anew"
            )
        return last

    def _finish(self, row: int, last: Evaluation) -> None:
        del self._out[row]
        if row in self._queue:
            self._queue.remove(row)
        if self.rounds:
            self._done[row] = last
            if self._out:
                return
            rows, results = self._round, [self._done.pop(row) for row in self._round]
        else:
            rows, results = [row], [last]
        self.driver.tell(rows, [np.nan if e.score is None else e.score for e in results])
        self.told += results
        self._round = [] if self.rounds else self._round

    def _progress(self, last: Evaluation, running: int, start: float, began: int) -> Progress:
        finished, budget = self.finished, self.driver.method.budget
        pace = (time.perf_counter() - start) / max(1, len(finished) - began)
        failed = sum(e.score is None for e in finished)
        left = pace * (budget - len(finished))
        return Progress(last, _best(finished), len(finished), budget, running, failed, left)

    def _write(self, record: Mapping[str, Any]) -> None:
        if self.book is not None:
            self.book.write(dict(record))


def said(method: Method) -> dict[str, Any]:
    """What a journal says of a method: all but how long it goes on."""
    settings = dict(method.settings) or {"init": method.sizes[0], "per_round": method.sizes[1:2]}
    settings.pop("budget", None)
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | None):
        return value
    return getattr(value, "__name__", "function") if callable(value) else float(value)


def _named(space: Choices | Space) -> dict[str, Any]:
    if isinstance(space, Choices):
        return {"space": space.describe()}
    content = np.ascontiguousarray(space.encoding).tobytes()
    return {"space": {"rows": space.size, "sha256": hashlib.sha256(content).hexdigest()}}


def _best(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    scored = [e for e in evaluations if e.score is not None]
    return max(scored, key=lambda e: e.score, default=None)


def _journal(path: str | None, header: dict[str, Any]) -> Any:
    return contextlib.nullcontext() if path is None else journals.opened(path, header)
