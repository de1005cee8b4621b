"""From a prediction to what an architecture is worth asking for; larger is better.

An acquisition is ``score(prediction, known, key) -> float32 [N]``, where ``known`` is the history
and ``key`` the run's. Registering one in `ACQUISITIONS` offers it as a flag.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from weaknas_jax.history import History
from weaknas_jax.types import Number, Prediction

Acquisition = Callable[[Prediction, History, jax.Array], jax.Array]

_JITTER = 1e-5  # breaks ties of equal predictions, by the run's key and not by the row number
_WIDEST = 4.0


def mean() -> Acquisition:
    """The predicted score itself, the paper's choice (eq. 4)."""
    return lambda prediction, known, key: prediction.mean


def ucb(*, beta: Number = 1.5, patience: Number = 20.0) -> Acquisition:
    """Upper confidence bound ``mean + b std`` (Srinivas et al., 2010).

    ``b = beta``, and ``beta s / patience`` (at most 4) once the best score is s > ``patience``
    queries old: a search that has stopped to improve looks further away.
    """

    def score(prediction: Prediction, known: History, key: jax.Array) -> jax.Array:
        best = jnp.argmax(jnp.where(known.mask, known.scores, -jnp.inf))
        since = known.told - 1 - best
        width = jnp.minimum(beta * jnp.maximum(1.0, since / patience), jnp.maximum(beta, _WIDEST))
        return prediction.mean + width * prediction.std + jitter(key, len(prediction.mean))

    return score


def jitter(key: jax.Array, size: int) -> jax.Array:
    """Evenly in [0, 1e-5), float32 [size]: a hash of row and key (murmur3's last step).

    Drawing it by `jax.random` would take as long as the rest of a round of a Gaussian process.
    """
    start, stride = jax.random.bits(key, (2,), jnp.uint32)
    bits = jnp.arange(size, dtype=jnp.uint32) * (stride | 1) + start
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        bits = (bits ^ (bits >> 16)) * jnp.uint32(factor)
    return _JITTER * 2.0**-32 * (bits ^ (bits >> 16)).astype(jnp.float32)


ACQUISITIONS: dict[str, Callable[..., Acquisition]] = {"mean": mean, "ucb": ucb}
NEEDS_DEVIATION = {"ucb"}
