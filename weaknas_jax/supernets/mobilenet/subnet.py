"""A sub-network alone, as it is deployed and retrained from scratch."""

import jax
import numpy as np
from flax import nnx

from weaknas_jax.core import conventions
from weaknas_jax.spaces.mobilenet.arch import Arch, active
from weaknas_jax.spaces.mobilenet.arch import make as make_arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets.mobilenet import layers
from weaknas_jax.supernets.mobilenet.layers import Statistics
from weaknas_jax.supernets.mobilenet.modules import Ends, Inverted
from weaknas_jax.supernets.mobilenet.supernet import Supernet, kernels_of, narrowed


class Static(nnx.Module):
    """The arrays of one sub-network only.

    Attributes:
      config: the supernet's geometry.
      arch: its choices, as tuples.
      geometry: geometry of the active blocks.
      ends: stem, first block and head.
      blocks: the active blocks in order.
    """

    def __init__(self, config: SupernetConfig, arch: Arch, rngs: nnx.Rngs):
        arch = make_arch(config, *arch)
        self.config = config
        self.arch = tuple(tuple(part.tolist()) for part in arch)
        places = np.flatnonzero(active(config, arch)).tolist()
        self.geometry = tuple(config.blocks[place] for place in places)
        middles = [_middle(config, arch, place) for place in places]
        kernels = [int(arch.kernels[place]) for place in places]
        parts = zip(self.geometry, middles, kernels, strict=True)
        with conventions.scope():
            self.ends = Ends(config, rngs)
            self.blocks = nnx.List([Inverted(*part, rngs) for part in parts])

    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits [B, classes] of images [B, H, W, 3], normalised by the running statistics."""
        return forward(self, x)[0]


@conventions.with_conventions
def forward(
    net: Static, x: jax.Array, fresh: bool = False, drop: jax.Array | None = None
) -> tuple[jax.Array, Statistics]:
    """Logits [B, classes] and the statistics of all normalisations; as of `supernet.forward`.

    ``drop`` scales the features before the classifier (dropout).
    """
    net.config.check_image_size(min(x.shape[1:3]))
    x, of_beginning = layers.beginning(net.ends, x, net.config.stem_stride, fresh)
    of_blocks = []
    for block, weights in zip(net.geometry, net.blocks, strict=True):
        x, statistics = layers.inverted(weights, block, x, fresh)
        of_blocks.append(statistics)
    x, of_head = layers.head(net.ends, x, fresh, drop)
    return x, (of_beginning, of_blocks, of_head)


@conventions.with_conventions
def extract(net: Supernet, arch: Arch) -> Static:
    """Extracts a sub-network with the supernet's arrays; its logits equal the supernet's.

    Raises:
      ArchError: the supernet has no such sub-network.
    """
    arch = make_arch(net.config, *arch)
    places = np.flatnonzero(active(net.config, arch)).tolist()

    def narrow(blocks):
        cut = []
        for place, weights in zip(places, blocks, strict=True):
            middle = _middle(net.config, arch, place)
            block = narrowed(weights.full, middle)
            kernel = kernels_of(net.config, weights, middle)[int(arch.kernels[place])]
            block.depthwise = nnx.Param(kernel)
            cut.append(block)
        return cut

    static = nnx.eval_shape(lambda: Static(net.config, arch, nnx.Rngs(0)))
    static.ends = nnx.clone(net.ends)
    # jit: one program, and not one for each slice
    static.blocks = nnx.List(jax.jit(narrow)([net.blocks[place] for place in places]))
    return static


def _middle(config: SupernetConfig, arch: Arch, place: int) -> int:
    ratio = int(arch.expansions[place])
    return config.blocks[place].middles[config.expansions.index(ratio)]
