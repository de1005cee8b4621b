"""Acquisitions: scores from predictions, by which architectures are ranked; larger is better.

An acquisition is ``score(prediction, history, key) -> float32 [N]``. The scores of ``history`` are
the labels that the predictor was fitted on; ``key`` is the run's, the same in every round (fold in
``history.round`` for draws that change). One that is registered in `ACQUISITIONS` is a value of the
flag.

The paper ranks by `mean` (eq. 4); the others are those of its Bayesian-optimisation variant
(Table 3), with the constants of its code where they are named so.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from weaknas_jax.core.history import History
from weaknas_jax.core.keys import jitter
from weaknas_jax.core.types import Number, Prediction, numbers

Acquisition = Callable[[Prediction, History, jax.Array], jax.Array]

_WIDEST = 4.0


def mean() -> Acquisition:
    """The predicted score, the paper's choice (eq. 4).

    >>> mean()(Prediction(jnp.array([0.5, 2.0])), None, None).tolist()
    [0.5, 2.0]
    """
    return lambda prediction, history, key: prediction.mean


def ucb(*, beta: Number = 1.5, patience: Number = 20.0) -> Acquisition:
    """Upper confidence bound ``mean + b std`` (Srinivas et al., 2010).

    ``b = beta``, and ``beta s / patience`` (at most 4) once the best score is s > ``patience``
    queries old: a search that no longer improves explores more. The reference has ``beta = 0.5``
    and unlimited patience.
    """

    def score(prediction: Prediction, history: History, key: jax.Array) -> jax.Array:
        best = jnp.argmax(jnp.where(history.mask, history.scores, -jnp.inf))
        since = history.told - 1 - best
        width = jnp.minimum(beta * jnp.maximum(1.0, since / patience), jnp.maximum(beta, _WIDEST))
        return prediction.mean + width * prediction.std + _noise(key, prediction)

    return score


def ei(*, calibration: Number = 1.0) -> Acquisition:
    """Expected improvement on the best label (Jones et al., 1998), in logarithms.

    ``calibration`` divides the deviation; the reference's code has 5 for its ensemble.
    """

    def score(prediction: Prediction, history: History, key: jax.Array) -> jax.Array:
        gain, std = prediction.mean - _best(history), prediction.std / calibration
        z = gain / jnp.maximum(std, 1e-9)
        # The logarithm ranks the same, and does not underflow in float32.
        return _log_improvement(z) + jnp.log(jnp.maximum(std, 1e-9)) + _noise(key, prediction)

    return score


def pi(*, margin: Number = 0.0) -> Acquisition:
    """Probability of an improvement on the best label by ``margin``, as its normal quantile."""

    def score(prediction: Prediction, history: History, key: jax.Array) -> jax.Array:
        gain = prediction.mean - _best(history) - margin
        return gain / jnp.maximum(prediction.std, 1e-9) + _noise(key, prediction)

    return score


def ts() -> Acquisition:
    """Thompson sampling: one draw of the whole function, a new one in each round.

    Of an ensemble, a member at random; of a Gaussian process, a draw of its posterior.
    """

    def score(prediction: Prediction, history: History, key: jax.Array) -> jax.Array:
        key = jax.random.fold_in(key, history.round)
        return prediction.draws[jax.random.randint(key, (), 0, len(prediction.draws))]

    return score


def its() -> Acquisition:
    """Independent Thompson sampling: an independent normal draw for each architecture."""

    def score(prediction: Prediction, history: History, key: jax.Array) -> jax.Array:
        draw = jax.random.normal(jax.random.fold_in(key, history.round), prediction.mean.shape)
        return prediction.mean + prediction.std * draw

    return score


def percentile() -> Acquisition:
    """The highest score of an architecture among the draws (members of an ensemble)."""
    return lambda prediction, history, key: prediction.draws.max(axis=0) + _noise(key, prediction)


def confidence(*, caution: Number = 2.0) -> Acquisition:
    """Lower confidence bound, ``mean - caution std``."""
    return lambda prediction, history, key: (
        prediction.mean - caution * prediction.std + _noise(key, prediction)
    )


def _noise(key: jax.Array, prediction: Prediction) -> jax.Array:
    return jitter(key, len(prediction.mean))


def _best(history: History) -> jax.Array:
    """The best label; 0, the mean of the labels, where there is none."""
    best = jnp.max(jnp.where(history.mask, history.scores, -jnp.inf))
    return jnp.where(jnp.isfinite(best), best, 0.0)


def _log_improvement(z: jax.Array) -> jax.Array:
    """``log(pdf(z) + z cdf(z))``, also where both are 0 in float32 (Ament et al., 2023)."""
    near, far, above = jnp.clip(z, -8.0, 0.0), jnp.minimum(z, -8.0), jnp.maximum(z, 0.0)
    ratio = jnp.exp(norm.logcdf(near) - norm.logpdf(near))
    left = jnp.where(z > -8.0, near * ratio, -1 + (1 - 3 / far**2 + 15 / far**4) / far**2)
    below = norm.logpdf(z) + jnp.log1p(left)
    return jnp.where(z > 0, jnp.log(norm.pdf(above) + above * norm.cdf(above)), below)


class AcquisitionRecord(NamedTuple):
    """An acquisition by name; calling a record calls its builder.

    Attributes:
      build: the builder; its keywords of type `Number` are numeric settings, and flags.
      title: a description of one line.
      needs: what a predictor must give: ``mean``, ``deviation`` or ``draws``.
    """

    build: Callable[..., Acquisition]
    title: str
    needs: Literal["mean", "deviation", "draws"] = "mean"

    def __call__(self, **settings: Number) -> Acquisition:
        return self.build(**settings)

    @property
    def numbers(self) -> Mapping[str, float]:
        """Its numeric settings with their defaults."""
        return numbers(self.build)


ACQUISITIONS: dict[str, AcquisitionRecord] = {
    "mean": AcquisitionRecord(mean, "predicted score (the paper)"),
    "ucb": AcquisitionRecord(ucb, "upper confidence bound", "deviation"),
    "ei": AcquisitionRecord(ei, "expected improvement", "deviation"),
    "pi": AcquisitionRecord(pi, "probability of improvement", "deviation"),
    "ts": AcquisitionRecord(ts, "Thompson sampling, one draw of the function", "draws"),
    "its": AcquisitionRecord(its, "Thompson sampling, each architecture on its own", "deviation"),
    "percentile": AcquisitionRecord(percentile, "highest of the draws", "draws"),
    "confidence": AcquisitionRecord(confidence, "lower confidence bound", "deviation"),
}
