"""BRP-NAS (Dudziak et al., NeurIPS 2020): a graph network that is trained on pairs of cells.

Its comparator is one linear layer on two embeddings, ``d(i, j) = p.e_i + q.e_j + c``, with the
antisymmetric part ``s_i - s_j``, ``s = (p - q).e / 2``: a ranking takes one embedding of each cell
and a sort. The prediction is s, an increasing scale that is not that of the labels.

The network reads the contracted form of a cell with a *global* node in front. Its row of the matrix
A is all ones, the diagonal is 1, and otherwise a node sums itself and its successors, without
normalisation. Absent nodes keep their rows, and the global node sums them too: they tell the size.
Four layers of A X W + b, layer normalisation, relu, dropout; the global row is the embedding.

The default differs from the released code (SamsungLabs, ``eagle``) so:

* the last layer gives s itself, and a batch is all ordered pairs of some cells, each embedded once;
* the loss is a mean; the network is narrower, with fewer and longer steps, without dropout, and
  with Adam's epsilon 1e-4;
* absent nodes have no features.

``PRINTED`` follows the released code at its last stage: width 600, a layer of 1200 -> 2 on pairs,
batches of 60 ordered pairs whose cells are embedded pair by pair, summed divergences, 250 epochs.
Its odd choices stay. Training stops where the summed loss of all training pairs has not improved
for 35 epochs, counted after epoch 20, and the *last* weights are used: the best ones are stored by
reference, and overwritten. Absent nodes are an operation "none" where the space has no operations
that are nothing or an identity (NAS-Bench-101), and have no features where it has (NAS-Bench-201).
It differs in its labels, there raw numbers whose scale acts as a temperature; in its order, there
that of a sort by the comparator; and by float32 in place of float64.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from weaknas_jax.core.types import Number, Prediction, Predictor, Scorer
from weaknas_jax.predictors.graph import layers as parts
from weaknas_jax.predictors.graph import training
from weaknas_jax.predictors.refit import refit
from weaknas_jax.spaces.graph_arrays import Graphs

DEPTH = 4
FIRST_COUNTED = 21  # the first epoch whose loss early stopping looks at


class Settings(NamedTuple):
    """Settings of network and training, see `brp`."""

    learning_rate: Number
    l2: Number
    dropout: Number
    temperature: Number
    width: int
    epochs: int
    batch: int
    patience: int = 35
    comparator: bool = False

    @property
    def direction(self) -> optax.GradientTransformation:
        """AdamW's, without the rate."""
        # What moves all scores alike has no gradient but rounding errors; a larger epsilon than
        # the usual one keeps Adam from making steps of them.
        adam = optax.scale_by_adam(eps=1e-8 if self.comparator else 1e-4)
        return optax.chain(adam, optax.add_decayed_weights(self.l2))


CLEAN = Settings(3e-3, 5e-4, 0.0, 0.1, width=64, epochs=100, batch=25)
"""The default ones, chosen on NAS-Bench-201's CIFAR-10."""
PRINTED = Settings(3.5e-4, 5e-4, 0.2, 1.0, width=600, epochs=250, batch=60, comparator=True)
"""Those of the released code."""


class Params(NamedTuple):
    """Parameters of a network.

    Attributes:
      layers: convolutions with their normalisations.
      head: the weight [width] of the score, which has no bias, or the comparator, [2 width, 2].
    """

    layers: tuple[tuple[parts.Dense, parts.Norm], ...]
    head: jax.Array | parts.Dense


def matrix(x: Graphs) -> jax.Array:
    """Which nodes a node sums, float32 [n, V + 1, V + 1], the global node first.

    >>> from weaknas_jax.spaces.graph_arrays import of_lists
    >>> chain = of_lists([(("input", "conv", "output"), [(0, 1), (1, 2)])])
    >>> matrix(chain)[0].astype(int).tolist()
    [[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]]
    """
    own = jnp.pad(x.edges + jnp.eye(x.nodes), ((0, 0), (1, 0), (1, 0)))
    return own.at[:, 0].set(1.0)


def features(x: Graphs, how: Settings) -> jax.Array:
    """Kinds of nodes, one-hot, float32 [n, V + 1, columns], the global node first."""
    kinds = x.one_hot
    if how.comparator and not (x.none or x.skip):  # absent nodes are operations
        kinds = jnp.concatenate([kinds, ~x.present[..., None]], axis=-1)
    kinds = jnp.pad(kinds, ((0, 0), (1, 0), (0, 1)))
    return kinds.at[:, 0, -1].set(1.0)


