"""BONAS (Shi et al., NeurIPS 2020): a graph convolution network under Bayesian regression.

A node sums itself and its predecessors, and a global node sums all nodes. After four convolutions
the global node's 64 channels are the features of a Bayesian linear regression, whose prior and
noise maximise the evidence. As printed it has 13,505 parameters on NAS-Bench-101, and 13,633 on
NAS-Bench-201.

``clean``, the default: contracted graphs without absent nodes; squared errors of the labels;
batches of 32; regression of the labels themselves with an intercept, and a weak Gamma prior on
both precisions, so that fewer labels than features are safe; the deviation is without the noise.

``printed``: as the released code (github.com/pipilurj/BONAS) has it. Whole graphs, whose absent
nodes sum themselves and count in the global node; the loss exp(y - 1) (y' - y)^2 of a sigmoid;
batches of 128; regression of logit(y) without an intercept; mean and deviation by the approximate
moments of a sigmoid, with the noise. Deviations: labels come standardised, so that y is those
scaled to 0.1 to 0.9 (a linear scale, as an accuracy is, so that the moments return to the labels
exactly); precisions are bounded where the released updates divide by zero.

Tried for ``clean`` on NAS-Bench-201, CIFAR-10, ranked labels of 50 and 100 cells: Kendall's tau,
mean of three draws, on 2,048 cells, is 0.72 and 0.76 with batches of 128; by the network's own
output in place of the regression, the same; with whole graphs, 0.53 and 0.58; with Glorot's
weights, 0.70 and 0.74; with batches of 32, 0.73 and 0.78.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number, Prediction, Predictor, Scorer
from weaknas_jax.predictors.graph import layers, training
from weaknas_jax.predictors.refit import refit
from weaknas_jax.spaces.graph_arrays import Graphs

DEPTH = 4
_PRIOR = 1.0, 0.05  # shape and rate of the precisions: about 1 / 0.05
_LOW, _HIGH = 0.1, 0.9  # printed: labels as accuracies


class Convolution(NamedTuple):
    """Weight [fan_in, C], bias [C] and batch normalisation of a layer."""

    weight: jax.Array
    bias: jax.Array
    norm: layers.Norm


class Network(NamedTuple):
    """Parameters."""

    convolutions: tuple[Convolution, ...]
    last: layers.Dense


class Inputs(NamedTuple):
    """Graphs as the network has them, with a global node behind the V others.

    Attributes:
      sums: float32 [n, V + 1, V + 1], what the node of the row sums.
      kinds: float32 [n, V + 1, kinds + 1], one-hot; the last kind is global; absent = zeros.
      counted: float32 [n, V + 1], the nodes that count for batch normalisation.
    """

    sums: jax.Array
    kinds: jax.Array
    counted: jax.Array


def inputs(x: Graphs, padding: bool = False) -> Inputs:
    """The inputs of graphs.

    >>> from weaknas_jax.spaces.graph_arrays import of_lists
    >>> chain = of_lists([(("input", "conv", "output"), [(0, 1), (1, 2)])])
    >>> inputs(chain).sums[0].astype(int).tolist()
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]

    Args:
      x: n graphs of V nodes.
      padding: whether absent nodes sum themselves, and the global node them (`printed`).
    """
    there = jnp.ones_like(x.present) if padding else x.present
    counted = jnp.pad(there, ((0, 0), (0, 1)), constant_values=True).astype(jnp.float32)
    sums = jnp.swapaxes(jnp.pad(x.edges, ((0, 0), (0, 1), (0, 1))), 1, 2)
    sums = sums.at[:, -1].set(counted)
    sums = jnp.where(jnp.eye(x.nodes + 1, dtype=bool), counted[:, None], sums)
    kinds = jnp.pad(x.one_hot, ((0, 0), (0, 1), (0, 1))).at[:, -1, -1].set(1.0)
    return Inputs(sums, kinds, counted)


def init(key: jax.Array, kinds: int, width: int = 64) -> tuple[Network, tuple[layers.Moments, ...]]:
    """Initial parameters and moving moments; ``kinds`` without the global one."""
    keys = jax.random.split(key, DEPTH + 1)

    def convolution(key: jax.Array, fan_in: int) -> Convolution:
        of_weight, of_bias = jax.random.split(key)
        weight = layers.uniform(of_weight, (fan_in, width), 0.05)
        bias = layers.uniform(of_bias, (width,), width**-0.5)
        return Convolution(weight, bias, layers.norm(width))

    wide = [convolution(key, width) for key in keys[1:DEPTH]]
    network = Network((convolution(keys[0], kinds + 1), *wide), layers.dense(keys[-1], width, 1))
    return network, (layers.moments(width),) * DEPTH


def embed(
    network: Network,
    moments: tuple[layers.Moments, ...],
    x: Inputs,
    weight: jax.Array | None = None,
) -> tuple[jax.Array, tuple[layers.Moments, ...]]:
    """Features [n, C] of graphs, the global node's channels; and the moments after.

    ``weight`` [n]: the graphs that count for the moments; None = the moving ones are used.
    """
    weight = weight if weight is None else weight[:, None] * x.counted
    channels, after = x.kinds, []
    for layer, before in zip(network.convolutions, moments, strict=True):
        # Normalisation takes a bias away: its gradient is rounding, which Adam would make steps of.
        bias = jax.lax.stop_gradient(layer.bias)
        channels = x.sums @ (channels @ layer.weight) + bias
        channels, now = layers.batch_norm(layer.norm, before, channels, weight)
        channels = jax.nn.relu(channels)
        after.append(now)
    return channels[:, -1], tuple(after)


class Posterior(NamedTuple):
    """A Bayesian linear regression, in the basis where the features' products are diagonal.

    Attributes:
      centre: [C], subtracted from the features.
      basis: [C, C], its columns.
      mean, variance: [C], of the weights in that basis.
      intercept, doubt: [], its mean and variance.
      noise: [], variance of a label.
    """

    centre: jax.Array
    basis: jax.Array
    mean: jax.Array
    variance: jax.Array
    intercept: jax.Array
    doubt: jax.Array
    noise: jax.Array

    def __call__(self, features: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean and variance of the expected label, [n] each."""
        z = (features - self.centre) @ self.basis
        return self.intercept + z @ self.mean, self.doubt + z**2 @ self.variance


