"""State of a search with jobs: running jobs, finished queries, scores told to the method.

The method is asked until it has finished, then the best are evaluated once more, if requested.
Every event is written to the journal before it takes effect, so a replay restores the state.
"""

import collections
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.jobs import types
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.jobs.types import Evaluation, JobsError, Progress, Repeated
from weaknas_jax.jobs.workers import Outcome, Workers
from weaknas_jax.storage.journal import Journal, JournalError
from weaknas_jax.storage.journal_lines import key


class Task(NamedTuple):
    """A job: an architecture, its row, and whether it is a repeat (0 or 1)."""

    arch: Any
    row: int
    repeat: int = 0


class Loop:
    """A search under way.

    Args:
      driver: of the method.
      mode, retries, give_up, repeat_top: as in `jobs.search`.
      book: its journal, None = no journal.

    Attributes:
      told: the queries whose scores the method was told, in order.
      resumed: how many queries the journal had.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        mode: str,
        retries: int,
        give_up: int,
        repeat_top: int,
        book: Journal | None,
    ):
        self.driver, self.rounds, self.book = driver, mode == "rounds", book
        self.retries, self.give_up, self.repeat_top = retries, give_up, repeat_top
        self.told: list[Evaluation] = []
        self.resumed = 0
        self._out: dict[int, int] = {}  # rows asked for and not finished: failed attempts
        self._round: list[int] = []  # rows of the round under way, as asked for
        self._done: dict[int, Evaluation] = {}  # of those, the finished ones
        self._repeats: dict[str, Evaluation] = {}  # by architecture, the finished ones
        self._again: dict[str, int] = {}  # architectures to repeat: failed attempts
        self._queue: collections.deque[Task] = collections.deque()
        self._jobs_s, self._asks_s, self._asks, self._wall_s = 0.0, 0.0, 0, 0.0

    @property
    def finished(self) -> list[Evaluation]:
        """Finished queries in the order of telling; those of an unfinished round come last."""
        return self.told + [self._done[row] for row in self._round if row in self._done]

    @property
    def repeats(self) -> tuple[Repeated, ...]:
        """The queries evaluated once more, the best mean first."""
        return types.compared(self.finished, self._repeats, key)

    def expected(self) -> tuple[float, ...]:
        """The scores that the predictor expects of the finished queries, see `types.Result`."""
        if not self.told:
            return (np.nan,) * len(self.finished)
        rows = [self.driver.row(e.arch) for e in self.told]
        missing = len(self.finished) - len(rows)
        return (*self.driver.expected_scores(rows).tolist(), *(np.nan,) * missing)

    def replay(self, settings: Mapping[str, Any]) -> None:
        """Restores the state from the journal, and records ``settings`` if they changed.

        Raises:
          JournalError: an architecture in it cannot be searched here.
          JobsError: it has more queries than the budget.
        """
        if self.book is None:
            return
        records = self.book.records
        settings_records = [record for record in records if record["kind"] == "settings"]
        again = [at for at, record in enumerate(records) if record["kind"] == "again"]
        first = again[-1] + 1 if again else 0
        done = [record for record in records[first:] if record["kind"] == "done"]
        asked = sum(len(r["archs"]) for r in records[first:] if r["kind"] == "asked")
        if asked > self.driver.method.budget:
            raise JobsError(
                f"budget={self.driver.method.budget}: the journal has more queries than "
                "that already; give the budget that it had, or a larger one"
            )
        if done and all(record["score"] is None for record in done):
            self._write({"kind": "again"})  # nothing ever succeeded: the cause may be fixed now
            first = len(records)
        for at, record in enumerate(records[first:], first):
            try:
                self._read(record)
            except ValueError as error:
                why = f"{error}; is it of this very space? name another file"
                raise JournalError(f"{self.book.path}: line {at + 2}: {why}") from None
        self.resumed = len(self.finished)
        if not settings_records or settings_records[-1] != {"kind": "settings", **settings}:
            self._write({"kind": "settings", **settings})

    def work(self, workers: Workers, progress: Any, stop: Callable[[], bool]) -> bool:
        """Runs jobs until all have finished (True) or ``stop`` returns True (False)."""
        running: dict[Future, tuple[Task, float]] = {}
        given_up: set[Future] = set()
        if self._queue or len(self.told) + len(self._out) < self.driver.method.budget:
            self.driver.prepare(0 if self.rounds else workers.count)
        start, exhausted, began = time.perf_counter(), False, self._count()
        while True:
            given_up = {future for future in given_up if not future.done()}
            if len(given_up) >= workers.count:
                workers.replace()
                given_up.clear()
            free = workers.count - len(given_up)
            halted = stop()
            while not halted and self._queue and len(running) < free:
                task = self._queue.popleft()
                running[workers.submit(task.arch, task.repeat)] = task, time.monotonic()
            self._wall_s = time.perf_counter() - start
            if not halted and not exhausted and self._wants_more(free):
                exhausted = not self._ask()
                continue
            if not running:
                if exhausted and not self._out and self._begin_repeats():
                    continue
                return exhausted and not self._out and not self._again
            wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future, (task, since) in list(running.items()):
                late = not workers.supervised and workers.late(since)
                if not (future.done() or late):
                    continue
                del running[future]
                outcome = workers.outcome(future) if future.done() else workers.expired()
                if not future.done() and not future.cancel():
                    given_up.add(future)
                last = self._ended(task, outcome)
                if last and progress:
                    progress(self._progress(last, len(running), start, began))

    def busy(self, count: int) -> float:
        """Share of the time of ``count`` workers that jobs took."""
        return min(1.0, self._jobs_s / (count * self._wall_s)) if self._wall_s else 0.0

    def _count(self) -> int:
        """Queries and repeats that finished."""
        return len(self.finished) + len(self._repeats)

    def _read(self, record: Mapping[str, Any]) -> None:
        """Applies one record of the journal, which `storage.journal_lines` has checked."""
        kind = record["kind"]
        if kind == "asked":
            self._asked(self.driver.mark(record["archs"]))
        elif kind == "tried" and record.get("repeat"):
            name = key(record["arch"])
            self._again[name] = self._again.get(name, 0) + 1
        elif kind == "tried":
            self._out[self.driver.row(record["arch"])] += 1
        elif kind in ("done", "repeat"):
            last = Evaluation(**{name: record[name] for name in Evaluation._fields})
            if kind == "repeat":
                self._repeated(last)
            else:
                self._finish(self.driver.row(last.arch), last)

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
        self._queue.extend(Task(self.driver.arch(row), row) for row in rows)

    def _begin_repeats(self) -> bool:
        """Queues the missing repeats; returns whether there were any."""
        queued = {key(task.arch) for task in self._queue}
        missing = {
            key(e.arch): Task(e.arch, row=-1, repeat=1)
            for e in types.scored(self.told)[: self.repeat_top]
            if key(e.arch) not in self._repeats.keys() | queued
        }
        self._again = {name: self._again.get(name, 0) for name in [*queued, *missing]}
        self._queue.extend(missing.values())
        return bool(missing)

    def _ended(self, task: Task, outcome: Outcome | None) -> Evaluation | None:
        """Handles the end of an attempt; returns the evaluation, if it is final."""
        if outcome is None:  # not the job's fault
            self._queue.append(task)
            return None
        self._jobs_s += outcome.seconds
        attempts = (self._again[key(task.arch)] if task.repeat else self._out[task.row]) + 1
        if outcome.score is None and attempts <= self.retries:
            record = {"kind": "tried", "arch": task.arch, "error": outcome.error}
            self._write(record | ({"repeat": task.repeat} if task.repeat else {}))
            if task.repeat:
                self._again[key(task.arch)] = attempts
            else:
                self._out[task.row] = attempts
            self._queue.append(task)
            return None
        last = Evaluation(task.arch, outcome.score, outcome.error, attempts, *outcome[2:])
        self._write({"kind": "repeat" if task.repeat else "done", **last._asdict()})
        if task.repeat:
            self._repeated(last)
        else:
            self._finish(task.row, last)
            self._give_up_if_all_failed(last)
        return last

    def _give_up_if_all_failed(self, last: Evaluation) -> None:
        finished = self.finished
        if len(finished) >= self.give_up and all(e.score is None for e in finished):
            why = (last.error or "").strip().splitlines()[-1:]
            raise JobsError(
                f"all of the first {len(finished)} architectures failed, the last by: "
                f"{' '.join(why)}\nmend it and call again: what failed is then tried anew"
            )

    def _repeated(self, last: Evaluation) -> None:
        self._again.pop(key(last.arch), None)
        self._repeats[key(last.arch)] = last

    def _finish(self, row: int, last: Evaluation) -> None:
        del self._out[row]
        waiting = [task for task in self._queue if task.row == row]
        for task in waiting:
            self._queue.remove(task)
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
        pace = (time.perf_counter() - start) / max(1, self._count() - began)
        repeats = len(self._repeats) + len(self._again)
        wanted = max(repeats, min(self.repeat_top, len(finished)))
        return Progress(
            last=last,
            best=types.best(finished, self.repeats),
            finished=len(finished),
            budget=budget,
            running=running,
            failed=sum(e.score is None for e in finished),
            left=pace * (budget - len(finished) + wanted - len(self._repeats)),
            repeated=len(self._repeats),
            repeats=repeats,
        )

    def _write(self, record: Mapping[str, Any]) -> None:
        if self.book is not None:
            self.book.write(dict(record))
