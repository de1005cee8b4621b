"""Progressive shrinking: training a supernet so that its sub-networks are good (Once-for-all).

First the largest network alone; then kernel sizes, depths and expansions are opened one after the
other, and each step trains sub-networks drawn evenly from the choices open so far, to the labels
and to what the largest network of the first stage says (the teacher). Before expansions are opened
the channels of each middle are sorted by importance, so that a narrow block keeps the best ones.

Reference: Cai et al., "Once-for-All" (ICLR 2020), section 3.3, and its published code. Known
deviations: a stage opens all values of its choice at once; Adam instead of SGD; one rate for all
stages but the first; images are drawn with replacement; one sub-network a step unless told.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets import training
from weaknas_jax.supernets.mobilenet.modules import Inverted, Norm
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, default_how, forward
from weaknas_jax.supernets.training import Data


class Stage(NamedTuple):
    """A part of the training.

    Attributes:
      name: what it opens.
      steps: how many.
      rate: the longest step.
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
    """The four stages: largest, kernel, depth, width, of so many steps each."""
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
    """Sub-networks drawn evenly from what a stage has open; fields [*shape, ...]."""
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
    seed: int = 0,
    batch: int = 64,
    each: int = 1,
    chunk: int = 50,
    distill: float = 1.0,
    how: How | None = None,
    progress: Callable[[Stage, int, float], None] = lambda stage, done, loss: None,
) -> tuple[Supernet, np.ndarray]:
    """A trained supernet, and the loss on the labels of each step, float32 [steps].

    Its running statistics are not touched: recalibrate each sub-network.

    Args:
      net: what to begin with.
      plan: of `stages`; the network after the first is the teacher of the others.
      data: to train on.
      seed: of batches and sub-networks.
      batch: images in a step.
      each: sub-networks in a step.
      chunk: steps between two calls of ``progress(stage, steps done, mean loss)``.
      distill: weight of the teacher; 0 = none.
      how: as of `supernet.forward`.
    """
    how = how or default_how()
    graph, params, rest = nnx.split(net, nnx.Param, nnx.BatchStat)
    rng, losses, teacher = np.random.default_rng(seed), [], params
    data = Data(*map(jnp.asarray, data))
    for number, stage in enumerate(plan):
        if stage.name == "width":
            params = nnx.state(by_importance(nnx.merge(graph, params, rest)), nnx.Param)
        carry = params, training.optimizer().init(params)
        rates = training.rates(stage.rate, stage.steps)
        networks = sample(net.config, stage, rng, (stage.steps, each))
        keys = jax.random.split(jax.random.key(rng.integers(2**31)), stage.steps)
        weight = jnp.float32(distill if number else 0.0)
        for at in range(0, stage.steps, chunk):
            some = slice(at, at + chunk)
            steps = keys[some], rates[some], jax.tree.map(lambda part, s=some: part[s], networks)
            carry, found = _steps(
                graph, rest, carry, teacher, weight, data, steps, batch=batch, how=how
            )
            losses.append(np.asarray(found))
            progress(stage, min(at + chunk, stage.steps), float(losses[-1].mean()))
        params = carry[0]
        teacher = params if number == 0 else teacher
    return nnx.merge(graph, params, rest), np.concatenate(losses)


@functools.partial(jax.jit, static_argnames=("graph", "batch", "how"))
def _steps(graph, rest, carry, teacher, weight, data: Data, steps, *, batch: int, how: How):
    """Many steps: one program whatever the stage and the sub-networks."""
    largest = archs.largest(nnx.merge(graph, carry[0], rest).config)

    def logits(params, images, arch):
        return forward(nnx.merge(graph, params, rest), images, arch, how, fresh=True)[0]

    def step(carry, inputs):
        (params, state), (key, rate, networks) = carry, inputs
        images, labels = training.drawn(key, data, batch)
        said = jax.lax.cond(
            weight > 0,
            lambda: jax.nn.softmax(logits(teacher, images, largest)),
            lambda: jnp.zeros((batch, teacher["ends"]["classifier_bias"].shape[0])),
        )

        def of_one(params, arch):
            return losses(logits(params, images, arch), labels, said, weight)

        def add(total, arch):
            (_, hard), gradient = jax.value_and_grad(of_one, has_aux=True)(params, arch)
            return jax.tree.map(jnp.add, total, (hard, gradient)), None

        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
        (hard, gradient), _ = jax.lax.scan(add, nothing, networks)
        count = len(networks.depths)
        updates, state = training.optimizer().update(
            jax.tree.map(lambda g: g / count, gradient), state, params
        )
        return (training.stepped(params, updates, rate), state), hard / count

    return jax.lax.scan(step, carry, steps)


def losses(
    logits: jax.Array, labels: jax.Array, said: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropies [B, classes]: to labels [B] plus ``weight`` times to what a teacher said.

    Returns:
      The sum, and the part of the labels.
    """
    hard = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    soft = optax.softmax_cross_entropy(logits, said).mean()
    return hard + weight * soft, hard


def by_importance(net: Supernet) -> Supernet:
    """The same function of the largest network, channels of each middle in order of importance.

    Importance is the sum of absolute weights that read a channel: for the middle those of the
    last layer, for the inside of squeeze-excite those of its second.
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
    """Of the rows of [in, out], the largest sum first."""
    return jnp.argsort(-jnp.abs(weight).sum(axis=1), stable=True)


def _permute(norm: Norm, order: jax.Array) -> None:
    for variable in (norm.scale, norm.bias, norm.mean, norm.var):
        variable.set_value(variable[order])