def evidence(
    features: jax.Array,
    y: jax.Array,
    mask: jax.Array,
    prior: tuple[float, float] = _PRIOR,
    intercept: bool = True,
    first: float = 1.0,
) -> Posterior:
    """Bayesian regression whose precisions maximise the evidence (Bishop, section 3.5.2).

    Args:
      features, y, mask: [Q, C], [Q], and which rows are real.
      prior: shape and rate of a Gamma prior on the precisions of weights and noise; 0, 0 = none.
      intercept: whether there is one, with a flat prior.
      first: both precisions at the start.
    """
    weight, count = mask.astype(jnp.float32), jnp.maximum(jnp.sum(mask), 1.0)
    centre, level = jnp.zeros(features.shape[1]), jnp.float32(0)
    y = jnp.where(mask, y, 0.0)
    if intercept:
        centre, level, count = weight @ features / count, weight @ y / count, count - 1
    features, y = weight[:, None] * (features - centre), weight * (y - level)
    size, basis = jnp.linalg.eigh(features.T @ features)
    size, z = jnp.maximum(size, 0.0), features @ basis
    moment, (shape, rate) = y @ z, prior

    def weights(alpha: jax.Array, beta: jax.Array) -> jax.Array:
        return beta * moment / (alpha + beta * size)

    def step(carry):
        at, _, _, alpha, beta = carry
        mean = weights(alpha, beta)
        known = jnp.sum(beta * size / (alpha + beta * size))
        left = jnp.maximum(count - known, 1e-3)
        error = jnp.sum((y - z @ mean) ** 2)
        # Bounds: all is explained, or nothing is.
        new_alpha = jnp.clip((known + 2 * shape) / (jnp.sum(mean**2) + 2 * rate + 1e-12), 1e-6, 1e6)
        new_beta = jnp.clip((left + 2 * shape) / (error + 2 * rate + 1e-12), 1e-6, 1e6)
        return at + 1, alpha, beta, new_alpha, new_beta

    def unfinished(carry):
        at, *precisions = carry
        before, now = jnp.stack(precisions[:2]), jnp.stack(precisions[2:])
        return (at < 200) & jnp.any(jnp.abs(now - before) > 1e-5 * now)

    begin = jnp.float32(first), jnp.float32(first)
    carry = (jnp.int32(0), jnp.float32(0), jnp.float32(0), *begin)
    *_, alpha, beta = jax.lax.while_loop(unfinished, step, carry)
    doubt = 1 / (beta * (count + 1)) if intercept else jnp.float32(0)
    mean, variance = weights(alpha, beta), 1 / (alpha + beta * size)
    return Posterior(centre, basis, mean, variance, level, doubt, 1 / beta)


