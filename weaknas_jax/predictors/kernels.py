"""Kernels as data: sums of blocks, each a simple kernel on one named feature block of the space.

With d^2 the squared distance of two rows of the block, and <.,.> the inner product of its columns
centred and scaled to mean squared norm one:

``cauchy``     weight / (1 + d^2 / length), Rasmussen & Williams (2006), eq. 4.19 with alpha = 1
``rbf``        weight exp(-d^2 / length), eq. 4.9; on one-hot choices it is the Hamming kernel
``linear``     weight <x, x'>
``quadratic``  weight <x, x'>^2, pairs of effects
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

DISTANCE = ("cauchy", "rbf")
INNER = ("linear", "quadratic")


class Block(NamedTuple):
    """One summand.

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
      row: (index) -> float32 [N], k(x_index, .).
    """

    diagonal: jax.Array
    row: Callable[[jax.Array], jax.Array]


def on(features: Mapping[str, jax.Array], blocks: tuple[Block, ...]) -> Kernel:
    """The kernel of ``blocks`` on a space's ``features``, each [N, d].

    Raises:
      ValueError: an unknown kind, or a feature block that the space does not have.
    """
    diagonals, rows = zip(*(_block(features, block) for block in blocks), strict=True)
    return Kernel(sum(diagonals), lambda index: sum(row(index) for row in rows))


def _block(features: Mapping[str, jax.Array], block: Block):
    if block.kind not in (*DISTANCE, *INNER):
        raise ValueError(f"kernel {block.kind!r}: known are {', '.join((*DISTANCE, *INNER))}")
    if block.feature not in features:
        raise ValueError(
            f"kernel on {block.feature!r}: the space has the feature blocks {', '.join(features)}"
        )
    x, weight = features[block.feature], block.weight
    centred = x - jnp.mean(x, axis=0)
    spread = jnp.mean(jnp.sum(centred**2, axis=1))
    if block.kind in INNER:
        power = 1 if block.kind == "linear" else 2
        x = centred / jnp.sqrt(jnp.maximum(spread, 1e-9))
        diagonal = weight * jnp.sum(x**2, axis=1) ** power
        return diagonal, lambda index: weight * (x @ x[index]) ** power
    length = block.length * (jnp.maximum(2 * spread, 1e-9) if block.relative else 1.0)
    square = jnp.sum(x**2, axis=1)

    def row(index):
        distance = jnp.maximum(square + square[index] - 2 * (x @ x[index]), 0.0) / length
        return weight * (1 / (1 + distance) if block.kind == "cauchy" else jnp.exp(-distance))

    return jnp.full(len(x), weight, jnp.float32), row
