"""The paper's multilayer perceptron: scikit-learn's ``MLPRegressor`` rule, jitted (section 4).

Hidden (1000, 1000, 1000, 1000), ReLU, at most 100 epochs, everything else scikit-learn's default:

* weights and biases uniform in +-sqrt(6 / (fan_in + fan_out));
* loss = half the mean squared error + half 1e-4 ||W||^2 / batch length (weights, not biases);
* batches of min(200, n) in an order shuffled every epoch, the last one shorter;
* Adam 1e-3 with its epsilon beside the *uncorrected* second moment (`scale_by_adam_late_eps`);
* stops at the 11th epoch in a row whose loss is not below the best so far by more than 1e-4.

Known deviations: the random numbers are JAX's, and everything is float32.

Padding costs nothing on a CPU: each batch runs at the narrowest of a few compiled widths that
holds it. Under ``vmap`` a switch would run every branch, so other backends use one width.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number, Prediction, Predictor
from weaknas_jax.predictors import losses

Params = list[
    tuple[jax.Array, jax.Array]
]  # of each layer: weight [fan_in, fan_out], bias [fan_out]

CPU_WIDTHS = (10, 20, 30, 40, 50, 60, 80, 100, 120, 140, 160, 180, 200)


class Fit(NamedTuple):
    """Report of a training.

    Attributes:
      epochs: int32, the number of epochs run.
      losses: float32 [max_epochs], the training loss of each epoch, NaN after the last.
    """

    epochs: jax.Array
    losses: jax.Array


def scale_by_adam_late_eps(
    learning_rate: Number, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam as scikit-learn writes it: ``-lr_t m / (sqrt(v) + eps)``, the bias corrections in lr_t.

    `optax.adam` adds ``eps`` after correcting ``v``; here it weighs ``1 / sqrt(1 - b2^t)`` times
    more, 32-fold at the first step. An update by zeros at the very start is a no-op and is not
    counted (`train` needs that).
    """

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(jnp.int32(-1), zeros, zeros)

    def update(gradients, state, params=None):
        del params
        count = state.count + 1
        step = jnp.maximum(count, 1).astype(jnp.float32)
        # 1 - b^t by expm1: float32 would lose four digits of 1 - 0.999 otherwise.
        left = [-jnp.expm1(step * math.log(b)) for b in (b1, b2)]
        rate = learning_rate * jnp.sqrt(left[1]) / left[0]
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradients)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, gradients)
        updates = jax.tree.map(lambda m, v: -rate * m / (jnp.sqrt(v) + eps), m, v)
        return updates, optax.ScaleByAdamState(count, m, v)

    return optax.GradientTransformation(init, update)


def init_params(key: jax.Array, sizes: Sequence[int]) -> Params:
    """Glorot-uniform weights and biases, both with scikit-learn's bound."""
    params = []
    for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
        weight_key, bias_key = jax.random.split(jax.random.fold_in(key, layer))
        draw = partial(jax.random.uniform, minval=-1.0, maxval=1.0)
        bound = (6 / (fan_in + fan_out)) ** 0.5
        weight = bound * draw(weight_key, (fan_in, fan_out))
        params.append((weight, bound * draw(bias_key, (fan_out,))))
    return params


def apply(params: Params, x: jax.Array) -> jax.Array:
    """Predicted scores [n] of rows x [n, D]."""
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = params[-1]
    return (x @ weight + bias)[:, 0]


