"""Search among the sub-networks of a supernet (WeakNAS, section 4.3).

`run` is `jobs.search` in threads of this process, with the following additions:

- evaluations are stored in a `Cache`, also for other searches. In rounds mode the queries depend
  only on the scores: a restarted search repeats its queries from the cache at once.
- the ranked pool is refreshed around the best on request: mutations of the best sub-networks
  replace rows with poor predictions (`spaces.candidates`). The paper ranks one fixed pool, and
  cannot find anything outside it.
- the predicted score of each sub-network, and the sub-network with the best final prediction.

For evaluations in other processes, or on a cluster, pass the space to `jobs.search` itself.
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

NEVER = 2**31  # value of ``refresh`` for a fixed pool
Evaluate = Callable[[Any], Mapping[str, Any]]
"""Sub-network -> ``score``, larger is better, and any further values to store, by name."""


class Result(NamedTuple):
    """Result of a search.

    Attributes:
      evaluations: in the order in which the method received them; ``arch`` is the sub-network.
      expected: float32 [n], the predicted score of each when it was queried; NaN = drawn without a
        prediction.
      expected_at_end: float32 [n], the score that the last fit predicts for each.
      promised: the sub-network of the last pool with the best prediction of the last fit,
        evaluated or not, and its prediction: the paper's answer. None = nothing was fitted.
      complete: whether the search ended without being stopped.
      reused: number of queries with an evaluation from before.
    """

    evaluations: list[Evaluation]
    expected: np.ndarray
    expected_at_end: np.ndarray
    promised: tuple[Any, float] | None
    complete: bool
    reused: int

    def best(self, count: int = 1) -> list[Evaluation]:
        """The best ``count`` evaluations, the best first."""
        return scored(self.evaluations)[:count]

    def curve(self) -> np.ndarray:
        """Best score so far, float64 [n]; NaN before the first success."""
        scores = [np.nan if e.score is None else e.score for e in self.evaluations]
        return np.fmax.accumulate(np.array(scores, np.float64))


class Cache:
    """Evaluations by name of the sub-network; `cache` stores them on disk.

    Args:
      records: ``name``, ``found`` (``score`` and more by name; empty = it failed), ``error``,
        ``seconds``.
      write: called with each new record.
      about: everything the evaluations depend on, as JSON.
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
        """Adds an evaluation unless the sub-network has one."""
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
    """The cache at ``path``, created if missing, for one process at a time.

    Args:
      path: a file.
      about: everything the evaluations depend on (weights, images, ...), as JSON.

    Raises:
      ValueError: the cache is of other evaluations (names the difference), damaged, or in use.
      OSError: it cannot be written.
    """
    with journals.opened(path, {"holds": "evaluations", **about}) as book:
        worked = any(record["error"] is None for record in book.records)
        # if every evaluation failed, the cause may be fixed by now: try again
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
      evaluate: see `Evaluate`; its exceptions are recorded as failures of the sub-network, except
        an OSError (a disk, a folder), which ends the search.
      seed: seed of the method and of the pool.
      pool: number of sub-networks to rank.
      refresh: queries between refreshes of the pool; None = never.
      workers: number of parallel evaluations, in threads.
      mode, retries, timeout, give_up: as in `jobs.search`.
      journal: as in `jobs.search`; in async mode, resuming to the same queries needs one.
      cache: known evaluations; new ones are added.
      progress: called with each finished evaluation.
      stop: once it returns True no evaluation is started.

    Raises:
      JobsError: an argument is invalid, or every evaluation failed.
      OSError: raised by an evaluation.
    """
    store = cache or Cache()
    networks = cast(Networks, space)
    reusable, problems, drivers = dict(store.records), [], []

    def attempt(arch: Mapping[str, Any]) -> Any:
        network = networks.network(arch)
        record = reusable.get(networks.name(network))
        if record is not None:
            return _replay(record)
        try:
            return _finite(evaluate(network))
        except OSError as problem:  # not specific to this sub-network
            problems.append(problem)
            raise CancelledError from None
        except Exception:
            if stop():  # the stop may have caused the error
                raise CancelledError from None
            raise

    def finished(now: Progress) -> None:
        store.keep(networks.name(networks.network(now.last.arch)), now.last)
        progress(now)

    def make_driver(*args: Any, **kwargs: Any) -> Driver:
        drivers.append(_Observed(*args, refresh=refresh or NEVER, **kwargs))
        return drivers[0]

    threads = ThreadPoolExecutor(workers)
    try:
        outcome = jobs.search(
            method,
            attempt,
            space,
            executor=threads,
            workers=workers,
            mode=mode,
            seed=seed,
            pool=pool,
            journal=journal,
            about={"refresh": refresh or 0, "evaluations": store.about},
            retries=retries,
            timeout=timeout,
            give_up=give_up,
            progress=finished,
            stop=lambda: bool(problems) or stop(),
            make_driver=make_driver,
        )
    finally:  # does not wait for running evaluations: the interrupting code ends them
        threads.shutdown(wait=False, cancel_futures=True)
    if problems:
        raise problems[0]
    names = [networks.name(networks.network(e.arch)) for e in outcome.evaluations]
    return Result(
        [
            _from_record(e, networks.network(e.arch), store.records.get(name))
            for e, name in zip(outcome.evaluations, names, strict=True)
        ],
        *drivers[0].expectations(outcome.evaluations),
        promised=drivers[0].promised(networks),
        complete=outcome.complete,
        reused=sum(name in reusable or at < outcome.resumed for at, name in enumerate(names)),
    )


class _Observed(Driver):
    """A driver that records the predicted score of each architecture when it is queried."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.asked: dict[str, tuple[int, float]] = {}  # architecture: its row, its predicted score

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
        """Predicted scores at the time of the query, and now; float32 [n] each."""
        records = [self.asked[key(e.arch)] for e in evaluations]
        at_query = np.array([score for _, score in records], np.float32)
        if not records or not self._predicts():
            return at_query, np.full(len(records), np.nan, np.float32)
        return at_query, self.expected_scores([row for row, _ in records])

    def promised(self, space: Networks) -> tuple[Any, float] | None:
        """The sub-network of the pool with the best prediction, and its prediction."""
        if not self._predicts() or not int(self.state.history.told):
            return None
        top = int(np.argmax(np.asarray(self.state.prediction.mean)))
        return space.network(self.arch(top)), float(self.expected_scores([top])[0])


class KnownFailure(RuntimeError):
    """The stored error of an evaluation, raised again."""


def _replay(record: Mapping[str, Any]) -> Mapping[str, Any]:
    if record["error"] is not None:
        raise KnownFailure(record["error"])
    return record["found"]


def _finite(returned: Any) -> Any:
    """Values for JSON; numbers that are not finite become None, except the score."""
    if not isinstance(returned, Mapping):
        return returned

    def json_value(value: Any) -> Any:
        is_number = isinstance(value, float | np.floating)
        return None if is_number and not np.isfinite(value) else plain(value)

    return {name: v if name == "score" else json_value(v) for name, v in returned.items()}


def _from_record(done: Evaluation, network: Any, record: Mapping[str, Any] | None) -> Evaluation:
    """An evaluation with its sub-network, and the error and seconds of its first evaluation."""
    if record is None:
        return done._replace(arch=network)
    return done._replace(arch=network, error=record["error"], seconds=record["seconds"])
