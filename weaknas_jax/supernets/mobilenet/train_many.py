"""Many MobileNet sub-networks trained from scratch in one program (`supernets.train_many`).

Each is a masked supernet of its own that trains no choice but its own: what it lacks never counts
and stays as it was drawn, and the matrices of kernels stay the identity, so that a small kernel is
the centre of the large one. It learns as the network by itself does (`subnet`), from the same
initial arrays.

Known deviation from training a network by itself: initial arrays are drawn with the deviation of
the widest block, which batch normalisation undoes.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax import nnx

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets import train_many
from weaknas_jax.supernets.mobilenet import train_supernet
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet
from weaknas_jax.supernets.train_many import Runs
from weaknas_jax.supernets.training import Data

TRAINED = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("matrices")))
"""What is trained of a supernet: all parameters but the matrices of kernels."""


def start(config: SupernetConfig, arch: Arch, keys: jax.Array) -> Runs:
    """Networks before the first step.

    Args:
      config: the supernet that has them.
      arch: fields [R, ...].
      keys: [R].
    """
    return train_many.start(lambda key: Supernet(config, nnx.Rngs(key)), TRAINED, arch, keys)


def train(
    config: SupernetConfig, runs: Runs, data: Data, *, how: How = "masks", **settings: Any
) -> tuple[Runs, np.ndarray]:
    """Trained networks and the loss of each step, float32 [R, steps].

    Args:
      config: the supernet.
      runs: of `start`.
      data: to train on.
      how: as of `supernet.forward`; masks are faster than branches here on a CPU too, since it is
        small arithmetic.
      **settings: as of `supernets.train_many.train`: ``steps``, ``rate``, ``batch``, ...
    """
    logits = train_supernet.sharing(config, how).logits
    return train_many.train(_graph(config), logits, runs, data, **settings)


def networks(config: SupernetConfig, runs: Runs) -> Iterator[tuple[Supernet, Arch]]:
    """Each network as a supernet and its choices."""
    return train_many.networks(_graph(config), runs)


@with_conventions
def _graph(config: SupernetConfig) -> nnx.GraphDef:
    return nnx.graphdef(nnx.eval_shape(lambda: Supernet(config, nnx.Rngs(0))))
