"""The best by label trained again at the end of a search, so that no lucky training is its answer.

With one noisy training a query the best label belongs to an architecture that had luck. K more
trainings are dealt out by successive halving: the best K/2 by label are trained once more, the
better half of them again, and so on while there are any left. The answer is the best mean of all
labels among those that came to the last; what is said of it is the mean of its *repeats*, without
the label that it was chosen by, with the standard error s/sqrt(n): n repeats, and s the deviation
between trainings of one architecture, pooled over all that were trained again.

What is drawn depends on the run alone (`task.draw_repeats`), so that a finished trace gives the
same answer in any company and at any time. `benchmarks/repeats.py` measured what it is worth.
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
from weaknas_jax.runs import task
from weaknas_jax.tables import targets
from weaknas_jax.tables.table import Table


class Halved(NamedTuple):
    """What further trainings of the best by label brought.

    Attributes:
      answer: place of the best mean; None = no label is known.
      again: by place, the further labels of what was trained again.
    """

    answer: int | None
    again: Mapping[int, Sequence[float]]


class Repeats(NamedTuple):
    """The answers of S runs after their repeats; rows of the table, -1 = no label is known.

    Attributes:
      repeat_top: K, the most trainings more in a run.
      before, answer: int64 [S], the best by label in the search, and the best after the repeats.
      label: float64 [S], the label of ``before``.
      mean: float64 [S], of the answer's repeats; NaN = it has none.
      error: float64 [S], standard error of ``mean``; NaN = unknown.
      count: int64 [S], the answer's repeats.
      queries, trained: int64 [S], queries of the run, and trainings more.
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
    """Deals out further trainings to the best of some labels by successive halving.

    >>> halve(np.array([90.0, 92.0, 91.0]), lambda places, nth: np.full(len(places), 91.5), 2)
    Halved(answer=1, again={1: [91.5], 2: [91.5]})

    Args:
      labels: float64 [Q]; NaN = failed, never trained again. Of equal ones the first is better.
      train: ``train(places int [n], nth int [n]) -> float64 [n]``: the label of the nth further
        training (0 = the first) of each place; NaN = there is no such, and it costs nothing.
      trainings: K, the most that may be spent.
    """
    order = np.argsort(-labels, kind="stable")
    standing = order[np.isfinite(labels[order])]
    last = standing = standing[: max(-(-trainings // 2), min(trainings, 2))]
    again: dict[int, list[float]] = {}

    def best(places: np.ndarray) -> np.ndarray:
        means = [np.mean([float(labels[place]), *again.get(int(place), ())]) for place in places]
        return places[np.argsort(-np.array(means), kind="stable")]

    left = trainings
    while left > 0 and len(standing):
        last = best(standing)[:left]
        nth = np.array([len(again.get(int(place), ())) for place in last])
        new = train(last, nth)
        for place, label in zip(last, new, strict=True):
            if np.isfinite(label):
                again.setdefault(int(place), []).append(float(label))
        spent = int(np.isfinite(new).sum())
        if not spent:
            break
        left -= spent
        standing = best(last)[: -(-len(last) // 2)]
    return Halved(int(best(last)[0]) if len(last) else None, again)


def deviation(labels: np.ndarray, again: Mapping[int, Sequence[float]]) -> float:
    """Deviation between trainings of one architecture, pooled over all with more than one label.

    NaN where there is none. The label that an architecture was chosen by counts as any other,
    which makes it rather too large than too small.
    """
    groups = [np.array([labels[place], *more]) for place, more in again.items()]
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return math.sqrt(squares / freedom) if freedom else math.nan


def check(scores: np.ndarray, noise: float, repeat_top: int) -> None:
    """Raises ValueError where further trainings have no effect: the same label would come back."""
    if isinstance(repeat_top, bool) or not isinstance(repeat_top, int | np.integer):
        raise ValueError(f"repeat_top={repeat_top!r}: give a whole number of trainings")
    if repeat_top < 1:
        raise ValueError(f"repeat_top={repeat_top}: give 1 or more, or leave it out")
    if not noise and np.isfinite(scores).sum(axis=1).max(initial=0) < 2:
        raise ValueError(
            f"repeat_top={repeat_top}: has no effect, every label is a number that would come back "
            "the same; it needs labels=single_run (of a table with the runs behind each mean) or "
            "label_noise"
        )


def ask_again(
    trace: Trace, table: Table, protocol: Protocol, seed: int, repeat_top: int
) -> Repeats:
    """The answers of finished runs after ``repeat_top`` more trainings in each.

    With labels of single runs a further training is another run of the architecture, drawn without
    replacement; one that has no other keeps what it has. With noise it is the same mean, with noise
    drawn anew.

    Args:
      trace: what the runs did.
      table, protocol: what they searched, under which rules.
      seed: root of their random numbers.
      repeat_top: K, trainings more at the end of each run.

    Raises:
      ValueError: further trainings have no effect on such labels.
    """
    scores = targets.possible_scores(table, protocol.labels)
    check(np.asarray(scores), protocol.label_noise, repeat_top)
    how = seed, scores, protocol.label_noise, repeat_top
    one = [_of_run(trace, i, table, *how) for i in range(len(trace.run))]
    columns = zip(*one, strict=True) if one else [()] * 8
    found = Repeats(repeat_top, *(np.array(column) for column in columns))
    return found._replace(label=table.worth(found.label), mean=table.worth(found.mean))


def _of_run(
    trace: Trace,
    i: int,
    table: Table,
    seed: int,
    scores: jax.Array,
    noise: float,
    repeat_top: int,
) -> tuple:
    """The fields of `Repeats` of one run, labels as the search sees them: the more the better."""
    labels = table.worth(metrics.resolved(trace.scores[i], table.percent))
    rows = np.maximum(trace.queried[i], 0)
    (key,) = run_keys(seed, [trace.run[i]])
    width = min(max(2, -(-repeat_top // 2)), len(rows))

    def train(places: np.ndarray, nth: np.ndarray) -> np.ndarray:
        padded = np.zeros((2, width), np.int32)  # one program, however many are trained
        padded[:, : len(places)] = rows[places], nth
        drawn = np.asarray(_draw(key, scores, noise, *padded))[: len(places)]
        return metrics.resolved(drawn, table.percent)

    answer, again = halve(labels, train, repeat_top)
    queries, trained = int((trace.queried[i] >= 0).sum()), sum(map(len, again.values()))
    if answer is None:
        return -1, -1, math.nan, math.nan, math.nan, 0, queries, trained
    before, own = int(np.nanargmax(labels)), np.array(again.get(answer, ()))
    mean, error = math.nan, math.nan
    if len(own):
        mean, error = own.mean(), deviation(labels, again) / math.sqrt(len(own))
    return rows[before], rows[answer], labels[before], mean, error, len(own), queries, trained


_draw = jax.jit(task.draw_repeats)


def summary(repeats: Repeats, table: Table) -> dict[str, Any]:
    """As ``summary.json`` holds it: means over runs, and each run's answer; in the table's unit.

    ``curse`` is how much better the answer was thought to be than by the table's mean: ``label`` by
    its best label before, ``mean`` by the mean of its repeats after.
    """
    valid, test = table.valid_mean, metrics.test_accuracy(table)
    answers = repeats.before, repeats.answer
    worth = table.worth(valid)
    was, now = (np.where(rows >= 0, worth[rows], np.nan) for rows in answers)
    best = float(np.nanmax(worth))
    return {
        "repeat_top": repeats.repeat_top,
        "repeats": _mean(repeats.trained),
        "trainings": _mean(repeats.queries + repeats.trained),
        "changed": int((repeats.before != repeats.answer).sum()),
        "mean": _mean(repeats.mean),
        "standard_error": _mean(repeats.error),
        "count": _mean(repeats.count),
        "valid_regret": {"before": _mean(best - was), "after": _mean(best - now)},
        "curse": {
            "label": _mean(table.worth(repeats.label) - was),
            "mean": _mean(table.worth(repeats.mean) - now),
        },
        "per_seed": [_answer(repeats, i, table, valid, test) for i in range(len(repeats.answer))],
    }


def _answer(
    repeats: Repeats, i: int, table: Table, valid: np.ndarray, test: np.ndarray
) -> dict[str, Any] | None:
    """One run's answer; None = no label of it is known."""
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


def _mean(values: np.ndarray) -> float | None:
    """Of the finite ones."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
