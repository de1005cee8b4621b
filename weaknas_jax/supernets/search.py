"""Search among the sub-networks of a supernet (WeakNAS, section 4.3).

`run` is `jobs.search` in threads of this process, and adds what such searches have in common:

- evaluations are kept in a `Cache`, also for other searches. In rounds mode the queries depend on
  the scores alone: a search that is begun again goes the same way, at once as far as it had come.
- the ranked pool is refreshed around the best, if wanted: mutations of the best sub-networks take
  the place of rows that promise nothing (`spaces.candidates`). The paper ranks one pool all
  through, and can find nothing that is not in it.
- what the method expected of each sub-network, and what it expects most of in the end.

For evaluations in other processes, or on a cluster, give the space to `jobs.search` itself.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, NamedTuple, cast

import numpy as np

from weaknas_jax import jobs
from weaknas_jax.core.types import Method
from weaknas_jax.jobs import Evaluation, Progress
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.jobs.types import scored
from weaknas_jax.jobs.workers import plain
from weaknas_jax.spaces.choices import Choices
from weaknas_jax.storage import journal as journals
from weaknas_jax.storage.journal_lines import key
from weaknas_jax.supernets.networks import Networks

NEVER = 2**31  # told queries between refreshes of a pool that stays
Evaluate = Callable[[Any], Mapping[str, Any]]
"""From a sub-network to ``score``, larger is better, and whatever else is worth keeping by name."""


class Result(NamedTuple):
    """What a search came to.

    Attributes:
      evaluations: in the order in which the method was told; ``arch`` of each is the sub-network.
      expected: float32 [n], the score that was expected of each when it was asked for; NaN = it
        was drawn blindly.
      expected_at_end: float32 [n], the score that the last fit expects of each.
      promised: the sub-network of the last pool that the last fit expects most of, evaluated or
        not, and what it expects: the paper's answer. None = nothing was fitted.
      complete: it was not stopped.
      reused: queries whose evaluation was known before.
    """

    evaluations: list[Evaluation]
    expected: np.ndarray
    expected_at_end: np.ndarray
    promised: tuple[Any, float] | None
    complete: bool
    reused: int

    def best(self, count: int = 1) -> list[Evaluation]:
        """The best evaluations, the best first."""
        return scored(self.evaluations)[:count]

    def curve(self) -> np.ndarray:
        """Best score so far, float64 [n]; NaN before the first success."""
        scores = [np.nan if e.score is None else e.score for e in self.evaluations]
        return np.fmax.accumulate(np.array(scores, np.float64))


class Cache:
    """Evaluations by name of the sub-network; `cache` keeps them on disk.

    Args:
      records: ``name``, ``found`` (``score`` and more by name; empty = it failed), ``error``,
        ``seconds``.
      write: called with each new one.
      about: what evaluations depend on, as JSON.
    """

    def __init__(
        self,
        records: Iterable[dict[str, Any]] = (),
        write: Callable[[dict[str, Any]], None] = lambda record: None,
        about: Mapping[str, Any] = {},
    ):
        self.records = {record["name"]: record for record in records}
        self.about, self._write = dict(about), write

    def keep(self, name: str, evaluation: Evaluation) -> None:
        """Adds the evaluation of a sub-network that has none."""
        if name in self.records:
            return
        score, info = evaluation.score, dict(evaluation.info)
        error = (evaluation.error or "").strip().splitlines()[-1:]
        record = {
            "found": {} if score is None else {"score": score, **info},
            "error": error[0] if error else None,
            "seconds": evaluation.seconds,
            "name": name,
        }
        self._write(record)
        self.records[name] = record


@contextlib.contextmanager
def cache(path: str | os.PathLike, about: Mapping[str, Any]) -> Iterator[Cache]:
    """The cache at ``path``, begun if there is none, for one process at a time.

    Args:
      path: a file.
      about: what evaluations depend on (weights, images, ...), as JSON.

    Raises:
      ValueError: a cache of something else (names what), a damaged file, or one in use.
      OSError: it cannot be written.
    """
    with journals.opened(path, {"holds": "evaluations", **about}) as book:
        worked = any(record["error"] is None for record in book.records)
        # where nothing ever worked, what was wrong may be mended
        yield Cache(book.records if worked else (), book.write, about)


def run(
    method: Method,
    space: Choices,
    evaluate: Evaluate,
    *,
    seed: int = 0,
    pool: int = 10_000,
    refresh: int | None = 5,
    workers: int = 1,
    mode: str = "rounds",
    retries: int = 0,
    timeout: float | None = None,
    journal: str | None = None,
    cache: Cache | None = None,
    progress: Callable[[Progress], None] = lambda now: None,
    stop: Callable[[], bool] = lambda: False,
    give_up: int = 10,
) -> Result:
    """Searches the sub-networks of a supernet.

    Args:
      method: e.g. ``methods.make("gp", init=10, per_round=1, budget=100)``.
      space: `Networks`, such as ``mobilenet.encodings.SubNetworks``.
      evaluate: see `Evaluate`; what it raises is recorded as the failure of that sub-network, but
        for an OSError (a disk, a folder), which ends the search.
      seed: of the method and of the pool.
      pool: sub-networks that are ranked.
      refresh: told queries between two refreshes of the pool; None = it stays.
      workers: evaluations at once, in threads.
      mode, retries, timeout, give_up: as of `jobs.search`.
      journal: as of `jobs.search`; a search in async mode needs one to go on to the same queries.
      cache: evaluations there are; new ones are added.
      progress: called with each finished evaluation.
      stop: once it is True nothing new begins.

    Raises:
      JobsError: an argument that cannot be used, or nothing but failures.
      OSError: of an evaluation.
    """
    kept = cache or Cache()
    networks = cast(Networks, space)
    known, problems, drivers = dict(kept.records), [], []

    def attempt(arch: Mapping[str, Any]) -> Any:
        network = networks.network(arch)
        record = known.get(networks.name(network))
        if record is not None:
            return _again(record)
        try:
            return _finite(evaluate(network))
        except OSError as problem:  # not of this sub-network
            problems.append(problem)
            raise CancelledError from None
        except Exception:
            if stop():  # which may be what ended it
                raise CancelledError from None
            raise

    def finished(now: Progress) -> None:
        kept.keep(networks.name(networks.network(now.last.arch)), now.last)
        progress(now)

    def make_driver(*arguments: Any, **named: Any) -> Driver:
        drivers.append(_Observed(*arguments, refresh=refresh or NEVER, **named))
        return drivers[0]

    threads = ThreadPoolExecutor(workers)
    try:
        done = jobs.search(
            method,
            attempt,
            space,
            executor=threads,
            workers=workers,
            mode=mode,
            seed=seed,
            pool=pool,
            journal=journal,
            about={"refresh": refresh or 0, "evaluations": kept.about},
            retries=retries,
            timeout=timeout,
            give_up=give_up,
            progress=finished,
            stop=lambda: bool(problems) or stop(),
            make_driver=make_driver,
        )
    finally:  # what still runs is not waited for: whoever broke in ends it
        threads.shutdown(wait=False, cancel_futures=True)
    if problems:
        raise problems[0]
    names = [networks.name(networks.network(e.arch)) for e in done.evaluations]
    return Result(
        [
            _as_kept(e, networks.network(e.arch), kept.records.get(name))
            for e, name in zip(done.evaluations, names, strict=True)
        ],
        *drivers[0].expectations(done.evaluations),
        promised=drivers[0].promised(networks),
        complete=done.complete,
        reused=sum(name in known or at < done.resumed for at, name in enumerate(names)),
    )


class _Observed(Driver):
    """A driver that keeps what the method expected of each architecture when it asked for it."""

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self.asked: dict[str, tuple[int, float]] = {}  # architecture: its row, the score expected

    def ask(self, pending: Sequence[int] = ()) -> list[int]:
        return self._keep(super().ask(pending))

    def mark(self, archs: Sequence[Any]) -> list[int]:
        return self._keep(super().mark(archs))

    def _keep(self, rows: list[int]) -> list[int]:
        blind = not self._predicts() or not int(self.state.history.told)
        scores = np.full(len(rows), np.nan) if blind or not rows else self.expected_scores(rows)
        for row, score in zip(rows, scores, strict=True):
            self.asked[key(self.arch(row))] = row, float(score)
        return rows

    def _predicts(self) -> bool:
        return getattr(self.state, "prediction", None) is not None

    def expectations(self, evaluations: Sequence[Evaluation]) -> tuple[np.ndarray, np.ndarray]:
        """Scores expected when they were asked for, and now; float32 [n] each."""
        each = [self.asked[key(e.arch)] for e in evaluations]
        then = np.array([score for _, score in each], np.float32)
        if not each or not self._predicts():
            return then, np.full(len(each), np.nan, np.float32)
        return then, self.expected_scores([row for row, _ in each])

    def promised(self, space: Networks) -> tuple[Any, float] | None:
        """The sub-network of the pool that most is expected of, and how much."""
        if not self._predicts() or not int(self.state.history.told):
            return None
        top = int(np.argmax(np.asarray(self.state.prediction.mean)))
        return space.network(self.arch(top)), float(self.expected_scores([top])[0])


class KnownFailure(RuntimeError):
    """What an evaluation failed by when it was made; says it again."""


def _again(record: Mapping[str, Any]) -> Mapping[str, Any]:
    if record["error"] is not None:
        raise KnownFailure(record["error"])
    return record["found"]


def _finite(returned: Any) -> Any:
    """As JSON has it; a number that is not finite is unknown, None, but for the score."""
    if not isinstance(returned, Mapping):
        return returned

    def known(value: Any) -> Any:
        is_number = isinstance(value, float | np.floating)
        return None if is_number and not np.isfinite(value) else plain(value)

    return {name: v if name == "score" else known(v) for name, v in returned.items()}


def _as_kept(done: Evaluation, network: Any, record: Mapping[str, Any] | None) -> Evaluation:
    """An evaluation with its sub-network; error and seconds are those of when it was made."""
    if record is None:
        return done._replace(arch=network)
    return done._replace(arch=network, error=record["error"], seconds=record["seconds"])
