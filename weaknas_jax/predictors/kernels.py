"""Kernels as sums of blocks, each a simple kernel on one feature block of the space.

With d^2 the squared distance of two rows of the block, and <.,.> the inner product of its columns
centred and scaled to mean squared norm one:

``cauchy``     weight / (1 + d^2 / length), Rasmussen & Williams (2006), eq. 4.19 with alpha = 1
``rbf``        weight exp(-d^2 / length), eq. 4.9; on one-hot choices it is the Hamming kernel
``linear``     weight <x, x'>
``quadratic``  weight <x, x'>^2, pairs of effects

A function is drawn from the prior exactly for the last two, and for the others by random Fourier
features (Rahimi & Recht, 2007); 1 / (1 + d^2 / length) is the mean of exp(-s d^2 / length) over
s ~ Exp(1), so that each of its features is one of ``rbf`` at a random length.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

DISTANCE = ("cauchy", "rbf")
INNER = ("linear", "quadratic")
_FEATURES = 512


class Block(NamedTuple):
    """One summand of a kernel.

    Attributes:
      kind: see the module.
      feature: name of the space's feature block.
      weight: its share of the prior variance.
      length: squared length scale, for kernels of a distance.
      relative: ``length`` is a multiple of the block's mean squared distance in the space.
    """

    kind: str
    feature: str
    weight: float
    length: float = 1.0
    relative: bool = False


class Kernel(NamedTuple):
    """A kernel on the N architectures of a space.

    Attributes:
      diagonal: float32 [N], k(x, x).
      rows: (int [B]) -> float32 [B, N], k(x_index, .) of each index; (int [B], int [n]) ->
        float32 [B, n], some columns of it.
      draw: (key) -> float32 [N], a function drawn from the prior.
    """

    diagonal: jax.Array
    rows: Callable[..., jax.Array]
    draw: Callable[[jax.Array], jax.Array]


def on(features: Mapping[str, jax.Array], blocks: tuple[Block, ...]) -> Kernel:
    """The kernel of ``blocks`` on a space's ``features``, each [N, d].

    >>> kernel = on({"x": jnp.array([[0.0], [2.0]])}, (Block("cauchy", "x", 1.0, length=4.0),))
    >>> kernel.rows(jnp.array([0])).tolist()
    [[1.0, 0.5]]

    Raises:
      ValueError: an unknown kind, or a feature block that the space does not have.
    """
    parts = [_block(features, block) for block in blocks]

    def draw(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, len(parts))
        return sum(part.draw(k) for part, k in zip(parts, keys, strict=True))

    return Kernel(
        sum(part.diagonal for part in parts),
        lambda *indices: sum(part.rows(*indices) for part in parts),
        draw,
    )


def _block(features: Mapping[str, jax.Array], block: Block) -> Kernel:
    if block.kind not in (*DISTANCE, *INNER):
        raise ValueError(f"kernel {block.kind!r}: choose one of {', '.join((*DISTANCE, *INNER))}")
    if block.feature not in features:
        raise ValueError(
            f"kernel on {block.feature!r}: choose one of the feature blocks {', '.join(features)}"
        )
    x, weight = features[block.feature], block.weight
    centred = x - jnp.mean(x, axis=0)
    spread = jnp.mean(jnp.sum(centred**2, axis=1))
    if block.kind in INNER:
        power = 1 if block.kind == "linear" else 2
        x = centred / jnp.sqrt(jnp.maximum(spread, 1e-9))
        diagonal = weight * jnp.sum(x**2, axis=1) ** power

        def draw_inner(key):
            effects = jax.random.normal(key, (x.shape[1],) * power)
            values = x @ effects if power == 1 else jnp.sum((x @ effects) * x, axis=1)
            return jnp.sqrt(weight) * values

        def inner(indices, columns=None):
            return weight * (x[indices] @ (x if columns is None else x[columns]).T) ** power

        return Kernel(diagonal, inner, draw_inner)
    length = block.length * (jnp.maximum(2 * spread, 1e-9) if block.relative else 1.0)

    def rows(indices, columns=None):
        a, b = x[indices], x if columns is None else x[columns]
        squares = jnp.sum(a**2, axis=1)[:, None] + jnp.sum(b**2, axis=1)
        distance = jnp.maximum(squares - 2 * a @ b.T, 0.0) / length
        return weight * (1 / (1 + distance) if block.kind == "cauchy" else jnp.exp(-distance))

    def draw(key):
        of_frequency, of_scale, of_phase, of_weight = jax.random.split(key, 4)
        frequency = jax.random.normal(of_frequency, (x.shape[1], _FEATURES))
        scale = jnp.ones(_FEATURES)
        if block.kind == "cauchy":
            scale = jax.random.exponential(of_scale, (_FEATURES,))
        phase = jax.random.uniform(of_phase, (_FEATURES,), maxval=2 * jnp.pi)
        waves = jnp.cos(x @ (frequency * jnp.sqrt(2 * scale / length)) + phase)
        weights = jax.random.normal(of_weight, (_FEATURES,))
        return jnp.sqrt(2 * weight / _FEATURES) * (waves @ weights)

    return Kernel(jnp.full(len(x), weight, jnp.float32), rows, draw)