def init(key: jax.Array, x: Graphs, how: Settings) -> Params:
    """A network for graphs such as ``x``.

    Weights and biases of convolutions are uniform in +-1 / sqrt(width), the first's too.
    """
    *keys, last = jax.random.split(key, DEPTH + 1)
    width = how.width
    fans = [jax.eval_shape(lambda: features(x, how)).shape[-1], *[width] * (DEPTH - 1)]
    layers = []
    for key, fan_in in zip(keys, fans, strict=True):
        drawn = parts.uniform(key, (fan_in + 1, width), width**-0.5)
        layers.append((parts.Dense(drawn[1:], drawn[0]), parts.norm(width)))
    score = parts.uniform(last, (width,), width**-0.5)
    return Params(tuple(layers), parts.dense(last, 2 * width, 2) if how.comparator else score)


def embed(params: Params, x: Graphs, how: Settings, key: jax.Array | None = None) -> jax.Array:
    """Embeddings [n, width]; ``key``: of dropout, None = without."""
    if isinstance(how.dropout, float) and how.dropout == 0:
        key = None
    sums, h = matrix(x), features(x, how)
    for at, (convolution, scale) in enumerate(params.layers):
        if at == DEPTH - 1:
            sums = sums[:, :1]  # only the global node is read
        h = jax.nn.relu(parts.layer_norm(scale, convolution(sums @ h)))
        h = parts.dropout(None if key is None else jax.random.fold_in(key, at), h, how.dropout)
    return h[:, 0]


def comparator(head: parts.Dense) -> tuple[jax.Array, jax.Array, jax.Array]:
    """p [width], q [width] and c of the difference between the two logits, see the module."""
    p, q = jnp.split(head.weight[:, 0] - head.weight[:, 1], 2)
    return p, q, head.bias[0] - head.bias[1]


def score(head: jax.Array | parts.Dense, embedding: jax.Array) -> jax.Array:
    """s [n] of embeddings [n, width]."""
    if not isinstance(head, parts.Dense):
        return embedding @ head
    p, q, _ = comparator(head)
    return embedding @ (p - q) / 2


def predict(params: Params, x: Graphs, how: Settings) -> Prediction:
    """The scores s [n]."""
    return Prediction(score(params.head, embed(params, x, how)))


def divergence(truth: jax.Array, predicted: jax.Array) -> jax.Array:
    """KL(softmax(y_i, y_j) || softmax(l_i, l_j)) by the differences of labels and of logits.

    >>> divergence(jnp.array([1.0, 0.0]), jnp.array([1.0, 2.0])).round(3).tolist()
    [0.0, 0.434]
    """
    softplus = jax.nn.softplus
    return softplus(predicted) - softplus(truth) - jax.nn.sigmoid(truth) * (predicted - truth)


def ordered_pairs(size: int) -> tuple[jax.Array, jax.Array]:
    """All pairs (i, j) of different ones of ``size``.

    >>> [part.tolist() for part in ordered_pairs(3)]
    [[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]
    """
    first, second = jnp.divmod(jnp.arange(size * (size - 1)), max(1, size - 1))
    return first, second + (second >= first)


