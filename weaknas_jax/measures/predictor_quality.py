"""Quality of a predictor's ranking of unseen architectures (paper section 4, Figure 1).

The fit is that of a search of one round: the first n architectures of the run's draw are labelled,
the scorer is fitted on all of them at once and scores the space. Run i draws the same order for
every n and predictor, so that samples are nested and all comparisons are paired. The ranking is
evaluated on the undrawn architectures only, against the mean validation accuracy.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from weaknas_jax.core import keys
from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.core.types import Scorer, Space
from weaknas_jax.search import sampling
from weaknas_jax.search.label_transforms import TRANSFORMS


class Quality(NamedTuple):
    """Quality of a ranking.

    Attributes:
      nan: number of NaN predictions; if there are any, no metric is defined.
      metrics: by name (`metric_names`), NaN = not defined.
    """

    nan: int
    metrics: dict[str, float]


class Cell(NamedTuple):
    """Result of a run of a predictor at one n."""

    predictor: str
    n: int
    run: int
    quality: Quality


@with_conventions
def draw(key: jax.Array, truth: np.ndarray) -> np.ndarray:
    """The rows with a label in the random order in which a run draws them, int32.

    If all rows have a label, a search with this ``key`` draws the same initial architectures.

    Args:
      key: key of the run.
      truth: [N], NaN = no label.
    """
    unknown = ~np.isfinite(truth)
    key = keys.key_for(key, keys.DESIGN)
    order = np.asarray(sampling.draw(key, jnp.asarray(unknown), len(truth)))
    return order[order >= 0]


def ranker(scorer: Scorer, transform: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """``rank(key, space, sample int32 [n], scores [n]) -> predicted mean [N]``, jitted.

    It is compiled for each n: without padding, a result does not depend on which other n are
    measured.
    """

    def rank(key, space, sample, scores):
        mask = jnp.ones(len(sample), bool)
        y = transform(scores, mask)
        state, key = scorer.init(space, len(sample)), keys.key_for(key, keys.FIT, 1)
        return scorer.update(key, state, space, sample, y, mask, sample)[1].mean

    return jax.jit(rank)


@with_conventions
def measure(
    rank: Callable[..., jax.Array],
    key: jax.Array,
    space: Space,
    truth: np.ndarray,
    n: int,
    ks: Sequence[int],
) -> Quality:
    """Measures one run of a predictor at one n.

    Args:
      rank: from `ranker`.
      key: key of the run.
      space: the space as the predictor sees it.
      truth: float [N], mean validation accuracy, percent; NaN = no label.
      n: number of labels to fit on.
      ks: values of k for precision@k.
    """
    order = draw(key, truth)
    sample, rest = order[:n], order[n:]
    scores = jnp.asarray(truth[sample], jnp.float32)
    prediction = np.asarray(rank(key, space, jnp.asarray(sample), scores))
    return judge(prediction[rest], truth[rest], ks)


@with_conventions
def cells(
    scorers: Mapping[str, tuple[Scorer, str]],
    sizes: Sequence[int],
    keys: Sequence[jax.Array],
    space: Space,
    truth: np.ndarray,
    ks: Sequence[int],
    known: Collection[tuple[str, int, int]] = (),
) -> Iterator[Cell]:
    """Measures every predictor at every n in every run, one by one, except those ``known``.

    Args:
      scorers: by name, each with the name of its label transform.
      sizes: n.
      keys: one for each run.
      space, truth, ks: as in `measure`.
      known: (predictor, n, run) to skip.
    """
    for name, (scorer, transform) in scorers.items():
        rank = ranker(scorer, TRANSFORMS[transform])
        for n in sizes:
            for run, key in enumerate(keys):
                if (name, n, run) not in known:
                    yield Cell(name, n, run, measure(rank, key, space, truth, n, ks))


def judge(prediction: np.ndarray, truth: np.ndarray, ks: Sequence[int]) -> Quality:
    """`Quality` of predictions [m] against finite truth [m].

    >>> judge(np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0, 7.0]), [1]).metrics["precision@1"]
    1.0
    """
    nan = int(np.isnan(prediction).sum())
    if nan:
        return Quality(nan, dict.fromkeys(metric_names(ks), float("nan")))
    values = [spearman(prediction, truth), kendall(prediction, truth)]
    values += [precision(prediction, truth, k) for k in ks]
    return Quality(0, dict(zip(metric_names(ks), values, strict=True)))


def metric_names(ks: Sequence[int]) -> list[str]:
    """Names of the metrics, in their order.

    >>> metric_names([10, 100])
    ['spearman', 'kendall', 'precision@10', 'precision@100']
    """
    return ["spearman", "kendall", *(f"precision@{k}" for k in ks)]


def spearman(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Spearman's rho, with mean ranks for ties; NaN if either input is constant."""
    if _constant(prediction) or _constant(truth):
        return float("nan")
    return float(stats.spearmanr(prediction, truth).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def kendall(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Kendall's tau-b; NaN if either input is constant."""
    return float(stats.kendalltau(prediction, truth, variant="b").statistic)  # pyright: ignore[reportAttributeAccessIssue]


def precision(prediction: np.ndarray, truth: np.ndarray, k: int) -> float:
    """Share of the predicted best k that are among the true best k.

    Ties of predictions are broken by position; `measure` passes them in the order of the run's
    draw, which is random and the same for every predictor. Ties with the true k-th best count.

    >>> precision(np.array([4.0, 3.0, 3.0, 1.0]), np.array([9.0, 8.0, 8.5, 7.0]), 2)
    0.5
    """
    best = np.argsort(-prediction, kind="stable")[:k]
    least = np.sort(truth)[-k:][0]
    return float(np.mean(truth[best] >= least))


def _constant(values: np.ndarray) -> bool:
    return bool(np.all(values == values[0]))
