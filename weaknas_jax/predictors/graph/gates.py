"""GATES: information flows through the graph, and operations gate it; trained on pairs.

Ning et al., 2020; form and settings from the authors' repository (aw_nas, examples/research/gates).
Graphs are as the space has them. A node carries information, an embedding of 48 through a linear
layer of 96: one embedding for inputs, another, zero at first, for all other nodes. With A the
adjacency from a node to those whose edges lead to it and O the operations' embeddings of 48,

* a layer is sigmoid(O W_o + b_o) * (A X W) + X W + b; four of 128, relu between them;
* the sum over all nodes but inputs by the number of places, linear 200, relu, dropout 0.1,
  linear 1;
* the loss is the mean over pairs of max(0, 0.1 - (score of the better - score of the other)).

An input's operation has a zero embedding. Each row of a layer's weight begins uniform within the
fan *out*, which the released code has and is kept.

Deviations: an operation on an edge is a node here; in the released code for NAS-Bench-201 it gates
the edge. One of nothing passes nothing on and does not count in the sum, like an absent one. Each
cell is embedded once a step, so that dropout is by cell and not by pair.

By default all pairs of a batch of 256 count, and Adam's epsilon is 1e-5: the bias of a unit that is
active in all cells has a gradient of rounding, since pairs take it away, and 1e-8 makes whole steps
of that. ``PRINTED``: at most four pairs a cell, drawn anew in each step, batches of 512, and 1e-8.
The authors' rank correlation is a mean of the last five epochs, each evaluated on the whole test
set; a search needs one network, the last.
"""

from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number, Prediction, Predictor, Scorer
from weaknas_jax.predictors.graph import layers as parts
from weaknas_jax.predictors.graph import training
from weaknas_jax.predictors.refit import refit
from weaknas_jax.spaces.graph_arrays import FIRST, INPUT, Graphs

DROPOUT = 0.1
MARGIN = 0.1
EMBEDDING = 48
FEATURES = 96


class Layer(NamedTuple):
    """weight [C, H] and bias [H] of information; gate: of operations, 48 to H."""

    weight: jax.Array
    bias: jax.Array
    gate: parts.Dense


class Network(NamedTuple):
    """Parameters.

    Attributes:
      nodes: [2, 48], initial information of inputs, and of other nodes.
      features: 48 to 96.
      operations: [kinds - 1, 48], of the output and the operations.
      layers: see `Layer`.
      hidden, last: of the score.
    """

    nodes: jax.Array
    features: parts.Dense
    operations: jax.Array
    layers: list[Layer]
    hidden: parts.Dense
    last: parts.Dense


class Inputs(NamedTuple):
    """What the network reads of n graphs.

    Attributes:
      start: float32 [n, V, 2], whether a node is an input, and whether it is not.
      kinds: float32 [n, V, kinds - 1], kinds of nodes without the input.
      edges: float32 [n, V, V], 1 = the row's node receives from the column's.
      share: float32 [n, V], weight of each node in the sum.
    """

    start: jax.Array
    kinds: jax.Array
    edges: jax.Array
    share: jax.Array


def inputs(graphs: Graphs) -> Inputs:
    """What the network reads of graphs."""
    ops = jnp.asarray(graphs.ops)
    nothing = jnp.array([FIRST + graphs.operations.index(name) for name in graphs.none], ops.dtype)
    carries = graphs.present & ~jnp.isin(ops, nothing)
    return Inputs(
        jnp.stack([ops == INPUT, ops != INPUT], -1).astype(jnp.float32),
        graphs.one_hot[..., 1:],
        jnp.swapaxes(graphs.edges * carries[..., None], -1, -2),
        (carries & (ops != INPUT)) / jnp.float32(graphs.nodes - 1),
    )


def init(key: jax.Array, kinds: int, layers: int = 4, width: int = 128, hidden: int = 200):
    """A `Network` as the released code begins it; embeddings are normal.

    >>> parts.count(init(jax.random.key(0), kinds=5))
    118033
    """
    of_nodes, of_features, of_operations, of_hidden, of_last, of_layers = jax.random.split(key, 6)
    first = jax.random.normal(of_nodes, (1, EMBEDDING))
    flow = []
    for at, fan_in in enumerate([FEATURES] + [width] * (layers - 1)):
        keys = jax.random.split(jax.random.fold_in(of_layers, at), 3)
        bound = width**-0.5
        weight, bias = parts.uniform(keys[0], (fan_in, width), bound), (keys[1], (width,), bound)
        flow.append(Layer(weight, parts.uniform(*bias), parts.dense(keys[2], EMBEDDING, width)))
    return Network(
        jnp.concatenate([first, jnp.zeros((1, EMBEDDING))]),
        parts.dense(of_features, EMBEDDING, FEATURES),
        jax.random.normal(of_operations, (kinds - 1, EMBEDDING)),
        flow,
        parts.dense(of_hidden, width, hidden),
        parts.dense(of_last, hidden, 1),
    )


