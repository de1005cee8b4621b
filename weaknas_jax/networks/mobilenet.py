"""A sub-network of the Once-for-all MobileNetV3 supernet, with NNX's training mode.

The computation is in `supernets.mobilenet.subnet`, whose functions take the statistics as an
argument; here the module holds them as other NNX modules do, so that common training loops work.
"""

import jax
from flax import nnx

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets.mobilenet import recalibrate, subnet

MOMENTUM = 0.9  # of running statistics, by Flax's definition


class Network(nnx.Module):
    """The whole network; ``train()`` and ``eval()`` select batch or running statistics.

    Args:
      config: the supernet's geometry.
      arch: the sub-network.
      rngs: its stream ``params`` draws the weights.
    """

    def __init__(self, config: SupernetConfig, arch: archs.Arch, rngs: nnx.Rngs):
        self.static = subnet.Static(config, arch, rngs)
        self.use_running_average = False

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits [B, classes] of images [B, H, W, 3]."""
        logits, statistics = subnet.forward(self.static, images, fresh=not self.use_running_average)
        if not self.use_running_average:
            leaves = jax.tree.leaves(statistics)
            norms = recalibrate.norms(self.static)
            for norm, mean, var in zip(norms, leaves[::2], leaves[1::2], strict=True):
                norm.mean[...] = MOMENTUM * norm.mean[...] + (1 - MOMENTUM) * mean
                norm.var[...] = MOMENTUM * norm.var[...] + (1 - MOMENTUM) * var
        return logits
