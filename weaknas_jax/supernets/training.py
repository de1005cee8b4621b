"""Training on images in memory: batches, the optimiser and its rates.

Data lie on the device as bytes; batches are drawn from them inside the compiled program.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets.data.images import normalized

CLIP = 1.0  # norm that the gradient of a step may have


class Data(NamedTuple):
    """Images in memory.

    Attributes:
      images: uint8 [n, H, W, 3].
      labels: int32 [n].
    """

    images: jax.Array | np.ndarray
    labels: jax.Array | np.ndarray

    def batches(self, size: int) -> "Data":
        """The images that make up whole batches, [n // size, size, ...]."""
        count = len(self.labels) // size
        return Data(
            *(
                jnp.asarray(part[: count * size]).reshape(count, size, *part.shape[1:])
                for part in self
            )
        )


@with_conventions
def drawn(key: jax.Array, data: Data, size: int) -> tuple[jax.Array, jax.Array]:
    """A random batch: float32 [size, H, W, 3] and int32 [size]; an image may come twice."""
    rows = jax.random.randint(key, (size,), 0, len(data.labels))
    return normalized(data.images[rows]), data.labels[rows]


def optimizer() -> optax.GradientTransformation:
    """Adam with its step size left out, which is multiplied in: see `rates`.

    No weight decay, so that what has no gradient stays as it is.
    """
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.scale_by_adam())


def stepped(params, updates, rate: jax.Array):
    """``params`` after a step of length ``rate``."""
    return jax.tree.map(lambda p, u: p - rate * u, params, updates)


def rates(peak: float, steps: int) -> np.ndarray:
    """Length of each step, float32 [steps]: a short rise, then a half cosine to nearly nothing."""
    at = np.arange(steps)
    rise = np.minimum(1, (at + 1) / max(1, 0.05 * steps))
    return (peak * rise * 0.5 * (1 + np.cos(np.pi * at / steps))).astype(np.float32)
