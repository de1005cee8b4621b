"""Repeated trainings of the best by label at the end of a search, to correct for lucky trainings.

With one noisy training per query the best label favours a lucky architecture. K more trainings are
spent by successive halving: the best K/2 by label are trained once more, the better half of them
again, and so on until K are spent. The answer has the best mean of all labels in the last group.
It is reported by the mean of its *repeats*, without the label that selected it, with the standard
error s/sqrt(n): n repeats, and s the deviation between trainings of an architecture, pooled over
all that were trained again.

Random draws depend only on the run (`task.draw_repeats`), so that a finished trace gives the same
answer whichever other runs are evaluated. `benchmarks/repeats.py` measures the benefit.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from weaknas_jax.core.keys import run_keys
from weaknas_jax.core.protocol import Protocol
from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import metrics
from weaknas_jax.measures.stats import known_mean
from weaknas_jax.runs import task
from weaknas_jax.tables import targets
from weaknas_jax.tables.table import Table


class Halved(NamedTuple):
    """Result of `halve`.

    Attributes:
      answer: index of the best mean; None = no label is known.
      again: further labels, by the index of the architecture.
    """

    answer: int | None
    again: Mapping[int, Sequence[float]]


class Repeats(NamedTuple):
    """The answers of S runs after their repeats; rows of the table, -1 = no label is known.

    Attributes:
      repeat_top: K, the largest number of further trainings in a run.
      before, answer: int64 [S], the best by label in the search, and the best after the repeats.
      label: float64 [S], the label of ``before``.
      mean: float64 [S], mean of the answer's repeats; NaN = it has none.
      error: float64 [S], standard error of ``mean``; NaN = unknown.
      count: int64 [S], number of the answer's repeats.
      queries, trained: int64 [S], queries of the run, and further trainings.
    """

    repeat_top: int
    before: np.ndarray
    answer: np.ndarray
    label: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    count: np.ndarray
    queries: np.ndarray
    trained: np.ndarray


def halve(
    labels: np.ndarray, train: Callable[[np.ndarray, np.ndarray], np.ndarray], trainings: int
) -> Halved:
    """Spends further trainings on the best-labelled architectures, by successive halving.

    >>> halve(np.array([90.0, 92.0, 91.0]), lambda places, nth: np.full(len(places), 91.5), 2)
    Halved(answer=1, again={1: [91.5], 2: [91.5]})

    Args:
      labels: float64 [Q]; NaN = failed, never trained again. Of equal labels the first is better.
      train: ``train(places int [n], nth int [n]) -> float64 [n]``: the label of the nth further
        training (0 = the first) of each index; NaN = it does not exist, and costs nothing.
      trainings: K, the largest number of trainings.
    """
    order = np.argsort(-labels, kind="stable")
    candidates = order[np.isfinite(labels[order])]
    last = candidates = candidates[: max(-(-trainings // 2), min(trainings, 2))]
    again: dict[int, list[float]] = {}

    def best(places: np.ndarray) -> np.ndarray:
        means = [np.mean([float(labels[place]), *again.get(int(place), ())]) for place in places]
        return places[np.argsort(-np.array(means), kind="stable")]

    remaining = trainings
    while remaining > 0 and len(candidates):
        last = best(candidates)[:remaining]
        nth = np.array([len(again.get(int(place), ())) for place in last])
        new = train(last, nth)
        for place, label in zip(last, new, strict=True):
            if np.isfinite(label):
                again.setdefault(int(place), []).append(float(label))
        spent = int(np.isfinite(new).sum())
        if not spent:
            break
        remaining -= spent
        candidates = best(last)[: -(-len(last) // 2)]
    return Halved(int(best(last)[0]) if len(last) else None, again)


def deviation(labels: np.ndarray, again: Mapping[int, Sequence[float]]) -> float:
    """Deviation between trainings of an architecture, pooled over all with more than one label.

    NaN if there is none. The label that selected an architecture is included, so that the
    deviation is overestimated rather than underestimated.
    """
    groups = [np.array([labels[place], *further]) for place, further in again.items()]
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return math.sqrt(squares / freedom) if freedom else math.nan


def check(scores: np.ndarray, noise: float, repeat_top: int) -> None:
    """Raises ValueError if further trainings have no effect: they would return the same label."""
    if isinstance(repeat_top, bool) or not isinstance(repeat_top, int | np.integer):
        raise ValueError(f"repeat_top={repeat_top!r}: give a whole number of trainings")
    if repeat_top < 1:
        raise ValueError(f"repeat_top={repeat_top}: give 1 or more, or leave it out")
    if not noise and np.isfinite(scores).sum(axis=1).max(initial=0) < 2:
        raise ValueError(
            f"repeat_top={repeat_top}: has no effect, a further training returns the same label; "
            "it needs labels=single_run (on a table with single runs) or label_noise"
        )


def ask_again(
    trace: Trace, table: Table, protocol: Protocol, seed: int, repeat_top: int
) -> Repeats:
    """The answers of finished runs after ``repeat_top`` more trainings in each.

    With labels of single runs a further training is another run of the architecture, drawn without
    replacement, as long as there is one. With label noise it is the same mean with new noise.

    Args:
      trace: trace of the runs.
      table, protocol: their table and protocol.
      seed: root of their random numbers.
      repeat_top: K, further trainings at the end of each run.

    Raises:
      ValueError: further trainings have no effect on such labels.
    """
    scores = targets.possible_scores(table, protocol.labels)
    check(np.asarray(scores), protocol.label_noise, repeat_top)
    arguments = seed, scores, protocol.label_noise, repeat_top
    records = [_of_run(trace, i, table, *arguments) for i in range(len(trace.run))]
    columns = zip(*records, strict=True) if records else [()] * 8
    result = Repeats(repeat_top, *(np.array(column) for column in columns))
    return result._replace(label=table.worth(result.label), mean=table.worth(result.mean))


def _of_run(
    trace: Trace,
    i: int,
    table: Table,
    seed: int,
    scores: jax.Array,
    noise: float,
    repeat_top: int,
) -> tuple:
    """The fields of `Repeats` for one run; labels as the search sees them, higher is better."""
    labels = table.worth(metrics.resolved(trace.scores[i], table.percent))
    rows = np.maximum(trace.queried[i], 0)
    (key,) = run_keys(seed, [trace.run[i]])
    width = min(max(2, -(-repeat_top // 2)), len(rows))

    def train(places: np.ndarray, nth: np.ndarray) -> np.ndarray:
        padded = np.zeros((2, width), np.int32)  # a fixed shape, so that one program serves all
        padded[:, : len(places)] = rows[places], nth
        drawn = np.asarray(_draw(key, scores, noise, *padded))[: len(places)]
        return metrics.resolved(drawn, table.percent)

    answer, again = halve(labels, train, repeat_top)
    queries, trained = int((trace.queried[i] >= 0).sum()), sum(map(len, again.values()))
    if answer is None:
        return -1, -1, math.nan, math.nan, math.nan, 0, queries, trained
    before, repeats_of_answer = int(np.nanargmax(labels)), np.array(again.get(answer, ()))
    mean, error = math.nan, math.nan
    if len(repeats_of_answer):
        mean, error = (
            repeats_of_answer.mean(),
            deviation(labels, again) / math.sqrt(len(repeats_of_answer)),
        )
    return (
        rows[before],
        rows[answer],
        labels[before],
        mean,
        error,
        len(repeats_of_answer),
        queries,
        trained,
    )


_draw = jax.jit(task.draw_repeats)


def summary(repeats: Repeats, table: Table) -> dict[str, Any]:
    """The field ``repeats`` of ``summary.json``: means over runs and answers, in the table's unit.

    ``curse`` is the overestimation of the answer against the table's mean: ``label`` of the best
    label before the repeats, ``mean`` of the mean of its repeats.
    """
    valid, test = table.valid_mean, metrics.test_accuracy(table)
    answers = repeats.before, repeats.answer
    worth = table.worth(valid)
    worth_before, worth_after = (np.where(rows >= 0, worth[rows], np.nan) for rows in answers)
    best = float(np.nanmax(worth))
    return {
        "repeat_top": repeats.repeat_top,
        "repeats": known_mean(repeats.trained),
        "trainings": known_mean(repeats.queries + repeats.trained),
        "changed": int((repeats.before != repeats.answer).sum()),
        "mean": known_mean(repeats.mean),
        "standard_error": known_mean(repeats.error),
        "count": known_mean(repeats.count),
        "valid_regret": {
            "before": known_mean(best - worth_before),
            "after": known_mean(best - worth_after),
        },
        "curse": {
            "label": known_mean(table.worth(repeats.label) - worth_before),
            "mean": known_mean(table.worth(repeats.mean) - worth_after),
        },
        "per_seed": [_answer(repeats, i, table, valid, test) for i in range(len(repeats.answer))],
    }


def _answer(
    repeats: Repeats, i: int, table: Table, valid: np.ndarray, test: np.ndarray
) -> dict[str, Any] | None:
    """The answer of a run; None = it has no label."""
    row = int(repeats.answer[i])
    if row < 0:
        return None
    return {
        "row": int(table.rows[row]),
        "name": None if table.names is None else str(table.names[row]),
        "mean": _known(repeats.mean[i]),
        "standard_error": _known(repeats.error[i]),
        "count": int(repeats.count[i]),
        "valid": _known(valid[row]),
        "test": _known(test[row]),
        "row_before": int(table.rows[repeats.before[i]]),
        "label_before": float(repeats.label[i]),
        "trained": int(repeats.trained[i]),
    }


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
