"""Training on images in memory: batches, optimiser, learning rates.

Data are on the device as bytes; batches are drawn from them inside the compiled program.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets.data.images import normalized

CLIP = 1.0  # largest norm of a gradient


class Data(NamedTuple):
    """Images in memory.

    Attributes:
      images: uint8 [n, H, W, 3].
      labels: int32 [n].
    """

    images: jax.Array | np.ndarray
    labels: jax.Array | np.ndarray

    def batches(self, size: int) -> "Data":
        """The images in whole batches, [n // size, size, ...]; a remainder is dropped."""
        count = len(self.labels) // size
        return Data(
            *(
                jnp.asarray(part[: count * size]).reshape(count, size, *part.shape[1:])
                for part in self
            )
        )


@with_conventions
def drawn(key: jax.Array, data: Data, size: int) -> tuple[jax.Array, jax.Array]:
    """A random batch: float32 [size, H, W, 3] and int32 [size]; drawn with replacement."""
    rows = jax.random.randint(key, (size,), 0, len(data.labels))
    return normalized(data.images[rows]), data.labels[rows]


def optimizer() -> optax.GradientTransformation:
    """Adam with gradient clipping, without a step size: see `stepped` and `rates`.

    No weight decay, so that parameters without gradient do not change.
    """
    return optax.chain(optax.clip_by_global_norm(CLIP), optax.scale_by_adam())


def stepped(params, updates, rate: jax.Array):
    """``params`` after a step of length ``rate``."""
    return jax.tree.map(lambda p, u: p - rate * u, params, updates)


def rates(peak: float, steps: int) -> np.ndarray:
    """Step size of each step, float32 [steps]: a short warm-up, then a half cosine to almost 0.

    >>> rates(1.0, 4).round(2).tolist()
    [1.0, 0.8500000238418579, 0.5, 0.15000000596046448]
    """
    step = np.arange(steps)
    rise = np.minimum(1, (step + 1) / max(1, 0.05 * steps))
    return (peak * rise * 0.5 * (1 + np.cos(np.pi * step / steps))).astype(np.float32)
