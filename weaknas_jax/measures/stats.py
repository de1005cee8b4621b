"""Statistics over runs, with their uncertainty; undefined values are None, not NaN."""

import math

import numpy as np


def bootstrap_mean(
    values: np.ndarray, level: float = 0.95, seed: int = 0
) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval of the mean of ``values`` [S] (9,999 resamples, fixed seed).

    Equal values give an interval of zero width; a single one gives (None, None).

    >>> bootstrap_mean(np.array([2.0, 2.0]))
    (2.0, 2.0)
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return None, None
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    rng, size = np.random.default_rng(seed), len(values)
    parts = [values[rng.integers(size, size=(n, size))].mean(axis=1) for n in 9 * [1_000] + [999]]
    low, high = np.quantile(np.concatenate(parts), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(
    a: np.ndarray, b: np.ndarray, level: float = 0.95, seed: int = 0
) -> dict[str, float | bool | None]:
    """The mean of ``a - b`` over runs of the same seeds, with its paired bootstrap interval.

    >>> paired_difference(np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]))
    {'mean': 2.0, 'low': 2.0, 'high': 2.0, 'significant': True}

    Args:
      a, b: [S], entry i of both is of run i; pairs with a NaN are ignored.
      level: confidence level of the interval.
      seed: seed of the resampling.

    Returns:
      ``mean``, ``low``, ``high``, and ``significant``: whether the interval excludes 0. Without
      pairs the numbers are None; for one pair the interval is None.

    Raises:
      ValueError: a and b are not of the same runs.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"a paired difference needs the same runs: {a.shape} and {b.shape}")
    difference = (a - b)[np.isfinite(a) & np.isfinite(b)]
    if not len(difference):
        return {"mean": None, "low": None, "high": None, "significant": False}
    low, high = bootstrap_mean(difference, level, seed)
    significant = low is not None and not low <= 0 <= high
    return {"mean": float(difference.mean()), "low": low, "high": high, "significant": significant}


def known_mean(values: np.ndarray) -> float | None:
    """Mean of the finite values; None = there are none."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None


def spread(values: np.ndarray) -> float | None:
    """Sample standard deviation of the finite ``values``; None for a single one."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def queries_to_optimum(queries: np.ndarray, budget: int) -> dict:
    """Summary of queries to the optimum [S], NaN = censored: not met within ``budget``.

    Censored runs count as the budget, so that the mean is a lower bound of the true mean;
    ``mean_is_lower_bound`` tells whether there are any, and the interval is of that bound. The
    median is exact while fewer than half of the runs are censored, else None.

    >>> queries_to_optimum(np.array([3.0, 5.0, np.nan]), 10)["mean"]
    6.0
    """
    queries = np.asarray(queries, np.float64)
    met = np.isfinite(queries)
    bounded = np.where(met, queries, budget)
    low, high = bootstrap_mean(bounded) if met.any() else (None, None)
    std = spread(bounded)
    median = float(np.median(np.where(met, queries, np.inf)))
    return {
        "mean": float(bounded.mean()),
        "mean_is_lower_bound": bool((~met).any()),
        "std": std,
        "standard_error": None if std is None else std / math.sqrt(len(queries)),
        "median": median if math.isfinite(median) else None,
        "ci95": [low, high],
        "censored": int((~met).sum()),
        "budget": int(budget),
        "per_seed": [int(q) if m else None for q, m in zip(queries, met, strict=True)],
    }


def empirical_distribution(queries: np.ndarray, budget: int) -> np.ndarray:
    """Share of runs that met the optimum within q = 1 .. budget queries, float64 [budget].

    >>> empirical_distribution(np.array([2.0, np.nan]), 3).tolist()
    [0.0, 0.5, 0.5]
    """
    return (np.asarray(queries)[:, None] <= np.arange(1, budget + 1)).mean(axis=0)


def mean_std(values: np.ndarray) -> dict[str, list]:
    """Mean and deviation over finite values along axis 0, None without any, and their number."""
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    mean = np.where(finite, values, 0).sum(axis=0) / np.maximum(count, 1)
    square = np.where(finite, (values - mean) ** 2, 0).sum(axis=0)
    std = np.sqrt(square / np.maximum(count - 1, 1))
    return {
        "mean": [float(m) if c else None for m, c in zip(mean, count, strict=True)],
        "std": [float(s) if c else None for s, c in zip(std, count, strict=True)],
        "runs": count.tolist(),
    }
