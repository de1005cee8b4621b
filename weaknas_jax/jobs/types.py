"""Types of searches with jobs: evaluations, repeats, progress, results."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class JobsError(ValueError):
    """A search that cannot continue; the message says why and what to do."""


class Evaluation(NamedTuple):
    """A finished query, or a repeat of one.

    Attributes:
      arch: the architecture; its row in a `Space`.
      score: None = it failed for good.
      error: of its last attempt, None = none.
      attempts: number of attempts.
      seconds: duration of the last attempt.
      info: further values that the function returned, by name.
    """

    arch: Any
    score: float | None
    error: str | None = None
    attempts: int = 1
    seconds: float = 0.0
    info: Mapping[str, Any] = {}


class Repeated(NamedTuple):
    """A query that was evaluated once more.

    Attributes:
      first: the query.
      repeat: the further evaluation.
      scores: of both, without failures.
      mean: of the scores.
      error: standard error of the mean; None where there is one score.
    """

    first: Evaluation
    repeat: Evaluation
    scores: tuple[float, ...]
    mean: float
    error: float | None


class Progress(NamedTuple):
    """Progress of a search.

    Attributes:
      last: the query, or the repeat, that has just finished.
      best: of those that finished, None = none has a score yet.
      finished, budget, running: queries; ``running`` counts repeats too.
      failed: of those that finished.
      left: seconds, at the pace of this call, to the last query or repeat.
      repeated, repeats: number of finished repeats, and of all; 0 before the last query has
        finished.
    """

    last: Evaluation
    best: Evaluation | None
    finished: int
    budget: int
    running: int
    failed: int
    left: float
    repeated: int = 0
    repeats: int = 0


class Result(NamedTuple):
    """Result of a search.

    Attributes:
      best: the best evaluation, None = none has a score. With repeats: of those with two scores
        the best by their mean. With ``answer="posterior"``: the best by expected score.
      evaluations: all queries that finished, in the order of telling.
      complete: the method and the repeats have finished; otherwise the search was stopped.
      torn: the journal had a torn last line, which was cut off.
      resumed: number of evaluations read from the journal.
      busy: share of the workers' time that jobs took in this call.
      repeats: the queries evaluated once more, the best mean first.
      expected: with ``answer="posterior"`` the score of each evaluation that the predictor expects
        after its last fit, NaN = the method was not told of it; else ().
    """

    best: Evaluation | None
    evaluations: list[Evaluation]
    complete: bool
    torn: bool
    resumed: int
    busy: float
    repeats: tuple[Repeated, ...] = ()
    expected: tuple[float, ...] = ()


def scored(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Evaluations with a score, the best first; ties in their order."""
    successes = [e for e in evaluations if e.score is not None]
    return sorted(successes, key=lambda e: -e.score)


def compared(
    evaluations: Iterable[Evaluation], repeats: Mapping[str, Evaluation], key: Callable[[Any], str]
) -> tuple[Repeated, ...]:
    """Queries with their repeats, the best mean first.

    Args:
      evaluations: the queries.
      repeats: by ``key`` of the architecture.
      key: text that identifies an architecture.
    """
    if not repeats:
        return ()
    pairs = [(e, repeats[key(e.arch)]) for e in scored(evaluations) if key(e.arch) in repeats]
    each = []
    for first, repeat in pairs:
        scores = tuple(e.score for e in (first, repeat) if e.score is not None)
        error = None
        if len(scores) > 1:
            error = float(np.std(scores, ddof=1) / len(scores) ** 0.5)
        each.append(Repeated(first, repeat, scores, float(np.mean(scores)), error))
    return tuple(sorted(each, key=lambda r: -r.mean))


def best(
    evaluations: Sequence[Evaluation],
    repeats: Iterable[Repeated] = (),
    expected: Sequence[float] = (),
) -> Evaluation | None:
    """The answer: see `Result`. Of equal expected scores the best score counts, then the first."""
    for repeated in repeats:
        if repeated.error is not None:
            return repeated.first
    worth = [-np.inf if np.isnan(score) else score for score in expected]
    worth = worth or [0.0] * len(evaluations)
    triples = [
        (own, e.score, e) for own, e in zip(worth, evaluations, strict=True) if e.score is not None
    ]
    return max(triples, key=lambda triple: triple[:2], default=(None, None, None))[2]
