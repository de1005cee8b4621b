"""Progressive shrinking: trains a supernet for accurate sub-networks (Once-for-all).

First the largest network alone; then kernel sizes, depths and expansions are opened one after the
other. Each step trains sub-networks drawn uniformly from the choices open so far, on the labels and
on the logits of the largest network of the first stage (the teacher). Before expansions are opened,
the channels of each middle are sorted by importance, so that a narrow block keeps the best ones.

Reference: Cai et al., "Once-for-All" (ICLR 2020), section 3.3, and its published code. Known
deviations: a stage opens all values of its choice at once; Adam instead of SGD; one rate for all
stages but the first; images are drawn with replacement; one sub-network a step by default.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets import weight_sharing
from weaknas_jax.supernets.mobilenet.modules import Inverted, Norm
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, default_how, forward
from weaknas_jax.supernets.training import Data
from weaknas_jax.supernets.weight_sharing import Sharing


class Stage(NamedTuple):
    """A part of the training.

    Attributes:
      name: the choice that it opens.
      steps: number of steps.
      rate: peak step size.
      kernels, expansions, depths: choices that are open.
    """

    name: str
    steps: int
    rate: float
    kernels: tuple[int, ...]
    expansions: tuple[int, ...]
    depths: tuple[int, ...]


def stages(
    config: SupernetConfig, steps: Sequence[int], rate: float = 5e-3, later: float = 2e-3
) -> tuple[Stage, ...]:
    """The four stages: largest, kernel, depth, width, with their numbers of steps."""
    kernels, widths, depths = config.kernels, config.expansions, config.depths
    names = ("largest", "kernel", "depth", "width")
    opened = (
        (kernels[-1:], widths[-1:], depths[-1:]),
        (kernels, widths[-1:], depths[-1:]),
        (kernels, widths[-1:], depths),
        (kernels, widths, depths),
    )
    peaks = (rate, later, later, later)
    parts = zip(names, steps, peaks, opened, strict=True)
    return tuple(Stage(name, count, peak, *choices) for name, count, peak, choices in parts)


def sample(
    config: SupernetConfig, stage: Stage, rng: np.random.Generator, shape: tuple[int, ...]
) -> Arch:
    """Sub-networks drawn uniformly from the open choices of a stage; fields [*shape, ...]."""
    blocks = len(config.blocks)
    return Arch(
        rng.choice(stage.kernels, (*shape, blocks)).astype(np.int32),
        rng.choice(stage.expansions, (*shape, blocks)).astype(np.int32),
        rng.choice(stage.depths, (*shape, len(config.stages))).astype(np.int32),
    )


def train(
    net: Supernet,
    plan: Sequence[Stage],
    data: Data,
    *,
    how: How | None = None,
    **settings: Any,
) -> tuple[Supernet, np.ndarray]:
    """Trains a supernet; returns it and the label loss of each step, float32 [steps].

    Args:
      net: the initial supernet; it is not changed.
      plan: from `stages`.
      data: training images.
      how: as of `supernet.forward`.
      **settings: as of `supernets.weight_sharing.train`: ``seed``, ``batch``, ``progress``, ...
    """
    return weight_sharing.train(
        net, sharing(net.config, how or default_how()), plan, data, **settings
    )


@functools.cache
def sharing(config: SupernetConfig, how: How) -> Sharing:
    """How sub-networks share the weights of a supernet; the largest is the teacher."""
    largest = archs.largest(config)

    def logits(net: Supernet, images: jax.Array, arch: Arch) -> jax.Array:
        return forward(net, images, arch, how, fresh=True)[0]

    return Sharing(
        logits,
        teach=lambda net, images: logits(net, images, largest),
        sample=functools.partial(sample, config),
        begin=lambda net, stage: by_importance(net) if stage.name == "width" else net,
    )


@with_conventions
def by_importance(net: Supernet) -> Supernet:
    """Sorts the channels of each middle by importance; the largest network computes the same.

    Importance is the sum of absolute weights that read a channel: for the middle those of the last
    layer, for the inside of squeeze-excite those of its second layer.
    """
    copy = nnx.clone(net)
    for elastic in copy.blocks:
        _sort(elastic.full)
    return copy


def _sort(full: Inverted) -> None:
    order = _order(full.project[...])
    full.expand.set_value(full.expand[:, order])
    full.depthwise.set_value(full.depthwise[..., order])
    full.project.set_value(full.project[order])
    for norm in (full.expand_norm, full.depthwise_norm):
        _permute(norm, order)
    squeeze = full.squeeze
    if squeeze is None:
        return
    inner = _order(squeeze.expand[...])
    squeeze.reduce.set_value(squeeze.reduce[order][:, inner])
    squeeze.reduce_bias.set_value(squeeze.reduce_bias[inner])
    squeeze.expand.set_value(squeeze.expand[inner][:, order])
    squeeze.expand_bias.set_value(squeeze.expand_bias[order])


def _order(weight: jax.Array) -> jax.Array:
    """Order of the rows of [in, out] by their sum of absolute values, largest first."""
    return jnp.argsort(-jnp.abs(weight).sum(axis=1), stable=True)


def _permute(norm: Norm, order: jax.Array) -> None:
    for variable in (norm.scale, norm.bias, norm.mean, norm.var):
        variable.set_value(variable[order])
