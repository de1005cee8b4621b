"""The accuracy predictor of Once-for-all as an oracle, for searches without ImageNet.

A network with three hidden layers that its authors fitted on measured sub-networks. **It predicts
and does not measure**: it predicts 83 to 84 % for the results of searches by it, while the best
published sub-networks inherit 78.8 %.
"""

import os
from collections.abc import Mapping

import numpy as np

from weaknas_jax.spaces.mobilenet import window
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.storage.npz import TableError, read_npz

SIZES = range(112, 240, 16)  # image sizes it has an input for
_LAYERS = (0, 2, 4, 6)


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays ``{0,2,4,6}_{weight,bias}`` of an ``.npz``, in PyTorch's layout.

    Raises:
      TableError: it cannot be read, or has other arrays.
    """
    layers = read_npz(path)
    width = 2 * 60 + len(SIZES)
    for layer in _LAYERS:
        weight, bias = (layers.get(f"{layer}_{part}") for part in ("weight", "bias"))
        if weight is None or bias is None:
            raise TableError(f"{path}: no array {layer}_weight or {layer}_bias")
        if weight.shape != (len(bias), width):
            raise TableError(
                f"{path}: {layer}_weight {weight.shape}, and ({len(bias)}, {width}) fits"
            )
        width = len(bias)
    if width != 1:
        raise TableError(f"{path}: gives {width} numbers, and one is needed")
    return layers


def inputs(config: SupernetConfig, population: Arch, image_size: int) -> np.ndarray:
    """Inputs of the predictor, float32 [..., 128]: kernels, expansions (0 if inactive), image size.

    Raises:
      ValueError: it does not support that image size, or this supernet.
    """
    if image_size not in SIZES:
        raise ValueError(f"image size {image_size}: the oracle has {', '.join(map(str, SIZES))}")
    if (len(config.blocks), config.kernels, config.expansions) != (20, (3, 5, 7), (3, 4, 6)):
        raise ValueError("the oracle is of 20 blocks, kernels 3, 5, 7 and expansions 3, 4, 6")
    choices = window.one_hot(config, population)[..., : 6 * len(config.blocks)]
    size = np.broadcast_to(np.asarray(SIZES) == image_size, (*choices.shape[:-1], len(SIZES)))
    return np.concatenate([choices, size], axis=-1).astype(np.float32)


def predict(
    layers: Mapping[str, np.ndarray],
    config: SupernetConfig,
    population: Arch,
    image_size: int = 224,
) -> np.ndarray:
    """Predicted top-1 accuracy, percent, float64 [...]."""
    x = inputs(config, population, image_size).astype(np.float64)
    for layer in _LAYERS:
        x = x @ layers[f"{layer}_weight"].T + layers[f"{layer}_bias"]
        x = x if layer == _LAYERS[-1] else np.maximum(x, 0)
    return 100 * x[..., 0]
