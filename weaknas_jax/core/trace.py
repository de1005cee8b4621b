"""Traces: the record of finished runs that metrics, reports and plots read."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Trace(NamedTuple):
    """Queries, scores and predictions of S runs; NumPy.

    Attributes:
      run: int32 [S], run numbers.
      queried: int32 [S, Q], row numbers of the table in query order, -1 after a run has ended.
      scores: float32 [S, Q], labels of the queries, in the table's unit and direction;
        NaN = failed, or no query.
      round: int32 [Q], the round of each query; 0 = the initial one.
      predicted_top: int32 [S, T+1], the predictor's best after each tell, the last one included;
        -1 = no such tell, or no predictor.
      nan_round: int32 [S], the round whose predictions were NaN, which ended the run; -1 = none.
      kendall, kendall_top50, top50_probability: float32 [S, T+1], see `dynamics.Dynamics`; NaN
        where not measured.
    """

    run: np.ndarray
    queried: np.ndarray
    scores: np.ndarray
    round: np.ndarray
    predicted_top: np.ndarray
    nan_round: np.ndarray
    kendall: np.ndarray
    kendall_top50: np.ndarray
    top50_probability: np.ndarray


RENAMED = {"broken": "nan_round"}
"""Fields of version 0.1, and what they are called now."""


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Trace:
    """A trace from its fields by name, those of version 0.1 included.

    Raises:
      KeyError: a field is missing.
    """
    arrays = {RENAMED.get(name, name): array for name, array in arrays.items()}
    return Trace(**{name: arrays[name] for name in Trace._fields})


def join(traces: Sequence[Trace]) -> Trace:
    """One trace of all runs of ``traces``, in the order of their run numbers."""
    joined = Trace(*(np.concatenate(field) for field in zip(*traces, strict=True)))
    order = np.argsort(joined.run, kind="stable")
    return Trace(*(field[order] for field in joined))._replace(round=traces[0].round)
