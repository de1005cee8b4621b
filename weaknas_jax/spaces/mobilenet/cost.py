"""Multiply-adds and parameters of sub-networks, exactly, for whole populations (NumPy).

Counted as OFA does: convolutions and the classifier; no normalisation, activation, pooling, bias
or addition.
"""

import numpy as np

from weaknas_jax.spaces.mobilenet.arch import Arch, active
from weaknas_jax.spaces.mobilenet.config import Block, SupernetConfig, squeezed


def multiply_adds(
    config: SupernetConfig, arch: Arch, image_size: int | np.ndarray | None = None
) -> np.ndarray:
    """Multiply-adds of one image, int64 [...].

    Args:
      config: the supernet.
      arch: one, or a population with leading axes [...].
      image_size: side in pixels, by default the supernet's.
    """
    size = np.asarray(config.image_size if image_size is None else image_size, np.int64)
    side = _after(size, config.stem_stride)
    stem, first = config.channels(config.stem), config.channels(config.first)
    total = 27 * stem * side**2 + (9 * stem + stem * first) * side**2
    for place, block in enumerate(config.blocks):
        is_active, kernel, middle = _chosen(config, arch, place)
        after = _after(side, block.stride)
        here = side**2 * block.c_in * middle + after**2 * middle * (kernel**2 + block.c_out)
        if block.squeeze:
            here = here + 2 * middle * _squeezed(block, middle)
        total = total + np.where(is_active, here, 0)
        side = after  # a block that may be absent keeps the size
    last, mixed = config.channels(config.final_expand), config.channels(config.feature_mix)
    head = side**2 * config.blocks[-1].c_out * last + last * mixed + mixed * config.classes
    return total + head


def parameters(config: SupernetConfig, arch: Arch) -> np.ndarray:
    """Parameters of the static network, int64 [...]: no kernel matrices, no running statistics."""
    stem, first = config.channels(config.stem), config.channels(config.first)
    total = np.int64(27 * stem + 2 * stem + 9 * stem + 2 * stem + stem * first + 2 * first)
    for place, block in enumerate(config.blocks):
        is_active, kernel, middle = _chosen(config, arch, place)
        here = middle * (block.c_in + kernel**2 + block.c_out + 4) + 2 * block.c_out
        if block.squeeze:
            r = _squeezed(block, middle)
            here = here + 2 * middle * r + r + middle
        total = total + np.where(is_active, here, 0)
    last, mixed = config.channels(config.final_expand), config.channels(config.feature_mix)
    head = config.blocks[-1].c_out * last + 2 * last + last * mixed + (mixed + 1) * config.classes
    return total + head


def _after(side: np.ndarray, stride: int) -> np.ndarray:
    return (side - 1) // stride + 1


def _chosen(config: SupernetConfig, arch: Arch, place: int) -> tuple[np.ndarray, ...]:
    """Activity, kernel size and middle channels of a block, int64 [...]."""
    middles = np.asarray(config.blocks[place].middles, np.int64)
    which = np.searchsorted(config.expansions, np.asarray(arch.expansions)[..., place])
    kernel = np.asarray(arch.kernels, np.int64)[..., place]
    return active(config, arch)[..., place], kernel, middles[which]


def _squeezed(block: Block, middle: np.ndarray) -> np.ndarray:
    narrow = np.array([squeezed(m) for m in block.middles], np.int64)
    return narrow[np.searchsorted(block.middles, middle)]
