"""Training of any network from scratch by the retraining recipe of WeakNAS (Table 7).

RMSProp in TensorFlow's form, warm-up and cosine by whole epochs, a moving average of the weights,
dropout, label smoothing, random erasing (`augment`); pure functions of a `State`. The network is an
NNX module from images [B, H, W, 3] to logits [B, classes].

Known deviations from timm's command: with several devices batch statistics are those of the whole
batch, not of a device's share, so that results do not depend on the number of devices; running
variances are the biased ones; images are normalised in float32 even when training in bfloat16.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx, struct

from weaknas_jax.core.conventions import with_conventions
from weaknas_jax.supernets import evaluation
from weaknas_jax.supernets.data import augment
from weaknas_jax.supernets.data.images import Batch, normalized
from weaknas_jax.supernets.evaluation import Counts


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The published settings.

    Attributes:
      epochs: passes over the images; 600 for the network of 1000 queries, 300 for that of 800.
      rate: peak learning rate.
      warmup: epochs of linear warm-up from ``first_rate``.
      first_rate, last_rate: learning rates at the start of the warm-up and the end of the cosine.
      weight_decay: L2, added to the gradient of matrices and kernels, not of norms and biases.
      decay, momentum, epsilon: of RMSProp; epsilon is inside the root.
      dropout: share of the features before the classifier, for a `Forward` that reads it.
      ema: decay of the moving average of weights and running statistics.
      smoothing: label smoothing.
      erase: share of the images with an erased rectangle.
      bf16: compute in bfloat16; parameters, norms and loss stay float32.
    """

    epochs: int = 600
    rate: float = 1e-2
    warmup: int = 3
    first_rate: float = 1e-6
    last_rate: float = 1e-5
    weight_decay: float = 1e-5
    decay: float = 0.9
    momentum: float = 0.9
    epsilon: float = 1e-3
    dropout: float = 0.3
    ema: float = 0.9999
    smoothing: float = 0.1
    erase: float = 0.2
    bf16: bool = False


@struct.dataclass
class State:
    """The state of a training.

    Attributes:
      step: int32 [], number of steps done.
      params, stats: parameters and running statistics, as NNX states.
      averaged: moving average of both.
      optimizer: Optax's state.
    """

    step: jax.Array
    params: Any
    stats: Any
    averaged: Any
    optimizer: Any


class Training(NamedTuple):
    """Functions of a `State`, with the settings they were made for.

    Attributes:
      recipe: the settings.
      steps_per_epoch: steps between changes of the learning rate.
      init: () -> state.
      step: (state, `Batch`, key) -> (state, loss []); the same key for all steps of a run.
      network: (state, averaged: bool) -> the network with the state's arrays, in evaluation mode.
    """

    recipe: Recipe
    steps_per_epoch: int
    init: Callable[..., State]
    step: Callable[..., tuple[State, jax.Array]]
    network: Callable[..., nnx.Module]


Forward = Callable[[nnx.Module, jax.Array, jax.Array, Recipe], tuple[jax.Array, nnx.State]]
"""A training pass: (network, normalised images, key, recipe) -> logits, and the running statistics
after this batch, as ``nnx.state(network, nnx.BatchStat)``."""


def forward(
    net: nnx.Module, images: jax.Array, key: jax.Array, recipe: Recipe
) -> tuple[jax.Array, nnx.State]:
    """The training pass of a module with NNX training layers (`nnx.BatchNorm`, `nnx.Dropout`);
    ``key`` determines all random draws."""
    del recipe
    net.train()
    leaves, tree = jax.tree.flatten(nnx.state(net, nnx.RngKey))
    streams = [jax.random.fold_in(key, i) for i in range(len(leaves))]
    counts = jax.tree.map(jnp.zeros_like, nnx.state(net, nnx.RngCount))
    nnx.update(net, jax.tree.unflatten(tree, streams), counts)
    logits = net(images)
    return logits, nnx.state(net, nnx.BatchStat)


def rate(recipe: Recipe, steps_per_epoch: int) -> optax.Schedule:
    """The learning rate of each step: constant in an epoch, as in timm's scheduler."""

    def schedule(step: jax.Array) -> jax.Array:
        epoch = step // steps_per_epoch
        rise = recipe.first_rate + epoch * (recipe.rate - recipe.first_rate) / max(1, recipe.warmup)
        wave = 0.5 * (1 + jnp.cos(jnp.pi * epoch / recipe.epochs))
        fall = recipe.last_rate + (recipe.rate - recipe.last_rate) * wave
        return jnp.where(epoch < recipe.warmup, rise, fall)

    return schedule


