"""Search with real jobs: `search` runs the queries of a method and returns their scores.

Two modes:

``rounds``  the scores of a round are told together, in the order of its queries: the queries
            depend on the scores alone, not on the speed of workers or on restarts.
``async``   each score is told as it arrives, and the next query is asked for at once; running
            queries are taken into account (`jobs.driver`). No worker waits for another.

With a journal no finished query is lost, and the same call resumes an interrupted search.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any

import numpy as np

from weaknas_jax.core.types import Method, Space
from weaknas_jax.jobs import checks, types
from weaknas_jax.jobs import workers as pools
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.jobs.loop import Loop
from weaknas_jax.jobs.types import JobsError, Progress, Result
from weaknas_jax.runs.config import ANSWERS
from weaknas_jax.spaces.candidates import SIZE
from weaknas_jax.spaces.choices import Choices, SpaceError
from weaknas_jax.storage import journal as journals

MODES = ("rounds", "async")


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
    repeat_top: int = 0,
    answer: str = "label",
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    make_driver: Callable[..., Driver] = Driver,
) -> Result:
    """Searches ``space`` by ``method``, each query a job.

    Args:
      method: e.g. ``methods.make("gp", budget=100, per_round=4)``. In rounds mode no more than
        its ``per_round`` jobs run at once.
      evaluate: a function of an architecture (a dict; in a `Space` a row) that returns its score,
        larger is better, or a dict with ``score`` and further values to store. An exception or
        a score that is not finite is a failure.
      space: the search space.
      executor: where jobs run: None = our own processes, or any executor. Our processes and
        threads are made for it; Dask, loky (joblib) and the standard library are tested.
      workers: jobs at once.
      mode: ``rounds`` or ``async``.
      seed: of the method's random numbers.
      pool: rows of a space that is too large to list.
      journal: file of finished queries; created if missing, resumed from if it exists.
      about: further values that identify this search, as JSON; a journal with other values is not
        resumed.
      retries: further attempts at an architecture that failed.
      timeout: limit of an attempt, in seconds.
      give_up: failed architectures after which a search without any success ends.
      repeat_top: for noisy scores: the K best by score are evaluated once more at the end, and the
        best of them by the mean of both scores is the answer. It can be raised later, as can the
        budget. A job with a fixed seed should add `repeat_number` to it.
      answer: for noisy scores without further jobs: the best by its ``label``, or by the score that
        the predictor expects of it after the last fit (``posterior``). It changes no query.
      progress: called with each finished query, and each repeat.
      stop: polled; once it returns True no more jobs begin, and running ones are waited for.
      make_driver: makes the search's `Driver` of method, space, ``seed=`` and ``pool=``; a
        replacement may refresh the pool at another pace, or record its calls.

    Raises:
      JobsError: an argument is invalid (says which, and what to give; nothing has begun), or all
        queries failed.
      identity.IdentityError: the journal is of another search; the message lists differences.
      journal.JournalError: the journal is damaged, or in use.
      workers.WorkersError: ``evaluate`` cannot be sent to the workers.
    """
    if mode not in MODES:
        raise JobsError(f"mode={mode!r}: choose one of {', '.join(MODES)}")
    checks.check(
        method,
        evaluate,
        space,
        executor=executor,
        workers=workers,
        seed=seed,
        pool=pool,
        journal=journal,
        about=about,
        retries=retries,
        timeout=timeout,
        give_up=give_up,
        repeat_top=repeat_top,
        progress=progress,
        stop=stop,
    )
    driver = _driver(make_driver, method, space, int(seed), int(pool))
    _check_answer(answer, driver, repeat_top)
    with pools.opened(evaluate, executor, workers, timeout) as worker_pool:
        settings = {
            "budget": method.budget,
            "workers": int(worker_pool.count),
            "retries": int(retries),
            "timeout": None if timeout is None else float(timeout),
            "give_up": int(give_up),
            "repeat_top": int(repeat_top),
            **({"answer": answer} if answer != "label" else {}),
            "cost": _cost_name(space),
        }
        header = {
            "mode": mode,
            "seed": int(seed),
            "pool": int(pool),
            "method": metadata(method),
            **_space_record(space),
            **about,
        }
        with _journal(journal, header, {"answer", *settings}) as book:
            loop = Loop(
                driver,
                mode=mode,
                retries=retries,
                give_up=give_up,
                repeat_top=repeat_top,
                book=book,
            )
            loop.replay(settings)
            complete = loop.work(worker_pool, progress, stop)
    expected = loop.expected() if answer == "posterior" else ()
    return Result(
        best=types.best(loop.finished, loop.repeats, expected),
        evaluations=loop.finished,
        complete=complete,
        torn=bool(book and book.torn),
        resumed=loop.resumed,
        busy=loop.busy(worker_pool.count),
        repeats=loop.repeats,
        expected=expected,
    )


def _check_answer(answer: str, driver: Driver, repeat_top: int) -> None:
    """Raises JobsError where nothing, or something else too, could choose the answer."""
    if answer not in ANSWERS:
        raise JobsError(f"answer={answer!r}: choose one of {', '.join(ANSWERS)}")
    if answer == "label":
        return
    if getattr(driver.state, "prediction", None) is None:
        raise JobsError(f"answer={answer} needs a method with a predictor, such as weaknas")
    if repeat_top:
        raise JobsError(
            f"answer={answer} and repeat_top={repeat_top} both choose the answer; leave one out"
        )


def _driver(
    make: Callable[..., Driver], method: Method, space: Choices | Space, seed: int, pool: int
) -> Driver:
    try:
        return make(method, space, seed=seed, pool=pool)
    except SpaceError:
        raise
    except ValueError as error:
        raise JobsError(str(error)) from None


def metadata(method: Method) -> dict[str, Any]:
    """Settings of a method as records store them, without the budget.

    >>> from weaknas_jax.search import methods
    >>> "budget" in metadata(methods.make("gp", budget=10))
    False
    """
    settings = dict(method.settings) or {"init": method.sizes[0], "per_round": method.sizes[1:2]}
    settings.pop("budget", None)
    return {name: _plain(value) for name, value in settings.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | None):
        return value
    return getattr(value, "__name__", "function") if callable(value) else float(value)


def _space_record(space: Choices | Space) -> dict[str, Any]:
    """Description of a space for the journal, without its cost, which the search does not use."""
    if isinstance(space, Choices):
        return {"space": {k: v for k, v in space.describe().items() if k != "cost"}}
    content = np.ascontiguousarray(space.encoding).tobytes()
    return {"space": {"rows": space.size, "sha256": hashlib.sha256(content).hexdigest()}}


def _cost_name(space: Choices | Space) -> str | None:
    return space.describe().get("cost") if isinstance(space, Choices) else None


def _journal(path: str | None, header: dict[str, Any], settings: Iterable[str]) -> Any:
    if path is None:
        return contextlib.nullcontext()
    return journals.opened(path, header, free=["space.cost", *settings])
