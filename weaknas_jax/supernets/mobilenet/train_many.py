"""Many sub-networks trained from scratch in one program.

Each is a masked supernet of its own that trains no choice but its own: what it lacks never counts
and stays as it was drawn, and the matrices of kernels stay the identity, so that a small kernel is
the centre of the large one. It learns as the network by itself does (`static`), from the same
initial arrays.

Known deviation from training a network by itself: initial arrays are drawn with the deviation of
the widest block, which batch normalisation undoes.
"""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from weaknas_jax.spaces.mobilenet.arch import Arch
from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.supernets import training
from weaknas_jax.supernets.mobilenet.supernet import How, Supernet, forward
from weaknas_jax.supernets.training import Data

TRAINED = nnx.All(nnx.Param, nnx.Not(nnx.PathContains("matrices")))
"""What is trained of a supernet: all parameters but the matrices of kernels."""


class Runs(NamedTuple):
    """R networks in training, each field's arrays [R, ...].

    Attributes:
      arch: their choices.
      keys: each decides initial arrays and batches of its run, and nothing else does.
      params: what is trained.
      state: of the optimiser.
      rest: what is not trained.
    """

    arch: Arch
    keys: jax.Array
    params: nnx.State
    state: optax.OptState
    rest: nnx.State


def start(config: SupernetConfig, arch: Arch, keys: jax.Array) -> Runs:
    """Networks before the first step.

    Args:
      config: the supernet that has them.
      arch: fields [R, ...].
      keys: [R].
    """

    def one(key):
        _, params, rest = nnx.split(Supernet(config, nnx.Rngs(key)), TRAINED, ...)
        return params, training.optimizer().init(params), rest

    return Runs(jax.tree.map(jnp.asarray, arch), keys, *jax.jit(jax.vmap(one))(keys))


def train(
    config: SupernetConfig,
    runs: Runs,
    data: Data,
    *,
    steps: int,
    rate: float = 5e-3,
    batch: int = 64,
    chunk: int = 50,
    how: How | None = None,
    workers: int = 1,
    progress: Callable[[int, np.ndarray], None] = lambda done, losses: None,
) -> tuple[Runs, np.ndarray]:
    """Trained networks and the loss of each step, float32 [R, steps].

    Args:
      config: the supernet.
      runs: of `start`.
      data: to train on.
      steps, rate: as of `fit.rates`.
      batch: images in a step.
      chunk: steps between two calls of ``progress(steps done, losses [R, chunk])``.
      how: as of `supernet.forward`; default: masks, faster than branches here on a CPU too, since
        it is small arithmetic.
      workers: threads that share the networks on a CPU; the results are the same.
    """
    how, found, on_cpu = how or "masks", [], jax.default_backend() == "cpu"
    data, rates = Data(*map(jnp.asarray, data)), training.rates(rate, steps)
    program = functools.partial(_steps, config=config, batch=batch, how=how, together=not on_cpu)
    parts = list(_shares(runs, workers if on_cpu else 1))
    with ThreadPoolExecutor(len(parts)) as threads:
        for at in range(0, steps, chunk):
            now = jnp.arange(at, min(at + chunk, steps))
            some = jnp.asarray(rates[at : at + chunk])
            parts, losses = zip(
                *threads.map(lambda p: jax.block_until_ready(program(p, data, now, some)), parts),  # noqa: B023
                strict=True,
            )
            found.append(np.concatenate([np.asarray(part) for part in losses]))
            progress(int(now[-1]) + 1, found[-1])
    whole = jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)
    return whole, np.concatenate(found, axis=1)


def _shares(runs: Runs, count: int) -> Iterator[Runs]:
    """Equal parts, so that one program serves all; as many as divide the networks."""
    total = len(runs.keys)
    count = max(c for c in range(1, max(1, count) + 1) if total % c == 0)
    for i in range(count):
        part = slice(i * total // count, (i + 1) * total // count)
        yield jax.tree.map(lambda array, part=part: array[part], runs)


@functools.partial(jax.jit, static_argnames=("config", "batch", "how", "together"))
def _steps(
    runs: Runs,
    data: Data,
    numbers: jax.Array,
    rates: jax.Array,
    *,
    config: SupernetConfig,
    batch: int,
    how: How,
    together: bool,
) -> tuple[Runs, jax.Array]:
    """Steps of those numbers of all networks: side by side, or one network after the other."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: Supernet(config, nnx.Rngs(0))))

    def one(run: Runs):
        def loss(params, images, labels):
            net = nnx.merge(graph, params, run.rest)
            logits, _ = forward(net, images, run.arch, how, fresh=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        def step(carry, inputs):
            (params, state), (number, rate) = carry, inputs
            found = training.drawn(jax.random.fold_in(run.keys, number), data, batch)
            value, gradient = jax.value_and_grad(loss)(params, *found)
            updates, state = training.optimizer().update(gradient, state, params)
            return (training.stepped(params, updates, rate), state), value

        (params, state), losses = jax.lax.scan(step, (run.params, run.state), (numbers, rates))
        return run._replace(params=params, state=state), losses

    return jax.vmap(one)(runs) if together else jax.lax.map(one, runs)


def networks(config: SupernetConfig, runs: Runs) -> Iterator[tuple[Supernet, Arch]]:
    """Each network as a supernet and its choices."""
    graph = nnx.graphdef(nnx.eval_shape(lambda: Supernet(config, nnx.Rngs(0))))
    for i in range(len(runs.keys)):
        params, rest, arch = jax.tree.map(lambda array, i=i: array[i], (*runs[2::2], runs.arch))
        yield nnx.merge(graph, params, rest), arch
