"""The answer by predicted mean: what a predictor fitted on all labels of a run thinks best of.

The best of many noisy labels is a lucky one. The predictor that is fitted on all of them shares
their noise among alike architectures, and its mean, among those that were evaluated, is what
Bayesian optimization recommends for noisy evaluations (Frazier, "A tutorial on Bayesian
optimization", 2018, section 5). It costs no training. NumPy; the fits are `runs.last_fit`.
"""

from typing import Any, NamedTuple

import numpy as np

from weaknas_jax.core.trace import Trace
from weaknas_jax.measures import metrics
from weaknas_jax.measures.stats import known_mean
from weaknas_jax.runs.last_fit import LastFit
from weaknas_jax.tables.table import Table


class Posterior(NamedTuple):
    """The answers of S runs by predicted mean; rows of the table's arrays, -1 = no label is known.

    Attributes:
      before, answer: int64 [S], the best by label, and by predicted mean. They are the same where
        the predictor returned no number.
      label: float64 [S], the label of ``before``; NaN = none.
      predicted: float64 [S], the predicted mean of ``answer`` as a label, in the table's unit;
        NaN = it is the best by label for lack of a prediction.
    """

    before: np.ndarray
    answer: np.ndarray
    label: np.ndarray
    predicted: np.ndarray


def choose(trace: Trace, table: Table, fitted: LastFit) -> Posterior:
    """Of each run the evaluated architecture with the highest predicted mean.

    Only queries that returned a label are looked at; of equal predictions the best label counts,
    of equal labels the first.

    >>> runs = Trace(np.array([0]), np.array([[1, 0]]), np.array([[7.0, 9.0]]), *[None] * 6)
    >>> table = Table("s", "d", np.eye(2), valid=np.array([[9.0], [7.0]]))
    >>> answers = choose(runs, table, LastFit(np.array([[0.5, 0.2]]), np.array([[8.0, 7.5]])))
    >>> answers.before, answers.answer, answers.predicted
    (array([0]), array([1]), array([8.]))

    Args:
      trace: of the runs.
      table: that they searched.
      fitted: predictions of the same runs, from `last_fit.fit`.
    """
    labels = metrics.resolved(trace.scores, table.percent)
    labelled = np.isfinite(labels) & (trace.queried >= 0)
    worth = np.where(labelled, table.worth(labels), -np.inf)
    mean = np.where(labelled & np.isfinite(fitted.mean), fitted.mean, -np.inf)
    best = mean == mean.max(axis=1, keepdims=True)
    before, after = worth.argmax(axis=1), np.where(best, worth, -np.inf).argmax(axis=1)
    each = np.arange(len(labels))
    exists, predicted = labelled[each, before], np.isfinite(mean[each, after])

    def rows(places: np.ndarray) -> np.ndarray:
        return np.where(exists, trace.queried[each, places], -1).astype(np.int64)

    return Posterior(
        before=rows(before),
        answer=rows(after),
        label=np.where(exists, labels[each, before], np.nan),
        predicted=np.where(predicted, fitted.score[each, after], np.nan).astype(np.float64),
    )


def summary(posterior: Posterior, table: Table) -> dict[str, Any]:
    """The field ``posterior`` of ``summary.json``: means over runs, in the table's unit.

    ``valid_regret`` is that of the answer's mean validation score, by label and by predicted mean;
    ``curse`` is what the answer was thought to be less what it is, by its label and by its
    predicted mean.
    """
    worth, best = table.worth(table.valid_mean), float(np.nanmax(table.worth(table.valid_mean)))
    by_label, by_mean = (
        np.where(rows >= 0, worth[rows], np.nan) for rows in (posterior.before, posterior.answer)
    )
    return {
        "changed": int((posterior.before != posterior.answer).sum()),
        "valid_regret": {"label": known_mean(best - by_label), "mean": known_mean(best - by_mean)},
        "curse": {
            "label": known_mean(table.worth(posterior.label) - by_label),
            "mean": known_mean(table.worth(posterior.predicted) - by_mean),
        },
    }
