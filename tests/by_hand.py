"""A table and traces small enough to work out by hand."""

import numpy as np

from weaknas_jax import Table, Trace

# Five architectures; the best by test is 4, the best by valid 3.
TABLE = Table(
    space="hand",
    dataset="made",
    encoding=np.eye(5, dtype=np.float32),
    valid=np.array([[10.0], [20.0], [30.0], [50.0], [40.0]]),
    test=np.array([[11.0], [19.0], [31.0], [48.0], [49.0]]),
)


def trace(queried, predicted_top, round_=(0, 0, 1, 1)):
    queried = np.array(queried, np.int32)
    scores = np.where(queried >= 0, TABLE.valid[np.maximum(queried, 0), 0], np.nan)
    tops = np.array(predicted_top, np.int32)
    nothing = np.full(tops.shape, np.nan, np.float32)
    return Trace(
        run=np.arange(len(queried), dtype=np.int32),
        queried=queried,
        scores=scores.astype(np.float32),
        round=np.array(round_, np.int32),
        predicted_top=tops,
        nan_round=np.full(len(tops), -1, np.int32),
        kendall=nothing,
        kendall_top50=nothing,
        top50_probability=nothing,
    )


RUNS = trace([[1, 0, 4, 2], [1, 2, 3, 0], [4, -1, -1, -1]], [[4, 3], [2, 4], [1, -1]])