def apply(network: Network, x: Inputs, key: jax.Array | None = None) -> jax.Array:
    """Scores [n]; ``key``: of dropout, None = without."""
    nodes = x.start @ network.features(network.nodes)
    # An absent node or an input has no operation: the gate of a zero embedding.
    operations = x.kinds @ network.operations
    for at, layer in enumerate(network.layers):
        nodes = jax.nn.relu(nodes) if at else nodes
        sent = nodes @ layer.weight
        gate = jax.nn.sigmoid(layer.gate(operations))
        nodes = gate * (x.edges @ sent) + sent + layer.bias
    pooled = jnp.einsum("nv,nvh->nh", x.share, nodes)
    inner = parts.dropout(key, jax.nn.relu(network.hidden(pooled)), DROPOUT)
    # Pairs take the last bias away: its gradient is rounding, which Adam would make steps of.
    return network.last._replace(bias=jax.lax.stop_gradient(network.last.bias))(inner)[:, 0]


def hinge(scores: jax.Array, labels: jax.Array, counts: jax.Array) -> jax.Array:
    """Mean over pairs of max(0, margin - difference), for the pairs that count, bool [B, B].

    Each unordered pair should count once; equal labels are none.

    >>> scores, labels = jnp.array([0.5, 0.0, 0.0]), jnp.array([2.0, 1.0, 1.0])
    >>> round(hinge(scores, labels, jnp.triu(jnp.ones((3, 3), bool), 1)).item(), 3)
    0.0
    >>> round(hinge(scores, -labels, jnp.triu(jnp.ones((3, 3), bool), 1)).item(), 3)
    0.6
    """
    better = jnp.sign(labels[:, None] - labels)
    counts = counts & (better != 0)
    lost = jax.nn.relu(MARGIN - better * (scores[:, None] - scores))
    return jnp.sum(jnp.where(counts, lost, 0.0)) / jnp.maximum(jnp.sum(counts), 1)


def some_pairs(key: jax.Array, counts: jax.Array, most: jax.Array) -> jax.Array:
    """At most ``most`` of the pairs that count, at random, bool [B, B]."""
    draw = jnp.where(counts, jax.random.uniform(key, counts.shape), 2.0)
    limit = jnp.sort(draw, axis=None)[jnp.minimum(most, draw.size - 1)]
    return counts & (draw < limit)


def gates(
    *,
    chunk: int | None = None,
    learning_rate: Number = 1e-3,
    layers: int = 4,
    width: int = 128,
    hidden: int = 200,
    epochs: int = 80,
    batch: int = 256,
    pairs: int | None = None,
    epsilon: float = 1e-5,
) -> Scorer:
    """GATES as `Scorer`.

    It ranks: the scores are stretched so that those of the evaluated architectures have the mean
    and the deviation of their labels, which acquisitions on the labels' scale need.

    >>> predictor = gates(width=8, epochs=5)

    Args:
      chunk: architectures scored at once, see `refit.refit`.
      learning_rate: of Adam.
      layers, width, hidden: of the network.
      epochs, batch: see `training.train`.
      pairs: most pairs a cell of a step, drawn at random; None = all.
      epsilon: of Adam.
    """

    def fit(key, x, y, mask):
        init_key, train_key = jax.random.split(key)
        y, read = jnp.where(mask, y, 0.0), inputs(x)

        def loss(network, state, rows, weight, key):
            pair_key, drop_key = jax.random.split(key)
            real, labels = weight > 0, y[rows]
            counts = jnp.triu(real[:, None] & real & (labels[:, None] != labels), 1)
            if pairs is not None:
                counts = some_pairs(pair_key, counts, pairs * jnp.sum(real))
            of_rows = jax.tree.map(lambda a: a[rows], read)
            return hinge(apply(network, of_rows, drop_key), labels, counts), state

        network, _ = training.train(
            train_key,
            init(init_key, x.kinds, layers, width, hidden),
            (),
            mask,
            loss,
            direction=optax.scale_by_adam(eps=epsilon),
            rate=training.constant(learning_rate),
            epochs=epochs,
            batch=batch,
        )
        middle, spread = _moments(apply(network, read), mask)
        centre, deviation = _moments(y, mask)
        stretch = jnp.where(spread > 0, deviation / jnp.where(spread > 0, spread, 1.0), 0.0)
        return network, centre - stretch * middle, stretch

    def predict(params, x):
        network, shift, stretch = params
        return Prediction(shift + stretch * apply(network, inputs(x)))

    return refit(Predictor(fit, predict), chunk, graphs="whole")


def _moments(values: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and deviation of the rows of a mask."""
    count = jnp.maximum(jnp.sum(mask), 1)
    mean = jnp.sum(jnp.where(mask, values, 0.0)) / count
    return mean, jnp.sqrt(jnp.sum(jnp.where(mask, values - mean, 0.0) ** 2) / count)


PRINTED = MappingProxyType({"batch": 512, "pairs": 4, "epsilon": 1e-8})
"""Settings of the released code."""
