"""Workers that run jobs: our own processes, or any `concurrent.futures.Executor`.

Our own processes (pebble) are supervised: one that hangs is ended at its time-out, one that dies is
replaced, and only its job is lost. Other executors cannot end a running job; it is abandoned, and a
late result of it is ignored.
"""

import contextlib
import contextvars
import importlib
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
from pebble import ProcessExpired, ProcessPool


class Outcome(NamedTuple):
    """Outcome of an attempt.

    Attributes:
      score: larger is better; None = it failed.
      error: reason of the failure, None = it succeeded.
      seconds: duration.
      info: further values that the function returned, by name.
    """

    score: float | None
    error: str | None = None
    seconds: float = 0.0
    info: Mapping[str, Any] = {}


class WorkersError(ValueError):
    """Jobs that cannot be started; the message says why and what to do."""


_repeat = contextvars.ContextVar("repeat", default=0)


def repeat_number() -> int:
    """Number of the evaluation that calls it: 0 = a query, 1 = a repeat of one of the best.

    A job whose random numbers depend on the architecture alone should add this to its seed, since
    a repeat with the same seed gives no information.

    >>> repeat_number()
    0
    """
    return _repeat.get()


def attempt(evaluate: Callable[[Any], Any], arch: Any, repeat: int = 0) -> Outcome:
    """Outcome of ``evaluate(arch)``, failures included; `repeat_number` is ``repeat`` meanwhile.

    Raises:
      CancelledError: ``evaluate`` raised it; such an attempt is not counted.
    """
    start = time.perf_counter()
    _repeat.set(repeat)
    try:
        score, info = _read(evaluate(arch))
        with np.errstate(over="ignore"):  # methods count in float32
            error = None if np.isfinite(np.float32(score)) else f"the score is {score}"
    except CancelledError:  # cancelled: not a failure of the job
        raise
    except (Exception, SystemExit) as failure:
        score, info = None, {}
        error = "".join(traceback.format_exception(failure)[-3:]).strip()[-2000:]
    seconds = time.perf_counter() - start
    return Outcome(None if error else score, error, seconds, info)


def _read(returned: Any) -> tuple[float, dict[str, Any]]:
    if isinstance(returned, Mapping):
        if "score" not in returned:
            raise ValueError(f"evaluate returned {dict(returned)}: it has no 'score'")
        info = {str(k): v for k, v in returned.items() if k != "score"}
        return _number(returned["score"]), {k: plain(v) for k, v in info.items()}
    return _number(returned), {}


def _number(value: Any) -> float:
    if isinstance(value, str | bytes | None) or np.ndim(value) != 0:
        raise ValueError(
            f"evaluate returned {value!r}: give a number, or a dict with a number as 'score'"
        )
    return float(value)


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it; anything else (NaN, say) becomes a string."""
    if isinstance(value, bool | int | str | None):
        return value
    try:
        number = float(value)
        return number if np.isfinite(number) else str(number)
    except (TypeError, ValueError):
        return str(value)


class _Packed:
    """A function, pickled to be sent to other processes."""

    def __init__(self, evaluate: Callable[[Any], Any]):
        try:
            self.content = cloudpickle.dumps(evaluate)
            cloudpickle.loads(self.content)
        except Exception as error:
            raise WorkersError(
                f"evaluate={evaluate!r} cannot be sent to other processes ({error}): open files, "
                "locks and connections inside of it, or use executor=ThreadPoolExecutor(workers)"
            ) from None

    def __call__(self, arch: Any) -> Any:
        return _unpacked(self.content)(arch)


_loaded: dict[bytes, Callable[[Any], Any]] = {}


def _unpacked(content: bytes) -> Callable[[Any], Any]:
    if content not in _loaded:
        _loaded.clear()
        _loaded[content] = cloudpickle.loads(content)
    return _loaded[content]


class Workers:
    """Starts attempts and reads their outcomes; made by `opened`.

    Attributes:
      count: jobs at once.
      limit: time limit of an attempt in seconds, None = no limit.
    """

    def __init__(
        self,
        evaluate: Callable[[Any], Any],
        executor: Executor | None,
        count: int,
        limit: float | None,
    ):
        self.count, self.limit, self._executor, self._own = count, limit, executor, None
        self._threads = isinstance(executor, ThreadPoolExecutor)
        self._evaluate = evaluate if self._threads else _Packed(evaluate)

    @property
    def supervised(self) -> bool:
        """Whether the workers enforce time-outs themselves."""
        return self._executor is None

    def submit(self, arch: Any, repeat: int = 0) -> Future:
        """Starts an attempt.

        Raises:
          WorkersError: the executor takes no jobs, though it is not broken.
        """
        if self._executor is not None:
            try:
                return self._executor.submit(attempt, self._evaluate, arch, repeat)
            except BrokenExecutor:
                self.replace()
                return self.submit(arch, repeat)
            except RuntimeError as error:
                what = f"executor={self._executor!r}: takes no jobs ({error})"
                raise WorkersError(f"{what}; give one that is open") from None
        if self._own is None:
            self._own = ProcessPool(
                self.count,
                context=get_context("spawn"),
                initializer=importlib.import_module,  # slow imports are no job's time
                initargs=(__name__,),
            )
        return self._own.submit(attempt, self.limit, self._evaluate, arch, repeat)

    def outcome(self, future: Future) -> Outcome | None:
        """Outcome of an attempt that ended; None = it ended through no fault of its own."""
        try:
            return future.result()
        except ProcessExpired as error:
            return Outcome(None, f"the worker died (exit code {error.exitcode})")
        except TimeoutError:
            return self.expired()
        except BrokenExecutor:  # one job broke the executor for all
            if self._executor is not None:
                self.replace()
            return None
        except CancelledError:
            return None
        except Exception as error:  # of the executor: the function's own are read by `attempt`
            return Outcome(None, f"{type(error).__name__}: {error}"[-2000:])

    def late(self, since: float) -> bool:
        """Whether an attempt that began ``since`` (`time.monotonic`) takes too long."""
        return self.limit is not None and time.monotonic() - since > self.limit

    def expired(self) -> Outcome:
        """Outcome of an attempt that took too long."""
        return Outcome(None, f"took longer than the time-out of {self.limit:g} s", self.limit)

    def replace(self) -> None:
        """Replaces an executor that broke, or whose workers all hang."""
        what = "new threads" if self._threads else "processes of our own"
        warnings.warn(f"{self._executor!r} broke or hangs: going on with {what}", stacklevel=2)
        self._executor = ThreadPoolExecutor(self.count) if self._threads else None

    def close(self) -> None:
        """Ends our own processes."""
        if self._own is not None:
            self._own.stop()
            self._own.join()


@contextlib.contextmanager
def opened(
    evaluate: Callable[[Any], Any],
    executor: Executor | None,
    count: int | None,
    limit: float | None,
) -> Iterator[Workers]:
    """Workers for as long as the body runs.

    Args:
      evaluate: of an architecture; a number, or a mapping that has one as ``score``.
      executor: None = processes of our own.
      count: jobs at once; None = as many as the executor has workers, 1 if it does not say.
      limit: seconds that an attempt may take, None = no limit.

    Raises:
      WorkersError: the function cannot be sent to them.
    """
    if count is None:
        count = getattr(executor, "_max_workers", None) or 1
    workers = Workers(evaluate, executor, count, limit)
    try:
        yield workers
    finally:
        workers.close()