def optimizer(recipe: Recipe, steps_per_epoch: int) -> optax.GradientTransformation:
    """RMSProp of TensorFlow and timm's ``rmsproptf``: the mean square starts at one, epsilon is
    inside the root, and the learning rate inside the momentum."""
    return optax.chain(
        optax.add_decayed_weights(
            recipe.weight_decay, lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
        ),
        optax.rmsprop(
            rate(recipe, steps_per_epoch),
            decay=recipe.decay,
            eps=recipe.epsilon,
            initial_scale=1.0,
            eps_in_sqrt=True,
            momentum=recipe.momentum,
        ),
    )


def make(
    net: nnx.Module, recipe: Recipe, steps_per_epoch: int, forward: Forward = forward
) -> Training:
    """Makes the training functions of a network.

    Args:
      net: the network with its initial arrays; it is not changed.
      recipe: the settings.
      steps_per_epoch: steps between changes of the learning rate.
      forward: its training pass.
    """
    graph, params, stats, rest = nnx.split(net, nnx.Param, nnx.BatchStat, ...)
    updates = optimizer(recipe, steps_per_epoch)

    @with_conventions
    def init() -> State:
        weights, counted, averaged = jax.tree.map(jnp.copy, (params, stats, (params, stats)))
        return State(jnp.int32(0), weights, counted, averaged, updates.init(params))

    def loss_of(params, stats, batch: Batch, key: jax.Array):
        erase_key, drop_key = jax.random.split(key)
        x = augment.erased(erase_key, normalized(batch.images), recipe.erase)
        if recipe.bf16:
            x, params = x.astype(jnp.bfloat16), _narrow(params, stats)
        # new variables for this trace, since the pass may set them
        stats, others = jax.tree.map(lambda array: array, (stats, rest))
        network = nnx.merge(graph, params, stats, others)
        logits, stats = forward(network, x, drop_key, recipe)
        logits = logits.astype(jnp.float32)
        labels = jax.nn.one_hot(batch.labels, logits.shape[-1])
        labels = optax.smooth_labels(labels, recipe.smoothing)
        losses = optax.softmax_cross_entropy(logits, labels)
        weight = batch.valid / jnp.maximum(1, batch.valid.sum())
        return jnp.sum(jnp.where(batch.valid, losses, 0.0) * weight), stats

    @with_conventions
    def step(state: State, batch: Batch, key: jax.Array) -> tuple[State, jax.Array]:
        key = jax.random.fold_in(key, state.step)
        value = jax.value_and_grad(loss_of, has_aux=True)
        (loss, stats), gradient = value(state.params, state.stats, batch, key)
        changes, optimizer_state = updates.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, changes)
        averaged = optax.incremental_update((params, stats), state.averaged, 1 - recipe.ema)
        return State(state.step + 1, params, stats, averaged, optimizer_state), loss

    @with_conventions
    def network(state: State, averaged: bool = True) -> nnx.Module:
        arrays = state.averaged if averaged else (state.params, state.stats)
        network = nnx.merge(graph, *arrays, rest)
        network.eval()
        return network

    return Training(recipe, steps_per_epoch, init, step, network)


def _narrow(params: nnx.State, stats: nnx.State) -> nnx.State:
    """Parameters in bfloat16, except those of normalisations (beside running statistics)."""
    norms = {path[:-1] for path, _ in nnx.to_flat_state(stats)}

    def cast(path, variable):
        if path[:-1] in norms:
            return variable
        return jax.tree.map(lambda array: array.astype(jnp.bfloat16), variable)

    return nnx.from_flat_state([(path, cast(path, v)) for path, v in nnx.to_flat_state(params)])


def count(net: nnx.Module, batch: Batch) -> Counts:
    """Counts of correct predictions on a batch; may be traced."""
    return evaluation.count(net, batch)


def arrays(state: State) -> dict[str, jax.Array]:
    """All arrays of a state by name; `restored` is the inverse."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def restored(like: State, stored: dict[str, Any]) -> State:
    """The inverse of `arrays`, for a state ``like`` that of the network.

    Raises:
      ValueError: the arrays are those of another network.
    """
    names = arrays(like)
    wrong = [n for n in names.keys() | stored.keys() if n not in names or n not in stored]
    wrong += [n for n in names if n not in wrong and names[n].shape != stored[n].shape]
    if wrong:
        raise ValueError(f"the checkpoint is of another network: {sorted(wrong)[0]}")
    leaves = [jnp.asarray(stored[name], leaf.dtype) for name, leaf in names.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def epoch_order(seed: int, epoch: int, images: int, batch: int) -> np.ndarray:
    """Indices of the images in the order of an epoch, whole batches only.

    >>> sorted(epoch_order(0, 1, 4, 2).tolist())
    [0, 1, 2, 3]
    """
    return np.random.default_rng([seed, epoch]).permutation(images)[: images // batch * batch]