def train(
    key: jax.Array,
    params: Params,
    x: jax.Array,
    y: jax.Array,
    mask: jax.Array,
    *,
    learning_rate: Number = 1e-3,
    l2: Number = 1e-4,
    max_epochs: int = 100,
    tolerance: float = 1e-4,
    patience: int = 10,
    widths: Sequence[int] = CPU_WIDTHS,
    loss: Callable[..., jax.Array] = losses.squared,
) -> tuple[Params, Fit]:
    """Trains a network from ``params`` by the rule of the module.

    Args:
      key: of the order of the batches.
      params: initial parameters.
      x, y, mask: features [Q, D], labels [Q], and which rows are real, bool [Q].
      widths: the compiled batch widths, ascending; the last is the batch size.
      loss: to be minimised, see `losses`.
    """
    batch, n = widths[-1], jnp.sum(mask)
    x, y = jnp.where(mask[:, None], x, 0.0), jnp.where(mask, y, 0.0)
    adam = scale_by_adam_late_eps(learning_rate)

    def batch_gradient(width, params, rows, size):
        rows = rows[:width]
        weight = jnp.arange(width) < size
        x_rows, y_rows = x[rows], y[rows]

        return jax.value_and_grad(lambda p: loss(apply(p, x_rows), y_rows, weight))(params)

    branches = [partial(batch_gradient, width) for width in widths]

    def batch_rows(epoch, start):
        """The row numbers of the batch that begins at ``start`` of the epoch's shuffle."""
        draw = jax.random.uniform(jax.random.fold_in(key, epoch), mask.shape)
        order = jnp.pad(jnp.argsort(jnp.where(mask, draw, 2.0)), (0, -mask.size % batch))
        return jax.lax.dynamic_slice(order, (start,), (batch,))

    def descend(params, adam_state, gradient, decay):
        gradient = [(g + decay * w, gb) for (g, gb), (w, _) in zip(gradient, params, strict=True)]
        updates, adam_state = adam.update(gradient, adam_state)
        return optax.apply_updates(params, updates), adam_state

    def step(carry):
        # Applies the gradient of the batch before, then takes this batch's: parameters are then
        # written before they are read, so that XLA updates them in place instead of copying them.
        params, adam_state, gradient, decay, epoch, start, total, stale, best, curve = carry
        params, adam_state = descend(params, adam_state, gradient, decay)

        size = jnp.minimum(n - start, batch)
        which = jnp.searchsorted(jnp.asarray(widths), size)
        batch_loss, gradient = jax.lax.switch(
            which, branches, params, batch_rows(epoch, start), size
        )
        decay = l2 / jnp.maximum(size, 1)
        batch_loss += 0.5 * decay * sum(jnp.sum(w**2) for w, _ in params)  # pyright: ignore[reportGeneralTypeIssues]

        total += batch_loss * size / jnp.maximum(n, 1)
        last = start + batch >= n
        stale = jnp.where(last, jnp.where(total > best - tolerance, stale + 1, 0), stale)
        best = jnp.where(last, jnp.minimum(best, total), best)
        curve = curve.at[epoch].set(jnp.where(last, total, jnp.nan))
        start, total = jnp.where(last, 0, start + batch), jnp.where(last, 0.0, total)
        epoch = epoch + last
        return params, adam_state, gradient, decay, epoch, start, total, stale, best, curve

    def unfinished(carry):
        *_, epoch, _, _, stale, _, _ = carry
        return (epoch < max_epochs) & (stale <= patience)

    zero, nothing = jnp.int32(0), jnp.float32(0)
    carry = (params, adam.init(params), jax.tree.map(jnp.zeros_like, params), nothing)
    carry += (zero, zero, nothing, zero, jnp.float32(jnp.inf), jnp.full(max_epochs, jnp.nan))
    *carry, epoch, _, _, _, _, curve = jax.lax.while_loop(unfinished, step, carry)
    params, _ = descend(*carry)  # pyright: ignore[reportAssignmentType]
    return params, Fit(epoch, curve)


def default_widths() -> Sequence[int]:
    """The compiled batch widths of the backend."""
    return CPU_WIDTHS if jax.default_backend() == "cpu" else CPU_WIDTHS[-1:]


def mlp(
    hidden: Sequence[int] = (1000, 1000, 1000, 1000),
    *,
    learning_rate: Number = 1e-3,
    l2: Number = 1e-4,
    max_epochs: int = 100,
    widths: Sequence[int] | None = None,
    loss: str = "squared",
) -> Predictor:
    """The paper's multilayer perceptron as `Predictor`.

    ``widths``: see `train`, by default those of the backend; ``loss`` is a name in `losses.LOSSES`,
    of the labels or of their order only.

    >>> model, x = mlp(hidden=(8,), max_epochs=1, widths=(4,)), jnp.eye(4)
    >>> params = model.fit(jax.random.key(0), x, jnp.arange(4.0), jnp.ones(4, bool))
    >>> model.predict(params, x).mean.shape
    (4,)
    """
    settings = {
        "learning_rate": learning_rate,
        "l2": l2,
        "max_epochs": max_epochs,
        "widths": widths or default_widths(),
        "loss": losses.LOSSES[loss],
    }

    def fit(key, x, y, mask):
        init_key, order_key = jax.random.split(key)
        params = init_params(init_key, (x.shape[1], *hidden, 1))
        return train(order_key, params, x, y, mask, **settings)[0]

    return Predictor(fit, lambda params, x: Prediction(apply(params, x)))