def train(
    key: jax.Array,
    params: Params,
    x: Graphs,
    y: jax.Array,
    mask: jax.Array,
    how: Settings,
    stage: Any = 1,
    stages: int = 1,
) -> Params:
    """Trains a network from ``params``.

    Args:
      key, params: random numbers of batches and dropout, and initial parameters.
      x, y, mask: Q graphs, labels [Q], and which of them are real, bool [Q].
      how, stage, stages: the epochs are the share ``stage / stages`` of those of the settings, and
        so is the batch of a comparator; ``stage`` may be traced, and 0 trains nothing.
    """
    y = jnp.where(mask, y, 0.0) / how.temperature
    epochs, batch = how.epochs * stage // stages, how.batch
    if how.comparator:
        batch = jnp.maximum(1, batch * stage // stages)
    descend = _descend_pairs if how.comparator else _descend_cells
    return descend(key, params, x, y, mask, how, epochs, batch)


def _descend_cells(key, params, x, y, mask, how, epochs, batch):
    """Descends the mean divergence of all ordered pairs of the cells of a batch."""

    def loss(params, state, rows, weight, key):
        s, truth = score(params.head, embed(params, x.rows(rows), how, key)), y[rows]
        weight = weight[:, None] * weight * (1 - jnp.eye(len(rows)))
        lost = divergence(truth[:, None] - truth, s[:, None] - s)
        return jnp.sum(weight * lost) / jnp.maximum(jnp.sum(weight), 1.0), state

    settings = {"epochs": epochs, "batch": batch, "direction": how.direction}
    settings["rate"] = training.cosine(how.learning_rate, epochs)
    return training.train(key, params, (), mask, loss, **settings)[0]


def _descend_pairs(key, params, x, y, mask, how, epochs, batch):
    """Descends the summed divergence of batches of pairs, and stops early."""
    if len(mask) < 2:
        return params
    first, second = ordered_pairs(len(mask))
    real = mask[first] & mask[second]
    count, width = jnp.sum(real), min(how.batch, len(real))
    truth, places, direction = y[first] - y[second], jnp.arange(width), how.direction
    rate, batch = training.cosine(how.learning_rate, epochs), jnp.minimum(batch, width)
    order_key, drop_key = jax.random.split(key)

    def batch_loss(params, rows, weight, key):
        cells = x.rows(jnp.concatenate([first[rows], second[rows]]))
        e = embed(params, cells, how, key)
        logits = params.head(jnp.concatenate([e[:width], e[width:]], axis=1))
        return jnp.sum(weight * divergence(truth[rows], logits[:, 0] - logits[:, 1]))

    def loss_of_all(params):
        e, (p, q, c) = embed(params, x, how), comparator(params.head)
        return jnp.sum(jnp.where(real, divergence(truth, (e @ p)[first] + (e @ q)[second] + c), 0))

    def epoch(carry):
        at, params, memory, best, stale = carry
        draw = jax.random.uniform(jax.random.fold_in(order_key, at), real.shape)
        order, of_epoch = jnp.argsort(jnp.where(real, draw, 2.0)), jax.random.fold_in(drop_key, at)

        def step(number, carry):
            params, memory = carry
            place = number * batch + places
            weight = ((places < batch) & (place < count)).astype(jnp.float32)
            rows = order[jnp.minimum(place, len(real) - 1)]
            key = jax.random.fold_in(of_epoch, number)
            gradients = jax.grad(batch_loss)(params, rows, weight, key)
            updates, memory = direction.update(gradients, memory, params)
            return jax.tree.map(lambda p, u: p - rate(at) * u, params, updates), memory

        steps = (count + batch - 1) // batch
        params, memory = jax.lax.fori_loop(0, steps, step, (params, memory))
        total, counts = loss_of_all(params), at >= FIRST_COUNTED
        stale = jnp.where(counts & ~(total < best), stale + 1, 0)
        return at + 1, params, memory, jnp.where(counts, jnp.minimum(best, total), best), stale

    def unfinished(carry):
        return (carry[0] < epochs) & (carry[-1] < how.patience) & (count > 0)

    begin = jnp.int32(0), params, direction.init(params), jnp.float32(jnp.inf), jnp.int32(0)
    return jax.lax.while_loop(unfinished, epoch, begin)[1]


def brp(
    *,
    chunk: int | None = None,
    learning_rate: Number = CLEAN.learning_rate,
    l2: Number = CLEAN.l2,
    dropout: Number = CLEAN.dropout,
    temperature: Number = CLEAN.temperature,
    width: int = CLEAN.width,
    epochs: int = CLEAN.epochs,
    batch: int = CLEAN.batch,
    patience: int = CLEAN.patience,
    comparator: bool = CLEAN.comparator,
) -> Scorer:
    """The network as `Scorer`, fitted anew in each round.

    >>> predictor = brp(width=8, epochs=5)

    Args:
      chunk: architectures scored at once, see `refit.refit`.
      learning_rate: the first of a cosine to 0, by epoch.
      l2: AdamW's decoupled decay.
      dropout: share of values set to 0 while training.
      temperature: labels are divided by it: the lower, the harder are the pairs.
      width: of the network.
      epochs: passes over the cells, or over their pairs.
      batch: cells, all pairs of which are a step; or pairs.
      patience: epochs without a lower loss before the training of a comparator stops.
      comparator: whether a layer on two embeddings compares them, as in `PRINTED`.
    """
    numeric = learning_rate, l2, dropout, temperature
    how = Settings(*numeric, width, epochs, batch, patience, comparator)

    def fit(key, x, y, mask):
        init_key, train_key = jax.random.split(key)
        return train(train_key, init(init_key, x, how), x, y, mask, how)

    predictor = Predictor(fit, lambda params, x: predict(params, x, how))
    return refit(predictor, chunk, graphs="contracted")
