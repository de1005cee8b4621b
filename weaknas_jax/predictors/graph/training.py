"""Training of small networks by batches whose number follows from the labels that are there.

Padding neither fills a batch nor makes one: the real rows of an epoch come first in its order, and
the number of its batches follows from theirs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number

Loss = Callable[[Any, Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
"""``loss(params, state, rows int32 [B], weight float32 [B], key) -> (value, state)``."""


def cosine(rate: Number, epochs: int) -> Callable[[jax.Array], jax.Array]:
    """The learning rate by epoch: half a cosine from ``rate`` to 0.

    >>> schedule = cosine(1.0, 4)
    >>> [round(float(schedule(jnp.int32(epoch))), 3) for epoch in range(4)]
    [1.0, 0.854, 0.5, 0.146]
    """
    return lambda epoch: 0.5 * rate * (1 + jnp.cos(jnp.pi * epoch / epochs))


def constant(rate: Number) -> Callable[[jax.Array], Number]:
    """The same learning rate in every epoch."""
    return lambda epoch: rate


def train(
    key: jax.Array,
    params: Any,
    state: Any,
    mask: jax.Array,
    loss: Loss,
    *,
    direction: optax.GradientTransformation,
    rate: Callable[[jax.Array], Number],
    epochs: Number,
    batch: int,
    drop_last: bool = False,
) -> tuple[Any, Any]:
    """Descends a loss over shuffled batches.

    >>> def loss(params, state, rows, weight, key):
    ...     return jnp.sum(weight * (params - rows) ** 2) / jnp.sum(weight), state
    >>> mean, _ = train(
    ...     jax.random.key(0), jnp.float32(0), (), jnp.arange(4) < 3, loss, epochs=200, batch=3,
    ...     direction=optax.identity(), rate=constant(0.1),
    ... )
    >>> round(float(mean), 3)  # of rows 0, 1 and 2
    1.0

    Args:
      key: of the order of the batches, and of the loss.
      params: initial parameters.
      state: what the loss hands on from step to step, such as moving averages; () = nothing.
      mask: bool [Q], which rows are real.
      loss: of the rows of a batch; rows of weight 0 are padding.
      direction: from gradients to the direction of descent, such as `optax.scale_by_adam`; its
        result times the negative rate is added.
      rate: learning rate by epoch.
      epochs: number of epochs, which may be traced.
      batch: rows of a batch.
      drop_last: leave out an epoch's last batch if it is not full; that of an epoch of one batch
        stays.

    Returns:
      Parameters and state after the last step.
    """
    count = jnp.sum(mask)
    batch = min(batch, len(mask))
    whole = count // batch
    steps = jnp.maximum(1, whole if drop_last else (count + batch - 1) // batch)
    order_key, loss_key = jax.random.split(key)
    differentiate = jax.value_and_grad(loss, has_aux=True)

    def step(at, carry):
        params, state, memory = carry
        epoch, place = at // steps, at % steps
        draw = jax.random.uniform(jax.random.fold_in(order_key, epoch), mask.shape)
        order = jnp.argsort(jnp.where(mask, draw, 2.0))
        places = place * batch + jnp.arange(batch)
        weight = (places < count).astype(jnp.float32)
        rows = order[jnp.minimum(places, len(mask) - 1)]
        key = jax.random.fold_in(loss_key, at)
        (_, state), gradients = differentiate(params, state, rows, weight, key)
        updates, memory = direction.update(gradients, memory, params)
        length = rate(epoch)
        params = jax.tree.map(lambda p, u: p - length * u, params, updates)
        return params, state, memory

    begin = params, state, direction.init(params)
    total = jnp.where(count > 0, epochs * steps, 0)
    params, state, _ = jax.lax.fori_loop(0, total, step, begin)
    return params, state
