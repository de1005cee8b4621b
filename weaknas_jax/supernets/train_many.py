"""Training of many networks from scratch in one program, each as a supernet of its own."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets import training
from weaknas_jax.supernets.training import Data

Logits = Callable[[nnx.Module, jax.Array, Any], jax.Array]
"""(supernet, normalised images [B, H, W, 3], sub-network) -> [B, classes], with batch statistics.
Hashable; pass the same object for the same function, since each object is compiled anew."""


class Runs(NamedTuple):
    """R networks in training; the arrays of all fields are [R, ...].

    Attributes:
      arch: the sub-network of each.
      keys: key of each run, which alone determines its initial arrays and batches.
      params: trained arrays.
      state: state of the optimiser.
      rest: arrays that are not trained.
    """

    arch: Any
    keys: jax.Array
    params: nnx.State
    state: optax.OptState
    rest: nnx.State


@with_conventions
def start(
    make: Callable[[jax.Array], nnx.Module],
    trained: Any,
    arch: Any,
    keys: jax.Array,
) -> Runs:
    """Networks before the first step.

    Args:
      make: key -> supernet.
      trained: NNX filter of the trained variables.
      arch: sub-networks, arrays [R, ...].
      keys: [R].
    """

    def one(key):
        _, params, rest = nnx.split(make(key), trained, ...)
        return params, training.optimizer().init(params), rest

    return Runs(jax.tree.map(jnp.asarray, arch), keys, *jax.jit(jax.vmap(one))(keys))


@with_conventions
def train(
    graph: nnx.GraphDef,
    logits: Logits,
    runs: Runs,
    data: Data,
    *,
    steps: int,
    rate: float = 5e-3,
    batch: int = 64,
    chunk: int = 50,
    workers: int = 1,
    progress: Callable[[int, np.ndarray], None] = lambda done, losses: None,
) -> tuple[Runs, np.ndarray]:
    """Trains networks; returns them and the loss of each step, float32 [R, steps].

    Args:
      graph: graph definition of the supernet.
      logits: see `Logits`.
      runs: from `start`.
      data: training images.
      steps, rate: as in `training.rates`.
      batch: images in a step.
      chunk: steps between two calls of ``progress(steps done, losses [R, chunk])``.
      workers: threads that share the networks on a CPU; the results are the same.
    """
    losses, on_cpu = [], jax.default_backend() == "cpu"
    data, rates = Data(*map(jnp.asarray, data)), training.rates(rate, steps)
    program = with_conventions(
        functools.partial(_steps, graph=graph, logits=logits, batch=batch, together=not on_cpu)
    )
    parts = list(_shares(runs, workers if on_cpu else 1))
    with ThreadPoolExecutor(len(parts)) as threads:
        for first in range(0, steps, chunk):
            at = jnp.arange(first, min(first + chunk, steps))
            lr = jnp.asarray(rates[first : first + chunk])
            parts, values = zip(
                *threads.map(lambda p: jax.block_until_ready(program(p, data, at, lr)), parts),  # noqa: B023
                strict=True,
            )
            losses.append(np.concatenate([np.asarray(part) for part in values]))
            progress(int(at[-1]) + 1, losses[-1])
    trained = jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)
    return trained, np.concatenate(losses, axis=1)


def _shares(runs: Runs, count: int) -> Iterator[Runs]:
    """Splits into equal parts, at most ``count``, so that one program serves all."""
    total = len(runs.keys)
    count = max(c for c in range(1, max(1, count) + 1) if total % c == 0)
    for i in range(count):
        part = slice(i * total // count, (i + 1) * total // count)
        yield jax.tree.map(lambda array, part=part: array[part], runs)


@functools.partial(jax.jit, static_argnames=("graph", "logits", "batch", "together"))
def _steps(
    runs: Runs,
    data: Data,
    numbers: jax.Array,
    rates: jax.Array,
    *,
    graph: nnx.GraphDef,
    logits: Logits,
    batch: int,
    together: bool,
) -> tuple[Runs, jax.Array]:
    """The steps ``numbers`` of all networks, vectorized (``together``) or network by network."""

    def one(run: Runs):
        def loss(params, images, labels):
            net = nnx.merge(graph, params, run.rest)
            values = logits(net, images, run.arch)
            return optax.softmax_cross_entropy_with_integer_labels(values, labels).mean()

        def step(carry, inputs):
            (params, state), (number, rate) = carry, inputs
            images, labels = training.drawn(jax.random.fold_in(run.keys, number), data, batch)
            value, gradient = jax.value_and_grad(loss)(params, images, labels)
            updates, state = training.optimizer().update(gradient, state, params)
            return (training.stepped(params, updates, rate), state), value

        (params, state), losses = jax.lax.scan(step, (run.params, run.state), (numbers, rates))
        return run._replace(params=params, state=state), losses

    return jax.vmap(one)(runs) if together else jax.lax.map(one, runs)


@with_conventions
def networks(graph: nnx.GraphDef, runs: Runs) -> Iterator[tuple[nnx.Module, Any]]:
    """Each network as a supernet and its sub-network."""
    for i in range(len(runs.keys)):
        params, rest, arch = jax.tree.map(
            lambda array, i=i: array[i], (runs.params, runs.rest, runs.arch)
        )
        yield nnx.merge(graph, params, rest), arch
