"""Agreement of the accuracy that networks inherit with their accuracy after retraining."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from scipy import stats

from weaknas_jax.measures import predictor_quality
from weaknas_jax.report import canvas

_RESAMPLES = 2000


class Spread(NamedTuple):
    """Deviations, percent, by one-way analysis of variance with random effects.

    Attributes:
      networks: between the true means of networks.
      seeds: between trainings of one network.
      means: between the observed means of networks.
      p_value: of the F test for equal means of all networks.
    """

    networks: float
    seeds: float
    means: float
    p_value: float


def spread(retrained: np.ndarray) -> Spread:
    """Deviations of accuracies [N, repeats], with at least two repeats.

    >>> parts = spread(np.array([[1.0, 3.0], [11.0, 13.0], [21.0, 23.0]]))
    >>> [round(float(value), 3) for value in parts]
    [9.95, 1.414, 10.0, 0.002]
    """
    n, repeats = retrained.shape
    within = float(retrained.var(axis=1, ddof=1).mean())
    means = retrained.mean(axis=1)
    between = repeats * float(means.var(ddof=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.float64(between) / within
    p_value = float(stats.f.sf(ratio, n - 1, n * (repeats - 1)))
    networks = max(0.0, (between - within) / repeats) ** 0.5
    return Spread(networks, within**0.5, float(means.std(ddof=1)), p_value)


def tau(inherited: np.ndarray, retrained: np.ndarray, seed: int = 0) -> tuple[float, list]:
    """Kendall's tau-b of [N] and [N], and its 95 % percentile bootstrap interval over networks."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(inherited), (_RESAMPLES, len(inherited)))
    taus = [predictor_quality.kendall(inherited[rows], retrained[rows]) for rows in drawn]
    low, high = np.nanpercentile(taus, (2.5, 97.5))
    return predictor_quality.kendall(inherited, retrained), [float(low), float(high)]


def place(values: np.ndarray, at: int) -> int:
    """Rank of the value at index ``at``, 1 = best; ties share the better rank."""
    return int((values > values[at]).sum()) + 1


def draw(
    inherited: np.ndarray,
    retrained: np.ndarray,
    winner: int,
    searched: tuple[np.ndarray, np.ndarray],
    limit: float,
    losses: tuple[np.ndarray, np.ndarray],
    heading: str,
    path: str | Path,
) -> None:
    """Plots inherited against retrained accuracy, the search, and training losses.

    Args:
      inherited: validation accuracy, percent [N].
      retrained: test accuracy of each training, percent [N, repeats].
      winner: index of the network that the search found.
      searched: millions of multiply-adds and accuracy of each query, in order.
      limit: limit of the search, millions of multiply-adds.
      losses: losses of the supernet [steps], and of the networks [N x repeats, steps].
      heading: title of the left panel.
      path: file to write; its ending chooses the format.
    """
    figure = canvas.blank(15, 4.4)
    left, middle, right = figure.subplots(1, 3)
    mean, low, high = (f(retrained, axis=1) for f in (np.mean, np.min, np.max))
    others = np.arange(len(mean)) != winner
    for mask, style in ((others, "C0o"), (~others, "C3*")):
        error = (mean - low)[mask], (high - mean)[mask]
        label = "winner" if style == "C3*" else "others"
        size = 12 if style == "C3*" else 5
        left.errorbar(inherited[mask], mean[mask], error, fmt=style, ms=size, lw=1, label=label)
    left.set(xlabel="inherited (%, validation)", title=heading)
    left.set(ylabel="retrained (%, test): mean and range of trainings")
    cost, score = searched
    points = middle.scatter(cost, score, c=np.arange(1, len(cost) + 1), s=16)
    figure.colorbar(points, ax=middle, label="query")
    middle.axvline(limit, color="0.4", ls=":", lw=1)
    middle.set(xlabel="million multiply-adds", ylabel="inherited (%, validation)", title="search")
    _curve(right, losses[0][None], "C1", "supernet, progressive shrinking")
    _curve(right, losses[1], "C0", "networks from scratch, mean and range")
    right.set(xlabel="step", ylabel="training loss", title="learning")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    canvas.legends(left, middle, right)
    canvas.save(figure, path)


def _curve(axes: Axes, losses: np.ndarray, color: str, label: str) -> None:
    """Plots losses [R, steps], averaged over windows of a fiftieth of the steps."""
    width = max(1, losses.shape[1] // 50)
    whole = losses.shape[1] // width * width
    smooth = losses[:, :whole].reshape(len(losses), -1, width).mean(-1)
    at = (np.arange(smooth.shape[1]) + 0.5) * width
    axes.plot(at, smooth.mean(0), color=color, label=label)
    axes.fill_between(at, smooth.min(0), smooth.max(0), color=color, alpha=0.2, lw=0)
