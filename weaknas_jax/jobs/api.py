"""Search with real jobs: `search` asks a method, runs the jobs, and tells it what came of them.

Two modes:

``rounds``  all of a round is told at once, in the order in which it was asked for: the queries
            depend on the scores alone, not on the speed of workers or on kills.
``async``   each result is told as it comes, and another query asked for at once; those under way
            are taken into account (`jobs.driver`). No worker waits for another.

With a journal nothing that is finished is lost, and the same call goes on where it was ended.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import numpy as np

from weaknas_jax.core.types import Method, Space
from weaknas_jax.jobs import checks, types
from weaknas_jax.jobs import workers as pools
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.jobs.loop import Loop
from weaknas_jax.jobs.types import JobsError, Progress, Result
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
    progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    make_driver: Callable[..., Driver] = Driver,
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
      repeat_top: where scores are noisy: the K best by their score are evaluated once more at the
        end, and of these the best by the mean of both scores is the answer. May be raised later, as
        may the budget. A job with a fixed seed takes `repeat_number` into it.
      progress: called with each finished query, and each repeat.
      stop: looked at now and then; once it is True no more jobs begin, and those that run are
        waited for.
      make_driver: makes the search's `Driver` of method, space, ``seed=`` and ``pool=``; another
        one may refresh the pool at another pace, or keep what it sees.

    Raises:
      JobsError: an argument that cannot be used (which, and what to give; nothing has begun then),
        or nothing but failures.
      identity.IdentityError: the journal is another search's; says what differs.
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
    with pools.opened(evaluate, executor, workers, timeout) as at_work:
        settings = {
            "budget": method.budget,
            "workers": int(at_work.count),
            "retries": int(retries),
            "timeout": None if timeout is None else float(timeout),
            "give_up": int(give_up),
            "repeat_top": int(repeat_top),
            "cost": _name_of_cost(space),
        }
        header = {
            "mode": mode,
            "seed": int(seed),
            "pool": int(pool),
            "method": said(method),
            **_named(space),
            **about,
        }
        with _journal(journal, header, settings) as book:
            loop = Loop(
                driver,
                mode=mode,
                retries=retries,
                give_up=give_up,
                repeat_top=repeat_top,
                book=book,
            )
            loop.replay(settings)
            complete = loop.work(at_work, progress, stop)
    return Result(
        best=types.best(loop.finished, loop.repeats),
        evaluations=loop.finished,
        complete=complete,
        torn=bool(book and book.torn),
        resumed=loop.resumed,
        busy=loop.busy(at_work.count),
        repeats=loop.repeats,
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
    """What a journal says of a space: all but its cost, which is no part of the search."""
    if isinstance(space, Choices):
        return {"space": {k: v for k, v in space.describe().items() if k != "cost"}}
    content = np.ascontiguousarray(space.encoding).tobytes()
    return {"space": {"rows": space.size, "sha256": hashlib.sha256(content).hexdigest()}}


def _name_of_cost(space: Choices | Space) -> str | None:
    return space.describe().get("cost") if isinstance(space, Choices) else None


def _journal(path: str | None, header: dict[str, Any], settings: dict[str, Any]) -> Any:
    if path is None:
        return contextlib.nullcontext()
    return journals.opened(path, header, free=["space.cost", *settings])
