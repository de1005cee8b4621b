"""Training of a MobileNet sub-network from scratch: its pass of the recipe (`supernets.recipe`).

Known deviations from timm: running variances are the biased ones.
"""

import jax
from flax import nnx

from weaknas_jax.supernets import recipe as recipes
from weaknas_jax.supernets.mobilenet import recalibrate, subnet
from weaknas_jax.supernets.mobilenet.layers import Statistics
from weaknas_jax.supernets.mobilenet.subnet import Static
from weaknas_jax.supernets.recipe import Recipe, Training

MOMENTUM = 0.1  # of running statistics, PyTorch's sense


def make(net: Static, recipe: Recipe, steps_per_epoch: int) -> Training:
    """The training functions of ``net``, from its arrays on."""
    return recipes.make(net, recipe, steps_per_epoch, forward)


def forward(
    net: Static, images: jax.Array, key: jax.Array, recipe: Recipe
) -> tuple[jax.Array, nnx.State]:
    """The training pass: normalised by the batch itself, with dropout before the classifier.

    Args:
      net: the sub-network.
      images: normalised, [B, H, W, 3].
      key: key of the dropout.
      recipe: its ``dropout`` is used.

    Returns:
      Logits [B, classes], and the running statistics after this batch.
    """
    features = len(images), net.ends.classifier.shape[0]
    stays = jax.random.bernoulli(key, 1 - recipe.dropout, features)
    drop = (stays / (1 - recipe.dropout)).astype(images.dtype)
    logits, statistics = subnet.forward(net, images, fresh=True, drop=drop)
    return logits, _running(net, statistics)


def _running(net: Static, statistics: Statistics) -> nnx.State:
    """Running statistics after a batch with ``statistics``."""
    moved = nnx.clone(net)
    leaves = jax.tree.leaves(statistics)
    pairs = zip(recalibrate.norms(moved), leaves[::2], leaves[1::2], strict=True)
    for norm, mean, var in pairs:
        norm.mean = nnx.BatchStat(norm.mean[...] + MOMENTUM * (mean - norm.mean[...]))
        norm.var = nnx.BatchStat(norm.var[...] + MOMENTUM * (var - norm.var[...]))
    return nnx.state(moved, nnx.BatchStat)