def sigmoid_moments(mean: jax.Array, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and deviation of the sigmoid of a normal variable, approximately.

    >>> mean, deviation = sigmoid_moments(jnp.float32(0), jnp.float32(1))
    >>> round(float(mean), 3), round(float(deviation), 3)  # exactly 0.5 and 0.208
    (0.5, 0.231)
    """
    slope, shift = 4 - 2 * math.sqrt(2), -math.log(math.sqrt(2) + 1)
    first = jax.nn.sigmoid(mean / jnp.sqrt(1 + math.pi / 8 * variance))
    wide = jnp.sqrt(1 + math.pi / 8 * slope**2 * variance)
    second = jax.nn.sigmoid(slope * (mean + shift) / wide)
    return first, jnp.sqrt(jnp.maximum(second - first**2, 1e-8))


class Fit(NamedTuple):
    """Of the last training: labels are ``low + span y`` where they were scaled (`printed`)."""

    network: Network
    moments: tuple[layers.Moments, ...]
    posterior: Posterior
    low: jax.Array
    span: jax.Array


def bonas(
    *,
    learning_rate: Number = 1e-3,
    epochs: Number = 100,
    width: int = 64,
    printed: bool = False,
    chunk: int | None = None,
) -> Scorer:
    """The network of BONAS under Bayesian regression, a `Scorer` that reads graphs.

    Mean and deviation are on the scale of the labels.

    >>> bonas(epochs=10).select is None
    True

    Args:
      learning_rate: of Adam.
      epochs: of training, anew in each round.
      width: channels, and features of the regression.
      printed: follow the released code, see the module.
      chunk: architectures scored at once.
    """
    batch = 128 if printed else 32

    def fit(key, x, y, mask):
        y = jnp.where(mask, y, 0.0)
        low, span = jnp.float32(0), jnp.float32(1)
        if printed:
            least = jnp.min(jnp.where(mask, y, jnp.inf))
            span = jnp.max(jnp.where(mask, y, -jnp.inf)) - least
            known = jnp.isfinite(span) & (span > 0)  # else labels are all the same, or none
            span = jnp.where(known, span, 1.0) / (_HIGH - _LOW)
            low = jnp.where(known, least - _LOW * span, -0.5 * span)
            y = jnp.where(mask & known, (y - low) / span, 0.5)
        of_network, of_batches = jax.random.split(key)
        network, moments = init(of_network, x.kinds, width)
        read = inputs(x, padding=printed)

        def loss(network, moments, rows, weight, key):
            del key
            graphs, labels = jax.tree.map(lambda a: a[rows], (read, y))
            channels, moments = embed(network, moments, graphs, weight)
            outputs = network.last(channels)[:, 0]
            if printed:
                errors = jnp.exp(labels - 1) * (jax.nn.sigmoid(outputs) - labels) ** 2
            else:
                errors = (outputs - labels) ** 2
            return jnp.sum(weight * errors) / jnp.maximum(jnp.sum(weight), 1.0), moments

        network, moments = training.train(
            of_batches,
            network,
            moments,
            mask,
            loss,
            direction=optax.scale_by_adam(),
            rate=training.constant(learning_rate),
            epochs=jnp.asarray(epochs, jnp.int32),
            batch=batch,
        )
        channels, _ = embed(network, moments, read)
        if printed:
            logits = jax.scipy.special.logit(y)
            posterior = evidence(channels, logits, mask, (0.0, 0.0), intercept=False, first=1e-5)
        else:
            posterior = evidence(channels, y, mask)
        return Fit(network, moments, posterior, low, span)

    def predict(params, x):
        channels, _ = embed(params.network, params.moments, inputs(x, padding=printed))
        mean, variance = params.posterior(channels)
        if not printed:
            return Prediction(mean, jnp.sqrt(variance))
        mean, deviation = sigmoid_moments(mean, variance + params.posterior.noise)
        return Prediction(params.low + params.span * mean, params.span * deviation)

    return refit(Predictor(fit, predict), chunk, graphs="whole" if printed else "contracted")
