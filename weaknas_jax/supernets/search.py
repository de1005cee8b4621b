"""Search among sub-networks by evaluations that take their time (WeakNAS, section 4.3).

The rounds are those of `loop.weaknas` by `driver.Driver`; what a round asks for is evaluated, or
read from a `Cache` of what was evaluated before, by this search before it was killed or by another.
The queries depend on the scores alone, so that with a cache a search that is begun again goes the
same way, at once as far as it had come.

The pool is refreshed around the best, if wanted: mutations of the best known sub-networks in the
window take the place of rows that promise nothing (`spaces.candidates`). The paper ranks one pool
all through, and can find nothing that is not in it.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.types import Method
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.jobs.workers import plain
from weaknas_jax.spaces.mobilenet import window as pools
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks
from weaknas_jax.storage import journal

NEVER = 2**31  # told queries between refreshes of a pool that stays
Evaluate = Callable[[Arch], Mapping[str, float]]
"""From a sub-network to ``score``, larger is better, and whatever else is worth keeping by name."""


class SearchError(ValueError):
    """A search that cannot go on; says why."""


class Evaluation(NamedTuple):
    """A query.

    Attributes:
      arch: the sub-network.
      found: what the evaluation gave; ``score`` among it. Empty = it failed.
      seconds: that it took.
      error: why it failed, None = it did not.
      expected: score that was expected of it when it was asked for, None = it was drawn blindly.
    """

    arch: Arch
    found: Mapping[str, float]
    seconds: float
    error: str | None = None
    expected: float | None = None

    @property
    def score(self) -> float:
        """NaN = it failed."""
        return self.found.get("score", np.nan)


class Result(NamedTuple):
    """What a search came to.

    Attributes:
      evaluations: in the order of the queries.
      believed: float32 [n], the score that the last fit expects of each.
      promised: the sub-network of the last pool that the last fit expects most of, evaluated or
        not, and what it expects: the paper's answer. None = nothing was fitted.
      complete: it was not stopped.
      known: queries that were read from the cache.
    """

    evaluations: list[Evaluation]
    believed: np.ndarray
    promised: tuple[Arch, float] | None
    complete: bool
    known: int

    def best(self, count: int = 1) -> list[Evaluation]:
        """The best evaluations, the best first."""
        scored = [e for e in self.evaluations if np.isfinite(e.score)]
        return sorted(scored, key=lambda e: -e.score)[:count]

    def curve(self) -> np.ndarray:
        """Best score so far, float64 [n]; NaN before the first success."""
        return np.fmax.accumulate([e.score for e in self.evaluations])


class Cache:
    """What evaluations gave, by name of the sub-network (`pool.names`); `cache` has it on disk."""

    def __init__(self, records: Iterable[dict[str, Any]] = (), write=lambda record: None):
        self.known = {record["name"]: record for record in records}
        self._write, self._lock = write, threading.Lock()

    def keep(self, record: dict[str, Any]) -> None:
        """Adds one; may be called from several threads."""
        with self._lock:
            self._write(record)
            self.known[record["name"]] = record


@contextlib.contextmanager
def cache(path: str | os.PathLike, about: Mapping[str, Any]) -> Iterator[Cache]:
    """The cache at ``path``, begun if there is none, for one process at a time.

    Args:
      path: a file.
      about: what evaluations depend on (weights, images, ...), as JSON.

    Raises:
      JournalError: a cache of something else (names what), a damaged file, or one in use.
      OSError: it cannot be written.
    """
    with journal.opened(path, {"holds": "evaluations", **about}) as book:
        worked = any(record["error"] is None for record in book.records)
        # where nothing ever worked, what was wrong may be mended
        yield Cache(book.records if worked else (), book.write)


def run(
    method: Method,
    space: SubNetworks,
    evaluate: Evaluate,
    *,
    seed: int = 0,
    pool: int = 10_000,
    refresh: int | None = 5,
    workers: int = 1,
    known: Cache | None = None,
    progress: Callable[[list[Evaluation]], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
    give_up: int = 10,
) -> Result:
    """One search.

    Args:
      method: e.g. ``methods.make("gp", init=10, per_round=1, budget=100)``.
      space: sub-networks in a window.
      evaluate: see `Evaluate`; what it raises is recorded as the failure of that sub-network.
      seed: of the method and of the pool.
      pool: sub-networks that are ranked.
      refresh: told queries between two refreshes of the pool; None = it stays.
      workers: evaluations at once, in threads.
      known: evaluations there are.
      progress: called with all evaluations so far after each.
      stop: once it is True nothing new begins.
      give_up: failures after which the search ends if nothing has succeeded by then.

    Raises:
      SearchError: nothing but failures.
    """
    known = known or Cache()
    driver = Driver(method, space, seed=seed, pool=pool, refresh=refresh or NEVER)
    done: list[Evaluation] = []
    asked: list[int] = []
    reused, rows = 0, driver.ask()
    threads = ThreadPoolExecutor(workers)
    try:
        while rows and not stop():
            blind = not asked or not _predicts(driver)
            expected = [None] * len(rows) if blind else driver.believe(rows)
            population = space.population(driver.pool.codes[rows])
            names = pools.names(population).tolist()
            reused += sum(name in known.known for name in names)

            def one(at: int, population=population, names=names) -> dict | None:
                record = known.known.get(names[at]) or _evaluated(evaluate, population, at, stop)
                if record is not None and names[at] not in known.known:
                    known.keep(record | {"name": names[at]})
                return record

            for at, record in enumerate(threads.map(one, range(len(rows)))):
                if record is None:  # stopped before it began, or broken off by that
                    return _result(driver, asked, done[: len(asked)], False, reused)
                done.append(_evaluation(population, at, record, expected[at]))
                progress(done)
                if len(done) >= give_up and all(e.error for e in done):
                    raise SearchError(
                        f"all of the first {len(done)} sub-networks failed, the last by: "
                        f"{done[-1].error}\nmend it and call again: they are then tried anew"
                    )
            driver.tell(rows, [e.score for e in done[len(asked) :]])
            asked += rows
            rows = driver.ask()
        return _result(driver, asked, done, not rows, reused)
    finally:  # after a stop what still runs is not waited for: whoever breaks in ends it
        threads.shutdown(wait=not stop(), cancel_futures=True)


def _evaluated(evaluate: Evaluate, population: Arch, at: int, stop) -> dict | None:
    if stop():
        return None
    begun, found, error = time.perf_counter(), {}, None
    try:
        found = dict(evaluate(_one(population, at)))
        if not np.isfinite(found["score"]):
            found, error = {}, f"score {found['score']}"
        found = {name: _kept(value) for name, value in found.items()}
    except OSError:
        raise  # not of this sub-network: a disk, a folder
    except Exception as problem:  # whatever it is, the others go on
        if stop():  # which may be what ended it
            return None
        error = f"{type(problem).__name__}: {problem}"
    return {"found": found, "error": error, "seconds": time.perf_counter() - begun}


def _kept(value: Any) -> Any:
    """As JSON has it; a number that is not finite is unknown: None."""
    is_number = isinstance(value, float | np.floating)
    return None if is_number and not np.isfinite(value) else plain(value)


def _one(population: Arch, at: int) -> Arch:
    return Arch(*(np.asarray(part[at]) for part in population))


def _evaluation(population: Arch, at: int, record: Mapping[str, Any], expected) -> Evaluation:
    expected = None if expected is None else float(expected)
    arch = _one(population, at)
    return Evaluation(arch, record["found"], record["seconds"], record["error"], expected)


def _result(
    driver: Driver, asked: Sequence[int], done: list[Evaluation], complete: bool, known: int
) -> Result:
    if not asked:
        return Result(done, np.zeros(0, np.float32), None, complete, known)
    if not _predicts(driver):
        return Result(done, np.full(len(asked), np.nan), None, complete, known)
    top = int(np.argmax(np.asarray(driver.state.prediction.mean)))
    promised = _one(driver.choices.population(driver.pool.codes[[top]]), 0)  # pyright: ignore[reportAttributeAccessIssue]
    expected = float(driver.believe([top])[0])
    return Result(done, driver.believe(asked), (promised, expected), complete, known)


def _predicts(driver: Driver) -> bool:
    return getattr(driver.state, "prediction", None) is not None
