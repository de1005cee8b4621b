"""Checks of the arguments of a search with jobs, made before anything begins."""

import inspect
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from weaknas_jax.core.types import Method, check_space
from weaknas_jax.jobs.types import JobsError
from weaknas_jax.spaces.choices import Choices

MOST_WORKERS, MOST_ROWS = 10_000, 10_000_000
OURS = ("kind", "format", "mode", "seed", "pool", "method", "space")
"""Names in the first line of a journal that are reserved."""


def check(
    method: Any,
    evaluate: Any,
    space: Any,
    *,
    executor: Any,
    workers: Any,
    seed: Any,
    pool: Any,
    journal: Any,
    about: Any,
    retries: Any,
    timeout: Any,
    give_up: Any,
    repeat_top: Any,
    progress: Any,
    stop: Any,
) -> None:
    """Raises JobsError for an invalid argument of `jobs.search`; says which, and what to give."""
    if not isinstance(method, Method):
        raise JobsError(
            f"method={_short(method)}: give a method, such as methods.make('gp', budget=100)"
        )
    if not isinstance(space, Choices):
        try:
            check_space(space)
        except ValueError as error:
            raise JobsError(str(error)) from None
    _check_evaluate(evaluate)
    if executor is not None:
        _check_executor(executor)
    if workers is not None:
        whole("workers", workers, 1, MOST_WORKERS)
    whole("seed", seed, 0, 2**32 - 1)
    whole("pool", pool, 1, MOST_ROWS)
    whole("retries", retries, 0)
    whole("give_up", give_up, 1)
    whole("repeat_top", repeat_top, 0)
    if repeat_top > method.budget:
        raise JobsError(
            f"repeat_top={repeat_top}: more than the budget of {method.budget}; give a few, such "
            "as 5"
        )
    seconds("timeout", timeout)
    if journal is not None:
        _check_journal(journal)
    _check_about(about)
    for name, function in (("progress", progress), ("stop", stop)):
        if not callable(function) and not (name == "progress" and function is None):
            raise JobsError(f"{name}={_short(function)}: give a function")


def whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raises JobsError unless ``value`` is a whole number from ``low`` to ``high``."""
    is_one = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_one or value < low or (high is not None and value > high):
        to = f"{low} or more" if high is None else f"from {low} to {high:,}"
        raise JobsError(f"{name}={_short(value)}: give a whole number, {to}")


def seconds(name: str, value: Any) -> None:
    """Raises JobsError unless ``value`` is a time in seconds, or None."""
    if value is None:
        return
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (is_number and math.isfinite(value) and value > 0):
        raise JobsError(f"{name}={_short(value)}: give seconds, more than 0, or None for no limit")


def _check_evaluate(evaluate: Any) -> None:
    if not callable(evaluate):
        raise JobsError(
            f"evaluate={_short(evaluate)}: give a function of an architecture that returns a score"
        )
    if inspect.iscoroutinefunction(evaluate):
        raise JobsError(
            f"evaluate={_short(evaluate)}: is an async function; give one that returns the score, "
            "such as lambda arch: asyncio.run(evaluate(arch))"
        )
    try:
        signature = inspect.signature(evaluate)
    except (TypeError, ValueError):  # it has no signature
        return
    try:
        signature.bind({})
    except TypeError as error:
        raise JobsError(
            f"evaluate={_short(evaluate)}: cannot be called with an architecture alone ({error}); "
            "give a function of one argument"
        ) from None


def _check_executor(executor: Any) -> None:
    if isinstance(executor, type):
        raise JobsError(f"executor={executor.__name__}: is a class; give {executor.__name__}(...)")
    if not callable(getattr(executor, "submit", None)):
        raise JobsError(
            f"executor={_short(executor)}: has no submit; give a concurrent.futures.Executor, or "
            "None for processes of our own"
        )
    if True in (getattr(executor, n, None) for n in ("_shutdown", "_shutdown_thread")):
        raise JobsError(f"executor={_short(executor)}: was shut down; give one that is open")


def _check_journal(journal: Any) -> None:
    if not isinstance(journal, str | os.PathLike) or not str(journal).strip():
        raise JobsError(f"journal={_short(journal)}: give the path of a file, or None for none")
    if why := _why_no_file(Path(journal)):
        raise JobsError(f"journal={_short(str(journal))}: {why}")


def _why_no_file(path: Path) -> str | None:
    """Why a file cannot be created or appended to, None = it can."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # it is too long, or has a null byte
        if path.parent.is_dir():
            return f"{getattr(error, 'strerror', None) or error}; name another file"
    if path.is_dir():
        return "is a folder; name a file in it"
    if path.exists() and not path.is_file():
        return "is no regular file; name another"
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist; make it first"
    if not os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK):
        return "cannot be written; name another file"
    return None


def _check_about(about: Any) -> None:
    if not isinstance(about, Mapping):
        raise JobsError(f"about={_short(about)}: give a dict of what JSON can hold")
    if taken := [name for name in about if name in OURS]:
        raise JobsError(f"about: {taken[0]!r} is a name of the journal's own; use another")
    try:
        json.dumps(dict(about), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise JobsError(f"about={_short(about)}: {error}; give what JSON can hold") from None


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
