"""Training of a supernet in stages: many sub-networks share its weights (Once-for-all).

Each step draws images and some of the sub-networks open in the stage, and follows the mean of their
gradients: on the labels, and after the first stage also on the logits of a teacher, the supernet at
the end of the first stage.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets import training
from weaknas_jax.supernets.training import Data


class Stage(Protocol):
    """A part of the training: its name, number of steps, and peak step size."""

    @property
    def name(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def rate(self) -> float: ...


class Sharing(NamedTuple):
    """Functions of a kind of supernet that training needs.

    Attributes:
      logits: (supernet, normalised images [B, H, W, 3], sub-network) -> [B, classes], with
        batch statistics. Hashable; pass the same object for the same function, since each object
        is compiled anew.
      teach: (supernet, images) -> logits of the teacher sub-network; likewise.
      sample: (stage, generator, shape) -> sub-networks open in the stage, arrays [*shape, ...].
      begin: (supernet, stage) -> the supernet at the start of the stage.
    """

    logits: Callable[[nnx.Module, jax.Array, Any], jax.Array]
    teach: Callable[[nnx.Module, jax.Array], jax.Array]
    sample: Callable[[Any, np.random.Generator, tuple[int, ...]], Any]
    begin: Callable[[nnx.Module, Any], nnx.Module] = lambda net, stage: net


@with_conventions
def train(
    net: nnx.Module,
    sharing: Sharing,
    plan: Sequence[Stage],
    data: Data,
    *,
    seed: int = 0,
    batch: int = 64,
    each: int = 1,
    chunk: int = 50,
    distill: float = 1.0,
    progress: Callable[[Any, int, float], None] = lambda stage, done, loss: None,
) -> tuple[nnx.Module, np.ndarray]:
    """Trains a supernet; returns it and the label loss of each step, float32 [steps].

    Running statistics are not updated: recalibrate each sub-network.

    Args:
      net: the initial supernet; it is not changed.
      sharing: functions of this kind of supernet.
      plan: the stages.
      data: training images.
      seed: seed of sub-networks and batches.
      batch: images in a step.
      each: sub-networks in a step, whose gradients are averaged.
      chunk: steps between two calls of ``progress(stage, steps done of it, mean loss)``.
      distill: weight of the teacher; 0 = none.
    """
    graph, params, rest = nnx.split(net, nnx.Param, nnx.BatchStat)
    rng, losses, teacher = np.random.default_rng(seed), [], params
    data = Data(*map(jnp.asarray, data))
    for number, stage in enumerate(plan):
        params = nnx.state(sharing.begin(nnx.merge(graph, params, rest), stage), nnx.Param)
        carry = params, training.optimizer().init(params)
        rates = training.rates(stage.rate, stage.steps)
        networks = sharing.sample(stage, rng, (stage.steps, each))
        keys = jax.random.split(jax.random.key(rng.integers(2**31)), stage.steps)
        weight = jnp.float32(distill if number else 0.0)
        for first in range(0, stage.steps, chunk):
            part = slice(first, first + chunk)
            steps = keys[part], rates[part], jax.tree.map(lambda a, part=part: a[part], networks)
            carry, values = _steps(
                *(graph, rest, carry, teacher, weight, data, steps),
                batch=batch,
                logits=sharing.logits,
                teach=sharing.teach,
            )
            losses.append(np.asarray(values))
            progress(stage, min(first + chunk, stage.steps), float(losses[-1].mean()))
        params = carry[0]
        teacher = params if number == 0 else teacher
    return nnx.merge(graph, params, rest), np.concatenate(losses)


@functools.partial(jax.jit, static_argnames=("graph", "batch", "logits", "teach"))
def _steps(graph, rest, carry, teacher, weight, data: Data, steps, *, batch: int, logits, teach):
    """Several steps, in one program for all stages and sub-networks."""

    def step(carry, inputs):
        (params, state), (key, rate, networks) = carry, inputs
        images, labels = training.drawn(key, data, batch)

        def teacher_probabilities():
            return jax.nn.softmax(teach(nnx.merge(graph, teacher, rest), images))

        shape = jax.eval_shape(teacher_probabilities)
        target = jax.lax.cond(
            weight > 0, teacher_probabilities, lambda: jnp.zeros(shape.shape, shape.dtype)
        )

        def loss_of(params, arch):
            network = nnx.merge(graph, params, rest)
            return losses(logits(network, images, arch), labels, target, weight)

        def add(total, arch):
            (_, hard), gradient = jax.value_and_grad(loss_of, has_aux=True)(params, arch)
            return jax.tree.map(jnp.add, total, (hard, gradient)), None

        zero = jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
        (hard, gradient), _ = jax.lax.scan(add, zero, networks)
        count = len(jax.tree.leaves(networks)[0])
        updates, state = training.optimizer().update(
            jax.tree.map(lambda g: g / count, gradient), state, params
        )
        return (training.stepped(params, updates, rate), state), hard / count

    return jax.lax.scan(step, carry, steps)


@with_conventions
def losses(
    logits: jax.Array, labels: jax.Array, target: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy of logits [B, classes] with labels, plus ``weight`` times that with a target.

    Args:
      logits: logits of a sub-network.
      labels: int32 [B].
      target: the teacher's probabilities, [B, classes].
      weight: weight of the target, [].

    Returns:
      The sum, and the label loss alone.
    """
    hard = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    soft = optax.softmax_cross_entropy(logits, target).mean()
    return hard + weight * soft, hard
