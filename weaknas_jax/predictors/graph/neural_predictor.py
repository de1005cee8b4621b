"""The Neural Predictor: a graph network that regresses the score, in one stage or two.

Wen et al., 2020. Graphs are as the space has them, nothing pruned. With I the identity and each
row normalised to sum 1, B = normalised (A + I), F = B and R = normalised transpose of B: the
transpose of what is normalised already, normalised again. Of nodes X [V, C],

* a layer is the mean of relu(F X W1) and relu(R X W2), then dropout 0.1; three layers of 144;
* the sum over nodes by the number of nodes, linear 128, dropout 0.1, linear 1;
* no biases, and nothing between the two linear layers. Absent nodes are zero throughout.

The authors released no code. ``printed`` trains as the public re-implementation does (ultmaster,
neuralpredictor.pytorch): Adam 1e-4 with L2 1e-3 in the gradient, 300 epochs of batches of 10 with
the last one left out, cosine to 0. It differs in the labels: theirs are normalised by constants of
the table, here by the labels of the search; and a single batch of fewer than 10 is used.
NASLib and naszilla have four layers (``layers``) and never reset their gradients, which is not
followed.

The default trains in fewer and longer steps, chosen on NAS-Bench-201's CIFAR-10, with all batches.

Two stages: a network of the same kind first tells the good, those above a quantile of the labels;
the regressor is fitted on the good alone, and what is rejected ranks below all others. The paper
has a threshold of accuracy, which a search without the table's scale cannot know.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number, Prediction, Predictor, Scorer
from weaknas_jax.predictors.graph import layers as parts
from weaknas_jax.predictors.graph import training
from weaknas_jax.predictors.refit import refit
from weaknas_jax.spaces.graph_arrays import Graphs

DROPOUT = 0.1


class Network(NamedTuple):
    """Parameters.

    Attributes:
      layers: of each layer W1 and W2, [C, 2, H].
      hidden: [H, 128].
      last: [128, 1].
    """

    layers: list[jax.Array]
    hidden: jax.Array
    last: jax.Array


class Inputs(NamedTuple):
    """What the network reads of n graphs.

    Attributes:
      nodes: float32 [n, V, C], kinds of nodes.
      ways: float32 [n, 2, V, V], F and R of the module.
      size: float32 [n], number of nodes that are there.
    """

    nodes: jax.Array
    ways: jax.Array
    size: jax.Array


def propagation(adjacency: jax.Array) -> jax.Array:
    """F and R of the module, float32 [..., 2, V, V], of adjacency [..., V, V].

    >>> propagation(jnp.array([[0.0, 1.0], [0.0, 0.0]]))[0].tolist()
    [[0.5, 0.5], [0.0, 1.0]]
    """

    def normalised(a: jax.Array) -> jax.Array:
        return a / jnp.sum(a, -1, keepdims=True)

    along = normalised(adjacency + jnp.eye(adjacency.shape[-1]))
    return jnp.stack([along, normalised(jnp.swapaxes(along, -1, -2))], axis=-3)


def inputs(graphs: Graphs) -> Inputs:
    """What the network reads of graphs."""
    size = jnp.maximum(jnp.sum(graphs.present, -1), 1)
    return Inputs(graphs.one_hot, propagation(graphs.edges), size.astype(jnp.float32))


def init(key: jax.Array, kinds: int, layers: int, width: int, hidden: int) -> Network:
    """Weights as PyTorch begins them: Glorot-uniform of layers, +-1 / sqrt(fan_in) of the linear.

    >>> parts.count(init(jax.random.key(0), kinds=5, layers=3, width=144, hidden=128))
    102944
    """
    keys = jax.random.split(key, layers + 2)
    weights = [
        jnp.stack([parts.glorot(k, fan_in, width) for k in jax.random.split(of)], axis=1)
        for of, fan_in in zip(keys, [kinds] + [width] * (layers - 1), strict=False)
    ]
    first = parts.uniform(keys[-2], (width, hidden), width**-0.5)
    return Network(weights, first, parts.uniform(keys[-1], (hidden, 1), hidden**-0.5))


def apply(network: Network, x: Inputs, key: jax.Array | None = None) -> jax.Array:
    """Scores [n]; ``key``: of dropout, None = without."""
    keys = iter([None] * 99 if key is None else jax.random.split(key, len(network.layers) + 1))
    nodes = x.nodes
    for weight in network.layers:
        sent = jnp.einsum("nvc,cdh->ndvh", nodes, weight)
        nodes = jnp.mean(jax.nn.relu(x.ways @ sent), axis=1)
        nodes = parts.dropout(next(keys), nodes, DROPOUT)
    pooled = jnp.sum(nodes, axis=1) / x.size[:, None]
    return (parts.dropout(next(keys), pooled @ network.hidden, DROPOUT) @ network.last)[:, 0]


def neural_predictor(
    *,
    chunk: int | None = None,
    learning_rate: Number = 3e-3,
    l2: Number = 1e-3,
    layers: int = 3,
    width: int = 144,
    hidden: int = 128,
    epochs: int = 80,
    batch: int = 16,
    drop_last: bool = False,
    stages: Literal[1, 2] = 1,
    good: float = 0.3,
) -> Scorer:
    """The Neural Predictor as `Scorer`; the mean is on the scale of the labels.

    Of two stages, what is accepted keeps its predicted label where that is above the quantile, and
    comes close below it otherwise (by at most 1, in order); what is rejected is lower still, in the
    order of its probability.

    >>> predictor = neural_predictor(width=8, epochs=5, stages=2)

    Args:
      chunk: architectures scored at once, see `refit.refit`.
      learning_rate: the first of a cosine to 0, by epoch.
      l2: strength of the squared weights, whose gradient is added to the loss's.
      layers, width, hidden: of the network.
      epochs, batch, drop_last: see `training.train`.
      stages: 1, or 2: with a classifier before.
      good: quantile of the labels from which on they are good, of two stages.
    """

    def fitted(key: jax.Array, x: Graphs, mask: jax.Array, loss: Callable[..., Any]) -> Network:
        """A network trained on ``loss(scores [B], rows [B]) -> [B]``."""
        init_key, train_key = jax.random.split(key)
        read = inputs(x)

        def mean(network, state, rows, weight, key):
            of_rows = jax.tree.map(lambda a: a[rows], read)
            each = loss(apply(network, of_rows, key), rows)
            return jnp.sum(weight * each) / jnp.maximum(jnp.sum(weight), 1), state

        network, _ = training.train(
            train_key,
            init(init_key, x.kinds, layers, width, hidden),
            (),
            mask,
            mean,
            direction=optax.chain(optax.add_decayed_weights(l2), optax.scale_by_adam()),
            rate=training.cosine(learning_rate, epochs),
            epochs=epochs,
            batch=batch,
            drop_last=drop_last,
        )
        return network

    def fit(key, x, y, mask):
        y = jnp.where(mask, y, 0.0)
        if stages == 1:
            return fitted(key, x, mask, lambda scores, rows: (scores - y[rows]) ** 2)
        first, second = jax.random.split(key)
        ascending = jnp.sort(jnp.where(mask, y, jnp.inf))
        last = jnp.maximum(jnp.sum(mask) - 1, 0)
        at = jnp.floor(good * last).astype(int)
        floor = jnp.where(jnp.any(mask), ascending[at], 0.0)
        above = mask & (y >= floor)

        def miss(scores, rows):
            return jax.nn.softplus(jnp.where(above[rows], -scores, scores))

        classifier = fitted(first, x, mask, miss)
        regressor = fitted(second, x, above, lambda scores, rows: (scores - y[rows]) ** 2)
        return classifier, regressor, floor

    def predict(params, x):
        read = inputs(x)
        if stages == 1:
            return Prediction(apply(params, read))
        classifier, regressor, floor = params
        logit, score = apply(classifier, read), apply(regressor, read)
        accepted = floor + jax.nn.elu(score - floor)
        return Prediction(jnp.where(logit >= 0, accepted, floor - 1 + jax.nn.log_sigmoid(logit)))

    return refit(Predictor(fit, predict), chunk, graphs="whole")


PRINTED = MappingProxyType(
    {"learning_rate": 1e-4, "l2": 1e-3, "epochs": 300, "batch": 10, "drop_last": True}
)
"""Settings of the public re-implementation."""
