"""Many MobileNet sub-networks trained from scratch in one program (`supernets.train_many`).

Each is a masked supernet that trains only its own sub-network: inactive parts keep their initial
values, and the matrices of kernels stay the identity, so that a small kernel is the centre of the
large one. Training equals that of the network alone (`subnet`) from the same initial arrays.

Known deviation from training a network alone: initial arrays are drawn with the deviation of the
widest block, which batch normalisation compensates.
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
      config: their supernet.
      arch: fields [R, ...].
      keys: [R].
    """
    return train_many.start(lambda key: Supernet(config, nnx.Rngs(key)), TRAINED, arch, keys)


def train(
    config: SupernetConfig, runs: Runs, data: Data, *, how: How = "masks", **settings: Any
) -> tuple[Runs, np.ndarray]:
    """Trains networks; returns them and the loss of each step, float32 [R, steps].

    Args:
      config: the supernet.
      runs: from `start`.
      data: training images.
      how: as of `supernet.forward`; for small networks masks are faster than branches on a CPU
        too.
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
